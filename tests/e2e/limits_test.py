"""Shortages: of slots, of descriptors, of processes; and every error that accept(2) can return."""

import os
import resource
import signal
import time

from harness import (Canary, Client, Hold, Storm, Strace, TestCase, children_of, exec_listener, listener, main, needs_root,
                     process, signal_process, tool, wait_until)

TICK = os.sysconf("SC_CLK_TCK")
RETRIED = ["EINTR", "ECONNABORTED", "EPROTO", "EPERM", "ENETDOWN", "ENOPROTOOPT", "EHOSTDOWN", "ENONET", "EHOSTUNREACH", "EOPNOTSUPP",
           "ENETUNREACH"]
PAUSED = ["EMFILE", "ENFILE", "ENOBUFS", "ENOMEM"]
BROKEN = ["EBADF", "ENOTSOCK", "EINVAL", "EFAULT"]


class MaxConnections(TestCase):
    def test_max_connections_is_exact_over_all_workers_and_others_wait(self):
        daemon = self.start(listener(workers=4, max_connections=20))
        with Hold(daemon.address(), 20) as held:
            self.assertEqual(held.echo_all(), 20)
            with Hold(daemon.address(), 100) as late:
                for number, client in enumerate(late.clients):
                    client.send(b"waiting %d\n" % number)
                self.assertTrue(late.clients[0].silent(0.3))
                self.assertEqual(len(daemon.connections()), 20)
                held.close()
                served = 0
                for number, client in enumerate(late.clients):
                    line = b"waiting %d\n" % number
                    served += client.receive(len(line)) == line
                    self.assertLessEqual(len(daemon.connections()), 20)
                    client.close()
        self.assertEqual(served, 100)
        full = daemon.log("max_connections 20 reached")
        self.assertGreaterEqual(len(full), 1)
        self.assertLessEqual(len(full), 4)
        self.measured(limit=20, waited=100, served=served, log_lines=len(full))

    def test_one_slot_and_two_workers(self):
        daemon = self.start(listener(max_connections=1))
        slowest = 0.0
        for _ in range(100):
            with Client(daemon.address()) as first, Client(daemon.address()) as second:
                self.assertTrue(first.echo())
                second.send(b"next\n")
                first.close()
                began = time.monotonic()
                self.assertEqual(second.receive(5), b"next\n")
                slowest = max(slowest, time.monotonic() - began)
        self.measured(turns=100, slowest=slowest)
        self.assertLess(slowest, 0.5)

    def test_waiting_clients_are_served_although_a_worker_dies_or_stops(self):
        daemon = self.start(listener(max_connections=1, max_restarts=100000, restart_delay="none"))
        for turn in range(20):
            with Client(daemon.address()) as first, Client(daemon.address()) as second:
                self.assertTrue(first.echo())
                second.send(b"next\n")
                if turn % 2:
                    victim = daemon.workers()[0]
                    signal_process(victim.pid, signal.SIGKILL)
                first.close()
                self.assertEqual(second.receive(5), b"next\n")
        with Client(daemon.address()) as client:
            self.assertTrue(client.echo())

    def test_resets_of_all_connections_free_every_slot(self):
        daemon = self.start(listener(max_connections=10))
        for _ in range(300):
            Client(daemon.address()).reset()
        with Hold(daemon.address(), 10) as held:
            self.assertEqual(held.echo_all(), 10)


class Many(TestCase):
    """More children in one worker than it looks at one by one."""
    HELD = 300

    def ends_are_seen(self, child):
        daemon = self.start(child)
        with Hold(daemon.address(), self.HELD) as held:
            self.assertEqual(held.echo_all(), self.HELD)
            worker = daemon.workers()[0].pid
            for number, client in enumerate(held.clients[:10]):  # one after the other
                client.close()
                wait_until(lambda: len(children_of(worker)) == self.HELD - number - 1, 3, "reaped")
            for client in held.clients[10:200]:  # at once, until they are few
                client.close()
            wait_until(lambda: len(children_of(worker)) == 100, 3, "and no zombies")
            with Client(daemon.address()) as client:
                self.assertTrue(client.echo())
        wait_until(lambda: not children_of(worker), 3, "none is left")

    def test_ends_of_built_ins_are_seen(self):
        self.ends_are_seen(listener(workers=1, max_connections=self.HELD))

    def test_ends_of_programs_and_their_groups_are_seen(self):
        self.ends_are_seen(exec_listener(["/bin/cat"], "echo", workers=1, max_connections=self.HELD))

    def test_waiting_clients_are_served_when_many_connections_end_at_once(self):
        daemon = self.start(listener(workers=1, max_connections=self.HELD))
        with Hold(daemon.address(), self.HELD) as held, Hold(daemon.address(), 200) as late:
            self.assertEqual(held.echo_all(), self.HELD)
            for client in late.clients:
                client.send(b"waiting\n")
            for client in held.clients[:200]:
                client.close()
            self.assertEqual([client.receive(8) for client in late.clients], [b"waiting\n"] * 200)

    @needs_root
    @tool("strace")
    def test_waitid_never_scans_all_children(self):
        daemon = self.start(listener(workers=1))
        with Hold(daemon.address(), self.HELD) as held:
            self.assertEqual(held.echo_all(), self.HELD)
            with Strace(daemon.workers()[0].pid, "wait4,waitid") as trace:
                for _ in range(50):
                    with Client(daemon.address()) as client:
                        self.assertTrue(client.echo())
                wait_until(lambda: trace.count(r"wait4\(\d+, .*WIFEXITED") == 50, 5, "all are reaped")
            self.assertEqual(trace.count(r"wait4\(-1"), 0)
            self.assertEqual(held.echo_all(), self.HELD)


class Descriptors(TestCase):
    @needs_root
    def test_a_worker_without_descriptors_pauses_and_recovers(self):
        daemon = self.start(listener(workers=1, user="root"))  # another user's limits need a capability of their own
        worker = daemon.workers()[0]
        with Canary(daemon.address(), 10) as canary:
            wait_until(lambda: canary.lines >= 10, 5, "the canaries sing")
            old = resource.prlimit(worker.pid, resource.RLIMIT_NOFILE)
            lowest_free = min(set(range(max(worker.fds()) + 2)) - set(worker.fds()))
            resource.prlimit(worker.pid, resource.RLIMIT_NOFILE, (lowest_free, old[1]))
            with Hold(daemon.address(), 100) as held:
                for client in held.clients:
                    client.send(b"hello\n")
                daemon.wait_log("cannot accept")
                ticks, began = process(worker.pid).cpu_ticks, time.monotonic()
                lines = len(daemon.log())
                self.assertTrue(held.clients[0].silent(3.0))
                cpu = (process(worker.pid).cpu_ticks - ticks) / TICK / (time.monotonic() - began)
                lines = (len(daemon.log()) - lines) / (time.monotonic() - began)
                began = time.monotonic()
                resource.prlimit(worker.pid, resource.RLIMIT_NOFILE, old)
                self.assertEqual([client.receive(6) for client in held.clients], [b"hello\n"] * 100)
                healed = time.monotonic() - began
        self.assertEqual([one.pid for one in daemon.workers()], [worker.pid])
        self.measured(cpu=cpu, lines_per_second=lines, healed_after=healed, canary_gap=canary.max_gap)
        self.assertEqual(canary.errors, 0)
        self.assertLessEqual(cpu, 0.05)
        self.assertLessEqual(lines, 2)
        self.assertLess(healed, 2.5)
        self.assertLess(canary.max_gap, 0.5)

    @needs_root
    @tool("strace")
    def test_failing_accepts_are_rare(self):
        daemon = self.start(listener(workers=1))
        worker = daemon.workers()[0]
        with Client(daemon.address()) as early:
            self.assertTrue(early.echo())
            with Strace(worker.pid, "accept4", "error=ENFILE") as trace:
                client = Client(daemon.address())
                self.addCleanup(client.close)
                client.send(b"hello\n")
                daemon.wait_log("cannot accept")
                before = trace.injected()
                self.assertTrue(client.silent(2.0))
                rate = (trace.injected() - before) / 2
            self.assertEqual(client.receive(6), b"hello\n")
            self.assertTrue(early.echo())
        self.measured(failing_accepts_per_second=rate)
        self.assertLessEqual(rate, 20)


@needs_root
@tool("strace")
class AcceptErrors(TestCase):
    def test_errors_of_one_client_are_skipped(self):
        daemon = self.start(listener(workers=1))
        worker = daemon.workers()[0]
        for error in RETRIED:
            with Strace(worker.pid, "accept4", f"error={error}:when=1..5") as trace:
                storm = Storm(daemon.address(), count=20, threads=2).wait()
            self.assertEqual(storm.failed, {}, error)
            self.assertEqual(trace.injected(), 5, error)
        self.assertEqual([one.pid for one in daemon.workers()], [worker.pid])
        self.assertEqual(daemon.log(level="error"), [])
        self.measured(errors=len(RETRIED), clients=20 * len(RETRIED), failed=0)

    def test_accepting_resumes_after_a_shortage(self):
        daemon = self.start(listener(workers=1))
        worker = daemon.workers()[0]
        for error in PAUSED:
            with Strace(worker.pid, "accept4", f"error={error}:when=1..3") as trace:
                storm = Storm(daemon.address(), count=20, threads=2).wait()
            self.assertEqual(storm.failed, {}, error)
            self.assertEqual(trace.injected(), 3, error)
            daemon.wait_log("cannot accept", errno=error)
            wait_until(lambda: len(daemon.log("accepting again")) == len(daemon.log("cannot accept")), 5, "the end is told")
        self.assertEqual([one.pid for one in daemon.workers()], [worker.pid])
        self.assertEqual(len(daemon.wait_log("cannot accept", count=len(PAUSED))), len(PAUSED))

    def test_a_broken_socket_costs_only_the_worker(self):
        for error in BROKEN:
            daemon = self.start(listener(workers=1))
            worker = daemon.workers()[0]
            with Client(daemon.address()) as held:
                self.assertTrue(held.echo())
                with Strace(worker.pid, "accept4", f"error={error}:when=1"):
                    with Client(daemon.address()) as client:
                        began = time.monotonic()
                        self.assertTrue(client.echo(), error)
                        took = time.monotonic() - began
                    daemon.wait_workers(1, without=[worker])
                self.assertTrue(held.echo())
            self.assertLess(took, 1.5, error)
            self.assertEqual(daemon.stop(), 0)


@needs_root
@tool("strace")
class Forks(TestCase):
    def test_a_short_shortage_delays_the_accepted_client(self):
        for kind in (listener(workers=1), exec_listener(["/bin/cat"], "echo", workers=1)):
            daemon = self.start(kind)
            worker = daemon.workers()[0]
            for error in ("EAGAIN", "ENOMEM"):
                with Strace(worker.pid, "clone", f"error={error}:when=1..2") as trace:
                    with Client(daemon.address()) as client:
                        began = time.monotonic()
                        self.assertTrue(client.echo())
                        took = time.monotonic() - began
                self.assertEqual(trace.injected(), 2)
                self.assertLess(took, 1.0)
            self.assertEqual([one.pid for one in daemon.workers()], [worker.pid])
            self.assertEqual(len(daemon.wait_log("cannot start a process for a connection", count=1)), 1)

    def test_a_long_shortage_refuses_soon_and_recovers(self):
        daemon = self.start(listener(workers=1))
        worker = daemon.workers()[0]
        blocked = worker.status()["SigBlk"]
        with Canary(daemon.address(), 5) as canary:
            with Strace(worker.pid, "clone", "error=EAGAIN") as trace:
                slowest = 0.0
                for _ in range(5):
                    with Client(daemon.address()) as client:
                        client.send(b"hello\n")
                        began = time.monotonic()
                        self.assertEqual(client.rest(), b"")
                        slowest = max(slowest, time.monotonic() - began)
                attempts = trace.injected()
            began = time.monotonic()
            with Client(daemon.address()) as client:
                self.assertTrue(client.echo())
            healed = time.monotonic() - began
        self.assertEqual(canary.errors, 0)
        self.assertEqual(worker.status()["SigBlk"], blocked)
        self.assertEqual([one.pid for one in daemon.workers()], [worker.pid])
        lines = daemon.log("cannot start a process for a connection")
        self.measured(refused=5, slowest_refusal=slowest, forks_tried=attempts, healed_after=healed, log_lines=len(lines))
        self.assertLess(slowest, 0.7)
        self.assertLess(healed, 3.0)
        self.assertLessEqual(len(lines), 5)
        wait_until(lambda: not daemon.connections(), 5, "no child")
        daemon.wait_log("accepting again")

    def test_the_master_cannot_fork_for_a_while(self):
        daemon = self.start(listener(workers=2, restart_delay={"min": "50ms", "max": "200ms"}))
        workers = daemon.workers()
        with Client(daemon.address()) as client:
            self.assertTrue(client.echo())
            with Strace(daemon.pid, "clone,fork,vfork,clone3", "error=EAGAIN:when=1..2"):
                signal_process(workers[0].pid, signal.SIGKILL)
                daemon.wait_workers(2, without=workers[:1])
            self.assertTrue(client.echo())


class Reaping(TestCase):
    def test_no_zombie_is_older_than_a_second_under_load(self):
        daemon = self.start()
        first_seen, oldest = {}, 0.0
        with Storm(daemon.address(), threads=4) as storm:
            deadline = time.monotonic() + 4
            while time.monotonic() < deadline:
                now = time.monotonic()
                zombies = {(one.pid, one.starttime) for one in daemon.zombies()}
                first_seen = {key: first_seen.get(key, now) for key in zombies}
                oldest = max([oldest, *(now - seen for seen in first_seen.values())])
        self.measured(**storm.counts, oldest_zombie=oldest)
        self.assertEqual(storm.failed, {})
        self.assertLess(oldest, 1.0)

    def test_programs_that_end_at_once_are_reaped(self):
        count = 1000 if self.sanitized else 5000
        log = {"target": os.path.join(self.directory, "0", "log"), "format": "json", "level": "info",
               "connections": ["start", "end"]}
        daemon = self.start(exec_listener([self.helper("exits_at_once")], workers=2), log=log)
        workers = [one.pid for one in daemon.workers()]
        for _ in range(count):
            with Client(daemon.address()) as client:
                self.assertEqual(client.rest(), b"")
        wait_until(lambda: not daemon.connections() and not daemon.zombies(), 5, "all reaped")
        daemon.wait_log("^connection [0-9a-f]+ started", count=count)  # the workers' lines come by way of the master
        daemon.wait_log("^connection [0-9a-f]+ ended$", count=count)
        started = len(daemon.log("^connection [0-9a-f]+ started"))
        ended = len(daemon.log("^connection [0-9a-f]+ ended$"))
        self.measured(connections=count, started=started, ended=ended)
        self.assertEqual((started, ended), (count, count))
        self.assertEqual([one.pid for one in daemon.workers()], workers)


class Balance(TestCase):
    def test_two_workers_take_equal_shares(self):
        log = {"target": os.path.join(self.directory, "0", "log"), "format": "json", "level": "info",
               "connections": ["start"]}
        daemon = self.start(log=log)
        storm = Storm(daemon.address(), count=2000, threads=8).wait()
        self.assertEqual(storm.failed, {})
        taken = {}
        for line in daemon.log("^connection [0-9a-f]+ started"):
            taken[line["writer"]] = taken.get(line["writer"], 0) + 1
        shares = sorted(count / 2000 for count in taken.values())
        self.measured(connections=2000, shares=[round(share, 3) for share in shares])
        self.assertEqual(len(shares), 2)
        self.assertGreaterEqual(shares[0], 0.3)

    def test_two_workers_share_held_connections(self):
        daemon = self.start()
        with Hold(daemon.address(), 200) as held:
            self.assertEqual(held.echo_all(), 200)
            shares = [len(children_of(worker.pid)) for worker in daemon.workers()]
        self.measured(held=200, shares=shares)
        self.assertGreaterEqual(min(shares), 60)


if __name__ == "__main__":
    main()
