"""A listener's `rules`: other settings for the clients of some networks. Clients come from many addresses of 127.0.0.0/8."""

import signal

from harness import Client, ControlledTestCase, exec_listener, listener, main, signal_process, wait_until
from harness.proxy_header import proxy_v2


class Rules(ControlledTestCase):
    def setUp(self):
        super().setUp()
        self.clients = []

    def client(self, daemon, source):
        """A connection from that address; stays open to the end of the test."""
        self.clients.append(Client(daemon.address(), source=(source, 0)))
        self.addCleanup(self.clients[-1].close)
        return self.clients[-1]

    def answer(self, daemon, source):
        """All bytes that a client from that address gets without sending anything."""
        try:
            return self.client(daemon, source).rest()
        except ConnectionResetError:
            return b""

    def says(self, client):
        """Whether the client gets its line back; False: it was sent away."""
        try:
            return client.echo()
        except ConnectionError:
            return False

    def is_served(self, daemon, source):
        return self.says(self.client(daemon, source))

    def refused(self, daemon):
        return {reason: count for reason, count in daemon.control.call("stats")["result"]["totals"]["refused"].items() if count}

    def test_the_longest_network_of_all_rules_decides(self):
        # The order of the rules does not matter: the wide one comes first.
        daemon = self.supervise(listener(workers=2, rules=[
            {"from": "127.0.0.0/16", "action": "deny"},
            {"from": ["127.0.3.0/24", "127.0.4.0/24"]},
            {"from": "127.0.3.9", "action": "deny"}]))
        for source, served in (("127.0.2.1", False), ("127.0.3.1", True), ("127.0.4.255", True), ("127.0.3.9", False),
                               ("127.1.0.1", True)):
            self.assertEqual(self.is_served(daemon, source), served, source)
        self.assertEqual(self.refused(daemon), {"denied": 2})
        daemon.wait_log("rule 0 denies 127.0.0.0/16")

    def test_allow_and_deny_come_first(self):
        daemon = self.supervise(listener(workers=1, deny=["127.0.3.0/24"], rules=[{"from": "127.0.3.1"}], banner_fail="no\r\n"))
        self.assertEqual(self.answer(daemon, "127.0.3.1"), b"no\r\n")
        self.assertTrue(self.is_served(daemon, "127.0.4.1"))
        daemon.wait_log("deny contains 127.0.3.0/24")

    def test_connections_of_each_source(self):
        daemon = self.supervise(listener(workers=4, max_connections_per_source=2, rules=[
            {"from": "127.0.3.0/24", "max_connections": 5}, {"from": "127.0.4.0/24", "max_connections": 1}]))
        for source, room in (("127.0.2.1", 2), ("127.0.3.1", 5), ("127.0.3.2", 5), ("127.0.4.1", 1)):
            self.assertEqual(sum(self.is_served(daemon, source) for _ in range(8)), room, source)
        self.assertEqual(self.refused(daemon), {"per_source": 4 * 8 - 13})
        daemon.wait_log("max_connections_per_source is 2, source 127.0.2.1")
        daemon.wait_log("max_connections of rule 1 is 1, source 127.0.4.1")
        # Connections that a dead worker leaves still count.
        before = daemon.workers()
        for worker in before:
            signal_process(worker.pid, signal.SIGKILL)
        daemon.wait_workers(4, without=before)
        self.assertFalse(self.is_served(daemon, "127.0.4.1"))
        for client in self.clients:
            client.close()
        wait_until(lambda: not daemon.control.call("connections")["result"], 5, "no connection")
        self.assertEqual(sum(self.is_served(daemon, "127.0.3.1") for _ in range(6)), 5)

    def test_limits_of_one_rule_only(self):
        # No other option of this listener depends on sources.
        daemon = self.supervise(listener(workers=2, rules=[{"from": "127.0.3.0/24", "max_connections": 1}]))
        first = self.client(daemon, "127.0.3.1")
        self.assertTrue(first.echo())
        self.assertFalse(self.is_served(daemon, "127.0.3.1"))
        self.assertTrue(all(self.is_served(daemon, "127.0.2.1") for _ in range(20)))

    def test_env_and_handler(self):
        script = self.write("handler", '#!/bin/sh\necho "$WHO $PLACE $TCPREMOTEIP"\n', 0o755)
        other = self.write("other", '#!/bin/sh\necho "other $WHO"\n', 0o755)
        daemon = self.supervise(exec_listener([script], workers=2, env={"WHO": "anybody", "PLACE": "here"}, rules=[
            {"from": "127.0.3.0/24", "env": {"WHO": "friend"}},
            {"from": "127.0.4.0/24", "handler": {"exec": [other]}},
            {"from": "127.0.5.0/24", "handler": "daytime"},
            {"from": "127.0.6.0/24", "env": {"WHO": "foe"}, "handler": {"exec": [other]}}]))
        self.assertEqual(self.answer(daemon, "127.0.2.1"), b"anybody here 127.0.2.1\n")
        self.assertEqual(self.answer(daemon, "127.0.3.7"), b"friend here 127.0.3.7\n")
        self.assertEqual(self.answer(daemon, "127.0.4.7"), b"other anybody\n")
        self.assertRegex(self.answer(daemon, "127.0.5.7"), rb"\d\d:\d\d:\d\d")
        self.assertEqual(self.answer(daemon, "127.0.6.7"), b"other foe\n")
        self.assertEqual(self.refused(daemon), {})

    def test_a_built_in_handler_with_programs_in_rules(self):
        script = self.write("handler", "#!/bin/sh\necho program\n", 0o755)
        service = exec_listener([script], workers=2, rules=[{"from": "127.0.3.0/24", "handler": {"exec": [script]}}])
        daemon = self.supervise({**service, "handler": "echo"})
        self.assertTrue(self.is_served(daemon, "127.0.2.1"))
        self.assertEqual(self.answer(daemon, "127.0.3.1"), b"program\n")

    def test_rules_apply_to_the_client_behind_a_balancer(self):
        daemon = self.supervise(listener(workers=2, proxy_protocol="v2", rules=[
            {"from": "192.0.2.0/24", "action": "deny"}, {"from": "127.0.0.0/8", "action": "deny"}]))
        for claimed, served in (("192.0.2.1", False), ("198.51.100.1", True)):
            client = self.client(daemon, "127.0.0.1")
            client.send(proxy_v2((claimed, 56324)))
            self.assertEqual(self.says(client), served, claimed)


if __name__ == "__main__":
    main()
