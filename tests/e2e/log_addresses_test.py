"""How much of the clients' addresses the log shows: log.addresses, log_addresses. No line of any kind shows more."""

import json
import os
import signal

from harness import Client, ControlledTestCase, exec_listener, listener, main, signal_process, wait_until

CLIENT = "127.0.0.77"
NETWORK = "127.0.0.0/24"


def handler(script, name, **keys):
    return exec_listener(["/bin/sh", "-c", script], name=name, workers=1, **keys)


class Addresses(ControlledTestCase):
    def client(self, daemon, name):
        return Client(daemon.address(name), source=(CLIENT, 0))

    def served(self, daemon, name, words=b""):
        with self.client(daemon, name) as client:
            if words:
                client.send(words)
            client.half_close()
            client.rest()

    def every_kind(self, addresses):
        """A daemon that has written a line of each kind about a client: (the lines by listener, titles, the daemon)."""
        program = self.write("program", "#!/bin/sh\nexit 0\n", 0o755)
        one = {"workers": 1}
        daemon = self.supervise(
            listener("echo", **one), listener("adopted", **one), listener("adopted_long", max_lifetime="1s", **one),
            handler("echo words of a handler >&2", "stderr"),
            handler("read line; kill -SEGV $$", "crash", penalties={"mode": "enforce", "crash": "10m"}),
            listener("denied", deny=f"{CLIENT}/32", **one),
            listener("ruled", rules=[{"from": f"{CLIENT}/32", "action": "deny"}], **one),
            listener("one", max_connections_per_source=1, **one),
            listener("few", max_connections=1, on_full="close", **one),
            listener("seldom", max_rate_per_source={"count": 1, "per": "1m"}, **one),
            listener("brief", max_lifetime="200ms", **one),
            listener("proxy", proxy_protocol="v1", **one),
            listener("bad_proxy", proxy_protocol="v1", proxy_allow_from="192.0.2.1", **one),
            exec_listener([program], name="vanished", workers=1),
            log={"target": os.path.join(self.directory, "log"), "format": "json", "level": "debug", "addresses": addresses,
                 "connections": ["start", "end"]})
        daemon.log_path = os.path.join(self.directory, "log")
        os.unlink(program)
        titles = []
        with self.client(daemon, "echo") as client:
            client.echo()
            titles = wait_until(lambda: [one.title for one in daemon.tree() if one.title.startswith("bulkheadd: connection")],
                                10, "the title of a connection")
        with self.client(daemon, "adopted") as client, self.client(daemon, "adopted_long") as long:
            client.echo()
            long.echo()
            for name in ("adopted", "adopted_long"):
                signal_process(daemon.workers(name)[0].pid, signal.SIGKILL)
                daemon.events.next("children_adopted", f"root/{name}")
            daemon.wait_log("reached its max_lifetime", path="root/adopted_long")
        for name in ("stderr", "denied", "ruled", "vanished", "bad_proxy"):
            self.served(daemon, name)
        self.served(daemon, "crash", b"now\n")
        daemon.wait_log("penalties: a source is refused", path="root/crash")
        self.served(daemon, "crash")
        for name in ("one", "few", "seldom"):
            with self.client(daemon, name) as client:
                client.echo()
                self.served(daemon, name)
        with self.client(daemon, "brief") as client:
            client.rest()
        self.served(daemon, "proxy", f"PROXY TCP4 {CLIENT} 127.0.0.1 1000 2000\r\n".encode())
        for name in ("echo", "adopted", "adopted_long", "stderr", "brief", "proxy"):
            daemon.wait_log("ended|crashed", path=f"root/{name}")
        for name in ("denied", "ruled", "one", "few", "seldom", "vanished", "crash", "bad_proxy"):
            daemon.wait_log("^refused a connection", path=f"root/{name}")
        self.assertEqual(daemon.control.run("penalties", "clear", CLIENT)[0], 0)
        return daemon, titles

    def shown(self, daemon):
        """Everything that the daemon has told about clients, apart from what operators ask for."""
        status, lines, _ = daemon.control.run("logs", "root")
        self.assertEqual(status, 0)
        return daemon.log_text() + daemon.stderr_text() + lines + json.dumps(daemon.events.all)

    def test_full_is_the_default_and_every_kind_of_line_has_it(self):
        daemon, titles = self.every_kind("full")
        for name in ("echo", "adopted", "adopted_long", "stderr", "crash", "denied", "ruled", "one", "few", "seldom", "brief",
                     "proxy", "bad_proxy", "vanished"):
            self.assertTrue([one for one in daemon.log(path=f"root/{name}") if one.get("peer", "").startswith(f"{CLIENT}:")], name)
        self.assertIn(f"deny contains {CLIENT}/32", daemon.log_text())
        self.assertIn(f"source {CLIENT}/32", daemon.log_text())
        self.assertTrue([title for title in titles if CLIENT in title], titles)
        self.assertEqual(daemon.log("penalty cleared")[0]["prefix"], CLIENT)

    def test_prefix(self):
        daemon, titles = self.every_kind("prefix")
        self.assertNotIn(CLIENT, self.shown(daemon))
        for name in ("echo", "adopted", "stderr", "crash", "denied", "one", "few", "brief", "proxy", "vanished"):
            self.assertTrue(daemon.log(path=f"root/{name}", peer=NETWORK), name)
        self.assertIn("deny contains the address", daemon.log_text())
        self.assertIn("rule 0 denies the address", daemon.log_text())
        self.assertIn(f"source {NETWORK}", daemon.log_text())
        self.assertFalse([title for title in titles if CLIENT in title], titles)
        self.assertTrue([title for title in titles if NETWORK in title], titles)

    def test_none(self):
        daemon, titles = self.every_kind("none")
        shown = self.shown(daemon)
        self.assertNotIn(CLIENT, shown)
        self.assertNotIn(NETWORK, shown)
        self.assertFalse([line for line in shown.splitlines() if '"peer"' in line or '"source"' in line or ", source " in line])
        self.assertFalse([title for title in titles if "127.0.0" in title], titles)

    def test_a_listener_says_otherwise_and_a_reload_changes_it_in_place(self):
        daemon = self.supervise(listener("echo", workers=1, log_addresses="full"), listener("other", workers=1),
                                log={"target": os.path.join(self.directory, "log"), "format": "json", "addresses": "none"})
        daemon.log_path = os.path.join(self.directory, "log")
        for name in ("echo", "other"):
            self.served(daemon, name)
            daemon.wait_log("ended", path=f"root/{name}")
        self.assertTrue(daemon.log("ended", path="root/echo")[0]["peer"].startswith(CLIENT))
        self.assertNotIn("peer", daemon.log("ended", path="root/other")[0])
        workers = [one.pid for one in daemon.workers("echo")]
        with open(daemon.config_path) as file:
            config = json.load(file)
        config["supervisor"]["children"][0]["log_addresses"] = "prefix"
        config["log"]["addresses"] = "full"
        with open(daemon.config_path, "w") as file:
            json.dump(config, file)
        self.assertEqual(daemon.control.run("reload")[0], 0)
        for name in ("echo", "other"):
            self.served(daemon, name)
            daemon.wait_log("ended", count=2, path=f"root/{name}")
        self.assertEqual(daemon.log("ended", path="root/echo")[1]["peer"], NETWORK)
        self.assertTrue(daemon.log("ended", path="root/other")[1]["peer"].startswith(CLIENT))
        self.assertEqual([one.pid for one in daemon.workers("echo")], workers)


if __name__ == "__main__":
    main()
