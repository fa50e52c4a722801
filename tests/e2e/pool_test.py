"""A user of its own for each listener: another one for each, kept for as long as the listener exists, and a wall between them."""

import json
import os
import signal
import subprocess

from harness import (Client, ReloadTestCase, UpgradeTestCase, echo_listener, exec_listener, listener, main, module_listener, needs_root,
                     process, signal_process, steady, tool, wait_until)

FIRST = 1_950_000_000 + os.getpid() % 10_000 * 1000  # others may run this test at the same time
POOL = f"{FIRST}-{FIRST + 15}"
OWN = "1900000000-1900065535"
PYTHON = "/usr/bin/python3"  # every user reaches it
OPEN = {"scope": "off", "system_calls": "any"}  # no wall but the user

# Whether the process can be signalled, and traced: 0 or errno.
ATTEMPT = """
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
def tried(result):
    return 0 if result == 0 else ctypes.get_errno()
for pid in map(int, sys.argv[1:] or input().split()):
    print(tried(libc.kill(pid, 0)), tried(libc.ptrace(16, pid, 0, 0)), flush=True)
    libc.ptrace(17, pid, 0, 0)
"""
EPERM = "1"


def as_user(uid, *command):
    return ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", "--", *command]


@needs_root
@tool("setpriv")
class Pool(UpgradeTestCase, ReloadTestCase):
    def uids(self, daemon, *names):
        """Of the listeners, as the kernel has them for all their workers."""
        out = []
        for name in names:
            status = [worker.status() for worker in daemon.workers(name)]
            found = {number for one in status for number in f"{one['Uid']} {one['Gid']}".split()}
            self.assertEqual((len(found), {one["Groups"].strip() for one in status}), (1, {""}), f"{name}: {found}")
            out.append(int(found.pop()))
        return out

    def with_pool(self, *children, pool=POOL):
        return self.supervise(*children, daemon={"uid_pool": pool})

    def change_pool(self, daemon, pool):
        with open(daemon.config_path) as file:
            config = json.load(file)
        config["daemon"]["uid_pool"] = pool
        with open(daemon.config_path, "w") as file:
            json.dump(config, file)
        self.reload(daemon)

    def test_each_listener_without_a_user_has_one_of_its_own_and_shows_it(self):
        daemon = self.with_pool(echo_listener("a"), echo_listener("b"), listener("c", user="nobody"))
        a, b = self.uids(daemon, "a", "b")
        self.assertNotEqual(a, b)
        self.assertTrue({a, b} <= set(range(FIRST, FIRST + 16)), (a, b))
        self.assertEqual(daemon.workers("c")[0].status()["Uid"].split(), ["65534"] * 4)
        self.assertEqual(daemon.control.node("root/a")["uid"], a)
        self.assertEqual(daemon.control.value("sandbox", "root/b")["uid"], b)
        self.assertIn(f"runs as {b}, a user of its own", daemon.control.run("sandbox", "root/b")[1])
        with Client(daemon.address("a")) as client:
            self.assertTrue(client.echo())
            self.assertEqual(daemon.child_of(client).status()["Uid"].split(), [str(a)] * 4)
            self.assertEqual([one["uid"] for one in daemon.control.value("connections")], [a])

    def test_without_a_word_the_pool_is_the_default_one(self):
        daemon = self.supervise(echo_listener("a"))
        uid, = self.uids(daemon, "a")
        self.assertIn(uid, range(1_900_000_000, 1_900_065_536))
        self.assertEqual(daemon.control.value("config")["daemon"]["uid_pool"], OWN)

    def test_a_module_needs_no_user(self):
        module = module_listener(self.module("does_as_told"), name="m")
        del module["user"]
        daemon = self.with_pool(module)
        with Client(daemon.address("m")) as client:
            client.send(b"x")
            connection = daemon.child_of(client)
            self.assertEqual(connection.status()["Uid"].split(), [str(self.uids(daemon, "m")[0])] * 4)

    def test_one_listener_cannot_signal_or_trace_another_one(self):
        daemon = self.with_pool(echo_listener("a", sandbox=OPEN), echo_listener("b", sandbox=OPEN))
        a, b = self.uids(daemon, "a", "b")
        of_a, of_b = daemon.workers("a")[0].pid, daemon.workers("b")[0].pid
        done = subprocess.run(as_user(a, PYTHON, "-I", "-c", ATTEMPT, str(of_a), str(of_b)), capture_output=True, text=True, timeout=20)
        own, other = (line.split() for line in done.stdout.splitlines())
        self.assertEqual((own[0], other), ("0", [EPERM, EPERM]), done.stderr)

    def test_nor_can_a_program_that_has_a_user_of_a_pool(self):
        run = exec_listener([PYTHON, "-I", "-c", ATTEMPT], style="inetd", user={"pool": f"{FIRST + 100}-{FIRST + 101}"}, sandbox=OPEN)
        daemon = self.with_pool(echo_listener("a", sandbox=OPEN), run)
        self.assertEqual(self.uids(daemon, "run"), [FIRST + 100])
        with Client(daemon.address("run")) as client:
            client.send(f"{daemon.workers('run')[0].pid} {daemon.workers('a')[0].pid}\n".encode())
            own, other = (line.split() for line in client.rest().decode().splitlines())
        self.assertEqual((own[0], other), ("0", [EPERM, EPERM]))

    def test_a_listener_keeps_its_user(self):
        a, b, c = steady("a", listen=echo_listener()["listen"]), steady("b", listen=echo_listener()["listen"]), echo_listener("c")
        daemon = self.with_pool(a, b)
        before = self.uids(daemon, "a", "b")
        self.rewrite(daemon, c, b, a)
        changes = self.reload(daemon)["changes"]
        self.assertEqual({one["kind"] for one in changes}, {"added", "reordered"}, changes)
        after = [*before, *self.uids(daemon, "c")]
        self.assertEqual(len(set(after)), 3)
        self.assertEqual(daemon.control.run("restart", "root/a")[0], 0)
        self.upgraded(daemon, self.next)
        self.assertEqual(self.uids(daemon, "a", "b", "c"), after)
        self.assertEqual(daemon.control.value("diff")["changes"], [])
        self.assertEqual(self.reload(daemon)["changes"], [])
        self.assertEqual(self.uids(daemon, "a", "b", "c"), after)

    def test_connections_of_a_killed_worker_are_adopted_and_can_be_ended(self):
        daemon = self.with_pool(echo_listener("a", workers=1))
        with Client(daemon.address("a")) as client:
            self.assertTrue(client.echo())
            worker, = daemon.workers("a")
            self.assertTrue(signal_process(worker.pid, signal.SIGKILL))
            daemon.wait_workers(1, without=[worker], name="a")
            self.assertTrue(client.echo())
            listed, = daemon.control.value("connections")
            self.assertTrue(listed["adopted"])
            self.assertEqual(daemon.control.run("kill", listed["id"], "TERM")[0], 0)
            self.assertEqual(client.rest(), b"")

    def test_an_added_listener_gets_one_of_the_daemons_pool(self):
        daemon = self.with_pool(echo_listener("a"))
        status, _, errors = daemon.control.run("add", "root", "-", text=json.dumps(echo_listener("b")))
        self.assertEqual((status, errors), (0, ""))
        a, b = self.uids(daemon, "a", "b")
        self.assertNotEqual(a, b)
        self.assertIn(b, range(FIRST, FIRST + 16))
        self.upgraded(daemon, self.next)
        self.assertEqual(self.uids(daemon, "a", "b"), [a, b])

    def test_a_number_with_which_something_runs_is_not_given_out(self):
        stray = subprocess.Popen(as_user(FIRST + 200, "/bin/sleep", "1000"))
        self.addCleanup(stray.wait)
        self.addCleanup(stray.kill)
        wait_until(lambda: process(stray.pid).status()["Uid"].split() == [str(FIRST + 200)] * 4, 5, "its user")
        a = echo_listener("a")
        daemon = self.with_pool(a, pool=f"{FIRST + 200}-{FIRST + 201}")
        self.assertEqual(self.uids(daemon, "a"), [FIRST + 201])
        self.rewrite(daemon, a, echo_listener("b"))
        self.assertIn(f"root/b: every user of the pool {FIRST + 200}-{FIRST + 201} is in use", str(self.refused(daemon)))
        self.assertEqual(self.uids(daemon, "a"), [FIRST + 201])

    def test_another_pool_takes_effect_with_new_workers(self):
        a = echo_listener("a")
        daemon = self.with_pool(a)
        with Client(daemon.address("a")) as client:
            self.assertTrue(client.echo())
            self.change_pool(daemon, f"{FIRST + 300}-{FIRST + 309}")
            self.assertEqual(self.uids(daemon, "a"), [FIRST + 300])
            self.assertTrue(client.echo())
        self.change_pool(daemon, "none")
        self.assertEqual(self.uids(daemon, "a"), [65534])


@needs_root
class Check(UpgradeTestCase):
    def test_a_pool_in_which_an_account_is_is_refused_at_its_key(self):
        path = self.write("c.json", '{"daemon": {"uid_pool": "60000-70000"}, "supervisor": {"children": ['
                          '{"id": "a", "type": "listener", "listen": "127.0.0.1:0", "handler": "echo"}]}}')
        status, _, errors = self.run_program("--check", "-c", path)
        self.assertEqual(status, 78)
        self.assertIn("/daemon/uid_pool: 60000-70000 cannot be a pool: 65534 is the user nobody of /etc/passwd", errors)


if __name__ == "__main__":
    main()
