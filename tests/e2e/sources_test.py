"""Limits for each source: connections at once, their rate, and penalties for how they ended. Clients come from many
addresses of 127.0.0.0/8, from IPv6 networks in namespaces of their own, and as users of a Unix socket."""

import contextlib
import ctypes
import os
import random
import signal
import subprocess
import threading
import time

from harness import (Client, ControlledTestCase, ReloadTestCase, exec_listener, listener, main, needs_mounts, needs_root, signal_process,
                     steady, tool, wait_until)

MANY = 1_000_000


def is_served(client, line=b"hello\n"):
    """Whether the client gets its line back; False: it was sent away."""
    try:
        return client.echo(line)
    except ConnectionError:
        return False


class SourcesTestCase(ControlledTestCase):
    def open(self, daemon, source, count=1, name=None):
        """`count` connections from that address, closed at the end of the test."""
        clients = []
        for _ in range(count):
            clients.append(Client(daemon.address(name), source=(source, 0)))
            self.addCleanup(clients[-1].close)
        return clients

    def served(self, daemon, source, count=1):
        """The connections, out of `count` from that address, that are served; they stay open."""
        served = []
        for client in self.open(daemon, source, count):
            if is_served(client):
                served.append(client)
            else:
                client.close()
        return served

    def refused(self, daemon, reason):
        return daemon.control.call("stats")["result"]["totals"]["refused"][reason]

    def close(self, daemon, clients):
        for client in clients:
            client.close()
        wait_until(lambda: not daemon.control.call("connections")["result"], 5, "no connection")


class Reloads(SourcesTestCase, ReloadTestCase):
    def test_existing_connections_count_for_a_limit_that_a_reload_adds(self):
        daemon = self.supervise(steady(workers=2))
        held = self.served(daemon, "127.0.0.1", 2) + self.served(daemon, "127.0.0.2", 5)
        self.assertEqual(len(held), 7)
        self.rewrite(daemon, steady(workers=2, max_connections_per_source=3))
        self.reload(daemon)
        self.assertEqual([len(self.served(daemon, f"127.0.0.{number}", 5)) for number in (1, 2, 3)], [1, 0, 3])
        for client in held[2:]:
            client.close()
        wait_until(lambda: len(daemon.control.call("connections")["result"]) == 6, 5, "only those that stay")
        self.assertEqual(len(self.served(daemon, "127.0.0.2", 5)), 3)
        for limits, more in (({"source_prefix": {"v4": 24}, "max_connections_per_source": 12}, 3), ({}, 5),
                             ({"max_connections_per_source": 12}, 1)):
            self.rewrite(daemon, steady(workers=2, **limits))
            self.reload(daemon)
            self.assertEqual(len(self.served(daemon, "127.0.0.1", 5)), more, limits)

    def test_connections_that_old_workers_accept_meanwhile_count_too(self):
        daemon = self.supervise(steady(workers=3, max_unavailable=1))
        stop = threading.Event()
        held = []

        def connect():
            while not stop.is_set() and len(held) < 300:
                held.extend(self.served(daemon, "127.0.0.7"))
        thread = threading.Thread(target=connect)
        thread.start()
        self.rewrite(daemon, steady(workers=3, max_unavailable=1, max_connections_per_source=1))
        self.reload(daemon)
        stop.set()
        thread.join()
        self.assertEqual(len(self.served(daemon, "127.0.0.7", 5)), 0, len(held))


class Upgrades(SourcesTestCase, ReloadTestCase):
    def test_existing_connections_count_after_an_upgrade(self):
        daemon = self.supervise(steady(workers=2))
        self.assertEqual(len(self.served(daemon, "127.0.0.1", 2)), 2)
        self.rewrite(daemon, steady(workers=2, max_connections_per_source=3))
        for verb in "reload", "upgrade":
            self.assertEqual(daemon.control.run(verb, "--wait")[0], 0, verb)
        self.assertEqual(len(self.served(daemon, "127.0.0.1", 3)), 1)
        self.assertEqual(daemon.control.run("upgrade", "--wait")[0], 0)
        self.assertEqual(len(self.served(daemon, "127.0.0.1", 3)), 0)


class PendingPardon(SourcesTestCase):
    def test_penalties_cleared_while_no_worker_runs_stay_cleared_after_an_upgrade(self):
        told = exec_listener([self.helper("behaves_as_told")], "told", workers=1, penalties={"mode": "enforce", "crash": "1h"})
        daemon = self.supervise(told)
        for source in "127.0.0.1", "127.0.0.2":
            self.open(daemon, source)[0].send(b"crash\n")
        wait_until(lambda: len(daemon.control.value("penalties")) == 2, 5, "two penalties")
        for command in ("stop", "root/told"), ("penalties", "clear", "127.0.0.1"), ("upgrade", "--wait"), ("start", "root/told"):
            self.assertEqual(daemon.control.run(*command)[0], 0, command)
        wait_until(lambda: [one["source"] for one in daemon.control.value("penalties")] == ["127.0.0.2/32"], 5, "one penalty")


class Connections(SourcesTestCase):
    def test_each_address_has_exactly_its_share(self):
        daemon = self.supervise(listener(workers=4, max_connections_per_source=3))
        for turn in (1, 2):  # the counts are back at zero after the first turn
            held = []
            for number in range(1, 21):
                held.append(self.served(daemon, f"127.0.0.{number}", 5))
            self.assertEqual([len(one) for one in held], [3] * 20)
            self.assertEqual(self.refused(daemon, "per_source"), turn * 40 + (turn - 1) * 2)
            held[7].pop().close()
            wait_until(lambda: len(daemon.control.call("connections")["result"]) == 59, 5, "one less")
            again = self.served(daemon, "127.0.0.8", 2)
            self.assertEqual(len(again), 1)
            self.assertEqual(self.served(daemon, "127.0.0.9"), [])
            self.close(daemon, [client for one in held for client in one] + again)
            self.assertEqual(self.refused(daemon, "per_source"), turn * 42)
        line = daemon.log("max_connections_per_source is 3")[0]
        self.assertEqual(line["reason"], "per_source")

    def test_a_greedy_source_keeps_no_other_out(self):
        daemon = self.supervise(listener(max_connections=20, max_connections_per_source=10))
        held = self.served(daemon, "127.0.0.2", 12)
        self.assertEqual(len(held), 10)
        stop = threading.Event()

        def storm():
            while not stop.is_set():
                with contextlib.suppress(OSError), Client(daemon.address(), source=("127.0.0.2", 0)) as client:
                    client.rest(1.0)
        threads = [threading.Thread(target=storm) for _ in range(3)]
        for thread in threads:
            thread.start()
        slowest = 0.0
        try:
            for _ in range(50):
                began = time.monotonic()
                with Client(daemon.address(), source=("127.0.0.3", 0)) as client:
                    self.assertTrue(is_served(client))
                slowest = max(slowest, time.monotonic() - began)
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        self.assertEqual(len(daemon.control.call("connections")["result"]) >= 10, True)
        self.measured(refused=self.refused(daemon, "per_source"), slowest=slowest)
        self.assertGreater(self.refused(daemon, "per_source"), 10)
        self.assertLess(slowest, 1.0)

    def test_the_share_holds_while_workers_are_killed_at_random(self):
        share, sources = 5, [f"127.0.0.{number}" for number in range(2, 6)]
        daemon = self.supervise(listener(workers=3, max_connections_per_source=share, max_restarts=MANY, restart_delay="none"))
        lock, at_once, most, served, lost = threading.Lock(), dict.fromkeys(sources, 0), 0, 0, 0
        stop = threading.Event()

        def client_of(source):
            nonlocal most, served, lost
            while not stop.is_set():
                with contextlib.suppress(OSError), Client(daemon.address(), source=(source, 0)) as client:
                    if not is_served(client):
                        continue
                    with lock:  # counted for no longer than the server counts it
                        at_once[source] += 1
                        most = max(most, at_once[source])
                        served += 1
                    time.sleep(random.random() / 50)
                    continues = False
                    with contextlib.suppress(OSError):
                        continues = is_served(client)
                    with lock:
                        at_once[source] -= 1
                        lost += not continues
        threads = [threading.Thread(target=client_of, args=(source,)) for source in sources for _ in range(share + 2)]
        for thread in threads:
            thread.start()
        kills, until = 0, time.monotonic() + 20
        try:
            while kills < 50 and time.monotonic() < until:
                if workers := daemon.workers():
                    kills += signal_process(random.choice(workers).pid, signal.SIGKILL)
                time.sleep(random.random() / 20)
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        daemon.wait_workers(3)
        wait_until(lambda: not daemon.control.call("connections")["result"], 5, "no connection")
        self.measured(kills=kills, served=served, most_at_once=most)
        self.assertEqual(lost, 0)
        self.assertLessEqual(most, share)
        self.assertGreater(kills, 20)
        for source in sources:
            self.assertEqual(len(self.served(daemon, source, share + 3)), share, source)

    def test_the_source_of_a_unix_socket_client_is_its_user(self):
        path = os.path.join(self.directory, "socket")
        daemon = self.supervise(listener(listen=f"unix:{path}", max_connections_per_source=2))
        clients = [Client(path) for _ in range(5)]
        for client in clients:
            self.addCleanup(client.close)
        self.assertEqual(sum(is_served(client) for client in clients), 2)

    def test_a_wider_prefix_makes_one_source_of_a_network(self):
        daemon = self.supervise(listener(max_connections_per_source=4, source_prefix={"v4": 24}))
        self.assertEqual(sum(len(self.served(daemon, f"127.0.1.{number}")) for number in range(1, 11)), 4)
        self.assertEqual(len(self.served(daemon, "127.0.2.1", 5)), 4)


class Rates(SourcesTestCase):
    def test_each_address_has_its_burst(self):
        daemon = self.supervise(listener(workers=4, max_rate_per_source={"count": 5, "per": "1h"}))
        for number in range(1, 11):
            self.assertEqual(len(self.served(daemon, f"127.0.0.{number}", 8)), 5)
        self.assertEqual(self.refused(daemon, "rate_per_source"), 30)
        line = daemon.log("max_rate_per_source is 5 per 1h")[0]
        self.assertEqual(line["reason"], "rate_per_source")

    def test_the_rate_recovers_gradually_and_refusals_cost_nothing(self):
        daemon = self.supervise(listener(max_rate_per_source={"count": 2, "per": "1s"}))
        self.assertEqual(len(self.served(daemon, "127.0.0.2", 2)), 2)
        began, tries = time.monotonic(), 0
        while not self.served(daemon, "127.0.0.2"):
            tries += 1
        healed = time.monotonic() - began
        self.measured(refused_meanwhile=tries, healed_after=healed)
        self.assertGreater(tries, 0)
        self.assertLess(healed, 2.0)


class Penalties(SourcesTestCase):
    def told(self, **penalties):
        """A daemon whose handler ends as its client says."""
        keys = {"mode": "enforce", **penalties}
        return self.supervise(exec_listener([self.helper("behaves_as_told")], "told", penalties=keys, max_restarts=MANY,
                                            restart_delay="none"))

    def tell(self, daemon, source, words):
        with Client(daemon.address(), source=(source, 0)) as client:
            client.send(words + b"\n")
            self.assertEqual(client.rest(), b"")

    def penalties(self, daemon):
        return daemon.control.value("penalties")

    def wait_penalties(self, daemon, count):
        return wait_until(lambda: len(found := self.penalties(daemon)) == count and found, 5, f"{count} penalties")

    def test_a_crash_locks_out_only_its_source(self):
        daemon = self.told()
        self.tell(daemon, "127.0.0.2", b"crash")
        one, = self.wait_penalties(daemon, 1)
        self.assertEqual((one["listener"], one["source"], one["active"], one["reason"]),
                         ("root/told", "127.0.0.2/32", True, "crash"))
        daemon.events.next("connection_crashed", "root/told")
        self.assertTrue(80 < one["remaining_seconds"] <= 90, one)
        for _ in range(3):
            self.assertEqual(self.served(daemon, "127.0.0.2"), [])
        self.assertEqual(self.refused(daemon, "penalty"), 3)
        self.assertEqual(len(self.served(daemon, "127.0.0.3")), 1)
        daemon.wait_log("penalties", reason="penalty")
        status, text, _ = daemon.control.run("penalties")
        self.assertEqual(status, 0)
        self.assertRegex(text, r"root/told +127\.0\.0\.2/32 +crash")

    def test_a_source_is_served_again_after_clear(self):
        daemon = self.told()
        for number in (2, 3, 4):
            self.tell(daemon, f"127.0.0.{number}", b"crash")
        self.wait_penalties(daemon, 3)
        self.assertEqual(daemon.control.run("penalties", "clear", "127.0.0.2")[0], 0)
        self.assertEqual(len(self.served(daemon, "127.0.0.2")), 1)
        self.assertEqual(self.served(daemon, "127.0.0.3"), [])
        self.assertEqual(daemon.control.run("penalties", "clear", "127.0.0.2")[0], 1)
        self.assertEqual(daemon.control.value("penalties", "clear", "127.0.0.0/8")["cleared"], 2)
        self.assertEqual(len(self.served(daemon, "127.0.0.3")), 1)
        self.assertEqual(self.penalties(daemon), [])
        self.assertEqual(daemon.control.run("penalties", "clear", "127.0.0.300")[0], 64)

    def test_exit_statuses_add_up_until_more_than_min_is_due(self):
        daemon = self.told(exit={"77": "10s", "1": "0s"})
        for words in (b"exit 77", b"exit 1", b"exit 78"):
            self.tell(daemon, "127.0.0.2", words)
        one, = self.wait_penalties(daemon, 1)
        self.assertEqual((one["active"], one["reason"]), (False, "exit"))
        self.tell(daemon, "127.0.0.2", b"exit 77")
        wait_until(lambda: self.penalties(daemon)[0]["active"], 5, "the second is one too many")
        self.assertEqual(self.served(daemon, "127.0.0.2"), [])

    def test_a_penalty_expires(self):
        daemon = self.told(crash="1s", min="0s")
        self.tell(daemon, "127.0.0.2", b"crash")
        began = time.monotonic()
        self.wait_penalties(daemon, 1)
        self.assertEqual(self.served(daemon, "127.0.0.2"), [])
        wait_until(lambda: self.served(daemon, "127.0.0.2"), 5, "served again")
        took = time.monotonic() - began
        self.measured(served_again_after=took)
        self.assertGreater(took, 0.5)
        self.assertEqual(self.penalties(daemon), [])

    def test_exempt_sources_are_not_counted(self):
        daemon = self.told(exempt=["127.0.0.2", "127.0.9.0/24"])
        for source in ("127.0.0.2", "127.0.9.7", "127.0.0.3"):
            self.tell(daemon, source, b"crash")
        one, = self.wait_penalties(daemon, 1)
        self.assertEqual(one["source"], "127.0.0.3/32")
        self.assertEqual(len(self.served(daemon, "127.0.0.2")), 1)
        self.assertEqual(len(self.served(daemon, "127.0.9.7")), 1)

    def test_mode_log_reports_and_admits(self):
        daemon = self.told(mode="log")
        self.tell(daemon, "127.0.0.2", b"crash")
        self.wait_penalties(daemon, 1)
        self.assertEqual(len(self.served(daemon, "127.0.0.2", 3)), 3)
        self.assertEqual(self.refused(daemon, "penalty"), 3)
        daemon.wait_log("would have refused")

    def test_beyond_max_sources_new_sources_are_denied_or_the_first_to_expire_forgotten(self):
        daemon = self.told(max_sources4=2, overflow="deny-all", exempt=["127.0.0.9"])
        for number in (2, 3):
            self.tell(daemon, f"127.0.0.{number}", b"crash")
        self.wait_penalties(daemon, 2)
        self.assertEqual(self.served(daemon, "127.0.0.4"), [])
        self.assertEqual(len(self.served(daemon, "127.0.0.9")), 1)
        self.assertEqual(daemon.control.run("penalties", "clear", "127.0.0.2")[0], 0)
        self.assertEqual(len(self.served(daemon, "127.0.0.4")), 1)
        daemon = self.told(max_sources4=2, exit={"9": "20s", "10": "100s"})
        for number, status in ((2, 9), (3, 10), (4, 10)):
            self.tell(daemon, f"127.0.0.{number}", b"exit %d" % status)
            wait_until(lambda: f"127.0.0.{number}/32" in [one["source"] for one in self.penalties(daemon)], 5, "penalised")
        self.assertEqual({one["source"] for one in self.penalties(daemon)}, {"127.0.0.3/32", "127.0.0.4/32"})
        self.assertEqual(len(self.served(daemon, "127.0.0.2")), 1)

    def test_penalties_survive_workers_and_include_adopted_connections(self):
        daemon = self.told()
        self.tell(daemon, "127.0.0.2", b"crash")
        self.wait_penalties(daemon, 1)
        orphan, = self.served(daemon, "127.0.0.3")
        before = daemon.workers()
        for worker in before:
            signal_process(worker.pid, signal.SIGKILL)
        daemon.wait_workers(2, without=before)
        self.assertEqual(self.served(daemon, "127.0.0.2"), [])
        orphan.send(b"crash\n")
        self.assertEqual(orphan.rest(), b"")
        self.wait_penalties(daemon, 2)
        self.assertEqual(self.served(daemon, "127.0.0.3"), [])

    def test_connections_ended_by_the_daemon_cost_no_penalty(self):
        daemon = self.told()
        client, = self.served(daemon, "127.0.0.2")
        connection, = daemon.control.call("connections")["result"]
        self.assertEqual(daemon.control.run("kill", connection["id"], "KILL")[0], 0)
        self.assertEqual(client.rest(), b"")
        wait_until(lambda: not daemon.control.call("connections")["result"], 5, "no connection")
        self.assertEqual(self.penalties(daemon), [])


class Network:
    """Two network namespaces and a cable between them: the server's has 2001:db8:ff::1 and 192.0.2.1, the client's any
    address of 2001:db8:1::/48."""

    def __init__(self, addresses):
        self.names = [f"bulkhead-{side}-{os.getpid()}" for side in ("server", "client")]
        server, client = self.names
        self._run("ip", "netns", "add", server)
        self._run("ip", "netns", "add", client)
        self._run("ip", "-n", server, "link", "add", "cable", "type", "veth", "peer", "name", "cable", "netns", client)
        for name, ends in ((server, ["2001:db8:ff::1/64", "192.0.2.1/24"]), (client, ["2001:db8:ff::2/64", "192.0.2.2/24"])):
            for address in ends:
                self._run("ip", "-n", name, "address", "add", address, "dev", "cable", *(["nodad"] if ":" in address else []))
            self._run("ip", "-n", name, "link", "set", "cable", "up")
            self._run("ip", "-n", name, "link", "set", "lo", "up")
        self._run("ip", "-n", server, "route", "add", "2001:db8:1::/48", "via", "2001:db8:ff::2")
        for address in addresses:
            self._run("ip", "-n", client, "address", "add", f"{address}/{128 if ':' in address else 24}", "dev", "cable",
                      *(["nodad"] if ":" in address else []))

    @staticmethod
    def _run(*command):
        subprocess.run(command, check=True, capture_output=True, text=True)

    def server_prefix(self):
        return ["ip", "netns", "exec", self.names[0]]

    def in_client(self, work):
        """Calls `work` on a thread of the client's namespace: what sockets it makes are there."""
        out = []

        def run():
            with open(f"/var/run/netns/{self.names[1]}") as namespace:
                if ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), 0) != 0:
                    raise OSError(ctypes.get_errno(), "setns")
            out.append(work())
        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
        return out[0]

    def close(self):
        for name in self.names:
            subprocess.run(["ip", "netns", "delete", name], capture_output=True)


@needs_root
@needs_mounts
@tool("ip")
class Ipv6(SourcesTestCase):
    def start_beyond(self, addresses, child):
        """A daemon at the other end of a cable; returns it and what calls work(come) on its clients' side, where
        come(source) connects from that address."""
        network = Network(addresses)
        self.addCleanup(network.close)
        daemon = self.supervise({**child, "listen": "[::]:0"}, prefix=network.server_prefix())
        port = daemon.address()[1]

        def come(source):
            client = Client(("2001:db8:ff::1" if ":" in source else "192.0.2.1", port), source=(source, 0))
            self.addCleanup(client.close)
            return client
        return daemon, lambda work: network.in_client(lambda: work(come))

    def test_a_network_of_64_bits_is_one_source(self):
        same = [f"2001:db8:1::{number:x}" for number in range(1, 9)]
        others = [f"2001:db8:1:{number:x}::1" for number in range(1, 9)]
        old = [f"192.0.2.{number}" for number in range(11, 15)]
        daemon, there = self.start_beyond(same + others + old, listener(max_connections_per_source=3))
        self.assertEqual(there(lambda come: sum(is_served(come(source)) for source in same)), 3)
        for sources in (others, old):
            served = there(lambda come: [sum(is_served(come(one)) for _ in range(4)) for one in sources])
            self.assertEqual(served, [3] * len(sources))
        peers = {one["peer"].rsplit(":", 1)[0] for one in daemon.control.call("connections")["result"]}
        self.assertTrue(set(old) <= peers, peers)  # IPv4 clients are IPv4 on a socket of both
        self.assertEqual(self.refused(daemon, "per_source"), 5 + len(others) + len(old))

    def test_deny_rate_and_penalties(self):
        denied, offender, neighbour, fast = (f"2001:db8:1:{end}" for end in ("dd::1", "1::1", "1:2::3", "2::1"))
        faster, other, old = "2001:db8:1:2:ffff::9", "2001:db8:1:3::1", "192.0.2.11"
        daemon, there = self.start_beyond([denied, offender, neighbour, fast, faster, other, old], exec_listener(
            [self.helper("behaves_as_told")], "told", deny=["2001:db8:1:dd::/64"], max_rate_per_source={"count": 3, "per": "1h"},
            penalties={"mode": "enforce", "crash": "1h"}, max_restarts=MANY, restart_delay="none"))

        def served(*sources):
            return there(lambda come: [is_served(come(source)) for source in sources])
        self.assertEqual(served(denied, denied), [False] * 2)
        self.assertEqual(served(fast, faster, fast, faster, fast), [True] * 3 + [False] * 2)  # one source of 64 bits
        there(lambda come: come(offender).send(b"crash\n"))
        one, = wait_until(lambda: daemon.control.value("penalties"), 5, "a penalty")
        self.assertEqual((one["source"], one["reason"], one["active"]), ("2001:db8:1:1::/64", "crash", True))
        self.assertEqual(served(offender, neighbour, other, old), [False, False, True, True])
        refused = daemon.control.call("stats")["result"]["totals"]["refused"]
        self.assertEqual({reason: count for reason, count in refused.items() if count},
                         {"denied": 2, "rate_per_source": 2, "penalty": 2})
        line = daemon.log("^refused a connection: deny contains 2001:db8:1:dd::/64$", reason="denied")[0]
        self.assertEqual(line["peer"].rsplit(":", 1)[0], f"[{denied}]")
        daemon.wait_log(" source 2001:db8:1:2::/64$", reason="rate_per_source")
        self.assertEqual(daemon.control.run("penalties", "clear", neighbour)[0], 1)  # not the whole of its source
        self.assertEqual(daemon.control.run("penalties", "clear", "2001:db8:1:1::/64")[0], 0)
        self.assertEqual(served(neighbour), [True])


if __name__ == "__main__":
    main()
