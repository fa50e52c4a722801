"""A system call that the master needs for a request fails: the request is refused, and nobody else notices."""

import resource

from harness import Canary, Client, ControlledTestCase, Strace, listener, main, needs_root, process, signal_process, sleeper, tool

FULL = ("ENOMEM", "ENOSPC")  # no memory; more descriptors watched than max_user_watches (epoll(7))


class Shortage(ControlledTestCase):
    def fails(self, daemon, calls, error, number):
        return Strace(daemon.pid, calls, f"error={error}:when={number}")

    @tool("strace")
    @needs_root
    def test_no_place_for_a_control_client(self):
        daemon = self.supervise(listener())
        with Canary(daemon.address(), 3) as canary:
            for error in FULL:
                with self.subTest(error):
                    with self.fails(daemon, "epoll_ctl", error, "1") as trace:
                        status, _, err = daemon.control.run("status")
                    self.assertEqual(trace.injected(), 1, trace.text)
                    self.assertEqual(status, 2, err)
                    self.assertIn("cannot serve another client", err)
                    self.assertEqual(daemon.control.run("status")[0], 0)
            for number in range(1, 9):  # whichever it is, of however many a client needs
                with self.fails(daemon, "epoll_ctl", "ENOMEM", number):
                    daemon.control.run("tree")
                self.assertEqual(daemon.control.run("status")[0], 0)
        self.assertEqual(canary.errors, 0)
        daemon.wait_log("epoll_ctl .*: No space left on device|epoll_ctl .*: Cannot allocate memory", level="error")

    @tool("strace")
    @needs_root
    def test_no_place_for_a_worker(self):
        daemon = self.supervise(listener(workers=1, restart_delay={"min": "100ms", "max": "100ms", "jitter": 0}, max_restarts=1000))
        for error in FULL:
            for number in (1, 2, 3):
                with self.subTest(error, number=number):
                    old, mark = daemon.workers(), daemon.events.mark()
                    daemon.control.call("status")  # its own client is there before
                    with self.fails(daemon, "epoll_ctl", error, number):
                        signal_process(old[0].pid, 9)
                        daemon.events.next("child_exited", "root/echo/1", after=mark)
                        daemon.wait_workers(1, old)
                    with Client(daemon.address()) as client:
                        client.echo()

    @tool("strace")
    @needs_root
    def test_no_place_for_a_process(self):
        daemon = self.supervise(listener(), sleeper("job", restart_delay={"min": "100ms", "max": "100ms", "jitter": 0}))
        for number in range(1, 8):
            with self.subTest(number=number):
                self.assertEqual(daemon.control.call("stop", path="root/job"), {"jsonrpc": "2.0", "id": 1, "result": {"ok": True}})
                with self.fails(daemon, "epoll_ctl", "ENOSPC", number) as trace:
                    answer = daemon.control.call("start", path="root/job")
                if trace.injected() and "error" in answer:
                    self.assertEqual(answer["error"]["data"], "start_failed")
                    self.assertIn("result", daemon.control.call("start", path="root/job"))
                self.wait_state(daemon, "root/job", "running")

    @needs_root
    def test_no_descriptors(self):
        daemon = self.supervise(listener(), sleeper("job"))
        soft, hard = resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE)
        with Canary(daemon.address(), 3) as canary:
            daemon.control.call("stop", path="root/job")
            resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, (max(process(daemon.pid).fds()) + 2, hard))
            for _ in range(3):
                self.assertEqual(daemon.control.call("start", path="root/job")["error"]["data"], "start_failed")
            resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, (soft, hard))
            self.assertIn("result", daemon.control.call("start", path="root/job"))
        self.assertEqual(canary.errors, 0)


if __name__ == "__main__":
    main()
