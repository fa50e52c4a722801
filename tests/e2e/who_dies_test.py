"""The cost of a death: SIGKILL for each process in turn, with clients that count their losses."""

import os
import random
import re
import signal
import time

from harness import (SOURCE, Canary, Client, ControlledTestCase, Hold, Manager, Storm, TestCase, children_of, config_of, free_port, listener, main, needs_root,
                     process, signal_process, wait_until)
from harness.daemon import listening_on

MANY = 1_000_000  # restarts allowed: these tests kill more often than any service should have to bear


def robust(**keys):
    return listener(max_restarts=MANY, restart_delay="none", **keys)


class AChild(TestCase):
    def test_a_crash_costs_its_own_connection_and_leaves_one_line(self):
        daemon = self.start(environment=self.without_fault_handlers)
        with Hold(daemon.address(), 20) as held:
            self.assertEqual(held.echo_all(), 20)
            for victim, number in ((held.clients[3], signal.SIGSEGV), (held.clients[7], signal.SIGKILL)):
                child = daemon.child_of(victim)
                signal_process(child.pid, number)
                self.assertEqual(victim.rest(), b"")
                victim.close()
                line = daemon.wait_log("crashed", peer=victim.name)[0]
                self.assertEqual(line["path"], "root/echo")
                self.assertEqual(line["pid"], child.pid)
                self.assertEqual(line["signal"], number.name)
                self.assertIsInstance(line["age_seconds"], float)
                self.assertEqual(line["level"], "warning")
                self.assertEqual(len(daemon.wait_log("crashed", pid=child.pid, count=1)), 1)
                held.clients.remove(victim)
            self.assertEqual(held.echo_all(), 18)
        self.measured(killed=2, others_lost=0)


class Workers(TestCase):
    def test_a_killed_worker(self):
        daemon = self.start(robust())
        with Hold(daemon.address(), 50) as held, Canary(daemon.address(), 5) as canary:
            before = daemon.workers()
            began = time.monotonic()
            signal_process(before[0].pid, signal.SIGKILL)
            new = daemon.wait_workers(2, without=before[:1])
            restart = time.monotonic() - began
            self.assertIn(before[1].pid, [one.pid for one in new])
            self.assertEqual(held.echo_all(), 50)
            with Client(daemon.address()) as client:
                self.assertTrue(client.echo())
            self.every_child_has_a_parent_in_the_tree(daemon)
        self.assertEqual(canary.errors, 0)
        self.assertLess(restart, 1.0)
        self.assertEqual(len(daemon.wait_log("killed by SIGKILL", path="root/echo/1", count=1)), 1)
        self.measured(held=50, lost=0, restart=restart, canary_gap=canary.max_gap)

    def every_child_has_a_parent_in_the_tree(self, daemon):
        self.assertEqual([one for one in children_of(os.getpid()) if one.pid in daemon.seen], [])

    def test_all_workers_killed_at_once_during_200_held_connections(self):
        daemon = self.start(robust(workers=4))
        with Hold(daemon.address(), 200) as held, Canary(daemon.address(), 5) as canary:
            self.assertEqual(held.echo_all(), 200)
            pids = {child.pid for child in daemon.connections()}
            before = daemon.workers()
            for worker in before:
                signal_process(worker.pid, signal.SIGKILL)
            began = time.monotonic()
            with Client(daemon.address()) as client:
                self.assertTrue(client.echo())
            served = time.monotonic() - began
            self.assertEqual(held.echo_all(), 200)
            daemon.wait_workers(4, without=before)
            adopted = sum(one.pid in pids for one in children_of(daemon.pid))
            self.assertEqual(adopted, 205)
            self.assertEqual(held.echo_all(), 200)
        self.assertEqual(canary.errors, 0)
        self.assertLess(served, 1.0)
        self.assertEqual(sum(int(line["message"].split("its ")[1].split()[0])
                             for line in daemon.log("connections continue")), 205)
        wait_until(lambda: not daemon.connections(), 5, "adopted children reaped")
        self.measured(held=200, lost=0, adopted=adopted, new_connection_after=served, canary_gap=canary.max_gap)

    def test_a_storm_of_kills_under_load(self):
        seed = int(os.environ.get("BULKHEAD_TEST_SEED", random.SystemRandom().randrange(1 << 32)))
        dice = random.Random(seed)
        seconds = 8.0
        daemon = self.start(robust(workers=4))
        kills = 0
        with Hold(daemon.address(), 50) as held, Canary(daemon.address(), 10) as canary, \
                Storm(daemon.address()) as storm:
            deadline = time.monotonic() + seconds
            while time.monotonic() < deadline:
                workers = daemon.workers()
                if not workers:
                    continue
                kills += signal_process(dice.choice(workers).pid, signal.SIGKILL)
                time.sleep(dice.uniform(0.0, 0.15))
            storm.stop()
            alive = held.echo_all()
        counts = storm.counts
        wait_until(lambda: not daemon.connections(), 10, "every child reaped")
        self.measured(seed=seed, kills=kills, held=50, lost=50 - alive, canary_errors=canary.errors,
                      canary_gap=canary.max_gap, slowest=storm.slowest, **counts)
        self.assertEqual((alive, canary.errors), (50, 0))
        self.assertEqual(counts["refused"], 0)
        self.assertEqual((counts["wrong"], counts["timeout"]), (0, 0))
        # A worker loses at most the one connection that it held between accept and hand-over.
        self.assertLessEqual(counts["reset"] + counts["eof"], kills)
        self.nothing_is_still_counted(daemon)

    def nothing_is_still_counted(self, daemon):
        """All slots are free again: max_connections clients fit."""
        with Hold(daemon.address(), 100) as held:
            self.assertEqual(held.echo_all(), 100)

    def test_adopted_children_stay_counted(self):
        daemon = self.start(robust(max_connections=50))
        with Hold(daemon.address(), 50) as held:
            self.assertEqual(held.echo_all(), 50)
            for turn in range(20):
                workers = daemon.workers()
                victims = [workers[turn % 2]] if turn < 15 else workers
                for worker in victims:
                    signal_process(worker.pid, signal.SIGKILL)
                daemon.wait_workers(2, without=victims)
            self.assertEqual(len(daemon.connections()), 50)
            with Client(daemon.address()) as late:
                late.send(b"is there room?\n")
                self.assertTrue(late.silent(0.5))
                self.assertEqual(len(daemon.connections()), 50)
                held.clients.pop(25).close()
                began = time.monotonic()
                self.assertEqual(late.receive(15), b"is there room?\n")
                waited = time.monotonic() - began
            self.assertEqual(held.echo_all(), 49)
        self.assertLess(waited, 1.0)
        wait_until(lambda: not daemon.connections(), 5, "every child reaped")
        with Hold(daemon.address(), 50) as again:
            self.assertEqual(again.echo_all(), 50)
        self.measured(turns=20, limit=50, served_after=waited)

    def test_a_crash_of_an_adopted_child_is_reported_like_any_other(self):
        daemon = self.start(robust(), environment=self.without_fault_handlers)
        with Client(daemon.address()) as client:
            self.assertTrue(client.echo())
            child = daemon.child_of(client)
            before = daemon.workers()
            for worker in before:
                signal_process(worker.pid, signal.SIGKILL)
            daemon.wait_workers(2, without=before)
            self.assertEqual(process(child.pid).ppid, daemon.pid)
            signal_process(child.pid, signal.SIGSEGV)
            self.assertEqual(client.rest(), b"")
            line = daemon.wait_log("crashed", peer=client.name)[0]
        self.assertEqual((line["path"], line["pid"], line["signal"]), ("root/echo", child.pid, "SIGSEGV"))

    @needs_root
    def test_a_stopped_worker_costs_no_new_client(self):
        daemon = self.start(robust())
        first = daemon.workers()[0]
        signal_process(first.pid, signal.SIGSTOP)
        storm = Storm(daemon.address(), count=200).wait()
        signal_process(first.pid, signal.SIGCONT)
        self.measured(**storm.counts)
        self.assertEqual(storm.failed, {})


class TheMaster(TestCase):
    def test_connections_continue_and_the_next_master_starts_at_once(self):
        port = free_port()
        config = config_of(listener(listen=f"127.0.0.1:{port}"))
        first = self.start(config=config)
        with Hold(first.address(), 100) as held, Canary(first.address(), 5) as canary:
            self.assertEqual(held.echo_all(), 100)
            workers = [one for one in first.workers() if children_of(one.pid)]
            first.kill_master()
            wait_until(lambda: not listening_on(port), 2, "both workers close the port")
            self.assertEqual(held.echo_all(), 100)
            began = time.monotonic()
            second = self.start(config=config)
            start = time.monotonic() - began
            with Client(second.address()) as client:
                self.assertTrue(client.echo())
            self.assertEqual(held.echo_all(), 100)
            self.assertEqual([one for one in workers if not one.alive()], [])
        self.assertEqual(canary.errors, 0)
        wait_until(lambda: not any(one.alive() for one in workers), 5, "the old workers leave with their last connection")
        self.assertLess(start, 1.5)
        self.measured(held=100, lost=0, next_start=start, canary_gap=canary.max_gap)

    def test_idle_workers_leave_at_once(self):
        daemon = self.start()
        workers = daemon.workers()
        daemon.kill_master()
        began = time.monotonic()
        wait_until(lambda: not any(one.alive() for one in workers), 5, "the workers leave")
        self.measured(left_after=time.monotonic() - began)
        with self.assertRaises(ConnectionRefusedError):
            Client(daemon.address()).close()

    def test_a_child_of_an_orphaned_worker_is_still_reaped(self):
        daemon = self.start(listener(workers=1))
        with Hold(daemon.address(), 10) as held:
            self.assertEqual(held.echo_all(), 10)  # all are accepted: without its master the worker accepts no more
            worker = daemon.workers()[0]
            daemon.kill_master()
            for client in held.clients[:5]:
                self.assertTrue(client.echo())
                client.close()
            wait_until(lambda: len(children_of(worker.pid)) == 5, 3, "five reaped by their worker")
            del held.clients[:5]
            self.assertEqual(held.echo_all(), 5)


class TheTable(ControlledTestCase):
    """README.md's table, one row after another at one daemon, under a storm of short connections, with its counts."""

    HELD = 100

    def setUp(self):
        super().setUp()
        self.manager = Manager(self.directory)
        self.addCleanup(self.manager.close)
        port = free_port()
        self.children = (robust(listen=f"127.0.0.1:{port}"), {"id": "ticker", "type": "process", "ready": "exec", "argv": ["/bin/sleep", "1000"]})
        self.address = ("127.0.0.1", port)
        self.rows = []

    def kill(self, *processes):
        for one in processes:
            signal_process(one.pid, signal.SIGKILL)
        return processes

    def row(self, who, hold, deed, held_lost=0, spared=0, unserved=False):
        """`deed` under load. Held connections may be lost; all short ones must be served, except `spared`."""
        with Storm(self.address, threads=2, timeout=10) as storm:
            wait_until(lambda: storm.total > 30, 10, "a storm")
            deed()
            until = storm.counts["ok"] + 30
            wait_until(lambda: storm.counts["ok"] > until, 10, "a storm that goes on")
        before = len(hold)
        for client in [one for one in hold.clients if not self.echoes(one)]:
            client.close()
            hold.clients.remove(client)
        lost = before - len(hold)
        failed = storm.failed
        self.rows.append(f"| {who} | {lost} of {before} | {sum(failed.values())} of {storm.total} {failed or ''}|".replace("}|", "} |"))
        self.assertEqual(lost, held_lost, who)
        self.assertEqual(failed.get("wrong", 0) + failed.get("timeout", 0), 0, who)
        if not unserved:
            self.assertEqual(failed.get("refused", 0), 0, who)
            self.assertLessEqual(sum(failed.values()), spared, who)

    def echoes(self, client):
        try:
            return client.echo()
        except OSError:
            return False

    def test_every_row(self):
        daemon = self.supervise(*self.children, environment=self.manager.environment())
        self.manager.listen(lambda: len(self.manager.store) == 1)
        hold = Hold(self.address, self.HELD)
        self.addCleanup(hold.close)
        self.assertEqual(hold.echo_all(), self.HELD)
        daemon.control.close()
        self.row("a connection child", hold, lambda: self.kill(daemon.child_of(hold.clients[0])), held_lost=1)
        self.row("a worker", hold, lambda: daemon.wait_workers(2, self.kill(daemon.workers()[0])), spared=1)
        self.row("all workers at once", hold, lambda: daemon.wait_workers(2, self.kill(*daemon.workers())), spared=2)
        self.row("a `process` child", hold, lambda: self.replaced(daemon))
        self.row("the master on an upgrade", hold, lambda: self.assertEqual(daemon.control.run("upgrade", "--wait")[0], 0))
        daemon.control.close()
        second = []
        self.row("the master, with a descriptor store", hold, lambda: second.append(self.next_master(daemon, **self.manager.with_store(self.helper("passes_sockets")))))
        self.manager.close()
        third = []
        self.row("the master, without one", hold, lambda: third.append(self.next_master(second[0], supervisor={"max_restarts": 0})), unserved=True)
        self.row("the root supervisor gives up", hold, lambda: self.given_up(third[0]), unserved=True)
        print("| who dies | established connections lost | refused or reset meanwhile |\n|---|---|---|", *self.rows, sep="\n", flush=True)
        self.assertEqual([one.split(" | ")[0].strip("| ") for one in self.rows], self.promised())

    def replaced(self, daemon):
        before = daemon.control.node("root/ticker")["pid"]
        signal_process(before, signal.SIGKILL)
        wait_until(lambda: daemon.control.node("root/ticker")["pid"] not in (before, None), 5, "another one")

    def next_master(self, daemon, **options):
        daemon.kill_master()
        began = time.monotonic()
        started = self.start(*self.children, **options)
        self.assertLess(time.monotonic() - began, 1.5)
        return started

    def given_up(self, daemon):
        daemon.tree()  # remembers the processes seen
        self.kill(next(one for one in children_of(daemon.pid) if one.name == "sleep"))
        self.assertEqual(daemon.wait_exit(), 70)
        daemon.killed = True  # for the harness: what remains is no fault
        self.start(*self.children)

    def promised(self):
        """The first column of the table in README.md."""
        with open(os.path.join(SOURCE, "README.md")) as file:
            table = re.search(r"^\| who dies .*\n\|[-|]+\n((?:\|.*\n)+)", file.read(), re.M).group(1)
        return [line.split("|")[1].strip() for line in table.splitlines()]


class TheStory(TestCase):
    def test_the_log_reports_it_in_plain_sentences(self):
        daemon = self.start(robust(workers=1), log=None)
        worker = daemon.workers()[0]
        with Client(daemon.address()) as client:
            self.assertTrue(client.echo())
            signal_process(worker.pid, signal.SIGKILL)
            daemon.wait_workers(1, without=[worker])
            daemon.wait_log("^ready", 2, path="root/echo/1")
        told = [line["message"] for line in daemon.log(path="root/echo/1") if line["level"] != "debug"]
        wanted = ["^ready$", r"^killed by SIGKILL; its 1 connection continues \(adopted by the master\)$", "^restarting at once$",
                  "^ready$"]
        self.assertEqual(len(told), len(wanted), told)
        for message, pattern in zip(told, wanted):
            self.assertTrue(re.search(pattern, message), told)


if __name__ == "__main__":
    main()
