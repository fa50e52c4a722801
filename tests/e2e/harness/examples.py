"""The configurations of etc/examples, as a test runs them: with directories and ports of its own."""

import json
import os
import re

from .case import SOURCE

DIRECTORY = os.path.join(SOURCE, "etc", "examples")


def example_names():
    return sorted(name for name in os.listdir(DIRECTORY) if name.endswith(".json"))


def example(name):
    with open(os.path.join(DIRECTORY, name)) as file:
        return json.loads(re.sub(r"^\s*//.*$", "", file.read(), flags=re.M))


def replaced(value, changes):
    """`value` with each string that ends with a key of `changes` rewritten."""
    if isinstance(value, dict):
        return {key: replaced(one, changes) for key, one in value.items()}
    if isinstance(value, list):
        return [replaced(one, changes) for one in value]
    if isinstance(value, str):
        for old, new in changes.items():
            if value.endswith(old):
                return value.removesuffix(old) + new
    return value


def programs_of(value):
    """The programs that a configuration runs."""
    if isinstance(value, dict):
        own = [value[key][0] for key in ("argv", "exec") if isinstance(value.get(key), list)]
        return own + [one for each in value.values() for one in programs_of(each)]
    if isinstance(value, list):
        return [one for each in value for one in programs_of(each)]
    return []
