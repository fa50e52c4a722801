"""Every reason to refuse a connection: its own counter, exact; and log lines that name the key, its value and the client, a few
a second, with the number of suppressed lines."""

import os

from harness import AdmissionTestCase, Client, exec_listener, listener, main, wait_until

COUNT = 40
BURST = {"count": 1, "per": "1h"}
PROXY = {"proxy_protocol": "v1", "proxy_timeout": "200ms"}


class Reasons(AdmissionTestCase):
    def refuse(self, daemon, reason, words, deed):
        """COUNT refusals by `deed`, which the log reports in `words`."""
        for _ in range(COUNT):
            deed()
        wait_until(lambda: self.refused(daemon) == {reason: COUNT}, 5, lambda: f"{reason} only: {self.refused(daemon)}")
        wait_until(lambda: self.told(daemon, reason) == COUNT, 5, "all are told")
        lines = daemon.log("^refused a connection", reason=reason)
        self.assertEqual({line["level"] for line in lines}, {"warning"})
        for line in lines:
            self.assertRegex(line["message"], f"^refused a connection: {words}$")
            self.assertRegex(line["peer"], r"^127\.0\.0\.\d+:\d+$")
        self.measured(reason=reason, refused=COUNT, lines=len(lines))
        self.assertLess(len(lines), COUNT)
        self.assertTrue(any("suppressed" in line for line in lines))

    def turned_away(self, address, words=b"", source=None):
        def deed():
            with Client(address, source=source and (source, 0)) as client:
                client.send(words)
                self.assertEqual(client.rest(), b"")
        return deed

    def start_with(self, **keys):
        daemon = self.supervise(listener(workers=1, **keys))
        return daemon, daemon.address()

    def test_denied(self):
        daemon, address = self.start_with(deny=["127.0.0.8/30"])
        self.refuse(daemon, "denied", "deny contains 127.0.0.8/30", self.turned_away(address, source="127.0.0.9"))

    def test_not_allowed(self):
        daemon, address = self.start_with(allow=["127.0.0.8/30"])
        self.refuse(daemon, "denied", "allow does not contain the address", self.turned_away(address))

    def test_proxy(self):
        daemon, address = self.start_with(**PROXY)
        words = r"proxy_protocol is v1, proxy_allow_from is 127\.0\.0\.0/8 ::1/128: .+"
        self.refuse(daemon, "proxy", words, self.turned_away(address, b"GET / HTTP/1.0\r\n\r\n"))

    def test_proxy_timeout(self):
        daemon, address = self.start_with(**PROXY)
        clients = [Client(address) for _ in range(COUNT)]
        def deed():
            with clients.pop() as client:
                self.assertEqual(client.rest(), b"")
        self.refuse(daemon, "proxy_timeout", r"proxy_timeout is 200ms", deed)

    def test_penalty(self):
        daemon = self.supervise(exec_listener([self.helper("behaves_as_told")], "echo", workers=1, max_restarts=1000,
                                              restart_delay="none", penalties={"mode": "enforce", "crash": "1h"}))
        self.turned_away(daemon.address(), b"crash\n")()
        wait_until(lambda: daemon.control.value("penalties"), 5, "a penalty")
        self.refuse(daemon, "penalty", r"penalties: crash, \d+ s left, source 127\.0\.0\.1/32", self.turned_away(daemon.address()))

    def test_per_source(self):
        daemon, address = self.start_with(max_connections_per_source=1)
        with Client(address) as first:
            self.assertTrue(first.echo())
            words = r"max_connections_per_source is 1, source 127\.0\.0\.1/32"
            self.refuse(daemon, "per_source", words, self.turned_away(address))

    def test_rate_per_source(self):
        daemon, address = self.start_with(max_rate_per_source=BURST)
        with Client(address) as first:
            self.assertTrue(first.echo())
        words = r"max_rate_per_source is 1 per 1h, source 127\.0\.0\.1/32"
        self.refuse(daemon, "rate_per_source", words, self.turned_away(address))

    def test_rate(self):
        daemon, address = self.start_with(max_connection_rate=BURST, on_full="close")
        with Client(address) as first:
            self.assertTrue(first.echo())
        self.refuse(daemon, "rate", "max_connection_rate is 1 per 1h", self.turned_away(address))

    def test_max_connections(self):
        daemon, address = self.start_with(max_connections=1, on_full="close")
        with Client(address) as first:
            self.assertTrue(first.echo())
            self.refuse(daemon, "max_connections", "max_connections is 1", self.turned_away(address))

    def test_handler_start(self):
        os.chmod(self.directory, 0o755)
        program = os.path.join(self.directory, "no-program")
        self.write("no-program", "#!/bin/sh\n", 0o755)
        daemon = self.supervise(exec_listener([program], "echo", workers=1))
        with open(program, "wb") as file:  # the check of the file would find it
            file.write(b"\x7fELF and no more")
        words = "its handler could not be started"
        self.refuse(daemon, "handler_start", words, self.turned_away(daemon.address()))
        daemon.wait_log("no-program failed: Exec format error", errno="ENOEXEC")


if __name__ == "__main__":
    main()
