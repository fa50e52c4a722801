"""Workers that are replaced because they have served enough: by number of connections, by age, after crashes."""

import signal

from harness import Client, ControlledTestCase, Hold, listener, main, signal_process, wait_until


class Recycling(ControlledTestCase):
    def restarts(self, daemon, path):
        return daemon.control.node(path).get("restarts", 0)

    def stack_of(self, pid):
        with open(f"/proc/{pid}/maps") as maps:
            return [line.split("-")[0] for line in maps if line.rstrip().endswith("[stack]")]

    def test_no_client_is_lost_while_workers_are_replaced_for_their_accepts(self):
        daemon = self.supervise(listener(max_accepts=100))
        before = {one.pid for one in daemon.workers()}
        with Hold(daemon.address(), 10) as held:
            for number in range(3000):
                with Client(daemon.address()) as client:
                    self.assertTrue(client.echo(), number)
            wait_until(lambda: not before & {one.pid for one in daemon.workers()}, 5, "two other workers")
            self.assertEqual(held.echo_all(), 10)
        self.assertEqual(daemon.events.of("child_restarting"), [])
        self.assertEqual(daemon.log(level="error"), [])
        self.assertEqual(daemon.log("crashed"), [])
        told = daemon.wait_log("^max_accepts reached: replacing this worker", path="root/echo/1")
        self.assertEqual(told[0]["level"], "info")
        self.measured(clients=3000, replaced=len(daemon.events.of("worker_recycled")))

    def test_a_worker_is_replaced_at_its_age_and_serves_until_then(self):
        daemon = self.supervise(listener(workers=1, max_age="1s"))
        first = daemon.workers()[0]
        with Client(daemon.address()) as held:
            self.assertTrue(held.echo())
            daemon.events.next("worker_recycled", "root/echo/1", reason="max_age reached", pid=first.pid)
            daemon.wait_workers(1, without=[first])
            self.assertTrue(held.echo())
            with Client(daemon.address()) as client:
                self.assertTrue(client.echo())
        self.assertEqual(daemon.events.of("child_restarting"), [])

    def crash(self, daemon, times):
        for _ in range(times):
            with Client(daemon.address()) as client:
                self.assertTrue(client.echo())
                signal_process(daemon.child_of(client).pid, signal.SIGSEGV)
                self.assertEqual(client.rest(), b"")

    def test_ten_crashes_bring_a_worker_with_another_layout(self):
        daemon = self.supervise(listener(workers=1, max_crashes={"count": 10, "per": "1m"}),
                                environment=self.without_fault_handlers)
        first = daemon.workers()[0]
        layout = self.stack_of(first.pid)
        with Client(daemon.address()) as held:
            self.assertTrue(held.echo())
            self.crash(daemon, 9)
            self.assertEqual([one.pid for one in daemon.workers()], [first.pid])
            self.crash(daemon, 1)
            daemon.events.next("worker_recycled", "root/echo/1", reason="10 connections crashed within 1m")
            second = daemon.wait_workers(1, without=[first])[0]
            self.assertTrue(held.echo())
            self.crash(daemon, 1)
        self.assertNotEqual(self.stack_of(second.pid), layout)
        self.assertEqual(daemon.events.of("child_restarting"), [])

    def test_a_worker_whose_connections_crash_accepts_no_other(self):
        daemon = self.supervise(listener(workers=1, max_crashes={"count": 1, "per": "1m"}),
                                environment=self.without_fault_handlers)
        served_by = []
        for number in range(1, 5):
            with Client(daemon.address()) as client:
                self.assertTrue(client.echo(timeout=5))
                served_by.append(daemon.workers()[0].pid)
                signal_process(daemon.child_of(client).pid, signal.SIGSEGV)
                daemon.wait_log("crashed", count=number, path="root/echo")
        self.assertEqual(len(set(served_by)), 4)
        self.assertEqual(daemon.events.of("child_restarting"), [])


if __name__ == "__main__":
    main()
