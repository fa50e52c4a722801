"""A process of the same user must not read a worker, or a connection that a built-in serves: memory, environment and
descriptors are accessible to root only. Programs of that user decide for themselves."""

import json
import os
import subprocess
import sys
import unittest

from harness import Client, TestCase, config_of, exec_listener, listener, main, tool

NOBODY = 65534
AS_NOBODY = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--")
PARTS = ("mem", "environ", "fd")

LOOK = """
import errno, json, os, sys

def look(path):
    try:
        os.listdir(path) if path.endswith("fd") else open(path, "rb").close()
    except OSError as error:
        return errno.errorcode[error.errno]
    return "open"

print(json.dumps([look(path) for path in sys.argv[1:]]))
"""


@unittest.skipUnless(os.geteuid() == 0, "only root can be somebody else")
@tool("setpriv")
class Undumpable(TestCase):
    def look(self, one):
        """The result of each access by another process of the user nobody."""
        self.assertEqual(one.status()["Uid"].split(), [str(NOBODY)] * 4)
        paths = [f"/proc/{one.pid}/{part}" for part in PARTS]
        done = subprocess.run([*AS_NOBODY, sys.executable, "-I", "-c", LOOK, *paths], capture_output=True, text=True, timeout=20)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return dict(zip(PARTS, json.loads(done.stdout)))

    def check(self, daemon):
        closed = dict.fromkeys(PARTS, "EACCES")
        with Client(daemon.address("echo")) as client, Client(daemon.address("run")) as other:
            self.assertTrue(client.echo() and other.echo())
            connection = daemon.child_of(client)
            program, = [one for one in daemon.connections() if one.title.startswith("/bin/cat")]
            for one in (*daemon.workers(), connection):
                self.assertEqual(self.look(one), closed, one)
            seen = self.look(program)  # so that the answer above does not hold for every process
            self.assertEqual((seen["environ"], seen["fd"]), ("open", "open"))

    def test_workers_that_became_another_user(self):
        self.check(self.start(listener(workers=1, user="nobody"), exec_listener(["/bin/cat"], workers=1, user="nobody")))

    def test_workers_that_were_unprivileged_from_the_start_cannot_be_read(self):
        """No change of the user makes these undumpable (execve(2), setresuid(2))."""
        os.chmod(self.directory, 0o777)
        config = config_of(listener(workers=1), exec_listener(["/bin/cat"], workers=1, user="nobody"), log={"target": "stderr"})
        config["control"] = {"socket": os.path.join(self.directory, "control.sock")}
        self.check(self.start(config=config, prefix=AS_NOBODY))


if __name__ == "__main__":
    main()
