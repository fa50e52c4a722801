"""Behind a balancer, limits and penalties apply to the client that it names; a bad header is no
offence of any client. All connections come from one address."""

import os
import re

from harness import BUSY, SOURCE, AdmissionTestCase, Client, exec_listener, listener, main, outcome, wait_until
from harness.proxy_header import proxy_v1, proxy_v2

PENALTIES = {"mode": "enforce", "crash": "1h", "timeout": "1h", "no_input": "1h", "exit": {"1": "1h"}, "min": "0s"}


def client_number(number):
    return (f"203.0.113.{number}", 1024 + number)


class Limits(AdmissionTestCase):
    def come(self, daemon, number, header=proxy_v1):
        client = Client(daemon.address())
        self.addCleanup(client.close)
        client.send(header(client_number(number)) + b"hello\n")
        return client

    def served(self, daemon, number, **options):
        return self.come(daemon, number, **options).receive(6) == b"hello\n"

    def test_each_claimed_client_has_its_share_and_the_balancer_none(self):
        daemon = self.supervise(listener(workers=3, proxy_protocol="auto", max_connections_per_source=2, banner_fail=BUSY))
        for number in range(1, 21):
            for header in (proxy_v1, proxy_v2):
                self.assertTrue(self.served(daemon, number, header=header))
        for number in range(1, 21):
            self.assertEqual(outcome(self.come(daemon, number)), (BUSY.encode(), "end"))
        with Client(daemon.address()) as balancer:  # for its own connections it is a source like any other
            balancer.send(b"PROXY UNKNOWN\r\n")
            self.assertTrue(balancer.echo())
        self.assertEqual(self.refused(daemon), {"per_source": 20})
        line = daemon.wait_log("^refused a connection: max_connections_per_source is 2, source 203.0.113.1/32$")[0]
        self.assertEqual(line["peer"], "203.0.113.1:1025")
        self.assertRegex(line["real_peer"], r"^127\.0\.0\.1:")

    def test_the_rate_is_that_of_the_claimed_client(self):
        daemon = self.supervise(listener(proxy_protocol="auto", max_rate_per_source={"count": 2, "per": "1h"}))
        for number in (1, 2, 3):
            self.assertEqual([self.served(daemon, number) for _ in range(3)], [True, True, False], number)
        self.assertEqual(self.refused(daemon), {"rate_per_source": 3})
        daemon.wait_log("max_rate_per_source is 2 per 1h, source 203.0.113.1/32$", reason="rate_per_source")

    def test_a_mapped_claim_and_a_plain_one_are_one_source(self):
        daemon = self.supervise(listener(proxy_protocol="auto", max_connections_per_source=1))
        mapped = Client(daemon.address())
        self.addCleanup(mapped.close)
        mapped.send(proxy_v2(("::ffff:203.0.113.1", 1), ("2001:db8::1", 2)))
        self.assertTrue(mapped.echo())
        self.assertFalse(self.served(daemon, 1))
        self.assertTrue(self.served(daemon, 2))


class Penalised(AdmissionTestCase):
    def tell(self, daemon, number, words):
        with Client(daemon.address()) as client:
            client.send(proxy_v1(client_number(number)) + words + b"\n")
            return client.rest()

    def penalties(self, daemon):
        return daemon.control.value("penalties")

    def test_the_claimed_client_is_penalised_and_the_balancer_is_not(self):
        daemon = self.supervise(exec_listener([self.helper("behaves_as_told")], "echo", proxy_protocol="auto", max_restarts=1000,
                                              restart_delay="none", penalties=PENALTIES))
        self.assertEqual(self.tell(daemon, 1, b"crash"), b"")
        one, = wait_until(lambda: self.penalties(daemon), 5, "a penalty")
        self.assertEqual((one["source"], one["reason"]), ("203.0.113.1/32", "crash"))
        self.assertEqual(self.tell(daemon, 1, b"hello\nexit 0"), b"")
        self.assertEqual(self.tell(daemon, 2, b"hello\nexit 0"), b"hello\n")
        self.assertEqual(self.refused(daemon), {"penalty": 1})
        line = daemon.log("^refused a connection: penalties: crash, ", reason="penalty")[0]
        self.assertRegex(line["message"], r"source 203\.0\.113\.1/32$")

    def test_the_manual_names_the_fields_of_both_lists(self):
        with open(os.path.join(SOURCE, "man", "bulkheadctl.8")) as file:
            named = [re.findall(r"\\\(dq(\w+)\\\(dq", line) for line in file if line.startswith(".Li [{")]
        daemon = self.supervise(exec_listener([self.helper("behaves_as_told")], "echo", proxy_protocol="auto", max_restarts=1000,
                                              restart_delay="none", penalties=PENALTIES))
        self.tell(daemon, 1, b"crash")
        penalty, = wait_until(lambda: self.penalties(daemon), 5, "a penalty")
        with Client(daemon.address()) as client:
            client.send(proxy_v1(client_number(2)))
            self.assertTrue(client.echo())
            connection, = [one for one in daemon.control.value("connections") if one["peer"].startswith("203.0.113.2:")]
        self.assertEqual([list(connection), list(penalty)], named)

    def test_an_invalid_header_costs_no_penalty(self):
        daemon = self.supervise(listener(proxy_protocol="auto", proxy_timeout="200ms", penalties=PENALTIES))
        for header in (b"GET / HTTP/1.0\r\n\r\n", b"PROXY TCP4 203.0.113.9\r\n", proxy_v2(client_number(9))[:-1]):
            for _ in range(5):  # wrong, or never whole
                with Client(daemon.address()) as client:
                    client.send(header)
                    self.assertEqual(client.rest(), b"")
        for leave in (Client.reset, Client.close):
            client = Client(daemon.address())
            client.send(proxy_v1(client_number(9))[:20])
            leave(client)
        wait_until(lambda: sum(self.refused(daemon).values()) == 17, 5, lambda: f"17, but {self.refused(daemon)}")
        self.assertEqual(self.refused(daemon), {"proxy": 12, "proxy_timeout": 5})
        self.assertEqual(self.penalties(daemon), [])
        with Client(daemon.address()) as client:
            client.send(proxy_v1(client_number(9)))
            self.assertTrue(client.echo())


if __name__ == "__main__":
    main()
