"""Restart intensity with real processes, workers that are asked to retire, and signals that are meant for another process."""

import signal
import time

from harness import Client, ControlledTestCase, Hold, TestCase, listener, main, process, signal_process, wait_until

HARMLESS_TO_WORKERS = [signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGWINCH, signal.SIGTTIN, signal.SIGTTOU,
                       signal.SIGINT, signal.SIGALRM, signal.SIGPIPE]


class Intensity(ControlledTestCase):
    def kill_until_it_ends(self, daemon, at_most):
        """Kills worker 1 repeatedly; returns how often."""
        kills, last = 0, 0
        while kills < at_most and daemon.running():
            found = [one for one in daemon.workers() if one.pid != last]
            if not found:
                continue
            last = found[0].pid
            kills += signal_process(last, signal.SIGKILL)
        return kills

    def test_max_restarts_are_allowed_and_the_next_one_ends_it(self):
        daemon = self.start(listener(workers=1, max_restarts=2, max_seconds=60), supervisor={"max_restarts": 0})
        daemon.expected_status = 70
        address = daemon.address()
        with Client(address) as client:
            self.assertTrue(client.echo())
            child = daemon.child_of(client)
            kills = self.kill_until_it_ends(daemon, 10)
            self.assertEqual(daemon.wait_exit(), 70)
            self.assertTrue(client.echo(b"without a daemon\n"))
        self.wait_gone([child])
        self.assertEqual(kills, 3)
        chain = daemon.log("^gave up: ", path="root", level="error")
        self.assertEqual(len(chain), 1)
        for part in ("root/echo/1", "root/echo", "max_restarts"):
            self.assertIn(part, chain[0]["message"])
        with self.assertRaises(ConnectionRefusedError):
            Client(address).close()
        self.measured(max_restarts=2, kills=kills, status=70, chain=repr(chain[0]["message"]))

    def test_a_listener_that_gives_up_is_restarted_by_its_parent_and_keeps_its_connections(self):
        daemon = self.start(listener(workers=1, max_restarts=1, max_seconds=60), supervisor={"max_restarts": 1, "max_seconds": 60})
        daemon.expected_status = 70
        with Client(daemon.address()) as client:
            self.assertTrue(client.echo())
            for _ in range(2):
                worker = daemon.wait_workers(1, without=daemon.seen.values())[0]
                daemon.seen[worker.pid] = worker
                signal_process(worker.pid, signal.SIGKILL)
            daemon.wait_log("giving up", path="root/echo")
            daemon.wait_workers(1, without=daemon.seen.values())
            self.assertTrue(client.echo(b"still here\n"))
            with Client(daemon.address()) as other:
                self.assertTrue(other.echo())
            self.kill_until_it_ends(daemon, 10)
            self.assertEqual(daemon.wait_exit(), 70)

    def test_connections_that_crash_do_not_count(self):
        daemon = self.start(listener(max_restarts=1, max_seconds=60), supervisor={"max_restarts": 0},
                            environment=self.without_fault_handlers)
        workers = [one.pid for one in daemon.workers()]
        for _ in range(30):
            with Client(daemon.address()) as client:
                self.assertTrue(client.echo())
                signal_process(daemon.child_of(client).pid, signal.SIGSEGV)
                self.assertEqual(client.rest(), b"")
        self.assertEqual([one.pid for one in daemon.workers()], workers)
        self.measured(crashed=30, worker_restarts=0)

    def test_a_sibling_listener_continues(self):
        daemon = self.start(listener("bad", workers=1, max_restarts=0, restart="temporary"), listener("good"))
        with Client(daemon.address("good")) as client:
            self.assertTrue(client.echo())
            signal_process(daemon.workers("bad")[0].pid, signal.SIGKILL)
            daemon.wait_log("giving up", path="root/bad")
            self.assertTrue(client.echo())
            with Client(daemon.address("good")) as other:
                self.assertTrue(other.echo())
        self.assertEqual(len(daemon.workers("good")), 2)


class Retiring(TestCase):
    def test_term_to_a_worker_retires_it_and_costs_no_connection(self):
        daemon = self.start()
        with Hold(daemon.address(), 20) as held:
            for _ in range(6):
                victim = daemon.workers()[0]
                signal_process(victim.pid, signal.SIGTERM)
                daemon.wait_workers(2, without=[victim])
                self.assertEqual(held.echo_all(), 20)
            with Client(daemon.address()) as client:
                self.assertTrue(client.echo())
        self.assertEqual(daemon.log(level="error"), [])
        self.measured(retired=6, lost=0)


class Signals(TestCase):
    def test_workers_survive_signals_meant_for_others(self):
        daemon = self.start()
        before = daemon.workers()
        with Client(daemon.address()) as client:
            self.assertTrue(client.echo())
            for _ in range(3):
                for worker in before:
                    for number in HARMLESS_TO_WORKERS:
                        signal_process(worker.pid, number)
            self.assertTrue(client.echo())
            with Client(daemon.address()) as other:
                self.assertTrue(other.echo())
        self.assertEqual([one.pid for one in daemon.workers()], [one.pid for one in before])

    def test_the_master_survives_signals_meant_for_others(self):
        daemon = self.start()
        for _ in range(20):
            for number in (signal.SIGUSR1, signal.SIGWINCH, signal.SIGALRM, signal.SIGPIPE, signal.SIGHUP, signal.SIGUSR2):
                daemon.send_signal(number)
        # WINCH suspends; a later one, or a reload, may resume. What matters here: no process died.
        wait_until(lambda: len(daemon.workers()) == 2, 5, "two workers")
        self.assertTrue(daemon.running())

    def test_a_stopped_and_continued_child_is_not_taken_for_dead(self):
        daemon = self.start()
        with Client(daemon.address()) as client:
            self.assertTrue(client.echo())
            child = daemon.child_of(client)
            before = [one.pid for one in daemon.workers()]
            for _ in range(20):
                for pid in (before[0], child.pid):
                    signal_process(pid, signal.SIGSTOP)
                    wait_until(lambda: process(pid).state == "T", 2, "stopped")
                    signal_process(pid, signal.SIGCONT)
                    wait_until(lambda: process(pid).state != "T", 2, "continued")
            self.assertTrue(client.echo())
            self.assertEqual([one.pid for one in daemon.workers()], before)
            self.assertTrue(child.alive())
        self.assertEqual(daemon.log("crashed"), [])

    def test_a_burst_of_deaths_during_a_stopped_reaper_is_reaped(self):
        daemon = self.start(listener(workers=1, max_restarts=1000))
        worker = daemon.workers()[0]
        with Hold(daemon.address(), 200) as held:
            self.assertEqual(held.echo_all(), 200)
            # Half are the worker's; then the worker dies and the rest are the master's.
            for reaper, victims in ((worker.pid, daemon.connections()[:100]), (daemon.pid, None)):
                if victims is None:
                    signal_process(worker.pid, signal.SIGKILL)
                    daemon.wait_workers(1, without=[worker])
                    victims = daemon.connections()
                    self.assertEqual({one.ppid for one in victims}, {daemon.pid})
                signal_process(reaper, signal.SIGSTOP)
                wait_until(lambda: process(reaper).state == "T", 2, "stopped")
                for victim in victims:
                    signal_process(victim.pid, signal.SIGKILL)
                signal_process(reaper, signal.SIGCONT)
                began = time.monotonic()
                wait_until(lambda: all(process(one.pid) is None for one in victims), 1.0, "100 reaped within a second")
                self.measured(deaths=len(victims), reaped_after=time.monotonic() - began)
        self.assertEqual(len(daemon.wait_log("crashed: killed by SIGKILL", 200)), 200)


if __name__ == "__main__":
    main()
