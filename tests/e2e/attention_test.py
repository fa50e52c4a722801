"""What connections of programs are looked at for: idle_timeout, first_byte_timeout, on_client_gone; and their stop_signal."""

import contextlib
import signal
import time

from harness import AdmissionTestCase, Client, exec_listener, listener, main, signal_process
from harness.proxy_header import proxy_v1

CAT = ["/bin/cat"]
DEAF = ["/bin/sh", "-c", "echo ready; exec sleep 1000"]  # neither reads nor writes any more
SAYS_WHICH = ["/bin/sh", "-c", "for s in TERM INT HUP; do trap \"echo $s; exit 0\" $s; done; echo ready; while :; do sleep 0.05; done"]


class Attention(AdmissionTestCase):
    def ends_after(self, client, seconds):
        began = time.monotonic()
        with contextlib.suppress(ConnectionResetError):
            self.assertEqual(client.rest(), b"")
        passed = time.monotonic() - began
        self.assertGreaterEqual(passed, seconds - 0.02)
        self.assertLess(passed, seconds + 1)

    def test_a_program_whose_connection_is_idle_is_ended(self):
        daemon = self.supervise(exec_listener(CAT, idle_timeout="400ms"))
        with Client(daemon.address()) as idle, Client(daemon.address()) as busy:
            self.assertTrue(idle.echo())
            for _ in range(6):
                time.sleep(0.1)  # what is measured
                self.assertTrue(busy.echo())
            self.assertEqual(idle.rest(), b"")
            self.assertTrue(busy.echo())
            self.ends_after(busy, 0.4)
        self.wait_counts(daemon, "run", active=0, completed=2, crashed=0, client_gone=0)
        daemon.wait_log("was idle for its idle_timeout: sending SIGTERM", count=2, reason="timeout")
        daemon.wait_log("ended: idle_timeout reached", count=2, reason="timeout", signal="SIGTERM")

    def test_what_the_program_sends_counts_too(self):
        daemon = self.supervise(exec_listener(["/bin/sh", "-c", "for i in 1 2 3 4 5 6; do echo $i; sleep 0.1; done; exec sleep 1000"],
                                              idle_timeout="400ms"))
        with Client(daemon.address()) as client:
            self.assertEqual(client.receive(12), b"1\n2\n3\n4\n5\n6\n")
            self.assertEqual(client.rest(), b"")
        daemon.wait_log("ended: idle_timeout reached")

    def test_adopted_connections_are_idle_alike(self):
        daemon = self.supervise(exec_listener(CAT, idle_timeout="500ms", workers=1, max_restarts=1000, restart_delay="none"))
        with Client(daemon.address()) as client:
            self.assertTrue(client.echo())
            workers = daemon.workers()
            signal_process(workers[0].pid, signal.SIGKILL)
            daemon.wait_workers(1, without=workers)
            self.assertTrue(client.echo())
            self.ends_after(client, 0.5)
        line = daemon.wait_log("was idle for its idle_timeout: sending SIGTERM")[0]
        self.assertEqual(line["writer"], daemon.pid)
        self.wait_counts(daemon, "run", active=0, completed=1, crashed=0)

    def test_a_client_that_says_nothing(self):
        daemon = self.supervise(listener(first_byte_timeout="300ms"), exec_listener(CAT, first_byte_timeout="300ms"))
        for name in ("echo", "run"):
            with Client(daemon.address(name)) as silent, Client(daemon.address(name)) as speaks:
                self.assertTrue(speaks.echo())
                self.ends_after(silent, 0.2)
                self.assertTrue(speaks.echo())
            self.wait_counts(daemon, name, active=0, completed=2, crashed=0)
        daemon.wait_log("ended: first_byte_timeout reached", count=2, reason="timeout")

    def test_a_proxy_header_is_no_first_byte(self):
        daemon = self.supervise(exec_listener(CAT, first_byte_timeout="300ms", proxy_protocol="v1"))
        with Client(daemon.address()) as silent, Client(daemon.address()) as speaks:
            silent.send(proxy_v1())
            speaks.send(proxy_v1() + b"x")
            self.assertEqual(speaks.receive(1), b"x")
            self.ends_after(silent, 0.2)
            self.assertTrue(speaks.echo())

    def test_a_program_goes_on_without_its_client_unless_told(self):
        daemon = self.supervise(exec_listener(DEAF, "leave"), exec_listener(DEAF, "term", on_client_gone="term"),
                                exec_listener(DEAF, "eof", on_client_gone="term_on_eof"))
        for name in ("leave", "term", "eof"):
            for end in (Client.half_close, Client.reset):
                client = Client(daemon.address(name))
                self.addCleanup(client.close)
                self.assertEqual(client.receive(6), b"ready\n")
                end(client)
        self.wait_counts(daemon, "eof", active=0, client_gone=2, crashed=0)
        self.wait_counts(daemon, "term", active=1, client_gone=1, crashed=0)
        self.wait_counts(daemon, "leave", active=2, client_gone=0)
        daemon.wait_log("has lost its client: sending SIGTERM", count=3, reason="client_gone")

    def test_the_stop_signal_of_connections(self):
        daemon = self.supervise(exec_listener(SAYS_WHICH, "timed", stop_signal="INT", max_lifetime="300ms"),
                                exec_listener(SAYS_WHICH, "stopped", stop_signal="HUP"), daemon={"drain_timeout": "50ms"})
        with Client(daemon.address("timed")) as timed, Client(daemon.address("stopped")) as stopped:
            self.assertEqual(timed.receive(6) + stopped.receive(6), b"ready\nready\n")
            self.assertEqual(timed.rest(), b"INT\n")
            daemon.control.run("stop", "root/stopped")
            self.assertEqual(stopped.rest(), b"HUP\n")

    def test_rules_have_limits_of_their_own(self):
        rules = [{"from": "127.0.0.2/32", "idle_timeout": "infinity"}, {"from": "127.0.0.3/32", "max_lifetime": "1s", "idle_timeout": "infinity"}]
        daemon = self.supervise(exec_listener(CAT, idle_timeout="300ms", rules=rules))
        def client(source):
            return Client(daemon.address(), source=(source, 0))
        with client("127.0.0.1") as usual, client("127.0.0.2") as patient, client("127.0.0.3") as short:
            self.assertTrue(patient.echo())
            self.ends_after(usual, 0.2)
            while short.socket.fileno() >= 0:  # never idle, and ended in time
                try:
                    if not short.echo():
                        break
                except (BrokenPipeError, ConnectionResetError):
                    break
                time.sleep(0.05)
            daemon.wait_log("ended: max_lifetime reached")
            self.assertTrue(patient.echo())

    def test_the_most_idle_connection_makes_room(self):
        daemon = self.supervise(exec_listener(CAT, max_connections=3, on_full="drop_oldest_idle", workers=2,
                                              max_restarts=1000, restart_delay="none"))
        with Client(daemon.address()) as oldest, Client(daemon.address()) as second, Client(daemon.address()) as busy:
            for client in (oldest, second, busy):
                self.assertTrue(client.echo())
            workers = daemon.workers()
            signal_process(workers[0].pid, signal.SIGKILL)  # one of them may be adopted
            daemon.wait_workers(2, without=workers[:1])
            self.assertTrue(second.echo() and busy.echo())
            began = time.monotonic()
            with Client(daemon.address(), timeout=15) as late:
                late.send(b"hello\n")
                while time.monotonic() - began < 9:
                    self.assertTrue(busy.echo())
                    time.sleep(0.1)  # what is measured: idle means ten seconds without a byte
                self.assertEqual(late.receive(6), b"hello\n")
                self.assertEqual(oldest.rest(), b"")
                self.assertTrue(busy.echo() and second.echo() and late.echo())
        line = daemon.wait_log("is dropped to make room: sending SIGTERM", count=1, reason="dropped")[0]
        self.assertEqual(line["peer"], oldest.name)
        daemon.wait_log("ended: dropped to make room", peer=oldest.name, reason="dropped")

    def test_a_unix_socket_is_refused(self):
        for key, value in (("idle_timeout", "1s"), ("first_byte_timeout", "1s"), ("on_client_gone", "term")):
            config = self.write("config.json", '{"supervisor": {"children": [{"id": "a", "type": "listener", "listen": "unix:%s/x", '
                                '"user": "root", "handler": {"exec": ["/bin/cat"]}, "%s": "%s"}]}}' % (self.directory, key, value))
            status, _, errors = self.run_program("--check", "-c", config)
            self.assertEqual(status, 78, errors)
            self.assertIn(f"/supervisor/children/0/{key}: {key} needs TCP", errors)


if __name__ == "__main__":
    main()
