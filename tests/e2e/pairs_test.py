"""Every pair of what operators, reloads and upgrades may do, asked for at once: of a listener that has connections, and of a
process that takes long to stop. Each is answered within its deadline; afterwards the tree is what the file and the operators say,
in one order or the other, a further upgrade works, and connections live that nobody has asked to end.

  python3 tests/e2e/pairs_test.py --bindir DIR          some pairs; all of them with BULKHEAD_LONG=1"""

import itertools
import json
import os
import random
import shutil
import subprocess
import unittest

from harness import Client, Hold, ReloadTestCase, UpgradeTestCase, echo_listener, main, seeds, wait_until
from harness.processes import kill_all_below

DEADLINE = 20  # seconds; more than the drain and the stop of the slowest take together
SOME = 10      # pairs of each kind
DRAIN = "2s"
SLOW = "trap 'sleep 0.7; exit 0' TERM; while :; do sleep 0.05; done"

OF_BOTH = ["restart", "stop", "start", "delete", "add", "away", "back", "upgrade"]
OF_LISTENERS = ["scale", "suspend", "resume", "drain"]
ENDING = {"stop", "drain", "delete", "away", "restart"}


def applied(state, verb):
    """The states that may follow from this operation, if it succeeds; nothing: it cannot succeed. A state is (whether the file has
    it, what the tree has): None, "running", "stopped", "added" by an operator, "ending" because the file has it no longer, and
    "ending, stopped" if an operator wishes that too."""
    file, entry = state
    if verb in ("upgrade", "scale", "suspend", "resume"):
        return [state]
    if verb == "away":
        return [(False, "ending" if file and entry in ("running", "stopped") else entry)]
    if verb == "back":
        # Whether the same file brings back what an operator has deleted is not the matter of this test.
        return {None: [(True, None), (True, "running")], "ending": [(True, "running")],
                "ending, stopped": [(True, "running"), (True, "stopped")]}.get(entry, [(True, entry)])
    if verb in ("stop", "drain"):
        return {None: [], "ending": [(file, "ending"), (file, "ending, stopped")], "ending, stopped": [state]}.get(entry, [(file, "stopped")])
    if verb in ("start", "restart"):
        fits = entry == "stopped" or verb == "restart" and entry in ("running", "added")
        return [(file, "added" if entry == "added" else "running")] if fits else []
    if verb == "delete":
        return [(file, None)] if entry == "stopped" else []
    return [(file, "added")] if entry in (None, "ending", "ending, stopped") else []  # add


def possible(file, first, second):
    """All states that may result of these two, each (verb, whether it succeeded)."""
    out = set()
    for order in ((first, second), (second, first)):
        states = {(file, "running" if file else "ending")}
        for verb, succeeded in order:
            after = {new for state in states for new in applied(state, verb)} if succeeded else set(states)
            if not succeeded and verb == "restart":  # a stop may end its second half
                after |= {(had, "stopped") for had, entry in states if entry in ("running", "added")}
            states = after
        out |= states
    return {{"added": "running", "ending": None, "ending, stopped": None}.get(entry, entry) for _, entry in out}


class Pairs(UpgradeTestCase, ReloadTestCase):
    def commands(self, verb, path, child):
        return {"add": ["add", "root", child], "away": ["reload", "--wait"], "back": ["reload", "--wait"], "upgrade": ["upgrade", "--wait"],
                "scale": ["scale", path, "3"], "drain": ["drain", path, "--wait"]}.get(verb, [verb, path])

    def ask(self, daemon, verb, path, child, entry):
        if verb in ("away", "back"):
            self.rewrite(daemon, echo_listener("other", listen=self.other), *([entry] if verb == "back" else []))
        asked = subprocess.Popen(daemon.control.command("--json", *self.commands(verb, path, child)), stdout=subprocess.PIPE,
                                 stderr=subprocess.PIPE, text=True)
        return asked

    def answer(self, verb, asked):
        try:
            out, err = asked.communicate(timeout=DEADLINE)
        except subprocess.TimeoutExpired:
            asked.kill()
            out, err = asked.communicate()
            self.fail(f"{verb} has no answer: {out} {err}")
        if asked.returncode not in (0, 1, 2):
            self.fail(f"{verb}: status {asked.returncode}: {out} {err}")
        return asked.returncode == 0

    def state(self, daemon, path):
        found = [node for node in daemon.control.value("tree")["children"] if node["path"] == path]
        if not found:
            return None
        return {"running": "running", "stopped": "stopped", "failed": "stopped"}.get(found[0]["state"], "between")

    def pair(self, kind, first, second, file=True):
        """`file`: whether the listener or process is there at first; if not, it has been taken away and is ending."""
        path = f"root/{kind}"
        entry = echo_listener("a") if kind == "a" else {
            "id": "c", "type": "process", "argv": ["/bin/sh", "-c", SLOW], "ready": "exec", "kill_mode": "process"}
        other = echo_listener("other")
        self.other = other["listen"]
        daemon = self.supervise(entry, other, daemon={"drain_timeout": DRAIN})
        child = self.write("child.json", json.dumps(entry))
        hold = Hold(daemon.address("a" if kind == "a" else "other"), 2)
        self.addCleanup(hold.close)
        if not file:
            self.rewrite(daemon, other)
            self.reload(daemon)
        if {first, second} == {"away", "back"}:
            return self.settled(daemon, path, {"running", None}, hold, False)  # the file is read once for both
        daemon.control.close()
        asked = [self.ask(daemon, verb, path, child, entry) for verb in (first, second)]
        answers = [(verb, self.answer(verb, one)) for verb, one in zip((first, second), asked)]
        for verb, succeeded in answers:
            if verb in ("away", "back"):
                self.assertTrue(succeeded, daemon.control.value("status")["last_reload"])
        # What is asked twice may be carried out once.
        lives = kind != "a" or not ENDING - {"restart"} & {first, second} and (file or "back" in (first, second))
        self.settled(daemon, path, possible(file, *answers), hold, lives, answers)

    def settled(self, daemon, path, states, hold, lives, answers=()):
        try:
            wait_until(lambda: self.state(daemon, path) in states, 10, "one of the states")
        except AssertionError:
            self.fail(f"{self.state(daemon, path)} is none of {states} after {answers}")
        if lives:
            self.assertEqual(hold.echo_all(), 2, "held connections")
        status, answer, err = self.upgrade(daemon)
        self.assertEqual((status, err), (0, ""), answer)
        wait_until(lambda: self.state(daemon, path) in states, 10, "one of the states, after another upgrade")
        if lives:
            self.assertEqual(hold.echo_all(), 2, "held connections, after another upgrade")
        with Client(daemon.address("other")) as client:
            self.assertTrue(client.echo())
        hold.close()
        daemon.control.close()
        daemon.events.close()
        daemon.stop()
        self.assertEqual(daemon.complaints(), [])

    def forget(self):
        """Everything of the pair before."""
        for daemon in self.daemons:
            daemon.control.close()
            daemon.events.close()
            daemon.destroy()
            shutil.rmtree(os.path.dirname(daemon.config_path))
        self.daemons.clear()
        kill_all_below(os.getpid())

    def all(self, kind, verbs, starts):
        pairs = [(*pair, file) for pair in itertools.product(verbs, verbs) for file in starts]
        if os.environ.get("BULKHEAD_LONG", "0") == "0":
            pairs = random.Random(next(seeds())).sample(pairs, SOME)
        for first, second, file in pairs:
            with self.subTest(kind=kind, first=first, second=second, there=file):
                try:
                    self.pair(kind, first, second, file)
                except Exception as error:
                    print(f"{kind}: {first}, {second}, {'there' if file else 'ending'}: {error}", flush=True)
                    raise
                finally:
                    self.forget()

    def test_of_a_listener_with_connections(self):
        self.all("a", OF_BOTH + OF_LISTENERS, (True, False))

    def test_of_a_process_that_takes_long_to_stop(self):
        self.all("c", OF_BOTH, (True, False))


if __name__ == "__main__":
    main()
