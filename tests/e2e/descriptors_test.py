"""The descriptors of each process, compared with the exact list, whatever the daemon was started with."""

import ctypes
import itertools
import os
import signal
import time

from harness import Client, Hold, TestCase, exec_listener, listener, main, needs_root, process, wait_until

HAS_SCOPES = ctypes.CDLL(None).syscall(444, None, 0, 1) >= 6  # landlock_create_ruleset(2), for its version
LIBUV_PIPES = ["pipe"] * 4  # libuv's signal pipes, which it always creates


@needs_root
class ExactLists(TestCase):
    def kinds(self, one):
        """Its descriptors, sorted; a socket or file with a known name is listed by it."""
        return {fd: self.name(kind) for fd, kind in one.fd_kinds().items()}

    def name(self, kind):
        if kind.startswith(self.directory):
            return kind[len(self.directory):].lstrip("/0123456789")
        if kind.startswith("/memfd:"):
            return kind.split(" ")[0]
        return os.path.basename(kind) if kind.endswith("-worker") else kind

    def test_every_process_has_exactly_its_descriptors(self):
        daemon = self.start(listener("echo", workers=2), exec_listener(["/bin/cat"], workers=1),
                            exec_listener(["/bin/cat"], "inetd", style="inetd", workers=1))
        with Client(daemon.address("echo")) as a, Client(daemon.address("run")) as b, Client(daemon.address("inetd")) as c:
            for client in (a, b, c):
                self.assertTrue(client.echo())
            self.check_master(daemon)
            for worker in daemon.workers():
                self.check_worker(worker)
            by_kind = {child.title.split()[0]: child for child in daemon.connections()}
            self.assertEqual(self.kinds(by_kind["bulkheadd:"]), {0: "socket", 1: "socket", 2: "/dev/null"})
            cats = [child for child in daemon.connections() if child.title.startswith("/bin/cat")]
            # One has its worker's error pair there, the other its connection.
            self.assertEqual([self.kinds(cat) for cat in cats], [{0: "socket", 1: "socket", 2: "socket"}] * 2)
            self.assertEqual(sorted(cat.fds()[2] == cat.fds()[0] for cat in cats), [False, True])
            for child in [by_kind["bulkheadd:"], *cats]:
                fds = child.fds()
                self.assertEqual(fds[0], fds[1])

    def check_master(self, daemon):
        master = wait_until(lambda: self.master(daemon), 2, "the master")
        # --ready-fd is closed just after its line is written, and the test has waited for that line.
        wait_until(lambda: list(self.kinds(master).values()).count("pipe") == len(LIBUV_PIPES), 5, "the ready pipe is closed")
        held = self.kinds(master)
        standard = {fd: held.pop(fd) for fd in (0, 1, 2)}
        self.assertEqual(standard[0], "/dev/null")
        # Sockets: one per listener, a channel and the lines of each worker, one error pair. The log twice: its own lines, and
        # the one that is opened again for programs. The last socket asks the kernel about connections.
        # Two epoll sets: libuv's, and within it the one of our loop.
        expected = ["anon_inode:[eventfd]"] * (3 + 1) + ["anon_inode:[eventpoll]"] * 2
        expected += ["anon_inode:[signalfd]", "bulkhead-worker", "bulkhead-module-worker"]
        expected += ["log"] * 2 + ["socket"] * (3 + 4 + 4 + 1 + 2 + 1) + LIBUV_PIPES
        memory = [kind for kind in held.values() if kind.startswith("/memfd:")]
        self.assertEqual(len(memory), 3, memory)  # a table per listener
        self.assertEqual(sorted(kind for kind in held.values() if not kind.startswith("/memfd:")), sorted(expected))

    @staticmethod
    def master(daemon):
        return process(daemon.pid)

    def check_worker(self, worker):
        held = self.kinds(worker)
        self.assertEqual({fd: held.pop(fd) for fd in (0, 1, 2)}, {0: "/dev/null", 1: "/dev/null", 2: "socket"})
        # The channel, the listening socket; the bell and the loop's own eventfd; what programs get as 2, if it is read here.
        expected = ["anon_inode:[eventfd]"] * 2 + ["anon_inode:[eventpoll]"] * 2 + ["anon_inode:[signalfd]"] + ["socket"] * 2
        # Where programs serve: whose client has left is in an epoll set, and the kernel is asked about it.
        if "echo" not in worker.title:
            expected += ["anon_inode:[eventpoll]", "socket"]
        expected += ["socket"] * 2 if worker.title.startswith("bulkheadd: worker run/") else ["/dev/null"]
        expected += LIBUV_PIPES + (["anon_inode:[landlock-ruleset]"] if HAS_SCOPES else [])
        self.assertEqual(sorted(held.values()), sorted(expected))

    def test_with_descriptors_open_at_start(self):
        one = os.open("/etc/passwd", os.O_RDONLY)
        two = os.open(self.write("extra", ""), os.O_RDWR)
        read, write = os.pipe()
        try:
            daemon = self.start(listener(), exec_listener(["/bin/cat"]), pass_fds=(one, two, read, write))
            with Client(daemon.address("echo")) as a, Client(daemon.address("run")) as b:
                self.assertTrue(a.echo() and b.echo())
                mine = {os.readlink(f"/proc/self/fd/{fd}") for fd in (one, two, read)}
                for below in daemon.tree():
                    self.assertFalse(set(below.fds().values()) & mine, below)
        finally:
            for fd in (one, two, read, write):
                os.close(fd)

    def test_with_0_1_and_2_closed_at_start_in_all_combinations(self):
        for closed in itertools.product((False, True), repeat=3):
            words = " ".join(f"{fd}{'<' if fd == 0 else '>'}&-" for fd in range(3) if closed[fd])
            daemon = self.start(listener(), exec_listener(["/bin/cat"]), prefix=("sh", "-c", f'exec "$@" {words}', "sh"))
            for name in ("echo", "run"):
                with Client(daemon.address(name)) as client:
                    self.assertTrue(client.echo(bytes(range(256)) + b"\n"), words)
                    client.half_close()
                    self.assertEqual(client.rest(), b"", words)
            held = self.kinds(self.master(daemon))
            for fd in range(3):
                if closed[fd]:
                    self.assertEqual(held[fd], "/dev/null", words)
            for worker in daemon.workers():
                self.assertEqual([self.kinds(worker)[fd] for fd in range(3)], ["/dev/null", "/dev/null", "socket"])
            self.assertEqual(daemon.stop(), 0)

    def test_only_the_tree_holds_the_listening_socket(self):
        daemon = self.start(listener(), exec_listener(["/bin/cat"]))
        with Hold(daemon.address("echo"), 20) as a, Hold(daemon.address("run"), 20) as b:
            self.assertEqual((a.echo_all(), b.echo_all()), (20, 20))
            listening = self.listening_inodes()
            holders = {one.pid for one in daemon.tree() + [self.master(daemon)] if set(one.fds().values()) & listening}
            self.assertEqual(holders, {daemon.pid} | {one.pid for one in daemon.workers()})

    @staticmethod
    def listening_inodes():
        with open("/proc/net/tcp") as file:
            rows = [line.split() for line in file][1:]
        return {f"socket:[{row[9]}]" for row in rows if row[3] == "0A"}

    def test_one_connection_has_one_holder(self):
        daemon = self.start()
        with Hold(daemon.address(), 30) as held:
            self.assertEqual(held.echo_all(), 30)
            sockets = [set(child.fds().values()) for child in daemon.connections()]
            for mine, other in itertools.combinations(sockets, 2):
                self.assertFalse({fd for fd in mine & other if fd.startswith("socket:")})


class NothingIsKept(TestCase):
    def test_the_end_of_a_connection_is_noticed_at_once_with_others_open(self):
        daemon = self.start()
        slowest = 0.0
        with Client(daemon.address()) as idle:
            for _ in range(250):
                with Client(daemon.address()) as one, Client(daemon.address()) as two:
                    self.assertTrue(two.echo(b"quit\n"))
                    began = time.monotonic()
                    two.half_close()
                    self.assertEqual(two.rest(), b"")
                    slowest = max(slowest, time.monotonic() - began)
                    self.assertTrue(one.echo())
            self.assertTrue(idle.echo())
        self.measured(connections=501, slowest_end=slowest)
        self.assertLess(slowest, 0.5 if self.sanitized else 0.1)

    @needs_root
    def test_counts_return_to_their_start(self):
        daemon = self.start(listener(max_restarts=1000))
        with Client(daemon.address()) as client:
            self.assertTrue(client.echo())

        def count():
            return len(ExactLists.master(daemon).fds()), [len(one.fds()) for one in daemon.workers()]
        before = wait_until(lambda: not daemon.connections() and count(), 3, "an idle daemon")
        with Hold(daemon.address(), 100) as held:
            self.assertEqual(held.echo_all(), 100)
        for _ in range(5):
            workers = daemon.workers()
            os.kill(workers[0].pid, signal.SIGKILL)
            daemon.wait_workers(2, without=workers[:1])
        wait_until(lambda: not daemon.connections() and count() == before, 5, f"{before} again; now {count()}")
        self.measured(master=before[0], workers=before[1])

    def test_a_handler_that_stays_does_not_hold_the_port(self):
        daemon = self.start(exec_listener([self.helper("leaves_daemon")]), daemon={"drain_timeout": "100ms"})
        with Client(daemon.address()) as client:
            self.assertEqual(client.receive(5), b"left\n")
        daemon.killed = True  # a process in a session of its own may stay; the port may not
        self.assertEqual(daemon.stop(), 0)
        self.assertEqual(daemon._bound_addresses(), [])


if __name__ == "__main__":
    main()
