"""What a sequence consists of. A step is a list of words that means something whatever came before it, so that any part of a sequence
is a sequence; `random_steps` makes them from a seed, and a file of JSON lines keeps them."""

import itertools
import json
import random

from . import configurations
from .state import BUSY, OK, REFUSED, outcomes

# Commands of the control socket: what may be asked at once.
COMMANDS = ("stop", "start", "restart", "restart_dependents", "delete", "add", "scale", "suspend", "resume", "drain", "reload", "reset", "upgrade")
# Those about the node that they name first.
PATH_COMMANDS = ("stop", "start", "restart", "restart_dependents", "delete", "add", "scale", "suspend", "resume", "drain", "signal")
WEIGHTS = {"stop": 6, "start": 8, "restart": 6, "restart_dependents": 3, "delete": 5, "add": 4, "scale": 4, "suspend": 3, "resume": 3, "drain": 2, "reload": 14, "reset": 3, "confirmed": 2,
           "unconfirmed": 1, "signal": 3, "upgrade": 4, "kill_process": 8, "end_process": 3, "kill_worker": 6, "kill_connection": 4, "connect": 14, "leave": 2,
           "breaks": 2, "mends": 3, "starve": 1, "master_dies": 1, "at_once": 8}
FILES = [*range(configurations.COUNT), *range(configurations.COUNT), 0, 0, 0, 0, "invalid", "occupied"]


def random_steps(seed, count):
    rng = random.Random(seed)
    steps = [_random_step(rng, WEIGHTS) for _ in range(count)]
    if rng.random() < 0.3:
        steps.append(["end_amid", *_at_once(rng), rng.choice(["TERM", "QUIT", "INT"])])
    return steps


def _random_step(rng, weights):
    name = rng.choices(list(weights), list(weights.values()))[0]
    return [name, *_ARGUMENTS[name](rng)]


def _at_once(rng):
    weights = {name: WEIGHTS[name] for name in (*COMMANDS, "kill_process", "kill_worker")}
    return [[_random_step(rng, weights) for _ in range(rng.choice([2, 2, 3]))], rng.choice([0, 0, 5, 30, 90])]


def _path(rng):
    return [rng.choice(configurations.PATHS)]


def _listener(rng):
    return [rng.choice(configurations.LISTENERS)]


def _process(rng):
    return [rng.choice(configurations.PROCESSES)]


_ARGUMENTS = {
    "stop": _path, "start": _path, "restart": _path, "restart_dependents": _path, "delete": _path, "suspend": _listener, "resume": _listener,
    "add": lambda rng: [rng.choice(configurations.SUPERVISORS), "x"],
    "scale": lambda rng: [rng.choice(configurations.LISTENERS), rng.choice([1, 2, 3, 4])],
    "drain": lambda rng: [rng.choice([None, *configurations.LISTENERS])],
    "reload": lambda rng: [rng.choice(FILES)], "reset": lambda rng: [rng.choice(FILES)],
    "confirmed": lambda rng: [rng.choice(FILES)], "unconfirmed": lambda rng: [rng.choice(FILES)],
    "signal": lambda rng: [rng.choice(configurations.PATHS), rng.choice(["CONT", "KILL", "USR1"])],
    "upgrade": lambda rng: [],
    "kill_process": _process, "end_process": _process,
    "kill_worker": lambda rng: [rng.choice(configurations.LISTENERS), rng.choice(["KILL", "KILL", "TERM", "SEGV"])],
    "kill_connection": lambda rng: [rng.choice(configurations.LISTENERS), rng.choice(["KILL", "kill"])],
    "connect": lambda rng: [*_listener(rng), rng.choice(["tcp", "tcp", "unix"])], "leave": _listener,
    "breaks": lambda rng: [rng.choice(["p", "w"])], "mends": lambda rng: [rng.choice(["p", "w"])],
    "starve": lambda rng: [rng.choice(["root/p", "root/w", "root/a", "root/s/q", "root/s/b"])],
    "master_dies": lambda rng: [],
    "at_once": _at_once,
}


def text(step):
    return json.dumps(step)


def read(lines):
    return [json.loads(line) for line in lines if line.strip() and not line.startswith("#")]


def simpler(step):
    """Steps that may stand in the place of this one, simpler first."""
    if step[0] == "end_amid":
        return [["end_amid", step[1][:at] + step[1][at + 1:], *step[2:]] for at in range(len(step[1]))]
    if step[0] != "at_once":
        return []
    alone = [list(one) for one in step[1]]
    without = [["at_once", step[1][:at] + step[1][at + 1:], step[2]] for at in range(len(step[1]))] if len(step[1]) > 2 else []
    return alone + without


def spoils(step, path):
    """Clients of the listener at that path may be lost to this step, or to a part of it."""
    return any(one[0] in ("master_dies", "starve", "end_amid") or one[:2] == ["kill_worker", path] for one in parts(step))


def reads(step):
    """It reads a file: `reset` is a reload with --reset, the others are with --confirm."""
    return step[0] in ("reload", "reset", "confirmed", "unconfirmed")


def parts(step):
    """The steps that it consists of."""
    return step[1] if step[0] in ("at_once", "end_amid") else [step]


def apply(model, choose, step, files):
    """Does to the model what the step does to a daemon; returns the answer. `files`: the configurations."""
    name, *words = step
    if name in PATH_COMMANDS and words[0] and model.is_disabled(words[0]):
        return REFUSED
    if name == "add":
        return model.add(choose, words[0], files.added(words[1]))
    if reads(step):
        good = isinstance(words[0], int)
        return getattr(model, name)(choose, words[0], files.file(words[0])["supervisor"] if good else None)
    return getattr(model, name)(choose, *words)


def possible(model, step, files):
    """[(answer, model)] after the step. Of steps at once: in any order, and a command may be refused because another is under way."""
    if step[0] != "at_once":
        return outcomes(model, lambda after, choose: apply(after, choose, step, files))
    out = []
    for order in itertools.permutations(range(len(step[1]))):
        out += outcomes(model, lambda after, choose, order=order: _in_order(after, choose, step[1], order, files))
    return out


def _in_order(model, choose, steps, order, files):
    answers = [None] * len(steps)
    model.loose, model.removed = True, {}
    model.killed = [step[1] for step in steps if step[0] in ("kill_process", "kill_worker")]
    for at in order:
        if steps[at][0] in COMMANDS and choose(False, True):
            answers[at] = BUSY
        else:
            answers[at] = apply(model, choose, _as_read(choose, steps, at), files)
            if answers[at] == OK and reads(steps[at]) and any(step[0] == "drain" for step in steps) and choose(False, True):
                answers[at] = REFUSED  # applied, but for what drains by now
    if any(reads(step) and step[1] == "occupied" for step in steps):
        # What a reload tries out before it is refused is there for a moment.
        answers = [choose(answer, OK, "running") if answer in ("noproc", "not_found") else answer for answer in answers]
    model.loose, model.killed = False, []
    return tuple(answers)


def _as_read(choose, steps, at):
    """A reload may find the file of a later one."""
    if not reads(steps[at]):
        return steps[at]
    return choose(*[[steps[at][0], step[1]] for step in steps[at:] if reads(step)])
