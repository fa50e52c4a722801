"""The named scenarios of tests/vectors, recorded from Erlang/OTP, with real processes in real time.

One daemon hosts them all, several at once: each scenario's tree is added as a temporary supervisor, so that its end is seen and has
no consequences, to a supervisor that has no other child meanwhile. Events are translated into the words of the vectors and compared
with them literally: order of starts and stops, reasons, signals, answers, the living children, the state of every child. Two
things are left out: failed starts where a scenario is tagged `nowait`, because their number depends on when a supervisor hears of
what happens meanwhile, and the difference between the two clean statuses that a process cannot show."""

import concurrent.futures
import datetime
import itertools
import json
import os
import queue
import signal
import time

from harness import Control, Events, TestCase, Timeout, find_node, main, process, signal_process, wait_until

VECTORS = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "vectors", "named.json")
AT_ONCE = 6  # scenarios
QUIET = 0.1  # what "nowait" stands for: the next event follows after 100 ms
PATIENCE = 20.0
GONE = ": the daemon ended before or meanwhile"
LONGEST = 8.0  # seconds of sleep that a scenario may ask for
END = {"normal": signal.SIGUSR1, "shutdown": signal.SIGUSR2, "shutdown_info": signal.SIGUSR2, "crash": signal.SIGKILL}
STATES = {"running": "running", "starting": "restarting", "waiting": "restarting", "stopped": "stopped", "failed": "stopped"}


def duration_of(scenario):
    return sum(event.get("sleep_ms", 0) for event in scenario["events"]) / 1000


def why_not(scenario):
    """Why a scenario is left out; None: it runs."""
    if duration_of(scenario) > LONGEST:
        return f"sleeps longer than {LONGEST:g} s"
    return None


def child_config(program, directory, path, child):
    """A vector's child as an entry of `children`."""
    out = {"id": child["id"], "restart": child["restart"], "significant": child["significant"], "restart_delay": "none"}
    if child["type"] == "supervisor":
        return {**out, **supervisor_config(program, directory, path, child)}
    shutdown = child["shutdown"]
    counter = os.path.join(directory, path.replace("/", "_"))
    return {**out, "type": "process", "ready": "notify_fd", "normal_exit": [0, 3],
            "shutdown": f"{shutdown}ms" if isinstance(shutdown, int) else shutdown,
            "argv": [program, counter, child["on_terminate"], str(child.get("delay_ms", 0)), str(child.get("fail_delay_ms", 0)),
                     *map(str, child.get("start_fail", []))]}


def supervisor_config(program, directory, path, supervisor):
    return {"type": "supervisor", "strategy": supervisor["strategy"], "max_restarts": supervisor["intensity"],
            "max_seconds": supervisor["period"], "auto_shutdown": supervisor["auto_shutdown"],
            "children": [child_config(program, directory, f"{path}/{child['id']}", child) for child in supervisor["children"]]}


def own_reason(reason):
    """How a child ended, in the vectors' words."""
    if reason["type"] == "exit":
        return {0: "normal", 3: "shutdown"}.get(reason["status"], "crash")
    return "crash"


def asked_reason(reason, signals):
    if reason.get("signal") == "SIGKILL" and "KILL" in signals:
        return "killed"
    return "shutdown" if reason.get("signal") == "SIGTERM" else own_reason(reason)


def clock(event):
    return datetime.datetime.fromisoformat(event["time"].replace("Z", "+00:00")).timestamp()


class Trace:
    """Events of one scenario, translated as they come. `root` is where its tree hangs."""

    def __init__(self, root, events):
        self.root = root
        self.entries = []
        self.pids = {}
        self.kill_gaps = {}  # path -> seconds between TERM and KILL, the last time
        self._events = events
        self._position = 0
        self._ready = set()
        self._signals = {}  # path -> [(name, time)]

    def path(self, real):
        return "root" + real[len(self.root):]

    def update(self, events):
        """The whole trace so far."""
        for event in events[self._position:]:
            if event["path"] == self.root or event["path"].startswith(self.root + "/"):
                entry = self._translate(event["event"], self.path(event["path"]), event)
                if entry:
                    self.entries.append(entry)
        self._position = len(events)
        return self.entries

    def running_pid(self, path, events):
        self.update(events)
        return self.pids.get(path) if path in self._ready else None

    def wait(self, count, what):
        """Waits for `count` entries; the wait ends early at nothing, so a wrong trace is compared as it is."""
        try:
            self._events.wait(lambda events: len(self.update(events)) >= count, PATIENCE, what)
        except Timeout:
            pass
        return self.entries

    def _translate(self, name, path, event):
        translations = {"child_started": self._started, "child_ready": self._became_ready, "child_stopping": self._stopping,
                        "child_exited": self._exited, "supervisor_terminated": self._terminated}
        if name == "supervisor_started":
            return {"start": path, "type": "supervisor"}
        if name == "fork_failed":
            return {"start_failed": path}
        return translations[name](path, event) if name in translations else None

    def _started(self, path, event):
        self._ready.discard(path)
        self._signals[path] = []
        self.pids[path] = event["pid"]

    def _became_ready(self, path, _):
        self._ready.add(path)
        return {"start": path}

    def _stopping(self, path, event):
        self._signals[path].append((event["how"].removeprefix("SIG"), clock(event)))

    def _exited(self, path, event):
        self.pids.pop(path, None)
        sent = self._signals.pop(path, [])
        signals = [name for name, _ in sent]
        if path not in self._ready:
            return {"start_failed": path}
        self._ready.discard(path)
        if not event["asked"]:
            return {"stop": path, "reason": own_reason(event["reason"]), "by": "self"}
        if signals == ["TERM", "KILL"]:
            self.kill_gaps[path] = sent[1][1] - sent[0][1]
        return {"stop": path, "reason": asked_reason(event["reason"], signals), "by": "supervisor", "signals": signals}

    @staticmethod
    def _terminated(path, event):
        out = {"stop": path, "type": "supervisor", "reason": event["reason"]}
        if event["cause"] in ("request", "parent"):
            return {**out, "by": "request" if path == "root" else "supervisor"}
        return {**out, "by": "self", "cause": event["cause"]}


def expected_trace(entries, tolerant):
    """As far as a harness can distinguish: two clean statuses are one. `tolerant` leaves out failed starts."""
    out = []
    for entry in entries:
        if tolerant and "start_failed" in entry:
            continue
        if entry.get("reason") == "shutdown_info":
            entry = {**entry, "reason": "shutdown"}
        out.append(entry)
    return out


class Mismatch(AssertionError):
    """The events differ from the recorded ones."""


class Play:
    """One scenario, from adding its tree to its removal."""

    def __init__(self, stage, host, number, scenario):
        self.stage = stage
        self.scenario = scenario
        self.host = host
        self.id = f"s{number}"
        self.root = f"{host}/{self.id}"
        self.directory = os.path.join(stage.directory, str(number))
        os.mkdir(self.directory)
        self.trace = Trace(self.root, stage.events)
        self.compared = 0
        self.tolerant = "nowait" in scenario["tags"]
        self.at_once = ()  # children killed while the daemon was stopped, in the last event
        self.answers = []  # of operations that were not waited for

    def real(self, path):
        return self.root + path[len("root"):]

    def play(self):
        tree = {"id": self.id, "restart": "temporary",
                **supervisor_config(self.stage.actor, self.directory, "root", self.scenario["tree"])}
        answer = self.stage.control.call("add", path=self.host, child=tree)
        start = self.scenario["expect_start"]
        self.check_answer("start", start, {"error": answer["error"]["data"]} if "error" in answer else answer["result"])
        self.check("start", start)
        for number, (event, expected) in enumerate(zip(self.scenario["events"], self.scenario["expect"]), 1):
            what = f"event {number}, {json.dumps(event)}"
            self.carry_out(what, event, expected)
            if "trace" in expected:
                self.check(what, expected)
        self.check_final_tree()
        if self.node():
            self.stage.control.call("stop", path=self.root)
        self.stage.events.wait(lambda events: self.trace.update(events) is not None, PATIENCE)

    def node(self):
        return self.stage.control.node(self.root)

    def differ(self, what, name, expected, found):
        raise Mismatch(f"{self.scenario['name']} ({self.root}): {self.scenario['about']}\n  after {what}: {name}\n"
                       f"  expected {json.dumps(expected)}\n  found    {json.dumps(found)}")

    # --- events

    def carry_out(self, what, event, expected):
        if "sleep_ms" in event:
            time.sleep(event["sleep_ms"] / 1000)
        elif "exit" in event:
            self.exit(event["exit"], event["reason"])
        elif event["op"] in ("which_children", "count_children"):
            self.look(what, event, expected)
        else:
            self.operation(event, what, expected)
        if event.get("nowait"):
            time.sleep(QUIET)

    def exit(self, paths, reasons):
        if isinstance(paths, str):
            # A start that is under way ends first, as it would have for a supervisor that does nothing else meanwhile.
            pid = self.stage.events.wait(lambda events: self.trace.running_pid(paths, events), PATIENCE, f"{paths} running")
            signal_process(pid, END[reasons])
            self.stage.events.wait(lambda events: self.trace.running_pid(paths, events) != pid, PATIENCE, f"{paths} ended")
            return
        reasons = reasons if isinstance(reasons, list) else [reasons] * len(paths)
        self.bring_into_order(paths)
        self.at_once = paths
        self.stage.stop_daemon()
        for path, reason in zip(paths, reasons):
            pid = self.trace.pids[path]
            signal_process(pid, END[reason])
            wait_until(lambda: process(pid).state == "Z", PATIENCE, f"{path} dead")
        self.stage.continue_daemon()

    def bring_into_order(self, paths):
        """The daemon sees dead children in the order in which they were started (wait(2)). Restarting by hand is not
        counted and keeps a child's place."""
        for earlier, later in itertools.pairwise(paths):
            if self.trace.pids[earlier] < self.trace.pids[later]:
                continue
            if self.stage.control.value("restart", self.real(later)) != {"ok": True}:
                raise Mismatch(f"{self.scenario['name']}: cannot restart {later}")
            self.trace.wait(len(self.trace.entries) + 2, "restart")
            self.compared = len(self.trace.entries)

    def operation(self, event, what, expected):
        """bulkheadctl's own start would come on top of the 100 ms that pass before the next event, so operations that are not waited
        for go to the control socket directly."""
        verb, path, child = self.words_of(event)
        if event.get("nowait"):
            asked = f"{verb} {path} requested"
            before = self.stage.daemon.log_text().count(asked)
            self.answers.append((what, expected, self.stage.operators.submit(self.request, verb, path, child)))
            wait_until(lambda: self.stage.daemon.log_text().count(asked) > before, PATIENCE, asked)
            return
        extra, text = (["-"], json.dumps(child)) if child else ([], "")
        self.check_answer(what, expected, self.stage.control.value(verb, path, *extra, text=text))

    def request(self, verb, path, child):
        with Control(self.stage.control.path) as control:
            answer = control.call(verb, path=path, **({"child": child} if child else {}))
        return {"error": answer["error"]["data"]} if "error" in answer else answer["result"]

    def words_of(self, event):
        """An operation in bulkheadctl's words: (verb, path, child to add)"""
        if event["op"] == "shutdown":
            return "stop", self.root, None
        supervisor = self.real(event["sup"])
        if event["op"] == "start_child":
            spec = event["spec"]
            return "add", supervisor, child_config(self.stage.actor, self.directory, f"{event['sup']}/{spec['id']}", spec)
        verb = {"terminate_child": "stop", "restart_child": "start", "delete_child": "delete"}[event["op"]]
        return verb, f"{supervisor}/{event['id']}", None

    def look(self, what, event, expected):
        node = self.stage.control.node(self.real(event["sup"]))
        if node is None or node["state"] != "running":
            return self.check_answer(what, expected, {"error": "noproc"})
        self.check_answer(what, expected, {"ok": True})
        children = [{"id": child["id"], "state": STATES[child["state"]]} for child in node["children"]]
        if "which" in expected and children != expected["which"]:
            self.differ(what, "which", expected["which"], children)
        if "counts" in expected:
            supervisors = sum(child["type"] == "supervisor" for child in node["children"])
            counts = {"specs": len(children), "active": sum(child["state"] == "running" for child in children),
                      "supervisors": supervisors, "workers": len(children) - supervisors}
            if counts != expected["counts"]:
                self.differ(what, "counts", expected["counts"], counts)

    # --- comparing

    def check_answer(self, what, expected, answer):
        wanted = {"ok": True} if expected["result"] == "ok" else {"error": expected["error"]}
        if answer != wanted:
            self.differ(what, "answer", wanted, answer)

    def check(self, what, expected):
        wanted = expected_trace(expected["trace"], self.tolerant)

        def found():
            return expected_trace(self.trace.entries[self.compared:], self.tolerant)
        if self.tolerant:
            try:
                self.stage.events.wait(lambda events: self.trace.update(events) is None or len(found()) >= len(wanted), PATIENCE)
            except Timeout:
                pass
        else:
            self.trace.wait(self.compared + len(wanted), what)
        for pending, its_expected, future in self.answers:
            self.check_answer(pending, its_expected, future.result(PATIENCE))
        self.answers.clear()
        # Asked after the trace is complete, and answered after everything that the daemon still had to report.
        tree = self.node()
        if self.dead_first(found()) != self.dead_first(wanted):
            self.differ(what, "trace", wanted, found())
        self.at_once = ()
        self.compared = len(self.trace.entries)
        if "live" in expected:
            self.check_live(what, expected, tree)
        for path, gap in self.trace.kill_gaps.items():
            shutdown = self.shutdown_of(self.scenario["tree"], path.split("/")[1:])
            if gap < shutdown / 1000 - 0.002:
                self.differ(what, f"milliseconds from TERM to KILL of {path}", shutdown, gap * 1000)
        self.trace.kill_gaps.clear()

    def dead_first(self, entries):
        """The daemon learns one by one of children that died at the same time, so their ends may come a little later. They are
        reported as separate ends."""
        dead = {path: next((entry for entry in entries if entry.get("stop") == path), None) for path in self.at_once}
        rest = [entry for entry in entries if not any(entry is one for one in dead.values())]
        return list(dead.values()) + rest

    def shutdown_of(self, supervisor, ids):
        child = next(child for child in supervisor["children"] if child["id"] == ids[0])
        return child["shutdown"] if len(ids) == 1 else self.shutdown_of(child, ids[1:])

    def check_live(self, what, expected, tree):
        live, children = [], {}

        def walk(node):
            if node["state"] != "running":
                return
            path = self.trace.path(node["path"])
            live.append(path)
            if node["type"] == "supervisor":
                children[path] = [{"id": child["id"], "state": STATES[child["state"]]} for child in node["children"]]
                for child in node["children"]:
                    walk(child)
        if tree:
            walk(tree)
        if live != expected["live"]:
            self.differ(what, "live", expected["live"], live)
        if children != expected["children"]:
            self.differ(what, "children", expected["children"], children)
        root = "running" if tree and tree["state"] == "running" else "terminated"
        if root != expected["root"]:
            self.differ(what, "root", expected["root"], root)

    def check_final_tree(self):
        """The living children at the end, by `bulkheadctl --json tree` and by /proc."""
        last = ([expected for expected in self.scenario["expect"] if "live" in expected] or [self.scenario["expect_start"]])[-1]
        if "live" not in last:
            return
        tree = find_node(self.stage.control.value("tree"), self.root)
        self.check_live("the end, by bulkheadctl", last, tree)
        def others_gone(events):
            self.trace.update(events)
            return self.trace.pids.keys() <= set(last["live"])
        self.stage.events.wait(others_gone, PATIENCE, "the ends of the others")
        for path, pid in self.trace.pids.items():
            found = process(pid)
            if found is None or found.ppid != self.stage.daemon.pid:
                self.differ("the end", path, f"process {pid}", repr(found))


class Stage:
    """The daemon and what all scenarios share."""

    def __init__(self, case):
        self.directory = os.path.join(case.directory, "scenarios")
        os.mkdir(self.directory)
        self.actor = case.helper("actor")
        self.daemon = case.start(*({"id": f"host{number}", "type": "supervisor"} for number in range(AT_ONCE)))
        self.hosts = queue.SimpleQueue()
        for number in range(AT_ONCE):
            self.hosts.put(f"root/host{number}")
        self.control = Control(os.path.join(self.daemon.directory, "control.sock"), case.bindir)
        self.events = Events(self.control)
        self.operators = concurrent.futures.ThreadPoolExecutor(2 * AT_ONCE)

    def stop_daemon(self):
        signal_process(self.daemon.pid, signal.SIGSTOP)
        wait_until(lambda: process(self.daemon.pid).state == "T", PATIENCE, "the daemon stopped")

    def continue_daemon(self):
        signal_process(self.daemon.pid, signal.SIGCONT)

    def close(self):
        self.continue_daemon()
        self.operators.shutdown()
        self.events.close()
        self.control.close()

    def play(self, number, scenario):
        """None, or the problem."""
        host = self.hosts.get()
        try:
            if self.daemon.running():
                Play(self, host, number, scenario).play()
        except Mismatch as mismatch:
            return str(mismatch)
        except (AssertionError, KeyError, OSError, concurrent.futures.TimeoutError) as error:
            if self.daemon.running() and not isinstance(error, OSError):
                return f"{scenario['name']}: {error!r}"
            wait_until(lambda: not self.daemon.running(), PATIENCE, f"the daemon's end after {error!r}")
        finally:
            self.hosts.put(host)
        return None if self.daemon.running() else f"{scenario['name']}{GONE}"


class Vectors(TestCase):
    def test_named_scenarios(self):
        with open(VECTORS) as file:
            scenarios = json.load(file)
        wanted = os.environ.get("SCENARIOS")  # for debugging: names, separated by spaces
        left_out = {scenario["name"]: why for scenario in scenarios if (why := why_not(scenario))}
        chosen = [(number, scenario) for number, scenario in enumerate(scenarios, 1)
                  if scenario["name"] not in left_out and (not wanted or scenario["name"] in wanted.split())]
        stage = Stage(self)
        self.addCleanup(stage.close)
        began = time.monotonic()
        # Scenarios that depend on timing come first, while the machine is idle. Those that stop the whole daemon run alone.
        alone = [one for one in chosen if "concurrent" in one[1]["tags"]]
        timed = [one for one in chosen if {"timing", "nowait"} & set(one[1]["tags"])]
        others = [one for one in chosen if one not in alone and one not in timed]
        faults = []
        with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
            for group in (sorted(timed, key=lambda one: -duration_of(one[1])), others):
                faults += pool.map(lambda one: stage.play(*one), group)
        faults += [stage.play(*one) for one in alone]
        faults = [fault for fault in faults if fault]
        gone = [fault for fault in faults if fault.endswith(GONE)]
        self.measured(scenarios=len(scenarios), ran=len(chosen), passed=len(chosen) - len(faults),
                      seconds=time.monotonic() - began)
        for why in sorted(set(left_out.values())):
            names = [name for name, reason in left_out.items() if reason == why]
            print(f"  {len(names)} left out: {why}: {' '.join(names)}")
        told = [fault for fault in faults if fault not in gone] + gone[:AT_ONCE]
        self.assertFalse(faults, "\n".join([f"{len(faults)} scenarios, {len(gone)} of them{GONE}:", *told]))
        if not wanted:
            self.assertGreaterEqual(len(chosen), 130)


if __name__ == "__main__":
    main()
