"""Which clients are admitted: allow and deny, rules, banners, and hostile clients. Many sources, exact counts."""

import os

from harness import (BUSY, AdmissionTestCase, Client, Hold, Strace, exec_listener, listener, main, module_listener, needs_root,
                     outcome, tool, wait_until)


class Lists(AdmissionTestCase):
    SOURCES = ("127.0.0.1", "127.0.0.2", "127.1.2.3", "127.1.2.4", "::1")
    TABLE = (  # allow, deny, who gets in
        (None, None, SOURCES),
        ([], None, ()),
        (["127.0.0.0/8"], None, SOURCES[:4]),
        (["::/0"], None, SOURCES[4:]),
        ("127.0.0.2", None, SOURCES[1:2]),
        (["::ffff:127.1.0.0/112", "::1"], None, SOURCES[2:]),
        (None, ["127.0.0.1", "::1"], SOURCES[1:4]),
        (["127.0.0.0/8"], ["127.1.0.0/16"], SOURCES[:2]),
        (["127.1.2.3"], ["127.0.0.0/8"], SOURCES[2:3]),
        (["127.1.2.0/24"], ["127.1.2.0/24"], ()),
        (["0.0.0.0/0", "127.1.2.4"], ["127.1.2.0/24"], (SOURCES[0], SOURCES[1], SOURCES[3])),
    )

    def test_the_longest_prefix_decides_and_every_refusal_is_counted(self):
        children = []
        for number, (allow, deny, _) in enumerate(self.TABLE):
            keys = {key: value for key, value in (("allow", allow), ("deny", deny)) if value is not None}
            children.append(listener(f"l{number}", listen="[::]:0", workers=1, **keys))
        daemon = self.supervise(*children)
        for number, (allow, deny, welcome) in enumerate(self.TABLE):
            port = daemon.address(f"l{number}")[1]
            for source in self.SOURCES:
                to = ("::1" if ":" in source else "127.0.0.1", port)
                with Client(to, source=(source, 0)) as client:
                    client.send(b"hello\n")
                    expected = b"hello\n" if source in welcome else b""
                    self.assertEqual(client.receive(6), expected, (allow, deny, source))
            count = len(self.SOURCES) - len(welcome)
            self.assertEqual(self.refused(daemon, f"l{number}"), {"denied": count} if count else {})

    def test_a_unix_socket_has_no_addresses_to_deny(self):
        path = os.path.join(self.directory, "socket")
        os.chmod(self.directory, 0o1777)
        daemon = self.supervise(listener(listen=f"unix:{path}", allow=[], deny=["0.0.0.0/0", "::/0"]))
        with Client(path) as client:
            self.assertTrue(client.echo())

    def test_the_log_names_the_network_and_the_peer_and_omits_none(self):
        daemon = self.supervise(listener(deny=["127.66.0.0/16"], banner_fail="no\r\n"))
        names = []
        for number in range(300):
            with Client(daemon.address(), source=(f"127.66.{number // 256}.{number % 256}", 0)) as client:
                names.append(client.name)
                self.assertEqual(client.rest(), b"no\r\n")
        self.wait_counts(daemon, accepted=0)
        self.assertEqual(self.refused(daemon), {"denied": 300})
        wait_until(lambda: self.told(daemon, "denied") == 300, 5, "all are told")
        lines = daemon.log("^refused a connection: deny contains 127.66.0.0/16$", reason="denied")
        self.assertLessEqual({line["peer"] for line in lines}, set(names))
        self.measured(refused=300, log_lines=len(lines))
        self.assertLessEqual(len(lines), 2 * 4)

    def test_a_long_list_is_not_searched_linearly(self):
        daemon = self.supervise(listener(deny=[f"10.{n // 256}.{n % 256}.0/24" for n in range(4000)] + ["127.0.0.9"]))
        with Client(daemon.address()) as client:
            self.assertTrue(client.echo())
        with Client(daemon.address(), source=("127.0.0.9", 0)) as client:
            self.assertEqual(client.rest(), b"")
        self.assertEqual(self.refused(daemon), {"denied": 1})


class Banner(AdmissionTestCase):
    def test_the_banner_is_sent_before_output_of_the_handler(self):
        for child in (listener(banner="220 ready\r\n"), exec_listener(["/bin/echo", "hello"], "echo", banner="220 ready\r\n")):
            daemon = self.supervise(child)
            for _ in range(50):
                with Client(daemon.address()) as client:
                    client.send(b"hello\n")
                    self.assertEqual(client.receive(17), b"220 ready\r\nhello\n")

    def test_a_client_that_has_disconnected_costs_no_other_anything(self):
        daemon = self.supervise(listener(banner="x" * 4096, max_connections=5))
        for _ in range(200):
            Client(daemon.address()).reset()
        with Hold(daemon.address(), 5) as held:
            self.assertEqual([len(client.receive(4096)) for client in held.clients], [4096] * 5)
        self.wait_counts(daemon, active=0, crashed=0)
        self.assertEqual(daemon.log(level="error"), [])


def reset_at_once(address, data=b"", source=None):
    try:
        with Client(address, source=source) as client:
            client.send(data)
            client.reset()
    except ConnectionError:
        pass  # bulkheadd closed it first


class Hostile(AdmissionTestCase):
    COUNT = 30

    def test_resets_at_every_stage_free_all_resources(self):
        forms = {"queue": {}, "close": {"on_full": "close"}, "message": {"on_full": "message", "banner_fail": BUSY},
                 "reset": {"on_full": "reset"}, "denied": {"deny": "127.0.0.9", "banner_fail": "no\r\n"}}
        daemon = self.supervise(*(listener(name, max_connections=5, banner="hi\r\n", **keys) for name, keys in forms.items()))
        for name in forms:
            address = daemon.address(name)
            with Hold(address, 5) as held:
                self.assertEqual(held.echo_all(), 0)  # the banner comes before it
                for _ in range(50):  # at the limit: in the queue, or while being refused
                    reset_at_once(address)
                    reset_at_once(address, b"x" * 1000)
                for client in held.clients:  # being served
                    client.reset()
            for _ in range(50):
                reset_at_once(address, source=("127.0.0.9", 0))
            self.wait_counts(daemon, name, active=0, crashed=0)
            with Hold(address, 5) as held:
                self.assertEqual([client.receive(4) for client in held.clients], [b"hi\r\n"] * 5)
        self.assertEqual(daemon.log(level="error"), [])

    def reset_at_every_stage(self, daemon, name, request, answer):
        """COUNT clients each that disconnect right after connecting, after sending, and in the middle of their answer; and every
        slot is free again. Returns how many were in the middle."""
        address = daemon.address(name)
        for _ in range(self.COUNT):
            reset_at_once(address)
            reset_at_once(address, request)
            with Client(address) as client:
                client.send(request)
                self.assertEqual(client.receive(len(answer)), answer)
                client.reset()
        self.wait_counts(daemon, name, active=0)
        wait_until(lambda: not daemon.zombies(), 5, "nobody is left unreaped")
        clients = []
        for _ in range(5):  # every slot is free again
            clients.append(Client(address))
            self.addCleanup(clients[-1].close)
            clients[-1].send(request)
            self.assertEqual(clients[-1].receive(len(answer)), answer)
        self.assertEqual(self.counts(daemon, name)["active"], 5)
        self.assertEqual(self.refused(daemon, name), {})
        for client in clients:
            client.reset()
        self.wait_counts(daemon, name, active=0)
        return self.COUNT + len(clients)

    def test_resets_at_every_stage_of_a_program(self):
        """The end of the program counts: one that survives a client's reset has ended normally; of one that dies of it,
        the client was gone. Neither has crashed."""
        answer = "head -c 100000000 /dev/zero"  # more than any buffer holds
        careful = self.write("careful", f"#!/bin/sh\ntrap '' PIPE\nread -r line || exit 0\n{answer} 2>&-\nexit 0\n", 0o755)
        careless = self.write("careless", f"#!/bin/sh\nread -r line || exit 0\nexec {answer}\n", 0o755)
        daemon = self.supervise(*(exec_listener([path], name, max_connections=5)
                                  for path, name in ((careful, "careful"), (careless, "careless"))))
        self.reset_at_every_stage(daemon, "careful", b"answer\n", bytes(1000))
        self.assertEqual(self.counts(daemon, "careful")["crashed"], 0)
        told = self.reset_at_every_stage(daemon, "careless", b"answer\n", bytes(1000))
        gone = self.counts(daemon, "careless")["client_gone"]
        self.measured(in_the_middle=told, client_gone=gone)
        self.assertGreaterEqual(gone, told)  # a program that had read the request before the reset dies of its answer too
        self.assertLessEqual(gone, told + self.COUNT)
        self.all_told(daemon, "careless")

    def all_told(self, daemon, name):
        """Each counted end without a client is in the log, and no worse event is."""
        def told():
            return len(daemon.log("^connection .* ended: the client left first$", path=f"root/{name}", reason="client_gone"))
        counts = self.counts(daemon, name)
        wait_until(lambda: told() == counts["client_gone"], 5, lambda: f"{counts} are counted, but {told()} are told")
        self.assertEqual(counts["crashed"], 0)
        self.assertEqual(daemon.log(level="error"), [])

    def test_resets_at_every_stage_of_a_module(self):
        daemon = self.supervise(module_listener(self.module("does_as_told"), max_connections=5))
        self.reset_at_every_stage(daemon, "own", b"hello\n", b"hello")
        self.all_told(daemon, "own")  # modules that were reading while their clients disconnected
        self.assertLessEqual(self.counts(daemon, "own")["client_gone"], self.COUNT)

    def test_a_half_closed_client_is_served_or_gets_the_refusal(self):
        daemon = self.supervise(listener(max_connections=1, on_full="message", banner_fail=BUSY))
        with Client(daemon.address()) as first:
            self.assertTrue(first.echo())
            for _ in range(20):
                with Client(daemon.address()) as late:
                    late.half_close()
                    self.assertEqual(outcome(late), (BUSY.encode(), "end"))
            first.half_close()
            self.assertEqual(first.rest(), b"")
        self.wait_counts(daemon, active=0, accepted=1)

    def test_a_port_scanner_causes_no_crash(self):
        daemon = self.supervise(listener(max_connections=5, on_full="close"), listener("queue", max_connections=5))
        for name in ("echo", "queue"):
            for number in range(500):
                with Client(daemon.address(name)) as scanner:
                    if number % 2:
                        scanner.reset()
            with Client(daemon.address(name)) as client:
                wait_until(lambda: self.counts(daemon, name)["active"] <= 4, 5, "the scanner is through")
                self.wait_counts(daemon, name, crashed=0)
            wait_until(lambda: self.counts(daemon, name)["active"] == 0, 5, "nobody")
        self.assertEqual(daemon.log(level="error"), [])


class Stats(AdmissionTestCase):
    def test_every_refusal_by_reason_in_the_table_and_in_json(self):
        daemon = self.supervise(listener("a", deny="127.0.0.9"), listener("b", max_connections=1, on_full="close"))
        with Client(daemon.address("b")) as first:
            self.assertTrue(first.echo())
            for name, source in (("a", "127.0.0.9"), ("a", "127.0.0.9"), ("b", "127.0.0.1")):
                with Client(daemon.address(name), source=(source, 0)) as client:
                    self.assertEqual(client.rest(), b"")
            stats = daemon.control.value("stats")
            self.assertEqual([one["path"] for one in stats["listeners"]], ["root/a", "root/b"])
            reasons = {"denied", "proxy", "proxy_timeout", "penalty", "per_source", "rate_per_source", "rate", "max_connections", "daemon_max_connections",
                       "handler_start"}
            for one in (*(each["connections"] for each in stats["listeners"]), stats["totals"]):
                self.assertEqual(set(one["refused"]), reasons)
            self.assertEqual(self.refused(daemon, "a"), {"denied": 2})
            self.assertEqual(self.refused(daemon, "b"), {"max_connections": 1})
            self.assertEqual({k: v for k, v in stats["totals"]["refused"].items() if v}, {"denied": 2, "max_connections": 1})
            self.assertEqual(daemon.control.node("root/a")["connections"]["refused"]["denied"], 2)
            status, text, _ = daemon.control.run("stats")
        self.assertEqual(status, 0)
        rows = {line.split()[0]: line for line in text.splitlines()}
        self.assertRegex(rows["root/a"], r" denied=2$")
        self.assertRegex(rows["root/b"], r" 1 +0 +1 +0 +0 +0 +max_connections=1$")
        self.assertRegex(rows["total"], r" denied=2 max_connections=1$")


class FastPath(AdmissionTestCase):
    @needs_root
    @tool("strace")
    def test_a_plain_listener_makes_no_needless_system_call(self):
        daemon = self.supervise(listener(workers=1))
        calls = "setsockopt,getsockopt,getsockname,getpeername,sendto,sendmsg,recvfrom,recvmsg,shutdown,fcntl,ioctl"
        with Strace(daemon.workers()[0].pid, calls + ",accept4,clone") as trace:
            for _ in range(200):
                with Client(daemon.address()) as client:
                    self.assertTrue(client.echo())
            wait_until(lambda: trace.count("clone\\(") >= 200, 5, "all are seen")
        lines = [line for line in trace.text.splitlines() if "=" in line]
        accepts, clones = trace.count(r"accept4\("), trace.count(r"clone\(")
        needed = ("accept4(", "clone(", "sendto(2, ")  # 2: a line of the log
        # The hop limit of a listening socket that is being closed is inherited.
        others = [line for line in lines if not line.startswith(needed) and "IP_MINTTL" not in line]
        self.measured(connections=200, accepts=accepts, clones=clones, others=len(others))
        self.assertEqual(clones, 200)
        self.assertLessEqual(accepts, 200 * 1.5)
        self.assertEqual(others, [])


if __name__ == "__main__":
    main()
