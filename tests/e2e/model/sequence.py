"""One sequence: a daemon of its own, its steps one after another, and after each of them the state that the model says."""

import os
import shutil
import tempfile
import time

from . import checks, known
from .state import BUSY, REFUSED, RUNNING, Model
from .steps import possible, spoils, text
from .world import DEADLINE, NO_FORKS, Finding, World

AT_REST = 0.02     # two looks this far apart must be alike
HOPELESS = 2.0     # nothing has moved for so long, so nothing will


class Sequence:
    """`report(line)` hears of every step."""

    def __init__(self, bindir, steps, report=lambda line: None, skip=known.met):
        self.bindir = bindir
        self.steps = steps
        self.report = report
        self.skip = skip
        self.done = []  # the steps that were carried out
        self.log = ""

    def run(self):
        """The Finding, or None."""
        directory = tempfile.mkdtemp(prefix="bulkhead-model-")
        os.chmod(directory, 0o755)
        world = None
        try:
            world = World(directory, os.path.join(self.bindir, "bulkheadd"), self.bindir)
            self._steps(world)
            complaints = world.close() or [f"left running: {one}" for one in world.destroy()]
            if complaints:
                raise Finding("end", "\n".join(complaints))
            return None
        except Finding as finding:
            return finding
        except AssertionError as error:
            return Finding("harness", str(error))
        finally:
            if world:
                self.log = world.daemon.log_text()
                world.destroy()
            shutil.rmtree(directory, ignore_errors=True)

    def _steps(self, world):
        files = world.files
        models = self._look(world, [Model(files.file(0)["supervisor"])])
        for step in self.steps:
            if self.skip(models[0], step) or (step[0] == "starve" and not NO_FORKS.available):
                continue
            self.done.append(step)
            if step[0] == "end_amid":
                self.report(text(step))
                return world.end_amid(models[0], *step[1:])
            began = time.monotonic()
            may_be = [(wanted, model) for before in models for wanted, model in possible(before, step, files)]
            answer = self._while_clients_come(world, models, may_be, step, files)
            agreeing = [model for wanted, model in may_be if _agrees(wanted, answer)]
            self.report(f"{text(step)} -> {answer}")
            if not agreeing:
                wanted = sorted({str(wanted) for wanted, _ in may_be})
                raise Finding("answer", f"{text(step)} answered {answer!r} ({world.last_refusal}), not {' or '.join(wanted)}")
            models = self._look(world, agreeing)
            self.report(f"    {time.monotonic() - began:.3f} s")

    def _while_clients_come(self, world, models, may_be, step, files):
        """Carries it out beside clients of one of the listeners that serve before, after and meanwhile."""
        everyone = [*models, *(model for _, model in may_be)]
        if step[0] == "unconfirmed":
            everyone += [model for before in models for _, model in possible(before, ["reload", *step[1:]], files)]
        steady = [path for path, _ in models[0].listeners() if not spoils(step, path) and _serves(models[0], path)
                  and len({_serves(model, path) for model in everyone}) == 1]
        if not steady:
            return world.carry_out(models[0], step)
        path = steady[len(self.done) % len(steady)]
        for _, model in may_be:
            model.find(path).accepted = None
        probe = world.probe(path, models[0].find(path))
        try:
            return world.carry_out(models[0], step)
        finally:
            probe.stop()

    def _look(self, world, models):
        """Those models that the daemon agrees with, when nothing moves any more."""
        for model in models:
            if model.unknown:
                world.forget(model.unknown)
        crashing = {path for model in models for path in model.crashing()}
        deadline, before, rest = time.monotonic() + DEADLINE, None, _Rest()
        while True:
            seen = world.observe()
            found = [(checks.differences(model, seen, world.pids, world.daemon.control_path), model) for model in models]
            agreeing = [model for differences, model in found if not differences]
            now = checks.identity(seen, crashing)
            if agreeing and now == before:
                break
            before = now if agreeing else None
            if time.monotonic() > deadline or (not agreeing and rest.seconds(seen) > HOPELESS):
                nearest = min((differences for differences, _ in found), key=len)
                raise Finding(nearest[0][0] if nearest else "restless", "; ".join(words for _, words in nearest) or "never at rest")
            time.sleep(AT_REST)
        world.speak(agreeing[0])
        world.check_runs([path for path, node in agreeing[0].nodes() if node.type == "process" and node.state == RUNNING])
        if not seen.connections and not crashing:
            world.check_descriptors(seen)
        if world.file_in_effect and not any(model.deviates() for model in agreeing):
            changes = world.result("diff")["changes"]
            if changes:
                raise Finding("diff", f"the file is in effect, and diff reports {changes}")
        for model in agreeing:
            world.pids = checks.settle(model, seen)
        return agreeing[:16]


class _Rest:
    """For how long an observation has been what it is."""

    def __init__(self):
        self.what = None
        self.since = 0.0

    def seconds(self, seen):
        now = [checks.identity(seen, ()), seen.sockets, sorted(one.pid for one in seen.processes), len(seen.connections)]
        if now != self.what or checks.is_moving(seen):
            self.what, self.since = now, time.monotonic()
        return time.monotonic() - self.since


def _serves(model, path):
    """Where, if it does."""
    node = model.find(path)
    if node and node.type == "listener" and node.state == RUNNING and node.suspended is False:
        return tuple(node.spec["listen"])
    return None


def _agrees(wanted, answer):
    if isinstance(wanted, tuple):
        return all(_agrees(one, other) for one, other in zip(wanted, answer))
    return answer == wanted or (wanted == BUSY and answer in (REFUSED, "running", "restarting", "noproc", "not_found", "start_failed"))
