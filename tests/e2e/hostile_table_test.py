"""A worker that writes into its connection table what no honest one would: one forgery each, and what the master makes of it."""

import os
import signal
import subprocess
import time

from harness import (Client, ControlledTestCase, Hold, children_of, listener, main, needs_root, process, signal_process,
                     wait_until)


class HostileTable(ControlledTestCase):
    def scribble(self, daemon, *words):
        subprocess.run([self.helper("scribbles"), str(daemon.pid), *map(str, words)], check=True, timeout=30)

    def text_of(self, path):
        if not os.path.exists(path):
            return ""
        with open(path, encoding="utf-8") as file:
            return file.read().strip()

    def kill_workers(self, daemon):
        for worker in daemon.workers():
            signal_process(worker.pid, signal.SIGKILL)

    def serves(self, daemon, seconds=15):
        def served():
            try:
                with Client(daemon.address(), timeout=1) as client:
                    return client.echo()
            except OSError:
                return False
        wait_until(served, seconds, "a new connection is served")

    def counts(self, daemon):
        return daemon.control.node("root/echo")["connections"]

    def daemon_with(self, **keys):
        daemon = self.supervise(listener(**keys))
        return daemon

    def test_a_header_of_zeroes(self):
        daemon = self.daemon_with(workers=1)
        with Hold(daemon.address(), 3) as held:
            self.assertEqual(held.echo_all(), 3)
            self.scribble(daemon, "header")
            self.kill_workers(daemon)
            self.serves(daemon)
            self.assertEqual(held.echo_all(), 3)
            wait_until(lambda: self.counts(daemon)["active"] == 3, 5, "the fourth has been counted as ended")

    def test_a_lock_that_nobody_gives_back_costs_the_table_and_no_connection(self):
        daemon = self.daemon_with(workers=2)
        with Hold(daemon.address(), 3) as held:
            self.assertEqual(held.echo_all(), 3)
            self.serves(daemon)
            wait_until(lambda: self.counts(daemon)["completed"] == 1, 5, "the first one has been counted")
            ids = {one["id"] for one in daemon.control.value("connections")}
            self.scribble(daemon, "lock")
            self.serves(daemon, 20)
            daemon.wait_log("its connection table has been recreated", connections=3)
            self.assertEqual(held.echo_all(), 3)
            wait_until(lambda: self.counts(daemon)["active"] == 3, 5, "the held ones are counted")
            self.assertEqual({one["id"] for one in daemon.control.value("connections")}, ids)
            self.assertGreaterEqual(self.counts(daemon)["completed"], 1)
            with Client(daemon.address()) as client:
                self.assertTrue(client.echo())
                self.assertEqual(len({one["id"] for one in daemon.control.value("connections")} - ids), 1)
        wait_until(lambda: self.counts(daemon)["active"] == 0, 5, "all have ended")

    def test_rubbish_to_repair_the_sources_from(self):
        daemon = self.daemon_with(workers=1, max_connections_per_source=100, penalties={"mode": "enforce"})
        for seed in range(5):
            self.scribble(daemon, "heap", seed)
            daemon.control.value("penalties")
            daemon.control.run("penalties", "clear", "0.0.0.0/0")
            self.kill_workers(daemon)
            self.serves(daemon)

    def test_counts_that_cannot_be_hold_no_stop_up(self):
        daemon = self.daemon_with(workers=1)
        self.serves(daemon)
        self.scribble(daemon, "counts")
        self.kill_workers(daemon)
        daemon.wait_workers(1)
        self.serves(daemon)
        wait_until(lambda: self.counts(daemon)["active"] == 0, 5, "the last one has ended")

    def test_what_is_left_of_a_group_is_not_whatever_a_slot_says(self):
        with subprocess.Popen(["sh", "-c", "sleep 60 & echo $!"], stdout=subprocess.PIPE, start_new_session=True) as shell:
            stranger = int(shell.stdout.readline())
            group = shell.pid
        self.addCleanup(os.kill, stranger, signal.SIGKILL)
        daemon = self.daemon_with(workers=1)
        self.scribble(daemon, "slot", 5, 3, group)
        self.kill_workers(daemon)
        wait_until(lambda: daemon.workers(), 5, "a worker")
        self.serves(daemon)
        time.sleep(1.2)  # the master's tick, at which a deadline that has passed would be kept
        self.assertTrue(process(stranger).alive())

    @needs_root
    def test_an_orphan_of_a_process_is_not_signalled_through_a_slot(self):
        started = os.path.join(self.directory, "orphan")
        program = {"id": "leaves", "type": "process", "kill_mode": "process", "restart": "temporary",
                   "argv": ["/bin/sh", "-c", f"setsid sh -c 'echo $$ > {started}; exec sleep 60' &\nexit 0"]}
        daemon = self.supervise(listener(workers=1, max_lifetime="1h"), program)
        orphan = int(wait_until(lambda: self.text_of(started), 5, "an orphan"))
        self.addCleanup(os.kill, orphan, signal.SIGKILL)
        wait_until(lambda: any(one.pid == orphan for one in children_of(daemon.pid)), 5, "it is the master's")
        self.scribble(daemon, "slot", 5, 2, orphan)
        self.kill_workers(daemon)
        wait_until(lambda: self.counts(daemon)["adopted"] == 1, 5, "adopted and counted all the same")
        self.serves(daemon)
        time.sleep(1.2)  # its lifetime is long over
        self.assertTrue(process(orphan).alive())

    def test_a_table_full_of_connections_that_never_were(self):
        daemon = self.daemon_with(workers=1, max_connections=90_000)
        self.scribble(daemon, "fill", 90_000)
        self.kill_workers(daemon)
        began = time.monotonic()
        longest = 0.0
        while not daemon.log("some ended connections of a dead worker were not logged"):
            before = time.monotonic()
            daemon.control.value("status")
            longest = max(longest, time.monotonic() - before)
            self.assertLess(time.monotonic() - began, 30)
        self.serves(daemon, 20)
        self.assertLessEqual(len(daemon.log("ended while its worker was being replaced")), 100)
        wait_until(lambda: self.counts(daemon)["active"] == 0, 20, "all slots are free again")
        self.measured(longest_answer=longest)

    def test_a_race_against_everything_that_reads_it(self):
        daemon = self.daemon_with(workers=2, max_connections_per_source=100, penalties={"mode": "enforce"})
        for seed in range(3):
            with subprocess.Popen([self.helper("scribbles"), str(daemon.pid), "race", "700", str(seed)]) as racer:
                while racer.poll() is None:
                    for verb in ("tree", "connections", "penalties", "stats"):
                        daemon.control.value(verb)
                    self.kill_workers(daemon)
        self.serves(daemon, 25)
        self.assertTrue(daemon.running())


if __name__ == "__main__":
    main()
