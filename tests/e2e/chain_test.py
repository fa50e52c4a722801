"""A chain of real programs under rest_for_one: a database, a cache, and a listener whose handler asks both. When one
of them dies, those that were started after it are restarted too, and no others; the
listener's connections and its port survive."""

import os
import signal

from harness import Client, ControlledTestCase, main, process, signal_process, tool

ANSWER = b"database +PONG cache +PONG\n"
REDIS = "/usr/bin/redis-server"


@tool("redis-server")
class Chain(ControlledTestCase):
    def redis(self, name):
        return {"id": name, "type": "process", "ready": "sd_notify", "start_timeout": "20s",
                "argv": [REDIS, "--port", "0", "--unixsocket", self.socket(name), "--dir", self.directory, "--save", "",
                         "--appendonly", "no", "--supervised", "systemd"]}

    def socket(self, name):
        return os.path.join(self.directory, f"{name}.sock")

    def start_chain(self):
        handler = {"exec": [self.helper("asks_both"), self.socket("database"), self.socket("cache")]}
        front = {"id": "front", "type": "listener", "listen": "127.0.0.1:0", "workers": 2, "handler": handler}
        if os.geteuid() == 0:
            front["user"] = "root"
        shop = {"id": "shop", "type": "supervisor", "strategy": "rest_for_one", "max_restarts": 20, "max_seconds": 60,
                "children": [self.redis("database"), self.redis("cache"), front]}
        return self.supervise(shop)

    def pids(self, daemon):
        """{path: pid} of the leaves."""
        shop = daemon.control.node("root/shop")
        leaves = shop["children"][:2] + shop["children"][2]["workers"]
        return {leaf["path"].removeprefix("root/shop/"): leaf.get("pid") for leaf in leaves}

    def wait_back(self, daemon, after):
        """Waits until the last of the chain serves again."""
        for worker in ("root/shop/front/1", "root/shop/front/2"):
            daemon.events.next("child_ready", worker, after=after, seconds=20)

    def ask(self, client):
        client.send(b"how are you?\n")
        return client.receive(len(ANSWER), 10)

    def told(self, daemon, after):
        """The events of the members of the chain, with workers named as their listener."""
        out = []
        for event in daemon.events.of("child_exited", "child_ready", "supervisor_terminated", after=after):
            name = event["path"].removeprefix("root/shop/").split("/")[0]
            entry = ("up" if event["event"] == "child_ready" else "down", name)
            if entry not in out[-1:]:
                out.append(entry)
        return out

    def test_each_program_is_killed_in_turn(self):
        daemon = self.start_chain()
        everything = {"database", "cache", "front/1", "front/2"}
        all_again = ["database down", "front down", "cache down", "database up", "cache up", "front up"]
        later_again = ["cache down", "front down", "cache up", "front up"]
        with Client(daemon.address(), timeout=10) as client:
            self.assertEqual(self.ask(client), ANSWER)
            server = next(one for one in daemon.connections() if "asks_both" in one.title)
            for victim, restarted, told in (
                    ("database", everything, all_again),
                    ("cache", everything - {"database"}, later_again),
                    ("front/1", {"front/1"}, ["front down", "front up"]),
                    ("cache", everything - {"database"}, later_again),
                    ("database", everything, all_again)):
                with self.subTest(victim=victim):
                    before, mark = self.pids(daemon), daemon.events.mark()
                    signal_process(before[victim], signal.SIGKILL)
                    if victim == "front/1":
                        daemon.events.next("child_ready", "root/shop/front/1", after=mark)
                    else:
                        self.wait_back(daemon, mark)
                    now = self.pids(daemon)
                    self.assertEqual({name for name in now if now[name] != before[name]}, restarted)
                    self.assertEqual([f"{name} {what}" for what, name in self.told(daemon, mark)], told)
                    self.assertTrue(server.alive())
                    self.assertEqual(self.ask(client), ANSWER)
                    with Client(daemon.address(), timeout=10) as another:
                        self.assertEqual(self.ask(another), ANSWER)
        self.assertEqual(daemon.control.node("root")["restarts_in_window"], 0)
        self.measured(kills=5, established_lost=0)

    def test_tree_shows_three_levels_of_real_programs(self):
        daemon = self.start_chain()
        text = daemon.control.run("tree")[1]
        names = [line.strip("`|-├└─│ ").split(" ")[0] for line in text.splitlines()]
        self.assertEqual(names[1:], ["root", "shop", "database", "cache", "front", "1", "2"], text)
        shop = daemon.control.value("tree")["children"][0]
        self.assertEqual([child["type"] for child in shop["children"]], ["process", "process", "listener"])
        for child in shop["children"][:2]:
            self.assertIn("redis-server", process(child["pid"]).title)
            self.assertEqual(child["status"], "Ready to accept connections")

    def test_a_listener_restarted_by_its_sibling_explains_it(self):
        daemon = self.start_chain()
        mark = daemon.events.mark()
        signal_process(self.pids(daemon)["cache"], signal.SIGKILL)
        self.wait_back(daemon, mark)
        sentences = daemon.control.value("explain", "root/shop/front")["sentences"]
        killed = next(i for i, one in enumerate(sentences) if "root/shop/cache" in one and "killed by SIGKILL" in one)
        stopped = next(i for i, one in enumerate(sentences) if "root/shop/front: stopped" in one)
        again = max(i for i, one in enumerate(sentences) if "root/shop/front: starting" in one)
        self.assertTrue(killed < stopped < again, sentences)


if __name__ == "__main__":
    main()
