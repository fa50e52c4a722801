"""Directories that the daemon makes for its children: state_directory, runtime_directory and logs_directory."""

import os
import shutil
import stat
import unittest

from harness import Client, ControlledTestCase, exec_listener, listener, main, wait_until

NOBODY = 65534
NAME = f"bulkhead-test-{os.getpid()}"


@unittest.skipUnless(os.geteuid() == 0, "needs root")
class Directories(ControlledTestCase):
    def setUp(self):
        super().setUp()
        for base in ("/var/lib", "/run", "/var/log"):
            self.addCleanup(shutil.rmtree, f"{base}/{NAME}", True)

    def owner(self, path):
        status = os.stat(path)
        return status.st_uid, stat.S_IMODE(status.st_mode)

    def app(self, script, **keys):
        return {"id": "app", "type": "process", "argv": ["/bin/sh", "-c", script], "user": "nobody", "ready": "exec", **keys}

    def test_a_process_writes_to_them_and_only_its_runtime_directory_goes_with_it(self):
        script = ('echo "$STATE_DIRECTORY $RUNTIME_DIRECTORY $LOGS_DIRECTORY" > "$STATE_DIRECTORY"/seen;'
                  'touch "$RUNTIME_DIRECTORY"/x "$${LOGS_DIRECTORY%%:*}"/x; exec sleep 1000')
        daemon = self.supervise(self.app(script, state_directory=f"{NAME}/app", runtime_directory=NAME,
                                             logs_directory=[NAME, f"{NAME}/more"]))
        state, runtime, logs = f"/var/lib/{NAME}/app", f"/run/{NAME}", f"/var/log/{NAME}"
        wait_until(lambda: os.path.exists(f"{logs}/x"), 5, "the files")
        with open(f"{state}/seen") as file:
            self.assertEqual(file.read(), f"{state} {runtime} {logs}:{logs}/more\n")
        for path in (state, runtime, logs, f"{logs}/more"):
            self.assertEqual(self.owner(path), (NOBODY, 0o755), path)
        self.assertEqual(self.owner(f"/var/lib/{NAME}"), (0, 0o755))
        daemon.control.value("stop", "root/app")
        wait_until(lambda: not os.path.exists(runtime), 5, "the runtime directory to go")
        self.assertTrue(os.path.exists(f"{logs}/x"))
        daemon.control.value("start", "root/app")
        wait_until(lambda: os.path.exists(f"{runtime}/x"), 5, "it to be back")
        self.assertEqual(daemon.stop(), 0)
        self.assertFalse(os.path.exists(runtime))

    def test_a_connection_writes_to_them_also_where_files_are_restricted(self):
        script = 'read line; echo "$line" > "$RUNTIME_DIRECTORY"/line && cat "$RUNTIME_DIRECTORY"/line'
        sandbox = {"preset": "basic", "paths": {"read": ["/"], "execute": ["/"], "else": "none"}}
        daemon = self.supervise(exec_listener(["/bin/sh", "-c", script], user="nobody", runtime_directory=NAME, sandbox=sandbox))
        with Client(daemon.address()) as client:
            client.send(b"hello\n")
            self.assertEqual(client.receive(6), b"hello\n")
        self.assertEqual(self.owner(f"/run/{NAME}"), (NOBODY, 0o755))
        self.assertEqual(daemon.stop(), 0)
        self.assertFalse(os.path.exists(f"/run/{NAME}"))

    def test_a_symbolic_link_in_the_way_fails_the_start_with_its_reason(self):
        os.symlink(self.directory, f"/var/lib/{NAME}")
        self.addCleanup(os.unlink, f"/var/lib/{NAME}")
        daemon = self.supervise(listener(), self.app("exec sleep 1000", restart="temporary", start="manual",
                                                         state_directory=f"{NAME}/app"))
        status, _, _ = daemon.control.run("start", "root/app")
        self.assertNotEqual(status, 0)
        daemon.wait_log(f"make directory /var/lib/{NAME}/app: ", path="root/app", level="error")
        self.assertFalse(os.path.exists(os.path.join(self.directory, "app")))


if __name__ == "__main__":
    main()
