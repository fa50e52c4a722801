"""The built-in handlers against their RFCs, with real clients, slow ones and hostile ones; idle_timeout."""

import os
import signal
import socket
import struct
import subprocess
import threading
import time
from datetime import datetime, timezone

from harness import Client, Hold, TestCase, connect, listener, main, process, tool, wait_until

PRINTABLE = bytes(range(32, 127))
CHARGEN = b"".join((PRINTABLE * 2)[shift:shift + 72] + b"\r\n" for shift in range(95))
FROM_1900 = 2208988800


def chargen(count):
    return (CHARGEN * (count // len(CHARGEN) + 1))[:count]


def small_window(address):
    """A client whose kernel takes only a few KiB that it has not read."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.settimeout(20)
    sock.connect(address)
    return sock


def in_parallel(count, work):
    """work(number) in `count` threads at once; their results, in order."""
    results = [None] * count

    def run(number):
        results[number] = work(number)
    threads = [threading.Thread(target=run, args=(number,), daemon=True) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return results


class BuiltIn(TestCase):
    handler = ""

    def serve(self, **keys):
        self.daemon = self.start(listener(handler=self.handler, **keys))
        self.address = self.daemon.address()
        return self.daemon

    def client(self, timeout=10.0):
        client = Client(self.address, timeout)
        self.addCleanup(client.close)
        return client

    def talk(self, command, data=b""):
        """The output of a real client."""
        host, port = self.address
        command = [word.format(host=host, port=port) for word in command]
        done = subprocess.run(command, input=data, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=20)
        return done.stdout

    def wait_end(self, name, **fields):
        """The log line of the end of the connection from there; checks that no connection crashed."""
        line = self.daemon.wait_log("^connection .* (ended|crashed)", seconds=10, peer=name, **fields)[0]
        self.assertEqual(self.daemon.log("crashed|exit status", level="warning"), [])
        return line


class Daytime(BuiltIn):
    handler = "daytime"

    def check(self, answer):
        text = answer.decode("ascii")
        self.assertTrue(text.endswith("-UTC\r\n"), text)
        told = datetime.strptime(text[:-6], "%A, %B %d, %Y %H:%M:%S").replace(tzinfo=timezone.utc)
        self.assertLess(abs((datetime.now(timezone.utc) - told).total_seconds()), 10)
        self.assertEqual(text, f"{told:%A, %B} {told.day}, {told:%Y %H:%M:%S}-UTC\r\n")

    def test_one_line_and_the_end(self):
        self.serve()
        client = self.client()
        self.check(client.rest())
        client.close()
        self.assertEqual(self.wait_end(client.name)["status"], 0)

    @tool("nc", "socat")
    def test_real_clients(self):
        self.serve()
        self.check(self.talk(["nc", "{host}", "{port}"]))
        self.check(self.talk(["socat", "-u", "TCP:{host}:{port}", "-"]))

    @tool("date@", "tcpclient")
    def test_date_of_ucspi_tcp(self):
        if os.geteuid() != 0:
            self.skipTest("its port is 13, and only root may have that one")
        self.serve(listen="127.13.13.13:13")
        self.check(self.talk(["date@", "{host}"]).replace(b"\n", b"\r\n"))  # it leaves out the CR

    def test_the_time_zone_of_the_daemon_is_ignored(self):
        self.daemon = self.start(listener(handler="daytime"), environment={**os.environ, "TZ": "Pacific/Kiritimati", "LANG": "fr_FR"})
        with Client(self.daemon.address()) as client:
            self.check(client.rest())

    def test_input_is_ignored_and_does_not_prevent_the_answer(self):
        self.serve()
        client = self.client()
        client.send(b"x" * 100_000)
        self.check(client.rest())
        client.close()
        self.wait_end(client.name)

    def test_100_at_once(self):
        self.serve()

        def ask(_):
            with Client(self.address, 20) as client:
                return client.rest()
        for answer in in_parallel(100, ask):
            self.check(answer)

    def test_it_does_not_wait_for_the_client_to_disconnect(self):
        self.serve()
        client = self.client()
        self.check(client.rest())
        self.assertEqual(self.wait_end(client.name)["status"], 0)

    def test_on_a_unix_socket(self):
        self.serve(listen=f"unix:{self.directory}/s")
        with Client(self.address) as client:
            client.send(b"x" * 1000)
            self.check(client.rest())


class Time(BuiltIn):
    handler = "time"

    def check(self, answer):
        seconds, = struct.unpack("!I", answer)
        self.assertLess(abs(seconds - FROM_1900 - time.time()), 10)

    def test_four_bytes_and_the_end(self):
        self.serve()
        client = self.client()
        self.check(client.rest())
        client.close()
        self.assertEqual(self.wait_end(client.name)["status"], 0)

    @tool("rdate")
    def test_rdate(self):
        self.serve()
        told = self.talk(["env", "TZ=UTC", "LC_ALL=C", "rdate", "-p", "-o", "{port}", "{host}"]).decode().strip()
        self.assertRegex(told, r"^\w{3} \w{3} +\d+ \d\d:\d\d:\d\d UTC \d{4}$")
        told = datetime.strptime(told.replace(" UTC", ""), "%a %b %d %H:%M:%S %Y").replace(tzinfo=timezone.utc)
        self.assertLess(abs(told.timestamp() - time.time()), 10)

    def test_100_at_once_with_input(self):
        self.serve()

        def ask(number):
            with Client(self.address, 20) as client:
                client.send(b"what time is it?\n" * number)
                return client.rest()
        for answer in in_parallel(100, ask):
            self.check(answer)


class Discard(BuiltIn):
    handler = "discard"

    def test_all_input_is_read_and_none_answered(self):
        self.serve()
        client = self.client(30)
        client.send(b"\x00\xff\n" * 10_000_000)
        client.half_close()
        self.assertEqual(client.rest(), b"")
        self.assertEqual(self.wait_end(client.name)["status"], 0)

    @tool("nc", "socat")
    def test_real_clients(self):
        self.serve()
        self.assertEqual(self.talk(["nc", "-N", "{host}", "{port}"], b"one\ntwo\n" * 100_000), b"")
        self.assertEqual(self.talk(["socat", "-t5", "-", "TCP:{host}:{port}"], b"one\ntwo"), b"")

    def test_100_at_once(self):
        self.serve()

        def fill(number):
            with Client(self.address, 30) as client:
                client.send(b"x" * (10_000 * number))
                client.half_close()
                return client.rest()
        self.assertEqual(in_parallel(100, fill), [b""] * 100)
        self.assertEqual(len(self.daemon.wait_log("^connection .* ended", count=100, seconds=10)), 100)

    def test_on_a_unix_socket(self):
        self.serve(listen=f"unix:{self.directory}/s")
        with Client(self.address, 20) as client:
            client.send(b"x" * 5_000_000)
            client.half_close()
            self.assertEqual(client.rest(), b"")

    def test_a_client_without_a_byte_is_distinguished(self):
        self.serve()
        client = self.client()
        client.half_close()
        self.assertEqual(client.rest(), b"")
        line = self.wait_end(client.name)
        self.assertEqual((line["status"], line["input"]), (0, "none"))


class Chargen(BuiltIn):
    handler = "chargen"

    def test_the_pattern_of_the_rfc(self):
        self.serve()
        client = self.client()
        self.assertEqual(client.receive(1_000_000), chargen(1_000_000))

    @tool("nc", "socat")
    def test_real_clients(self):
        self.serve()
        host, port = self.address
        for command in (f"nc {host} {port} </dev/null | head -n 200", f"nc -N {host} {port} </dev/null | head -n 200",
                        f"socat -u TCP:{host}:{port} - | head -n 200"):
            done = subprocess.run(["sh", "-c", command], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=20)
            self.assertEqual(done.stdout, chargen(200 * 74), command)
        wait_until(lambda: not self.daemon.connections(), 5, "the end of every child")

    def test_it_stops_when_the_client_disconnects(self):
        self.serve()
        for leave in (Client.close, Client.reset):
            client = self.client()
            self.assertEqual(client.receive(100_000), chargen(100_000))
            leave(client)
            self.assertEqual(self.wait_end(client.name)["status"], 0)
        wait_until(lambda: not self.daemon.connections(), 5, "the end of every child")

    def test_100_at_once(self):
        self.serve()

        def read(number):
            with Client(self.address, 30) as client:
                return client.receive(1000 * number) == chargen(1000 * number)
        self.assertEqual(in_parallel(100, read), [True] * 100)
        wait_until(lambda: not self.daemon.connections(), 10, "the end of every child")

    def test_input_is_discarded_even_before_output_is_read(self):
        self.serve()
        client = self.client(20)
        client.send(b"x" * 20_000_000)  # more than the kernel holds between the two
        self.assertEqual(client.receive(1_000_000), chargen(1_000_000))
        client.half_close()
        self.assertEqual(client.receive(10_000_000), chargen(11_000_000)[1_000_000:])

    def test_a_slow_reader_blocks_only_itself(self):
        self.serve(workers=1)
        with connect(self.address) as slow:
            child = wait_until(self.daemon.connections, 5, "its process")[0]

            def asleep():
                ticks = process(child.pid).cpu_ticks
                time.sleep(0.1)
                return process(child.pid).state == "S" and process(child.pid).cpu_ticks == ticks
            wait_until(asleep, 10, "a full socket")
            client = self.client()
            self.assertEqual(client.receive(3_000_000), chargen(3_000_000))
            slow.settimeout(10)
            got = b""
            while len(got) < 3_000_000:
                got += slow.recv(1 << 20)
            self.assertEqual(got, chargen(len(got)))


class Rude(TestCase):
    """No client behaviour causes a crash in any of them, or leaves anything."""

    def test_resets_and_half_closes(self):
        names = ("echo", "discard", "daytime", "chargen", "time")
        daemon = self.start(*(listener(name, handler=name) for name in names))
        rude = (Client.reset, Client.close,
                lambda client: (client.send(b"x\ny"), client.reset()),
                lambda client: (client.half_close(), client.reset()),
                lambda client: (client.send(b"x" * 1000 + b"\n"), client.half_close(), client.close()),
                lambda client: (client.send(b"x\n"), client.receive(1, 0.2), client.reset()))
        count = 0
        for name in names:
            for act in rude:
                client = Client(daemon.address(name))
                count += 1
                try:
                    act(client)
                except OSError:  # discard has no byte, and time may be gone already
                    pass
                client.close()
        ends = daemon.wait_log("^connection .* (ended|crashed)", count=count, seconds=10)
        self.assertEqual([line for line in ends if line["level"] != "info" or line["status"] != 0], [])
        self.measured(rude_clients=count, crashes=0)


class IdleTimeout(BuiltIn):
    handler = "echo"

    def end_of(self, client, least, most=3.0, began=None):
        """The log line of an end by idle_timeout that the client sees between `least` and `most` seconds after `began`."""
        began = began or time.monotonic()
        try:
            rest = client.rest()
        except ConnectionResetError:
            rest = None
        took = time.monotonic() - began
        self.assertGreaterEqual(took, least)
        self.assertLess(took, most)
        line = self.wait_end(client.name)
        self.assertEqual((line["level"], line.get("reason")), ("info", "timeout"))
        self.assertIn("idle_timeout", line["message"])
        self.assertNotIn("status", line)
        return rest, took

    def test_a_silent_client(self):
        for self.handler in ("echo", "discard"):
            self.serve(idle_timeout="300ms")
            rest, took = self.end_of(self.client(), 0.25)
            self.assertEqual(rest, b"")
            self.measured(handler=self.handler, idle_timeout=0.3, ended_after=took)

    def test_a_client_silent_in_the_middle_of_a_line(self):
        self.serve(idle_timeout="300ms")
        client = self.client()
        client.send(b"whole\npart")
        self.assertEqual(self.end_of(client, 0.25)[0], b"whole\n")

    def test_a_client_that_reads_nothing(self):
        self.handler = "chargen"
        self.serve(idle_timeout="300ms")
        client = self.client()
        began = time.monotonic()
        self.wait_end(client.name)
        self.assertGreaterEqual(time.monotonic() - began, 0.25)
        self.end_of(client, 0, began=time.monotonic())

    def test_an_echo_whose_client_sends_but_does_not_read(self):
        self.serve(idle_timeout="300ms")
        client = self.client(20)
        with self.assertRaises(ConnectionError):
            while True:
                client.send(b"x" * 65535 + b"\n")
        self.assertEqual(self.wait_end(client.name)["reason"], "timeout")

    def test_a_client_that_sends_occasionally_stays(self):
        self.serve(idle_timeout="600ms")
        client = self.client()
        for _ in range(15):
            self.assertTrue(client.echo(b"still here\n"))
            time.sleep(0.1)
        self.end_of(client, 0.4)

    def test_a_slow_reader_stays(self):
        self.handler = "chargen"
        self.serve(idle_timeout="600ms")
        with small_window(self.address) as sock:
            name = "%s:%d" % sock.getsockname()
            got = b""
            for _ in range(15):
                time.sleep(0.1)
                got += sock.recv(2500)
            self.assertEqual(got, chargen(len(got)))
            self.assertEqual(self.daemon.log("ended", peer=name), [])
            self.assertEqual(self.wait_end(name)["reason"], "timeout")

    def test_infinity_disables_idle_timeout(self):
        self.serve(idle_timeout="infinity")
        client = self.client()
        self.assertTrue(client.silent(1.0))
        self.assertTrue(client.echo())

    def test_idle_timeout_applies_without_the_worker(self):
        self.serve(idle_timeout="1500ms", workers=2)
        with Hold(self.address, 20) as held:
            self.assertEqual(held.echo_all(), 20)
            began = time.monotonic()
            workers = self.daemon.workers()
            for worker in workers:
                os.kill(worker.pid, signal.SIGKILL)
            self.daemon.wait_workers(2, without=workers)
            talker = held.clients.pop()
            while len(self.daemon.log("idle_timeout")) < 19:
                self.assertTrue(talker.echo(b"I am not idle\n"))
                self.assertLess(time.monotonic() - began, 10)
                time.sleep(0.05)
            self.assertGreaterEqual(time.monotonic() - began, 1.0)
            held.clients.append(talker)
            for client in held.clients[:-1]:
                line = self.wait_end(client.name)
                self.assertEqual((line["reason"], line["writer"]), ("timeout", self.daemon.pid))

    def test_idle_timeout_applies_to_unix_sockets(self):
        self.serve(idle_timeout="300ms", listen=f"unix:{self.directory}/s")
        client = self.client()
        began = time.monotonic()
        self.assertEqual(client.rest(), b"")
        self.assertGreaterEqual(time.monotonic() - began, 0.25)
        self.assertEqual(self.daemon.wait_log("idle_timeout")[0]["reason"], "timeout")

    def test_penalties_count_it_as_a_timeout(self):
        self.serve(idle_timeout="300ms", penalties={"mode": "enforce", "timeout": "60s", "min": "1s"})
        client = Client(self.address, source=("127.0.0.2", 0))
        self.addCleanup(client.close)
        self.assertTrue(client.echo())
        self.assertEqual(client.rest(), b"")
        self.wait_end(client.name)
        with Client(self.address, source=("127.0.0.2", 0)) as again:
            self.assertEqual(again.rest(), b"")
        self.assertTrue(self.daemon.wait_log("penalties", reason="penalty"))
        with Client(self.address, source=("127.0.0.3", 0)) as another:
            self.assertTrue(another.echo())


if __name__ == "__main__":
    main()
