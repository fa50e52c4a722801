"""A handler that ends with an error because its client had left has not crashed: `client_gone` in log, counters, events."""

import contextlib
import os
import signal

from harness import AdmissionTestCase, Client, Hold, exec_listener, main, signal_process, wait_until
from harness.proxy_header import proxy_v1

FAILS_AT_END = ["/bin/sh", "-c", "echo ready; cat > /dev/null; exit 255"]  # as sshd -i


class ClientGone(AdmissionTestCase):
    def counted(self, daemon, **expected):
        """Waits until all have ended; the three parts of `completed` are disjoint."""
        self.wait_counts(daemon, "run", active=0, **expected)
        counts = self.counts(daemon, "run")
        self.assertEqual(counts["accepted"], counts["completed"])
        self.assertLessEqual(counts["crashed"] + counts["client_gone"], counts["completed"])

    def test_a_reset_that_a_program_reports_as_an_error(self):
        daemon = self.supervise(exec_listener(["/bin/cat"]))
        with Hold(daemon.address(), 20) as held:
            self.assertEqual(held.echo_all(), 20)
            for client in held.clients:
                client.reset()
        self.counted(daemon, completed=20, client_gone=20, crashed=0)
        line = daemon.wait_log("^connection .* ended: the client left first$", count=20, reason="client_gone", status=1)[0]
        self.assertEqual((line["event"], line["level"]), ("connection_client_gone", "info"))
        daemon.events.mark()
        self.assertEqual(len(daemon.events.of("connection_client_gone")), 20)
        self.assertEqual(daemon.events.of("connection_crashed"), [])

    def test_a_client_that_closes_first_whatever_the_program_says(self):
        daemon = self.supervise(exec_listener(FAILS_AT_END))
        for close in (Client.close, Client.half_close, Client.reset):
            client = Client(daemon.address())
            self.addCleanup(client.close)
            self.assertEqual(client.receive(6), b"ready\n")
            close(client)
        self.counted(daemon, completed=3, client_gone=3, crashed=0)

    def test_a_program_that_dies_of_sigpipe(self):
        daemon = self.supervise(exec_listener(["/usr/bin/yes"]))
        with Client(daemon.address()) as client:
            client.receive(100)
            client.reset()
        self.counted(daemon, completed=1, client_gone=1, crashed=0)

    def test_a_program_that_fails_while_its_client_is_there(self):
        """Also with bytes of the client unread, where its close resets the connection and no state is left to ask for."""
        daemon = self.supervise(exec_listener(["/bin/sh", "-c", "read line; exit 3"]))
        for request in (b"one\n", b"one\n" + b"more\n" * 100):
            with Client(daemon.address()) as client:
                client.send(request)
                with contextlib.suppress(ConnectionResetError):
                    client.rest()
        self.counted(daemon, completed=2, client_gone=0, crashed=2)
        daemon.wait_log("crashed: exit status 3", count=2)

    def test_a_signal_is_a_crash_even_after_the_client_has_left(self):
        daemon = self.supervise(exec_listener(["/bin/sh", "-c", "echo ready; cat > /dev/null; kill -SEGV $$"]))
        with Client(daemon.address()) as client:
            self.assertEqual(client.receive(6), b"ready\n")
            client.half_close()
            client.rest()
        self.counted(daemon, completed=1, client_gone=0, crashed=1)

    def test_adopted_connections_are_judged_alike(self):
        daemon = self.supervise(exec_listener(["/bin/sh", "-c", "echo ready; while read line; do exit $line; done; exit 255"],
                                              workers=1, max_restarts=1000, restart_delay="none"))
        clients = [Client(daemon.address()) for _ in range(3)]
        for client in clients:
            self.addCleanup(client.close)
            self.assertEqual(client.receive(6), b"ready\n")
        workers = daemon.workers()
        signal_process(workers[0].pid, signal.SIGKILL)
        daemon.wait_workers(1, without=workers)
        clients[0].reset()
        clients[1].close()
        clients[2].send(b"7\n")
        self.assertEqual(clients[2].rest(), b"")
        self.counted(daemon, completed=3, client_gone=2, crashed=1)
        daemon.wait_log("crashed: exit status 7")

    def test_behind_a_balancer_its_own_end_of_the_connection_counts(self):
        daemon = self.supervise(exec_listener(FAILS_AT_END, proxy_protocol="v1"))
        with Client(daemon.address()) as client:
            client.send(proxy_v1())
            self.assertEqual(client.receive(6), b"ready\n")
            client.half_close()
            client.rest()
        self.counted(daemon, completed=1, client_gone=1, crashed=0)

    def listed(self, daemon):
        return {one["peer"]: one for one in daemon.control.value("connections")}

    def test_connections_show_their_bytes_and_who_closed_first(self):
        daemon = self.supervise(exec_listener(["/bin/sh", "-c", "echo ready; read line; exec >&- <&-; sleep 1000"], "first"),
                                exec_listener(["/bin/sh", "-c", "head -c 5 > /dev/null; echo hello; exec sleep 1000"], "run", proxy_protocol="v1"))
        with Client(daemon.address("first")) as a, Client(daemon.address("run")) as b:
            self.assertEqual(a.receive(6), b"ready\n")
            a.send(b"\n")
            self.assertEqual(a.rest(), b"")
            b.send(proxy_v1() + b"12345")
            self.assertEqual(b.receive(6), b"hello\n")
            one = self.listed(daemon)["192.0.2.7:56324"]
            self.assertEqual((one["bytes_in"], one["bytes_out"], "closed_by" in one), (5, 6, False))
            b.half_close()
            wait_until(lambda: self.listed(daemon)["192.0.2.7:56324"].get("closed_by") == "client", 2, "the client has closed")
            self.assertEqual(self.listed(daemon)["192.0.2.7:56324"]["bytes_in"], 5)
            self.assertEqual(self.listed(daemon)[a.name]["closed_by"], "handler")

    def test_end_lines_say_who_closed_first(self):
        daemon = self.supervise(exec_listener(["/bin/sh", "-c", "read line && echo bye"]))
        with Client(daemon.address()) as one, Client(daemon.address()) as other:
            one.send(b"line\n")
            self.assertEqual(one.rest(), b"bye\n")
            daemon.wait_log("ended", peer=one.name, closed_by="handler")
            other.half_close()
            other.rest()
            daemon.wait_log("ended", peer=other.name, closed_by="client")

    def test_on_a_unix_socket(self):
        path = os.path.join(self.directory, "socket")
        daemon = self.supervise(exec_listener(FAILS_AT_END, listen=f"unix:{path}"))
        with Client(path) as client:
            self.assertEqual(client.receive(6), b"ready\n")
            client.half_close()
            client.rest()
        self.counted(daemon, completed=1, client_gone=1, crashed=0)


if __name__ == "__main__":
    main()
