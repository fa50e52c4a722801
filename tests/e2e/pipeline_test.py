"""All steps of admission on one listener, in their order: clients that several steps would refuse are refused by the first of
them, and counted only there. Once with direct clients, once with clients behind a balancer."""

from harness import AdmissionTestCase, Client, exec_listener, main, outcome, wait_until
from harness.proxy_header import proxy_v1

BANNER = "421 not now\r\n"
BALANCER = "127.0.0.1"
DENIED, BY_RULE = "127.8.0.1", "127.9.0.1"
KEYS = {
    "workers": 2, "on_full": "message", "banner_fail": BANNER,
    "deny": ["127.8.0.0/16"],
    "rules": [{"from": "127.9.0.0/16", "action": "deny"}, {"from": "127.2.1.1", "max_connections": 3},
              {"from": "127.2.1.2", "max_connections": 1}, {"from": "127.2.1.3", "action": "deny"}],
    "penalties": {"mode": "enforce", "crash": "1h"},
    "source_prefix": {"v4": 24},
    "max_connections_per_source": 2,
    "max_rate_per_source": {"count": 2, "per": "1h"},
    "max_connection_rate": {"count": 8, "per": "1h"},
    "max_connections": 4,
    "max_restarts": 1000, "restart_delay": "none"}


class Steps(AdmissionTestCase):
    def start_with(self, **keys):
        self.behind = "proxy_protocol" in keys
        self.expected = {}
        return self.supervise(exec_listener([self.helper("behaves_as_told")], "echo", **{**KEYS, **keys}))

    def come(self, daemon, client):
        """A connection of that client, by the balancer if there is one."""
        came = Client(daemon.address(), source=(BALANCER if self.behind else client, 0))
        self.addCleanup(came.close)
        if self.behind:
            came.send(proxy_v1((client, 4711), ("127.0.0.1", 25)))
        return came

    def served(self, daemon, client):
        came = self.come(daemon, client)
        came.send(b"hello\n")
        self.assertEqual(came.receive(6), b"hello\n", client)
        return came

    def gone(self, daemon, came, active):
        came.close()
        self.wait_counts(daemon, active=active)

    def expect(self, daemon, reason, came):
        """Checks that this connection is refused, and counted under `reason` alone."""
        self.assertEqual(outcome(came), (BANNER.encode(), "end"), reason)
        self.expected[reason] = self.expected.get(reason, 0) + 1
        wait_until(lambda: self.refused(daemon) == self.expected, 5, lambda: f"{self.expected}, but {self.refused(daemon)}")

    def fill(self, daemon):
        """Every step has a client that it refuses; returns them by their reason."""
        self.expect(daemon, "denied", self.come(daemon, DENIED))
        self.expect(daemon, "denied", self.come(daemon, BY_RULE))
        offender, same = self.served(daemon, "127.2.1.1"), self.served(daemon, "127.2.1.1")
        self.expect(daemon, "per_source", self.come(daemon, "127.2.1.2"))  # by a rule, before the rate
        offender.send(b"crash\n")
        self.assertEqual(offender.rest(), b"")
        wait_until(lambda: daemon.control.value("penalties"), 5, "a penalty")
        self.expect(daemon, "penalty", self.come(daemon, "127.2.1.1"))  # before the rate
        self.expect(daemon, "penalty", self.come(daemon, "127.2.1.2"))  # before the connections, too
        self.expect(daemon, "denied", self.come(daemon, "127.2.1.3"))  # before the penalty
        twice = [self.served(daemon, "127.2.2.1"), self.served(daemon, "127.2.2.2")]
        self.expect(daemon, "per_source", self.come(daemon, "127.2.2.3"))  # before the rate
        self.gone(daemon, twice.pop(), active=2)
        self.expect(daemon, "rate_per_source", self.come(daemon, "127.2.2.3"))
        others = [self.served(daemon, f"127.2.{number}.1") for number in (3, 4)]
        self.expect(daemon, "max_connections", self.come(daemon, "127.2.5.1"))
        for number in (6, 7):
            self.gone(daemon, others.pop(), active=3)
            self.served(daemon, f"127.2.{number}.1")
        self.assertTrue(same.echo() and twice[0].echo())

    def everything_at_once(self, daemon):
        """No slot is free and no rate is left: a client that an earlier step refuses is still counted there."""
        for reason, client in (("rate", "127.2.5.1"), ("rate_per_source", "127.2.2.3"), ("penalty", "127.2.1.1"),
                               ("penalty", "127.2.1.2"), ("denied", "127.2.1.3"), ("denied", BY_RULE), ("denied", DENIED)):
            self.expect(daemon, reason, self.come(daemon, client))
        counts = self.counts(daemon)
        self.assertEqual((counts["active"], counts["accepted"], counts["crashed"]), (4, 8, 1))

    def test_steps_for_direct_clients(self):
        daemon = self.start_with()
        self.fill(daemon)
        self.everything_at_once(daemon)
        self.assertEqual(self.refused(daemon), {"denied": 6, "penalty": 4, "per_source": 2, "rate_per_source": 2, "rate": 1,
                                                "max_connections": 1})

    def test_steps_for_clients_behind_a_balancer(self):
        daemon = self.start_with(proxy_protocol="v1", proxy_allow_from=[BALANCER, "127.8.0.0/16"], proxy_timeout="1s")
        self.fill(daemon)
        self.everything_at_once(daemon)

        def plain(source, words=b""):
            client = Client(daemon.address(), source=(source, 0))
            self.addCleanup(client.close)
            client.send(words)
            return client
        self.expect(daemon, "denied", plain(DENIED))  # by the address itself, whatever it might send
        self.expect(daemon, "proxy", plain("127.2.1.1"))  # may not speak for others; its penalties are not checked
        self.expect(daemon, "proxy", plain(BALANCER, b"GET / HTTP/1.0\r\n\r\n"))
        self.expect(daemon, "proxy_timeout", plain(BALANCER, b"PROXY TCP4 127.8"))
        self.assertEqual(self.refused(daemon), {"denied": 7, "proxy": 2, "proxy_timeout": 1, "penalty": 4, "per_source": 2,
                                                "rate_per_source": 2, "rate": 1, "max_connections": 1})


if __name__ == "__main__":
    main()
