"""PROXY headers that are not complete yet, when their worker, their listener, their daemon or its master ends."""

import signal

from harness import Client, main, needs_root, signal_process, wait_until
from harness.daemon import listening_on
from harness.proxy_header import proxy_v1
from proxy_test import LINE, ProxyTestCase


class Workers(ProxyTestCase):
    def half(self, daemon, count):
        clients = [Client(daemon.address()) for _ in range(count)]
        for client in clients:
            client.send(proxy_v1()[:20])
            self.addCleanup(client.close)
        return clients

    def seen(self, daemon, clients):
        """Waits until no half header is left unread in the kernel: their workers have them."""
        def unread():
            with open("/proc/net/tcp") as file:
                rows = [line.split() for line in file][1:]
            port = f":{daemon.address()[1]:04X}"
            return sum(row[1].endswith(port) and row[3] == "01" and row[4].split(":")[1] != "00000000" for row in rows)
        wait_until(lambda: unread() == 0, 5, "every half header read")

    @needs_root
    def test_a_killed_worker_loses_the_headers_that_it_held_and_nothing_else(self):
        daemon = self.echo(workers=2)
        served = [Client(daemon.address()) for _ in range(10)]
        for client in served:
            self.addCleanup(client.close)
            client.send(proxy_v1())
            self.assertTrue(client.echo())
        half = self.half(daemon, 20)
        self.seen(daemon, half)
        workers = daemon.workers()
        held = {one.pid: sum(kind == "socket" for kind in one.fd_kinds().values()) for one in workers}
        victim = max(workers, key=lambda one: held[one.pid])
        signal_process(victim.pid, 9)
        daemon.wait_workers(2, without=[victim])
        lost = 0
        for client in half:
            try:
                client.send(proxy_v1()[20:] + LINE)
                lost += client.receive(len(LINE)) != LINE
            except OSError:
                lost += 1
        self.measured(held=held, lost=lost)
        self.assertGreater(lost, 0)
        self.assertLessEqual(lost, held[victim.pid])
        for client in served:
            self.assertTrue(client.echo())

    def test_a_retiring_worker_finishes_its_headers(self):
        daemon = self.echo(workers=1)
        half = self.half(daemon, 5)
        self.seen(daemon, half)
        worker = daemon.workers()[0]
        signal_process(worker.pid, 15)
        for client in half:
            client.send(proxy_v1()[20:])
            self.assertTrue(client.echo())
        daemon.wait_workers(1, without=[worker])
        for client in half:
            self.assertTrue(client.echo(), "adopted")
        self.refused(daemon)

    def test_a_stopped_worker_accepts_headers_that_arrived_in_time(self):
        daemon = self.echo(workers=1, proxy_timeout="1s")
        half = self.half(daemon, 5)
        self.seen(daemon, half)
        worker = daemon.workers()[0]
        signal_process(worker.pid, signal.SIGSTOP)
        for client in half[:3]:
            client.send(proxy_v1()[20:] + LINE)
        self.assertTrue(half[0].silent(1.1), "the deadline passes")
        signal_process(worker.pid, signal.SIGCONT)
        for client in half[:3]:
            self.assertEqual(client.receive(len(LINE)), LINE)
        for client in half[3:]:
            self.assertEqual(client.rest(), b"")
        self.refused(daemon, proxy_timeout=2)

    def test_a_draining_daemon_finishes_its_headers(self):
        daemon = self.echo(workers=2)
        half = self.half(daemon, 4)
        self.seen(daemon, half)
        daemon.send_signal(15)
        daemon.events.next("drain_started", "root")
        for client in half:
            client.send(proxy_v1()[20:])
            self.assertTrue(client.echo())
            client.close()
        self.assertEqual(daemon.wait_exit(), 0)

    def test_a_worker_without_master_finishes_its_headers(self):
        daemon = self.echo(workers=1)
        half = self.half(daemon, 2)
        self.seen(daemon, half)
        port = daemon.address()[1]
        daemon.events.close()
        daemon.control.close()
        daemon.kill_master()
        wait_until(lambda: not listening_on(port), 5, "the worker has closed its socket")
        for client in half:
            client.send(proxy_v1()[20:])
            self.assertTrue(client.echo())
            client.close()

    def test_a_fast_shutdown_does_not_wait_for_headers(self):
        daemon = self.echo(workers=2, proxy_timeout="60s")
        half = self.half(daemon, 4)
        self.seen(daemon, half)
        daemon.events.close()
        self.assertEqual(daemon.stop(2, 5), 0)
        for client in half:
            try:
                self.assertEqual(client.rest(), b"")
            except ConnectionError:
                pass


if __name__ == "__main__":
    main()
