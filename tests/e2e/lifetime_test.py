"""max_lifetime: enforced by the owner of the connection, the worker or the master."""

import signal
import time

from harness import (AdmissionTestCase, Canary, Client, Hold, exec_listener, listener, main, needs_root, signal_process,
                     wait_until)

PENALTIES = {"mode": "enforce", "timeout": "30s", "min": "0s"}


class Lifetime(AdmissionTestCase):
    def ends(self, clients, began):
        """Seconds until the last of them saw its end."""
        for client in clients:
            self.assertEqual(client.rest(), b"")
        return time.monotonic() - began

    def test_every_connection_ends_in_time_and_none_is_a_crash(self):
        daemon = self.supervise(listener(max_lifetime="700ms"))
        began = time.monotonic()
        with Hold(daemon.address(), 40) as held:
            self.assertEqual(held.echo_all(), 40)
            with Client(daemon.address()) as short:
                self.assertTrue(short.echo())
            last = self.ends(held.clients, began)
        self.measured(connections=40, max_lifetime=0.7, ended_after=last)
        self.assertGreaterEqual(last, 0.7)
        self.assertLess(last, 1.7)
        self.wait_counts(daemon, active=0, completed=41, crashed=0)
        self.assertEqual(len(daemon.wait_log("reached its max_lifetime: sending SIGTERM", reason="timeout", count=40)), 40)
        daemon.wait_log("ended: max_lifetime reached", count=40, reason="timeout", signal="SIGTERM")

    def test_programs_that_ignore_term_are_killed_after_shutdown(self):
        daemon = self.supervise(exec_listener([self.helper("ignores_term")], "echo", max_lifetime="300ms", shutdown="400ms"))
        began = time.monotonic()
        with Client(daemon.address()) as client:
            self.assertEqual(client.receive(6), b"ready\n")
            last = self.ends([client], began)
        self.assertGreaterEqual(last, 0.7)
        self.assertLess(last, 1.7)
        self.wait_counts(daemon, active=0, completed=1, crashed=0)
        daemon.wait_log("did not end within its shutdown time: sending SIGKILL")

    def test_a_stopped_process_is_continued_to_receive_the_signal(self):
        daemon = self.supervise(listener(max_lifetime="400ms", shutdown="1h"))
        with Client(daemon.address()) as client:
            self.assertTrue(client.echo())
            signal_process(daemon.child_of(client).pid, signal.SIGSTOP)
            self.assertEqual(client.rest(), b"")
        self.wait_counts(daemon, active=0, completed=1)

    def test_adopted_connections_end_at_their_original_time(self):
        daemon = self.supervise(listener(max_lifetime="1s", max_restarts=1000, restart_delay="none"))
        began = time.monotonic()
        with Hold(daemon.address(), 40) as held:
            self.assertEqual(held.echo_all(), 40)
            workers = daemon.workers()
            for worker in workers:
                signal_process(worker.pid, signal.SIGKILL)
            daemon.wait_workers(2, without=workers)
            self.assertEqual(self.counts(daemon)["adopted"], 40)
            last = self.ends(held.clients, began)
        self.measured(adopted=40, max_lifetime=1.0, ended_after=last)
        self.assertGreaterEqual(last, 1.0)
        self.assertLess(last, 2.0)
        self.wait_counts(daemon, active=0, completed=40, crashed=0)
        daemon.wait_log("ended: max_lifetime reached", count=40, reason="timeout")

    def test_a_worker_that_dies_between_term_and_kill_leaves_the_kill_to_the_master(self):
        daemon = self.supervise(exec_listener([self.helper("ignores_term")], "echo", workers=1, max_lifetime="200ms", shutdown="800ms",
                                              max_restarts=1000, restart_delay="none"))
        with Client(daemon.address()) as client:
            self.assertEqual(client.receive(6), b"ready\n")
            daemon.wait_log("sending SIGTERM")
            signal_process(daemon.workers()[0].pid, signal.SIGKILL)
            self.assertEqual(client.rest(), b"")
        self.wait_counts(daemon, active=0, completed=1, crashed=0)
        line = daemon.wait_log("sending SIGKILL")[0]
        self.assertEqual(line["writer"], daemon.pid)

    def penalised(self, daemon):
        """Checks that the source of the only connection so far is refused for a timeout."""
        one, = wait_until(lambda: daemon.control.value("penalties"), 5, "a penalty")
        self.assertEqual((one["source"], one["active"], one["reason"]), ("127.0.0.1/32", True, "timeout"))
        self.assertTrue(20 < one["remaining_seconds"] <= 30, one)
        with Client(daemon.address()) as client:
            self.assertEqual(client.rest(), b"")
        self.assertEqual(self.refused(daemon), {"penalty": 1})
        daemon.wait_log("a source is refused for", reason="timeout")

    def test_penalties_count_it_as_a_timeout(self):
        daemon = self.supervise(listener(max_lifetime="200ms", penalties=PENALTIES))
        with Client(daemon.address()) as client:
            self.assertEqual(client.rest(), b"")
        self.wait_counts(daemon, active=0, completed=1, crashed=0)
        self.penalised(daemon)

    def test_penalties_count_it_even_if_the_program_exits_with_0(self):
        daemon = self.supervise(exec_listener(["/bin/sh", "-c", "trap 'exit 0' TERM; echo ready; while :; do read line; done"],
                                              "echo", max_lifetime="200ms", penalties=PENALTIES))
        with Client(daemon.address()) as client:
            self.assertEqual(client.receive(6), b"ready\n")
            self.assertEqual(client.rest(), b"")
        daemon.wait_log("ended: max_lifetime reached", reason="timeout", status=0)
        self.penalised(daemon)

    def test_penalties_count_it_for_adopted_connections(self):
        daemon = self.supervise(listener(workers=1, max_lifetime="700ms", max_restarts=1000, restart_delay="none",
                                         penalties=PENALTIES))
        with Client(daemon.address()) as client:
            self.assertTrue(client.echo())
            workers = daemon.workers()
            signal_process(workers[0].pid, signal.SIGKILL)
            daemon.wait_workers(1, without=workers)
            self.assertEqual(self.counts(daemon)["adopted"], 1)
            self.assertEqual(client.rest(), b"")
        self.assertEqual(daemon.wait_log("ended: max_lifetime reached")[0]["writer"], daemon.pid)
        self.penalised(daemon)


class Runaways(AdmissionTestCase):
    """Programs whose client has gone, and that would otherwise run for ever."""

    def goes(self, daemon, clients=1):
        """Seconds from the reset of these clients until nothing is left of what served them."""
        with Canary(daemon.address("echo"), 10) as canary:
            held = [Client(daemon.address("run")) for _ in range(clients)]
            for client in held:
                self.assertEqual(client.receive(6), b"ready\n")
            began = time.monotonic()
            for client in held:
                client.reset()
            workers = {one.pid for one in daemon.workers()}
            wait_until(lambda: not [one for one in daemon.tree() if one.pid not in workers and "connection" not in one.title], 10,
                       "nothing left")
            took = time.monotonic() - began
        self.measured(gone_after=took, canary_gap=canary.max_gap)
        self.assertEqual(canary.errors, 0)
        return took

    def test_a_busy_and_a_sleeping_program_are_ended(self):
        for what in ("while :; do :; done", "exec sleep 1000000"):
            daemon = self.supervise(listener(), exec_listener(["/bin/sh", "-c", f"echo ready; {what}"], max_lifetime="500ms"))
            self.assertLess(self.goes(daemon), 2.0)

    @needs_root
    def test_a_program_that_keeps_forking_is_ended(self):
        keys = {"user": "61237", "group": "61237", "workers": 1, "rlimits": {"nproc": 30}, "max_lifetime": "700ms"}
        daemon = self.supervise(listener(), exec_listener([self.helper("forks_for_ever")], **keys))
        with Client(daemon.address("run")) as client:
            self.assertEqual(client.receive(6), b"ready\n")
            wait_until(lambda: len(found := self.of_user(daemon)) == 30 and found, 5, "all that it may")
        self.assertLess(self.goes(daemon), 3.0)
        self.assertEqual(len(self.of_user(daemon)), 1)  # the worker

    def of_user(self, daemon):
        out = []
        for one in daemon.tree():
            try:
                out += [one] if one.status().get("Uid", "").startswith("61237\t") else []
            except OSError:
                pass  # it has just ended
        return out


if __name__ == "__main__":
    main()
