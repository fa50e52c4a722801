"""The dialogue of a line echo, with common clients, and everything that a client may do to a connection."""

import os
import socket
import subprocess
import time

from harness import Client, Hold, TestCase, main, tool, wait_until

HERE = os.path.dirname(os.path.abspath(__file__))


class RealClients(TestCase):
    def setUp(self):
        super().setUp()
        self.daemon = self.start()
        self.host, self.port = self.daemon.address()

    def shell(self, command, **keys):
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=20, **keys)
        return done.returncode, done.stdout

    @tool("telnet", "expect")
    def test_telnet_gets_each_line_back(self):
        status, output = self.shell(["expect", os.path.join(HERE, "telnet.exp"), self.host, str(self.port)],
                                    stdin=subprocess.DEVNULL)
        self.assertEqual(status, 0, output.decode(errors="replace"))

    @tool("nc")
    def test_nc(self):
        status, output = self.shell(["nc", "-N", self.host, str(self.port)], input=b"one\ntwo\nthree")
        self.assertEqual((status, output), (0, b"one\ntwo\nthree"))

    @tool("socat")
    def test_socat(self):
        status, output = self.shell(["socat", "-t5", "-", f"TCP:{self.host}:{self.port}"], input=b"one\ntwo\n")
        self.assertEqual((status, output), (0, b"one\ntwo\n"))

    @tool("bash")
    def test_bash_alone(self):
        script = f'exec 3<>/dev/tcp/{self.host}/{self.port}; echo hello >&3; read -r line <&3; echo "got $line"'
        status, output = self.shell(["bash", "-c", script], stdin=subprocess.DEVNULL)
        self.assertEqual((status, output), (0, b"got hello\n"))


class Processes(TestCase):
    def test_500_clients_are_500_processes(self):
        daemon = self.start()
        with Hold(daemon.address(), 500) as held:
            self.assertEqual(held.echo_all(), 500)
            titles = wait_until(lambda: self.titles(daemon, 500), 10, "500 processes")
            listed = daemon.listed_connections()
            self.assertEqual({one["pid"]: f"bulkheadd: connection {one['id']} 127.0.0.1 echo" for one in listed}, titles)
            by_peer = {one["peer"]: one["pid"] for one in listed}
            served = {by_peer.get(client.name) for client in held.clients}
            self.assertEqual(len(served - {None}), 500)
        wait_until(lambda: not daemon.connections(), 10, "the end of every child")
        self.measured(clients=500, distinct_pids=len(served))

    @staticmethod
    def titles(daemon, count):
        found = {one.pid: one.title for one in daemon.connections() if one.title.startswith("bulkheadd: connection ")}
        return found if len(found) == count else None


class Bytes(TestCase):
    def setUp(self):
        super().setUp()
        self.daemon = self.start()
        self.client = Client(self.daemon.address(), 20)
        self.addCleanup(self.client.close)

    def test_a_last_line_without_newline_is_echoed_at_the_end_of_input(self):
        self.client.send(b"whole\npart")
        self.assertEqual(self.client.receive(6), b"whole\n")
        self.assertTrue(self.client.silent(0.1))
        self.client.half_close()
        self.assertEqual(self.client.rest(), b"part")

    def test_a_connection_without_a_byte_ends_normally(self):
        self.client.half_close()
        self.assertEqual(self.client.rest(), b"")

    def test_every_byte_value(self):
        data = bytes(range(256)) + b"\n" + b"\n\n\0\0\n\r\n\xff\xfe\n"
        self.assertTrue(self.client.echo(data))

    def test_many_lines_in_one_packet(self):
        data = b"".join(b"line %d\n" % n for n in range(2000))
        self.assertTrue(self.client.echo(data))

    def test_byte_by_byte(self):
        self.client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        line = b"one byte at a time, nothing before the newline\n"
        for byte in line[:-1]:
            self.client.send(bytes([byte]))
        self.assertTrue(self.client.silent(0.1))
        self.client.send(b"\n")
        self.assertEqual(self.client.receive(len(line)), line)

    def test_a_line_of_10_mib_in_bounded_memory(self):
        # A line of four buffers has filled whatever a line can fill; a sanitizer's own pages are counted before too.
        self.assertTrue(self.client.echo(b"w" * (1 << 18) + b"\n"))
        child = self.daemon.child_of(self.client)
        before = child.kilobytes("VmHWM")
        block = os.urandom(1 << 16).replace(b"\n", b"N")
        sent = received = 0
        while sent < 10 << 20:
            self.client.send(block)
            sent += len(block)
            while sent - received > 1 << 17:
                count = min(1 << 16, sent - received - (1 << 17))
                self.check(received, self.client.receive(count), block, count)
                received += count
        grown = child.kilobytes("VmHWM") - before
        self.client.half_close()
        rest = self.client.rest()
        self.check(received, rest, block, sent - received)
        self.assertLessEqual(grown, 64)
        self.measured(line_bytes=sent, grown_kilobytes=grown)

    def check(self, offset, data, block, count):
        self.assertEqual(len(data), count)
        start = offset % len(block)
        repeated = block * (2 + (start + count) // len(block))
        self.assertTrue(data == repeated[start:start + count], f"wrong bytes after {offset}")

    def test_a_slow_reader_blocks_only_itself(self):
        line = b"x" * 1023 + b"\n"
        self.client.socket.settimeout(0.3)
        sent = 0
        try:
            while sent < 64 << 20:
                sent += self.client.socket.send(line * 64)
        except TimeoutError:
            pass
        slowest = 0.0
        with Hold(self.daemon.address(), 10) as others:
            for _ in range(20):
                began = time.monotonic()
                self.assertEqual(others.echo_all(), 10)
                slowest = max(slowest, time.monotonic() - began)
        whole = sent - sent % len(line)
        answer = self.client.receive(whole, 20)
        self.assertTrue(answer == (line * (whole // len(line))), "the slow reader's bytes")
        self.measured(unread_bytes=sent, slowest_other=slowest)

    def test_a_client_that_half_closes_gets_everything(self):
        data = b"".join(b"%d\n" % n for n in range(50000))
        self.client.send(data)
        self.client.half_close()
        self.assertTrue(self.client.rest() == data)


class Ends(TestCase):
    def ends(self, daemon, count):
        return [line for line in daemon.wait_log(r"^connection [0-9a-f]+ ended", count)]

    def test_a_reset_is_a_normal_end(self):
        daemon = self.start()
        for number in range(20):
            client = Client(daemon.address())
            self.assertTrue(client.echo())
            if number % 2:
                client.send(b"no newline, and then nothing")
            client.reset()
        lines = self.ends(daemon, 20)
        self.assertEqual({(line["level"], line["status"]) for line in lines}, {("info", 0)})
        self.assertEqual(daemon.log(level="warning", path="root/echo"), self.root_warnings(daemon))
        self.measured(resets=20, warnings=0)

    def test_a_reset_before_it_was_served(self):
        daemon = self.start()
        workers = [one.pid for one in daemon.workers()]
        for _ in range(500):
            Client(daemon.address()).reset()
        wait_until(lambda: not daemon.connections(), 10, "no child left")
        self.assertEqual([one.pid for one in daemon.workers()], workers)
        self.assertEqual(daemon.log(level="warning", path="root/echo"), self.root_warnings(daemon))
        with Client(daemon.address()) as client:
            self.assertTrue(client.echo())

    @staticmethod
    def root_warnings(daemon):
        return daemon.log("run as root", level="warning")


class Addresses(TestCase):
    def test_ipv6_unix_and_a_list(self):
        if not socket.has_ipv6 or not os.path.exists("/proc/net/if_inet6"):
            self.skipTest("no IPv6 here")
        path = os.path.join(self.directory, "echo.sock")
        daemon = self.start({"id": "echo", "type": "listener", "workers": 2, "handler": "echo",
                             "listen": ["127.0.0.1:0", "[::1]:0", f"unix:{path}"]})
        for index in range(3):
            with Client(daemon.address(index=index)) as client:
                self.assertTrue(client.echo(), daemon.endpoints()[index])
        for endpoint in daemon.endpoints()[:2]:
            port = endpoint["address"].rsplit(":", 1)[1]
            self.assertEqual(len(daemon.log(f"^Serving requests on port {port}$", address=endpoint["address"])), 1)
        self.assertEqual(os.stat(path).st_mode & 0o777, 0o660)

    def test_a_worker_per_listener_and_two_listeners(self):
        daemon = self.start({"id": "a", "type": "listener", "listen": "127.0.0.1:0", "workers": 1, "handler": "echo"},
                            {"id": "b", "type": "listener", "listen": "127.0.0.1:0", "workers": 3, "handler": "echo"})
        self.assertEqual((len(daemon.workers("a")), len(daemon.workers("b"))), (1, 3))
        for name in ("a", "b"):
            with Client(daemon.address(name)) as client:
                self.assertTrue(client.echo())


if __name__ == "__main__":
    main()
