"""PROXY headers: the client that the handler, lists, logs and limits see; invalid headers; and
the bytes after the header. tests/unit/worker/admission/proxy_header_test.cpp has the headers themselves."""

import os
import shutil
import socket
import struct

from harness import Client, ControlledTestCase, Hold, exec_listener, listener, login_variables, main, needs_root, process, wait_until
from harness.proxy_header import (CLIENT, CLIENT6, SERVICE, SERVICE6, block, proxy_v1, proxy_v2, summed, tls, value)

CAT = os.path.realpath(shutil.which("cat"))
ENV = shutil.which("env")
LINE = b"the first line\n"


def variables(text):
    return dict(line.split("=", 1) for line in text.decode().splitlines())


class ProxyTestCase(ControlledTestCase):
    def echo(self, **keys):
        return self.supervise(listener(**{"proxy_protocol": "auto", **keys}))

    def run_handler(self, argv, **keys):
        return self.supervise(exec_listener(argv, **{"proxy_protocol": "auto", **keys}))

    def counts(self, daemon):
        return daemon.control.call("stats")["result"]["totals"]

    def refused(self, daemon, **wanted):
        """Waits for these refusals, and makes sure that there are no others."""
        there = wait_until(lambda: (now := {k: n for k, n in self.counts(daemon)["refused"].items() if n}) == wanted and
                           [now], 5, f"refused {wanted}, not {self.counts(daemon)['refused']}")
        return there[0]

    def told(self, daemon, reason):
        """The number of refusals in the log, suppressed ones included; and its lines."""
        lines = daemon.log(reason=reason)
        return len(lines) + sum(int(line.get("suppressed", 0)) for line in lines), lines

    def idle(self, daemon):
        """Checks that a test left nothing: a worker has as many descriptors as without connections."""
        for worker in daemon.workers():
            wait_until(lambda one=worker: len(process(one.pid).fds()) == self.at_rest, 5,
                       lambda: f"descriptors at rest: {process(worker.pid).fd_kinds()}")

    def rest_now(self, daemon):
        counts = {len(process(worker.pid).fds()) for worker in daemon.workers()}
        self.assertEqual(len(counts), 1)
        self.at_rest = counts.pop()


class Environment(ProxyTestCase):
    def ask(self, daemon, header, **options):
        with Client(daemon.address(), **options) as client:
            client.send(header)
            return variables(client.rest()), client

    def golden(self, env, daemon, client, version, **more):
        host, port = daemon.address()
        return {"PATH": os.environ["PATH"], "BULKHEAD_CONN_ID": env["BULKHEAD_CONN_ID"], "BULKHEAD_LISTENER": "root/run",
                "BULKHEAD_GENERATION": "1", "BULKHEAD_STRESS": "0", "PROTO": "TCP", "BULKHEAD_PROXY_VERSION": str(version),
                "BULKHEAD_REAL_PEER": client.name, "BULKHEAD_REAL_LOCAL": f"{host}:{port}", **login_variables(), **more}

    def tcp(self, source, destination):
        out = {"TCPREMOTEIP": source[0], "TCPREMOTEPORT": str(source[1]), "TCPLOCALIP": destination[0],
               "TCPLOCALPORT": str(destination[1]), "REMOTE_ADDR": source[0], "REMOTE_HOST": source[0],
               "REMOTE_PORT": str(source[1])}
        if ":" in source[0]:
            out.update({key.replace("TCP", "TCP6"): text for key, text in out.items() if key.startswith("TCP")})
        return out

    def daemon(self, **keys):
        environment = {"PATH": os.environ["PATH"], "SSL_PROTOCOL": "spoofed", "BULKHEAD_REAL_PEER": "spoofed"}
        return self.start(exec_listener([ENV], **{"proxy_protocol": "auto", **keys}), environment=environment)

    def test_the_environment_has_the_claimed_ends_and_the_real_ones(self):
        daemon = self.daemon()
        for version, build in ((1, proxy_v1), (2, proxy_v2)):
            for ends in ((CLIENT, SERVICE), (CLIENT6, SERVICE6)):
                env, client = self.ask(daemon, build(*ends))
                self.assertEqual(env, self.golden(env, daemon, client, version, **self.tcp(*ends)))

    def test_a_header_without_a_client_keeps_the_real_address(self):
        daemon = self.daemon()
        for version, header in ((1, b"PROXY UNKNOWN\r\n"), (1, b"PROXY UNKNOWN 192.0.2.7 192.0.2.8 1 2\r\n"),
                                (2, block(0x20, 0x00, b"")), (2, block(0x20, 0x11, b"no addresses")),
                                (2, block(0x21, 0x00, b"")), (2, block(0x21, 0x31, bytes(216)))):
            env, client = self.ask(daemon, header)
            real = client.name.split(":")
            self.assertEqual(env, self.golden(env, daemon, client, version,
                                              **self.tcp((real[0], int(real[1])), daemon.address())))

    def test_a_mapped_claim_is_an_ipv4_address(self):
        daemon = self.daemon()
        for header in (b"PROXY TCP6 ::ffff:192.0.2.7 ::ffff:198.51.100.1 56324 443\r\n",
                       proxy_v2(("::ffff:192.0.2.7", 56324), ("::ffff:198.51.100.1", 443))):
            env, client = self.ask(daemon, header)
            self.assertEqual({key: env.get(key) for key in self.tcp(CLIENT, SERVICE)}, self.tcp(CLIENT, SERVICE))
            self.assertNotIn("TCP6REMOTEIP", env)

    def test_further_values_of_the_balancer_are_variables(self):
        daemon = self.daemon()
        values = (value(1, b"h2") + value(2, b"www.example.org") + value(5, b"7F000001:8B2C") + value(4, b"padding") +
                  value(0xe0, b"custom") + tls(b"TLSv1.3", b"TLS_AES_128_GCM_SHA256", b"Ada Lovelace", client=7))
        env, client = self.ask(daemon, summed(values))
        self.assertEqual(env, self.golden(
            env, daemon, client, 2, **self.tcp(CLIENT, SERVICE), BULKHEAD_PROXY_UNIQUE_ID="7F000001:8B2C",
            BULKHEAD_PROXY_AUTHORITY="www.example.org", BULKHEAD_PROXY_ALPN="h2", SSL_PROTOCOL="TLSv1.3",
            SSL_CIPHER="TLS_AES_128_GCM_SHA256", SSL_PEER_CERT_CN="Ada Lovelace", SSL_TLS_SNI_SERVERNAME="www.example.org"))

    def test_empty_or_unverified_values_are_not_set(self):
        daemon = self.daemon()
        values = (value(1, b"") + value(2, b"") + value(5, b"") + tls(b"TLSv1.2", b"", b"Mallory", client=3, verify=18))
        env, client = self.ask(daemon, proxy_v2(values=values))
        self.assertEqual(env, self.golden(env, daemon, client, 2, **self.tcp(CLIENT, SERVICE), SSL_PROTOCOL="TLSv1.2"))
        env, client = self.ask(daemon, proxy_v2(values=value(2, b"sni") + tls(b"TLSv1.2", client=0)))
        self.assertEqual(env, self.golden(env, daemon, client, 2, **self.tcp(CLIENT, SERVICE), BULKHEAD_PROXY_AUTHORITY="sni"))

    def test_bytes_that_could_do_harm_are_escaped(self):
        daemon = self.daemon()
        values = (value(2, b"() { :; }; x\n\x1b[2J\\") + value(5, b"\0\xff") + value(1, b"h2\r\nSSL_PROTOCOL=forged"))
        env, client = self.ask(daemon, proxy_v2(values=values))
        self.assertEqual(env, self.golden(
            env, daemon, client, 2, **self.tcp(CLIENT, SERVICE), BULKHEAD_PROXY_UNIQUE_ID="\\x00\\xff",
            BULKHEAD_PROXY_AUTHORITY="\\x28) { :; }; x\\x0a\\x1b[2J\\x5c", BULKHEAD_PROXY_ALPN="h2\\x0d\\x0aSSL_PROTOCOL=forged"))

    def test_a_unix_socket(self):
        path = os.path.join(self.directory, "s")
        daemon = self.daemon(listen=f"unix:{path}")
        with Client(path) as client:
            client.send(proxy_v2())
            env = variables(client.rest())
        self.assertEqual({key: env.get(key) for key in self.tcp(CLIENT, SERVICE)}, self.tcp(CLIENT, SERVICE))
        self.assertEqual(env["BULKHEAD_REAL_PEER"], f"unix:uid={os.geteuid()},pid={os.getpid()}")
        self.assertEqual(env["BULKHEAD_REAL_LOCAL"], f"unix:{path}")
        self.assertEqual(env["PROTO"], "TCP")
        self.assertNotIn("UNIXREMOTEEUID", env)


class Bytes(ProxyTestCase):
    """The handler gets the bytes after the header, from the first one on, in a blocking socket."""

    def exchange(self, daemon, *parts):
        with Client(daemon.address()) as client:
            for part in parts:
                client.send(part)
            client.half_close()
            return client.rest()

    def test_payload_in_the_segment_of_the_header(self):
        second = proxy_v1(("203.0.113.9", 1), SERVICE)
        path = os.path.join(self.directory, "s")
        for daemon in (self.run_handler([CAT]), self.run_handler([CAT], listen=f"unix:{path}"), self.echo()):
            for header in (proxy_v1(), proxy_v2(), summed(value(2, b"x")), b"PROXY UNKNOWN\r\n", block(0x20, 0, b"local"),
                           proxy_v2(values=value(0x28, bytes(4096 - 16 - 12 - 3)))):
                for payload in (b"", LINE, second + LINE, bytes(range(256)) * 1000):
                    self.assertEqual(self.exchange(daemon, header + payload), payload)

    def test_split_at_every_byte(self):
        daemon = self.run_handler([CAT], workers=1)
        for header in (proxy_v1(), summed(value(1, b"h2"))):
            with Hold(daemon.address(), len(header)) as held:
                for cut, client in enumerate(held.clients):
                    client.send(header[:cut])
                # A later client is served, so each half has been read.
                self.assertEqual(self.exchange(daemon, header, LINE), LINE)
                for cut, client in enumerate(held.clients):
                    self.assertTrue(client.silent(0.001), cut)
                    client.send(header[cut:] + LINE)
                for client in held.clients:
                    client.half_close()
                    self.assertEqual(client.rest(), LINE)
        self.assertEqual(self.refused(daemon), {})

    def test_one_byte_at_a_time(self):
        daemon = self.run_handler([CAT])
        with Client(daemon.address()) as client:
            for byte in proxy_v1() + LINE:
                client.send(bytes([byte]))
            self.assertEqual(client.receive(len(LINE)), LINE)

    def test_a_connection_with_a_late_header_is_blocking(self):
        daemon = self.run_handler([CAT])
        with Client(daemon.address()) as client:
            client.send(proxy_v1()[:20])
            self.assertTrue(client.silent(0.05))
            client.send(proxy_v1()[20:])
            self.assertTrue(client.echo())
            child = wait_until(daemon.connections, 5, "the handler")[0]
            for fd in (0, 1):
                self.assertEqual(child.fd_flags(fd) & os.O_NONBLOCK, 0)

    def test_nothing_is_sent_before_the_complete_header(self):
        program = self.write("speaks", "#!/bin/sh\necho welcome\n", 0o755)
        daemon = self.run_handler([program], banner="220 hello\r\n")
        with Client(daemon.address()) as client:
            client.send(proxy_v1()[:-1])
            self.assertTrue(client.silent(0.1))
            self.assertEqual(daemon.connections(), [])
            client.send(b"\n")
            self.assertEqual(client.rest(), b"220 hello\r\nwelcome\n")

    def test_half_a_header_costs_no_time(self):
        daemon = self.echo(workers=1, proxy_timeout="20s")
        with Hold(daemon.address(), 20) as held:
            for number, client in enumerate(held.clients):
                client.send((proxy_v1() if number % 2 else proxy_v2())[:number])
            worker = daemon.workers()[0]
            before = process(worker.pid).cpu_ticks
            self.assertTrue(held.clients[0].silent(1.0))
            self.assertLessEqual(process(worker.pid).cpu_ticks - before, 3)
            for number, client in enumerate(held.clients):
                client.send((proxy_v1() if number % 2 else proxy_v2())[number:])
            self.assertEqual(held.echo_all(), 20)


class Known(ProxyTestCase):
    """Lists, logs and limits refer to the claimed client."""

    def test_lists_logs_and_titles_name_the_claimed_client(self):
        daemon = self.supervise(listener(proxy_protocol="v2"), log=None)
        with Client(daemon.address()) as client:
            client.send(proxy_v2())
            self.assertTrue(client.echo())
            one, = daemon.control.value("connections")
            self.assertEqual((one["peer"], one["local"], one["real_peer"]), ("192.0.2.7:56324", "198.51.100.1:443", client.name))
            status, text, _ = daemon.control.run("connections")
            self.assertIn("192.0.2.7:56324", text)
            self.assertIn(client.name, text)
            child, = daemon.connections()
            self.assertIn(" 192.0.2.7 ", child.title)
        line = daemon.wait_log("ended", peer="192.0.2.7:56324")[0]
        self.assertEqual(line["real_peer"], client.name)

    def test_a_connection_of_the_balancer_itself_has_no_other_peer(self):
        daemon = self.echo()
        with Client(daemon.address()) as client:
            client.send(b"PROXY UNKNOWN\r\n")
            self.assertTrue(client.echo())
            one, = daemon.control.value("connections")
            self.assertEqual(one["peer"], client.name)
            self.assertNotIn("real_peer", one)

    def test_a_crash_is_reported_for_the_claimed_client(self):
        daemon = self.run_handler([self.helper("crashes")])
        with Client(daemon.address()) as client:
            client.send(proxy_v1())
            client.rest()
            line = daemon.wait_log("crashed", peer="192.0.2.7:56324")[0]
            self.assertEqual(line["real_peer"], client.name)

    def test_allow_and_deny_check_the_real_end_then_the_claimed_one(self):
        daemon = self.echo(deny=["192.0.2.0/24", "127.0.0.3"])
        for header, source in ((proxy_v1(), None), (proxy_v1(("203.0.113.1", 1)), ("127.0.0.3", 0))):
            with Client(daemon.address(), source=source) as client:
                client.send(header)
                self.assertEqual(client.rest(), b"")
        with Client(daemon.address()) as client:
            client.send(proxy_v1(("203.0.113.1", 1)))
            self.assertTrue(client.echo())
        self.assertEqual(self.refused(daemon, denied=2), {"denied": 2})
        daemon.wait_log("", reason="denied", peer="192.0.2.7:56324")


class Refused(ProxyTestCase):
    BAD = (b"GET / HTTP/1.0\r\n\r\n", b"\x16\x03\x01\x02\x00", b"PROXY TCP4 192.0.2.7 198.51.100.1 65536 443\r\n",
           b"PROXY TCP4 192.0.2.7 198.51.100.1 007 443\r\n", b"PROXY TCP4 2001:db8::1 ::1 1 2\r\n",
           b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\n", b"PROXY TCP4 \x1b[2J\r\n2026-01-01 FAKE admin login\r\n", b"x" * 107,
           block(0x31, 0x11, bytes(12)), block(0x22, 0x11, bytes(12)), block(0x21, 0x41, bytes(12)), block(0x21, 0x11, bytes(11)),
           block(0x21, 0x11, bytes(5000)), proxy_v2(values=b"\x01\xff\xff"), summed()[:-1] + b"\0")

    def test_bad_headers_are_counted_and_logged(self):
        daemon = self.echo()
        for header in self.BAD * 3:
            with Client(daemon.address()) as client:
                client.send(header)
                self.assertEqual(client.rest(), b"")
        count = 3 * len(self.BAD)
        self.refused(daemon, proxy=count)
        self.assertEqual(self.counts(daemon)["accepted"], 0)
        told, lines = wait_until(lambda: (now := self.told(daemon, "proxy"))[0] == count and now, 5, "each refusal told")
        self.assertLess(len(lines), count)
        for line in lines:
            self.assertRegex(line["message"], r'proxy_protocol.*auto.*: \w')
        daemon.wait_log("a header longer than 4096|checksum|no PROXY signature|bad source port|version|command")

    def test_a_header_of_the_other_version_is_refused(self):
        for configured, sent in (("v1", proxy_v2()), ("v2", proxy_v1())):
            daemon = self.echo(proxy_protocol=configured)
            with Client(daemon.address()) as client:
                client.send(sent)
                self.assertEqual(client.rest(), b"")
            self.refused(daemon, proxy=1)

    def test_an_untrusted_sender_is_refused(self):
        daemon = self.echo(proxy_allow_from=["127.0.0.2", "2001:db8::/32"], banner_fail="no\r\n")
        for number in range(3):
            with Client(daemon.address(), source=("127.0.0.1", 0)) as client:
                self.assertEqual(client.rest(), b"no\r\n", "before it has sent a byte")
        self.refused(daemon, proxy=3)
        self.assertRegex(daemon.log(reason="proxy")[0]["message"], r"proxy_allow_from.*127\.0\.0\.2.*2001:db8::/32, which does not contain the sender$")
        with Client(daemon.address(), source=("127.0.0.2", 0)) as client:
            client.send(proxy_v1())
            self.assertTrue(client.echo())

    def test_an_empty_list_trusts_no_sender(self):
        daemon = self.echo(proxy_allow_from=[])
        with Client(daemon.address()) as client:
            self.assertEqual(client.rest(), b"")
        self.refused(daemon, proxy=1)

    @needs_root
    def test_a_slow_header_is_refused(self):
        daemon = self.echo(proxy_timeout="300ms")
        self.rest_now(daemon)
        with Hold(daemon.address(), 20) as held:
            for number, client in enumerate(held.clients):
                client.send(proxy_v1()[:number])
            for client in held.clients:
                self.assertEqual(client.rest(), b"")
        self.refused(daemon, proxy_timeout=20)
        told, lines = wait_until(lambda: (now := self.told(daemon, "proxy_timeout"))[0] == 20 and now, 5, "each refusal told")
        self.assertIn("proxy_timeout is 300ms", lines[0]["message"])
        self.idle(daemon)

    def test_handshake_timeout_applies_without_proxy_timeout(self):
        daemon = self.echo(handshake_timeout="200ms")
        with Client(daemon.address()) as client:
            self.assertEqual(client.rest(2), b"")
        self.refused(daemon, proxy_timeout=1)

    @needs_root
    def test_a_client_that_leaves_before_the_complete_header(self):
        daemon = self.echo(workers=1)
        self.rest_now(daemon)
        pid = daemon.workers()[0].pid
        for part in (b"", proxy_v1()[:20], proxy_v2()[:20]):
            for leave in (Client.reset, Client.close, Client.half_close):
                client = Client(daemon.address())
                client.send(part)
                leave(client)
                client.close()
        self.refused(daemon, proxy=9)
        for leave in (Client.reset, Client.close, Client.half_close):
            client = Client(daemon.address())
            client.send(proxy_v1() + LINE)
            leave(client)
            client.close()
        wait_until(lambda: self.counts(daemon)["completed"] == self.counts(daemon)["accepted"], 5, "no child left")
        self.assertEqual(daemon.workers()[0].pid, pid)
        self.idle(daemon)

    @needs_root
    def test_thousands_of_resets_during_the_header(self):
        daemon = self.echo(workers=1)
        self.rest_now(daemon)
        pid = daemon.workers()[0].pid
        for number in range(1000):
            with socket.socket() as sock:
                sock.connect(daemon.address())
                sock.send(proxy_v1()[:number % 48])
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        wait_until(lambda: sum(self.counts(daemon)["refused"].values()) + self.counts(daemon)["completed"] >= 900, 10,
                   "most of them have been seen")
        self.idle(daemon)
        self.assertEqual(daemon.workers()[0].pid, pid)
        with Client(daemon.address()) as client:
            client.send(proxy_v1())
            self.assertTrue(client.echo())


class Room(ProxyTestCase):
    """Headers have room of their own, beside max_connections; connections do not."""

    def test_a_finished_header_waits_for_a_slot_in_order(self):
        daemon = self.echo(max_connections=2, workers=1)
        served = [Client(daemon.address()) for _ in range(2)]
        for client in served:
            client.send(proxy_v1())
            self.assertTrue(client.echo())
        waiting = [Client(daemon.address()) for _ in range(2)]
        for number, client in enumerate(waiting):
            client.send(proxy_v1(("192.0.2.99", number + 1)) + LINE)
            self.assertTrue(client.silent(0.05))
        self.assertEqual(self.counts(daemon)["active"], 2)
        for number, client in enumerate(waiting):
            self.assertTrue(client.silent(0.01))
            served[number].close()
            self.assertEqual(client.receive(len(LINE)), LINE)
        for client in waiting:
            client.close()
        self.refused(daemon)

    def test_a_finished_header_without_a_slot_is_refused(self):
        daemon = self.echo(max_connections=2, workers=1, on_full="message", banner_fail="full\r\n")
        with Hold(daemon.address(), 2) as held:
            for client in held.clients:
                client.send(proxy_v1())
            self.assertEqual(held.echo_all(), 2)
            with Client(daemon.address()) as client:
                self.assertTrue(client.silent(0.05))
                client.send(proxy_v1() + LINE)
                self.assertEqual(client.rest(), b"full\r\n")
        self.refused(daemon, max_connections=1)

    def test_connections_beyond_the_room_for_headers_wait_in_the_kernel(self):
        daemon = self.echo(max_connections=4, workers=2, proxy_timeout="400ms")
        with Hold(daemon.address(), 10) as held, Client(daemon.address()) as honest:
            honest.send(proxy_v1() + LINE)
            self.assertEqual(honest.receive(len(LINE)), LINE)
            for client in held.clients:
                self.assertEqual(client.rest(), b"")
        self.refused(daemon, proxy_timeout=10)
        daemon.wait_log("wait in the kernel's queue")


if __name__ == "__main__":
    main()
