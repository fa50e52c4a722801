"""What must hold of a daemon that nothing is asked of any more, at the end of every test: nobody works, nothing has leaked, and what
the daemon counts is what is there. Each check waits a moment for what is on its way, and takes milliseconds when all is well."""

import collections
import json
import os
import re
import socket
import time

from .processes import children_of, descendants, is_worker, process
from .waiting import Timeout, wait_until

WINDOW = 0.02        # seconds over which processor time is taken
IDLE = 0.25          # the share of the window that one process may use
PATIENCE = 2.0       # until all is at rest
PIPES = 2            # of a process child that runs: its output and its errors
MEMORY = 16 * 1024   # kilobytes that the master may have more than when it became ready: rings of events, buffers

# From these on the master has other descriptors than when it became ready.
CHANGED = re.compile(r'"message":"(reloaded|upgrad|(reload|add|scale|start|reopen)\b.* requested)')


class Baseline:
    """What the master has when it is ready."""

    def __init__(self, pid):
        before = _programs(pid)
        self.descriptors = collections.Counter(process(pid).fd_kinds().values())
        self.programs = min(before, _programs(pid))
        self.kilobytes = process(pid).kilobytes()


def busy(pids):
    """Those of the processes that use the processor, or would if others left it to them."""
    before = {pid: _run_time(pid) for pid in pids}
    began = time.monotonic()
    time.sleep(WINDOW)
    passed = time.monotonic() - began
    shares = {pid: (_run_time(pid) - before[pid]) / passed for pid in pids}
    return {pid: share for pid, share in shares.items() if share > IDLE or _is_runnable(pid)}


def _is_runnable(pid):
    now = process(pid)
    return now is not None and now.state == "R"


def _run_time(pid):
    """Seconds on a processor, or waiting for one; 0 if it is not known."""
    try:
        with open(f"/proc/{pid}/schedstat") as file:
            running, waiting, _ = map(int, file.read().split())
            return (running + waiting) / 1e9
    except (OSError, ValueError):
        return 0.0


def at_rest(daemon):
    """The complaints about a running daemon."""
    out = []
    for what, holds in (("works without a reason", lambda: _nobody_works(daemon)),
                        ("counts what is not there", lambda: _counts_agree(daemon)),
                        ("has more open than when it was ready", lambda: _no_more_open(daemon))):
        told = []

        def there(holds=holds, told=told):
            told[:] = holds()
            return not told
        try:
            wait_until(there, PATIENCE, what)
        except Timeout:
            out.append(f"{what}: {told}")
    return out + _memory(daemon)


def _nobody_works(daemon):
    workers = [one.pid for one in children_of(daemon.pid) if is_worker(one)]
    return [f"{process(pid)} uses {share:.0%} of the time" for pid, share in busy([daemon.pid, *workers]).items()]


def _counts_agree(daemon):
    with _connected(daemon) as control:
        if control is None:
            return []
        tree, connections = _ask(control, "tree"), _ask(control, "connections")
    if tree is None or connections is None:
        return []
    out = []
    listed = collections.Counter(one["listener"] for one in connections)
    for node in _listeners(tree):
        counts = node["connections"]
        if counts["accepted"] != counts["active"] + counts["completed"] or counts["active"] != listed[node["path"]]:
            out.append(f"{node['path']}: {counts}, listed: {listed[node['path']]}")
    there = {one.pid for one in descendants(daemon.pid) if one.state != "Z"}
    return out + [f"not there: {one}" for one in connections if one["pid"] not in there]


class _connected:
    """The control socket; None where there is none, or nobody accepts."""

    def __init__(self, daemon):
        self._path = daemon.control_path

    def __enter__(self):
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(5)
        try:
            self._socket.connect(self._path)
        except (OSError, TypeError):
            return None
        return self._socket

    def __exit__(self, *_):
        self._socket.close()


def _ask(control, method):
    """The answer; None if the other end does not want to talk."""
    try:
        control.sendall(json.dumps({"jsonrpc": "2.0", "id": 1, "method": method}).encode() + b"\n")
        answer = b""
        while not answer.endswith(b"\n"):
            part = control.recv(1 << 16)
            if not part:
                return None
            answer += part
    except ConnectionError:
        return None
    return json.loads(answer).get("result")


def _listeners(node):
    if node["type"] == "listener":
        yield node
    for child in node.get("children", []):
        yield from _listeners(child)


def _no_more_open(daemon):
    if daemon.baseline is None or CHANGED.search(daemon.log_text()):
        return []
    now = process(daemon.pid)
    if now is None:
        return []
    allowed = daemon.baseline.descriptors + collections.Counter(pipe=PIPES * max(0, _programs(daemon.pid) - daemon.baseline.programs))
    return sorted((collections.Counter(now.fd_kinds().values()) - allowed).elements())


def _programs(pid):
    """The number of process children: one may have been between two runs when the daemon became ready."""
    return sum(one.state != "Z" and not one.title.startswith("bulkheadd: ") for one in children_of(pid))


def _memory(daemon):
    now = process(daemon.pid)
    if daemon.baseline is None or now is None or now.state == "Z" or daemon.sanitized:
        return []
    more = now.kilobytes() - daemon.baseline.kilobytes
    return [f"has {more} kB more in memory than when it was ready"] if more > MEMORY else []
