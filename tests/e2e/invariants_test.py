"""The invariants that the harness checks after every test notice what they are for. A stand-in for a daemon has the fault."""

import os
import subprocess
import sys
import types
import unittest.mock

from harness import Client, TestCase, invariants, main


def stand_in(pid, **keys):
    return types.SimpleNamespace(pid=pid, control_path=None, baseline=None, sanitized=False, log_text=lambda: "", **keys)


class Noticed(TestCase):
    def python(self, code):
        popen = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.addCleanup(popen.communicate)
        self.addCleanup(popen.kill)
        popen.stdout.read(1)
        return popen

    def setUp(self):
        super().setUp()
        self.enterContext(unittest.mock.patch.object(invariants, "PATIENCE", 0.1))

    def test_a_master_that_spins(self):
        popen = self.python("import os; os.write(1, b'!')\nwhile os.getppid() == %d: pass" % os.getpid())
        self.assertRegex(str(invariants.at_rest(stand_in(popen.pid))), "works without a reason")

    def test_a_descriptor_that_stays_open_and_memory(self):
        popen = self.python("import os; os.write(1, b'!'); os.read(0, 1); x = b'x' * 50000000; f = os.dup(1); os.write(1, b'!')\n"
                            "os.read(0, 1)")
        daemon = stand_in(popen.pid)
        daemon.baseline = invariants.Baseline(popen.pid)
        self.assertEqual(invariants.at_rest(daemon), [])
        popen.stdin.write(b"x")
        popen.stdin.flush()
        popen.stdout.read(1)
        told = " ".join(invariants.at_rest(daemon))
        self.assertRegex(told, r"more open.*pipe")
        self.assertRegex(told, "kB more in memory")

    def test_a_connection_that_is_counted_and_not_there(self):
        daemon = self.start()
        with Client(daemon.address()) as client:
            self.assertTrue(client.echo())
            self.assertEqual(invariants.at_rest(daemon), [])
            pid = daemon.child_of(client).pid
            listed = [{"listener": "root/echo", "pid": pid}, {"listener": "root/echo", "pid": 1}]
            counts = {"accepted": 2, "active": 2, "completed": 1}
            tree = {"type": "supervisor", "children": [{"type": "listener", "path": "root/echo", "connections": counts}]}
            answers = {"tree": tree, "connections": listed}
            with unittest.mock.patch.object(invariants, "_ask", lambda control, method: answers[method]):
                told = " ".join(invariants.at_rest(daemon))
            self.assertRegex(told, "'accepted': 2.*listed: 2")
            self.assertRegex(told, "not there: .*'pid': 1")


if __name__ == "__main__":
    main()
