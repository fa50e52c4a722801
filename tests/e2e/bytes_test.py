"""`bytes_in` and `bytes_out` of an end line (count_bytes) are what the client has sent and received, exactly."""

from harness import AdmissionTestCase, Client, exec_listener, listener, main
from harness.proxy_header import proxy_v1

CONNECTIONS = 1000


class BytesTest(AdmissionTestCase):
    def check(self, daemon, expected, seconds=5):
        """expected: (the client's name, in, out), each as often as there is a line; ports are used again."""
        lines = daemon.wait_log("^connection .* (ended|crashed)", count=len(expected), seconds=seconds)
        told = [(line["peer"], line.get("bytes_in"), line.get("bytes_out")) for line in lines]
        self.assertCountEqual(told, expected)

    def echo(self, daemon, name, count):
        expected = []
        for i in range(count):
            size = i * 7 % 3000 + 1
            with Client(daemon.address(name)) as client:
                client.send(b"x" * (size - 1) + b"\n")
                self.assertEqual(len(client.receive(size)), size)
                expected.append((client.name, size, size))
        return expected

    def test_a_client_that_closes_first(self):
        daemon = self.supervise(listener(count_bytes=True), exec_listener(["/bin/cat"], count_bytes=True))
        self.check(daemon, self.echo(daemon, "echo", CONNECTIONS) + self.echo(daemon, "run", 50), 30)

    def test_a_handler_that_closes_first(self):
        daemon = self.supervise(exec_listener(["/bin/sh", "-c", "read line; echo $line"], count_bytes=True),
                                listener("time", handler="time", count_bytes=True))
        expected = []
        for i in range(50):
            with Client(daemon.address("run")) as client:
                client.send(b"a" * i + b"\n")
                self.assertEqual(len(client.rest()), i + 1)
                expected.append((client.name, i + 1, i + 1))
            with Client(daemon.address("time")) as client:
                self.assertEqual(len(client.rest()), 4)
                expected.append((client.name, 0, 4))
        self.check(daemon, expected)

    def test_resets_of_either_side_and_ends_by_a_signal(self):
        daemon = self.supervise(listener(count_bytes=True),
                                exec_listener(["/bin/sh", "-c", "read line; echo $line; read line; kill -SEGV $$"], count_bytes=True))
        expected = []
        for _ in range(20):
            client = Client(daemon.address("echo"))
            client.send(b"x" * 499 + b"\n")
            client.receive(500)
            expected.append((client.name, 500, 500))
            client.reset()
        with Client(daemon.address("run")) as client:
            client.send(b"one\n")
            self.assertEqual(client.receive(4), b"one\n")
            client.send(b"two\n")
            client.rest()
            expected.append((client.name, 8, 4))
        self.check(daemon, expected)
        self.assertEqual(len(daemon.wait_log("crashed: killed by SIGSEGV", count=1, bytes_in=8)), 1)

    def test_a_timeout_and_a_proxy_header(self):
        daemon = self.supervise(exec_listener(["/bin/cat"], count_bytes=True, proxy_protocol="v1", max_lifetime="200ms"))
        with Client(daemon.address("run")) as client:
            client.send(proxy_v1() + b"12345")
            self.assertEqual(client.receive(5), b"12345")
            self.assertEqual(client.rest(), b"")
        line = daemon.wait_log("ended: max_lifetime reached")[0]
        self.assertEqual((line["bytes_in"], line["bytes_out"]), (5, 5))

    def test_without_count_bytes_there_are_none(self):
        daemon = self.supervise(listener())
        self.check(daemon, [(name, None, None) for name, _, _ in self.echo(daemon, "echo", 1)])


if __name__ == "__main__":
    main()
