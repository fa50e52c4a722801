"""The events that bulkheadctl(8) documents, and events that differ from it."""

import functools
import os
import re

SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
ALWAYS = {"seq", "time", "event", "path"}


@functools.cache
def documented_events():
    """{event: (fields that it has, fields that it may have)}"""
    with open(os.path.join(SOURCE, "man", "bulkheadctl.8")) as file:
        section = file.read().split(".Sh EVENTS")[1].split(".Sh ")[0]
    out = {}
    for line in re.findall(r"^\.It Ic (.*)$", section, re.M):
        words, _, optional = line.partition(" Op ")
        name, _, fields = words.partition(" Ar ")
        out[name] = (set(fields.split()), set(optional.split()))
    return out


def undocumented(events):
    """Events with a name or a field that the manual does not have, or without a field that it promises."""
    out = []
    for event in events:
        fields = set(event) - ALWAYS
        required, optional = documented_events().get(event["event"], (None, None))
        if required is None or not required <= fields <= required | optional or not ALWAYS <= set(event):
            out.append(event)
    return out
