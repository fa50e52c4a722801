"""The base of all end-to-end tests, and their command line:  python3 tests/e2e/x_test.py --bindir DIR [unittest's own]"""

import argparse
import itertools
import os
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

from .daemon import Daemon, config_of, is_sanitized
from .processes import become_subreaper, descendants, kill_all_below

SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
BIN = os.path.join(SOURCE, ".build", "dev", "bin")

needs_root = unittest.skipUnless(os.geteuid() == 0, "only root may look into an undumpable process")


def root_is_mounted():
    with open("/proc/self/mountinfo") as mounts:
        return any(line.split()[4] == "/" for line in mounts)


needs_mounts = unittest.skipUnless(root_is_mounted(), "/ is no mount point (a chroot), so no mount namespace can be made")


def tool(*names):
    missing = [name for name in names if shutil.which(name) is None]
    return unittest.skipIf(missing, f"not installed: {' '.join(missing)}")


class TestCase(unittest.TestCase):
    """Each test gets a directory and may start daemons; after it every daemon must end cleanly and leave nothing."""

    longMessage = True
    maxDiff = None

    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix="bulkhead-test-")
        os.chmod(self.directory, 0o755)  # handlers of another user start from here
        self.daemons = []
        self.addCleanup(self._clean_up)

    @property
    def bindir(self):
        return BIN

    @property
    def program(self):
        return os.path.join(BIN, "bulkheadd")

    @property
    def sanitized(self):
        return is_sanitized(self.program)

    @property
    def without_fault_handlers(self):
        """An environment for daemons whose children get a SIGSEGV or SIGBUS from the test: a sanitizer would take it for a fault."""
        return {**os.environ, "ASAN_OPTIONS": "handle_segv=0:handle_sigbus=0"}

    def helper(self, name):
        """One of the programs of tests/children, built or a script."""
        built = os.path.join(os.path.dirname(BIN), "tests", "children", name)
        return built if os.path.exists(built) else os.path.join(SOURCE, "tests", "children", name)

    def module(self, name):
        """A handler module of tests/modules."""
        return os.path.join(os.path.dirname(BIN), "tests", "modules", name + ".so")

    def start(self, *children, supervisor=None, daemon=None, log=None, config=None, **options):
        directory = os.path.join(self.directory, str(len(self.daemons)))
        os.mkdir(directory)
        config = config or config_of(*children, daemon=daemon, log=log, **(supervisor or {}))
        wait = options.pop("wait", True)
        started = Daemon(self.program, directory, config, wait=False, **options)
        self.daemons.append(started)
        if wait:
            started.wait_ready()
        return started

    def run_program(self, *arguments, **options):
        """Runs bulkheadd to its end: (status, stdout, stderr)."""
        options.setdefault("timeout", 20)
        done = subprocess.run([self.program, *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True, **options)
        return done.returncode, done.stdout, done.stderr

    def measured(self, **figures):
        """One line of output for a reader: the findings of this test."""
        words = " ".join(f"{key}={value:.3g}" if isinstance(value, float) else f"{key}={value}"
                         for key, value in figures.items())
        print(f"{self.id().removeprefix('__main__.')}: {words}", flush=True)

    def write(self, name, text, mode=0o644):
        path = os.path.join(self.directory, name)
        with open(path, "w") as file:
            file.write(text)
        os.chmod(path, mode)
        return path

    def _clean_up(self):
        complaints = []
        try:
            for daemon in self.daemons:
                complaints += [f"bulkheadd {daemon.pid}: {text}" for text in daemon.complaints()]
        finally:
            for daemon in self.daemons:
                daemon.destroy()
            left = kill_all_below(os.getpid())
            shutil.rmtree(self.directory, ignore_errors=True)
        if left and not any(daemon.killed for daemon in self.daemons):
            complaints.append(f"left running: {left}")
        if descendants(os.getpid()):
            complaints.append(f"could not be ended: {descendants(os.getpid())}")
        if complaints:
            self.fail("\n".join(["what must hold after every test does not:", *complaints]))


def seeds():
    """For random tests: one from the clock, which is printed, then 1, 2 and so on. With BULKHEAD_FIXED_SEEDS=1 only these."""
    if not os.environ.get("BULKHEAD_FIXED_SEEDS"):
        clock = int(time.time())
        print(f"seed {clock}", flush=True)
        yield clock
    yield from itertools.count(1)


def main():
    global BIN
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--bindir", default=BIN)
    arguments, rest = parser.parse_known_args()
    BIN = os.path.abspath(arguments.bindir)
    become_subreaper()
    unittest.main(module="__main__", argv=[sys.argv[0], *rest], verbosity=1)
