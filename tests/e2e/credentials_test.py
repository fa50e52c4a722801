"""Credentials: files that the master reads and whose contents one child alone gets."""

import os
import stat
import unittest

from harness import Client, ControlledTestCase, exec_listener, listener, main, wait_until

NOBODY = 65534
SECRET = "the quick brown secret"


@unittest.skipUnless(os.geteuid() == 0, "needs root")
class Credentials(ControlledTestCase):
    def secret(self, content=SECRET):
        return self.write("secret", content, mode=0o600)

    def content(self, path):
        with open(path) as file:
            return file.read()

    def ask(self, daemon):
        with Client(daemon.address("run")) as client:
            return client.rest().decode()

    def handler(self, script='cat "$CREDENTIALS_DIRECTORY"/key', **keys):
        return exec_listener(["/bin/sh", "-c", script], user="nobody", **keys)

    def directory_of(self, daemon, node):
        return f"/run/bulkhead/credentials/{daemon.pid}/{node.replace('/', '@')}"

    def test_a_connection_gets_it_and_nobody_else_and_it_goes_with_the_daemon(self):
        daemon = self.supervise(self.handler(credentials={"key": self.secret()}), listener())
        self.assertEqual(self.ask(daemon), SECRET)
        at = self.directory_of(daemon, "root/run")
        self.assertEqual((os.stat(at).st_uid, stat.S_IMODE(os.stat(at).st_mode)), (NOBODY, 0o500))
        self.assertEqual(os.listdir(at), ["key"])
        self.assertNotIn(SECRET, daemon.log_text())
        self.assertNotIn(SECRET, str(daemon.control.value("config")))
        self.assertEqual(daemon.stop(), 0)
        self.assertFalse(os.path.exists(os.path.dirname(at)))

    def test_a_new_worker_brings_the_new_content(self):
        daemon = self.supervise(self.handler(workers=1, credentials={"key": self.secret()}))
        self.assertEqual(self.ask(daemon), SECRET)
        self.secret("another")
        self.assertEqual(self.ask(daemon), SECRET)
        daemon.control.value("restart", "root/run")
        self.assertEqual(self.ask(daemon), "another")

    def test_it_is_readable_where_files_are_restricted(self):
        sandbox = {"preset": "basic", "paths": {"read": ["/usr", "/lib", "/lib64", "/bin", "/etc"],
                                                "execute": ["/usr", "/lib", "/lib64", "/bin"], "else": "none"}}
        daemon = self.supervise(self.handler(credentials={"key": self.secret()}, sandbox=sandbox))
        self.assertEqual(self.ask(daemon), SECRET)

    def test_a_process_has_it_while_it_runs(self):
        seen = os.path.join(self.directory, "seen")
        os.close(os.open(seen, os.O_CREAT, 0o666))
        os.chmod(seen, 0o666)
        os.chmod(self.directory, 0o755)
        daemon = self.supervise({"id": "app", "type": "process", "user": "nobody", "ready": "exec",
                                 "argv": ["/bin/sh", "-c", f'cat "$CREDENTIALS_DIRECTORY"/key > {seen}; exec sleep 1000'],
                                 "credentials": {"key": self.secret()}})
        wait_until(lambda: self.content(seen) == SECRET, 5, "the secret")
        at = self.directory_of(daemon, "root/app")
        self.assertTrue(os.path.exists(at))
        daemon.control.value("stop", "root/app")
        wait_until(lambda: not os.path.exists(at), 5, "the credentials to go")

    def test_a_missing_file_fails_the_start_with_key_and_file(self):
        missing = os.path.join(self.directory, "missing")
        daemon = self.supervise(listener(), {"id": "app", "type": "process", "argv": ["/bin/true"], "restart": "temporary",
                                             "user": "nobody", "start": "manual", "credentials": {"key": missing}})
        status, _, _ = daemon.control.run("start", "root/app")
        self.assertNotEqual(status, 0)
        told = daemon.wait_log(f"read credentials.key, {missing}: No such file", path="root/app")
        self.assertEqual(told[0]["level"], "error")


if __name__ == "__main__":
    main()
