"""System calls that fail on demand, by strace's injection (strace(1), -e inject)."""

import os
import re
import signal
import subprocess
import tempfile

from .processes import process
from .waiting import wait_until


class Strace:
    """Traces pids while the block runs. `inject` is strace's own syntax without the name: "error=EMFILE:when=1..5"."""

    def __init__(self, pids, calls, inject=None, follow=False):
        self.pids = [pids] if isinstance(pids, int) else list(pids)
        self.calls = calls
        descriptor, self._path = tempfile.mkstemp(prefix="bulkhead-strace-")
        os.close(descriptor)
        command = ["strace", "-qq", "-o", self._path, "-e", f"trace={calls}", "-e", "signal=none"]
        command += ["-f"] if follow else []
        command += ["-e", f"inject={calls}:{inject}"] if inject else []
        for pid in self.pids:
            command += ["-p", str(pid)]
        self._command = command
        self.text = ""

    def __enter__(self):
        self._strace = subprocess.Popen(self._command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        for pid in self.pids:
            wait_until(lambda: self._attached(pid), 5, f"strace attached to {pid}")
        return self

    def _attached(self, pid):
        if self._strace.poll() is not None:
            raise AssertionError(f"strace ended: {self._strace.stderr.read()}")
        traced = process(pid)
        return traced is not None and traced.status().get("TracerPid") == str(self._strace.pid)

    def __exit__(self, *_):
        if self._strace.poll() is None:
            self._strace.send_signal(signal.SIGINT)
            try:
                self._strace.wait(5)
            except subprocess.TimeoutExpired:
                self._strace.kill()
                self._strace.wait(5)
        self._strace.stderr.close()
        self.text = self.so_far()
        os.unlink(self._path)

    def so_far(self):
        with open(self._path, errors="replace") as file:
            return file.read()

    def injected(self):
        return len(re.findall(r"\(INJECTED\)", self.text or self.so_far()))

    def count(self, pattern):
        return len(re.findall(pattern, self.text or self.so_far()))
