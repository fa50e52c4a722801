"""The control socket as a test uses it: bulkheadctl to its end, one held connection, and the stream of events."""

import json
import os
import socket
import subprocess
import threading
import time

from .case import TestCase
from .event_manual import undocumented
from .waiting import Timeout, wait_until


class Control:
    """bulkheadctl of `bindir`, and one connection of our own for frequent requests. Usable from several threads."""

    def __init__(self, path, bindir="", timeout=20.0):
        self.program = os.path.join(bindir, "bulkheadctl")
        self.path = path
        self.timeout = timeout
        self._lock = threading.Lock()
        self._socket = None
        self._input = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def command(self, *arguments):
        return [self.program, "-s", self.path, *arguments]

    def run(self, *arguments, text=""):
        """(status, stdout, stderr)"""
        done = subprocess.run(self.command(*arguments), input=text, capture_output=True, text=True, timeout=self.timeout)
        return done.returncode, done.stdout, done.stderr

    def value(self, *arguments, text=""):
        """The value that --json prints, with any exit status: one line with one value."""
        status, out, err = self.run("--json", *arguments, text=text)
        if status not in (0, 1) or out.count("\n") != 1:
            raise AssertionError(f"bulkheadctl {' '.join(arguments)}: status {status}, stdout {out!r}, stderr {err!r}")
        return json.loads(out)

    def call(self, method, **params):
        """The answer to a request of our own, on the connection that stays: {"result": …} or {"error": …}."""
        line = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode() + b"\n"
        with self._lock:
            if self._socket is None:
                self._socket = socket.socket(socket.AF_UNIX)
                self._socket.settimeout(self.timeout)
                self._socket.connect(self.path)
            self._socket.sendall(line)
            while b"\n" not in self._input:
                part = self._socket.recv(1 << 16)
                if not part:
                    raise ConnectionError("the daemon closed the control connection")
                self._input += part
            line, self._input = self._input.split(b"\n", 1)
        return json.loads(line)

    def node(self, path):
        """The node as `tree` shows it, or None."""
        return find_node(self.call("tree")["result"], path)


def find_node(tree, path):
    if tree["path"] == path:
        return tree
    below = tree.get("children", []) + tree.get("workers", [])
    return next((found for child in below if (found := find_node(child, path))), None)


class Events:
    """`bulkheadctl --json events -f` from the first event on. Usable from several threads."""

    def __init__(self, control, since=0):
        self._control = control
        self.all = []
        self.ended = False
        self._news = threading.Condition()
        self._popen = subprocess.Popen(control.command("--json", "events", "--since", str(since), "-f"),
                                       stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _read(self):
        for line in self._popen.stdout:
            event = json.loads(line)
            with self._news:
                self.all.append(event)
                self._news.notify_all()
        with self._news:
            self.ended = True
            self._news.notify_all()

    def mark(self):
        """The position after everything that has happened until now."""
        with self._news:
            seen = self.all[-1]["seq"] if self.all else 0
        last = self._control.call("events", since=seen)["result"]["last_seq"]
        return self.wait(lambda events: last == 0 or (events and events[-1]["seq"] >= last and len(events)), what=f"event {last}")

    def wait(self, condition, seconds=10.0, what="the event"):
        """Waits until condition(all events) is true; returns that value."""
        deadline = time.monotonic() + seconds
        with self._news:
            while True:
                value = condition(self.all)
                if value:
                    return value
                left = deadline - time.monotonic()
                if left <= 0 or self.ended:
                    last = "\n".join(map(json.dumps, self.all[-20:]))
                    why = "the stream ended" if self.ended else f"not within {seconds:g} s"
                    raise Timeout(f"{what}: {why}; the last events:\n{last}")
                self._news.wait(left)

    def next(self, event, path, after=0, seconds=10.0, **fields):
        """The first such event from position `after` on."""
        def matches(one):
            return one["event"] == event and one["path"] == path and all(one.get(k) == v for k, v in fields.items())
        return self.wait(lambda events: next((one for one in events[after:] if matches(one)), None), seconds,
                         f"{event} of {path} {fields or ''}")

    def of(self, *names, after=0):
        """The events with these names from position `after` on."""
        with self._news:
            return [one for one in self.all[after:] if one["event"] in names]

    def close(self):
        """Ends bulkheadctl, if the daemon has not done so by its own end."""
        if self._popen.poll() is None:
            self._popen.terminate()
        self._popen.wait(10)
        self._thread.join(10)
        self._popen.stdout.close()


def _is_served(path):
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex(path) == 0


BEGIN_OF = {"supervisor_terminated": "supervisor_started", "drain_done": "drain_started", "child_exited": "child_started",
            "child_ready": "child_started", "child_stopping": "child_started"}


def unpaired(events):
    """Events for an end, or for readiness, without a start; and children reported as asked to end that were not, or were and
    are not reported so."""
    out, open_now, asked = [], set(), set()
    for event in events:
        name, key = event["event"], (event["path"], event.get("pid"))
        if name in BEGIN_OF.values():
            if (name, key) in open_now:
                out.append(f"began twice: {event}")
            open_now.add((name, key))
        if name in BEGIN_OF and (BEGIN_OF[name], key) not in open_now:
            out.append(f"without a beginning: {event}")
        if name == "child_stopping":
            asked.add(key)
        if name == "child_exited" and event["asked"] != (key in asked):
            out.append(f"asked, or not: {event}")
        if name in ("supervisor_terminated", "drain_done", "child_exited"):
            open_now.discard((BEGIN_OF[name], key))
            asked.discard(key)
    return out


class ControlledTestCase(TestCase):
    """Daemons with a `control` and the `events` of their life so far, both closed before the daemon is stopped."""

    def supervise(self, *children, **options):
        """As start(). With wait=False as soon as the control socket answers."""
        daemon = self.start(*children, **options)
        path = os.path.join(daemon.directory, "control.sock")
        wait_until(lambda: _is_served(path), 15, "the control socket")
        daemon.control = Control(path, self.bindir)
        self.addCleanup(daemon.control.close)
        daemon.events = Events(daemon.control)
        self.addCleanup(daemon.events.close)
        self.addCleanup(lambda: self.assertEqual(unpaired(daemon.events.all), []))
        self.addCleanup(lambda: self.assertEqual(undocumented(daemon.events.all), []))
        daemon.events.wait(lambda events: events, 15, "the first event")
        return daemon

    def wait_state(self, daemon, path, state, seconds=10.0):
        """The node, as soon as it is in that state."""
        def there():
            node = daemon.control.node(path)
            return node if node and node["state"] == state else None
        return wait_until(there, seconds, f"{path} {state}", every=0.02)

    def wait_gone(self, processes, seconds=10.0):
        wait_until(lambda: not any(one.alive() for one in processes), seconds, f"ended: {processes}")
