"""daemon.max_connections: one limit over all listeners, with places kept for those that are reserved."""

import json
import os
import signal
import subprocess
import time

from harness import (Client, Control, ControlledTestCase, Hold, UpgradeTestCase, config_of, free_port, listener, main, signal_process,
                     wait_until)

TOTAL = 10


class Places(ControlledTestCase):
    def of(self, *listeners, total=TOTAL, **daemon):
        return self.supervise(*listeners, daemon={"max_connections": total, **daemon})

    def three(self, total=TOTAL, **keys):
        return self.of(*(listener(name, **keys) for name in "abc"), total=total)

    def used(self, daemon):
        return daemon.control.value("status")["places"]["used"]

    def refused(self, daemon, name):
        return daemon.control.node(f"root/{name}")["connections"]["refused"]["daemon_max_connections"]

    def served(self, daemon, name, seconds=5):
        """A client of it that stays, once there is a place."""
        client = Client(daemon.address(name), timeout=seconds)
        self.addCleanup(client.close)
        self.assertTrue(client.echo())
        return client

    def waits(self, daemon, name):
        client = Client(daemon.address(name))
        self.addCleanup(client.close)
        client.send(b"late\n")
        self.assertTrue(client.silent(0.3))
        return client

    def test_one_limit_over_three_listeners(self):
        daemon = self.three()
        with Hold(daemon.address("a"), 6) as a, Hold(daemon.address("b"), 4) as b:
            self.assertEqual(a.echo_all() + b.echo_all(), TOTAL)
            late = self.waits(daemon, "c")
            daemon.wait_log(f"^daemon.max_connections {TOTAL} reached", path="root/c")
            self.assertEqual(self.used(daemon), TOTAL)
            self.assertEqual(len(daemon.connections()), TOTAL)
            a.clients[0].close()
            self.assertEqual(late.receive(5), b"late\n")
            self.assertEqual(self.used(daemon), TOTAL)
        self.assertIn(f"of {TOTAL} places are used", daemon.control.run("status")[1])
        self.assertIn(f"of {TOTAL} places are used", daemon.control.run("tree")[1])
        self.assertEqual(daemon.control.value("stats")["totals"]["places"]["max"], TOTAL)

    def test_one_listener_gets_all_of_them(self):
        daemon = self.three()
        with Hold(daemon.address("a"), TOTAL) as hold:
            self.assertEqual(hold.echo_all(), TOTAL)
            late = self.waits(daemon, "a")
            hold.clients[0].close()
            self.assertEqual(late.receive(5), b"late\n")

    def test_a_client_is_refused_only_when_all_are_taken(self):
        daemon = self.three(on_full="close")
        with Hold(daemon.address("a"), TOTAL - 1) as hold:
            self.assertEqual(hold.echo_all(), TOTAL - 1)
            with Client(daemon.address("b")) as last:
                self.assertTrue(last.echo())
                for name in "abc":
                    with Client(daemon.address(name)) as client:
                        self.assertEqual(client.rest(5), b"")
                    self.assertEqual(self.refused(daemon, name), 1)
                daemon.wait_log(f"refused a connection: daemon.max_connections is {TOTAL}", reason="daemon_max_connections")
            wait_until(lambda: self.used(daemon) == TOTAL - 1, 5, "the last one has ended")
            time.sleep(0.05)  # the time in which a place that another listener frees is found
            self.assertTrue(self.served(daemon, "c").echo())

    def test_reserved_places(self):
        daemon = self.of(listener("web"), listener("ssh", reserved=True), reserved_connections=2)
        with Hold(daemon.address("web"), TOTAL - 2) as hold:
            self.assertEqual(hold.echo_all(), TOTAL - 2)
            late = self.waits(daemon, "web")
            first, second = self.served(daemon, "ssh"), self.served(daemon, "ssh")
            third = self.waits(daemon, "ssh")
            hold.clients[0].close()
            got = [client for client in (late, third) if not client.silent(0.5)]
            self.assertEqual(len(got), 1)
            first.close()
            second.close()
        places = daemon.control.value("status")["places"]
        self.assertEqual((places["max"], places["reserved"]), (TOTAL, 2))

    def test_killed_workers_do_not_change_the_sum(self):
        daemon = self.three()
        with Hold(daemon.address("a"), 5) as a, Hold(daemon.address("b"), 5) as b:
            self.assertEqual(a.echo_all() + b.echo_all(), TOTAL)
            for _ in range(3):
                for worker in daemon.workers():
                    signal_process(worker.pid, signal.SIGKILL)
                late = self.waits(daemon, "c")
                self.assertEqual(self.used(daemon), TOTAL)
                a.clients.pop().close()
                self.assertEqual(late.receive(5, timeout=15), b"late\n")
                late.close()
                wait_until(lambda: self.used(daemon) < TOTAL, 5, "its place is free")
                a.clients.append(Client(daemon.address("a"), timeout=15))
                self.assertTrue(a.clients[-1].echo())
                wait_until(lambda: len(daemon.workers()) == 6, 15, "all workers are back")

    def test_a_stopped_worker_keeps_no_place_that_it_does_not_use(self):
        daemon = self.three(workers=1)
        with Hold(daemon.address("a"), 1) as held:
            self.assertEqual(held.echo_all(), 1)
            pid = daemon.control.node("root/a")["workers"][0]["pid"]
            signal_process(pid, signal.SIGSTOP)
            try:
                begun = time.monotonic()
                with Hold(daemon.address("b"), TOTAL - 1) as b:
                    self.assertEqual(b.echo_all(), TOTAL - 1)
                self.assertLess(time.monotonic() - begun, 3)
            finally:
                signal_process(pid, signal.SIGCONT)

    def test_a_reload_changes_the_limit_and_ends_nobody(self):
        daemon = self.three()
        with Hold(daemon.address("a"), 6) as a, Hold(daemon.address("b"), 3) as b:
            self.assertEqual(a.echo_all() + b.echo_all(), 9)
            self.rewrite(daemon, max_connections=8)
            self.assertEqual((a.echo_all(), b.echo_all()), (6, 3))
            late = self.waits(daemon, "c")
            for client in a.clients[:2]:
                client.close()
            self.assertEqual(late.receive(5), b"late\n")
            waiting = self.waits(daemon, "c")
            self.rewrite(daemon, max_connections="unlimited")
            self.assertEqual(waiting.receive(5), b"late\n")
            self.assertNotIn("places", daemon.control.value("status"))
            self.rewrite(daemon, max_connections=8)
            self.assertEqual(self.used(daemon), 9)
            waiting = self.waits(daemon, "b")
            self.rewrite(daemon, max_connections=20)
            self.assertEqual(waiting.receive(5), b"late\n")

    def rewrite(self, daemon, **keys):
        with open(daemon.config_path) as file:
            config = json.load(file)
        config["daemon"].update(keys)
        with open(daemon.config_path, "w") as file:
            json.dump(config, file)
        status, _, err = daemon.control.run("reload")
        self.assertEqual(status, 0, err)

    def test_a_stopped_listener_gives_its_places_back_with_its_last_connection(self):
        daemon = self.of(listener("a", listen=f"127.0.0.1:{free_port()}"), listener("b"), drain_timeout="100ms")
        with Hold(daemon.address("a"), TOTAL) as hold:
            self.assertEqual(hold.echo_all(), TOTAL)
            late = self.waits(daemon, "b")
            daemon.control.run("stop", "root/a")
            self.assertEqual(late.receive(5), b"late\n")
        self.assertEqual(self.used(daemon), 1)
        daemon.control.run("start", "root/a")
        self.assertTrue(self.served(daemon, "a").echo())

    def test_a_forged_count_costs_no_more_than_the_listeners_own_limit(self):
        daemon = self.of(listener("a", workers=1, max_connections=4), listener("b"))
        subprocess.run([self.helper("scribbles"), str(daemon.pid), "used", "4000000000"], check=True, timeout=30)
        with Hold(daemon.address("b"), TOTAL - 4) as hold:
            self.assertEqual(hold.echo_all(), TOTAL - 4)
            self.waits(daemon, "b")

    def test_the_most_idle_makes_room(self):
        daemon = self.of(listener("a", on_full="drop_oldest_idle"), listener("b"), total=2)
        with Hold(daemon.address("a"), 1) as a, Hold(daemon.address("b"), 1) as b:
            self.assertEqual(a.echo_all() + b.echo_all(), 2)
            begun = time.monotonic()
            late = Client(daemon.address("a"), timeout=20)
            self.addCleanup(late.close)
            self.assertTrue(late.echo())
            self.assertGreater(time.monotonic() - begun, 8)
            self.assertEqual(b.echo_all(), 1)


class Upgrade(UpgradeTestCase):
    def test_an_upgrade_keeps_the_sum(self):
        daemon = self.supervise(listener("a"), listener("b"), daemon={"max_connections": TOTAL})
        with Hold(daemon.address("a"), 6) as a, Hold(daemon.address("b"), 4) as b:
            self.assertEqual(a.echo_all() + b.echo_all(), TOTAL)
            with Client(daemon.address("b")) as late:
                late.send(b"late\n")
                self.assertTrue(late.silent(0.2))
                status, _, err = daemon.control.run("upgrade")
                self.assertEqual(status, 0, err)
                self.assertTrue(late.silent(0.3))
                self.assertEqual(daemon.control.value("status")["places"]["used"], TOTAL)
                a.clients[0].close()
                self.assertEqual(late.receive(5), b"late\n")


class FormerLife(ControlledTestCase):
    def live(self, name):
        config = config_of(listener(name), daemon={"max_connections": TOTAL})
        config["control"] = {"socket": os.path.join(self.directory, "control.sock")}
        daemon = self.start(config=config)
        daemon.control = Control(config["control"]["socket"], self.bindir)
        self.addCleanup(daemon.control.close)
        return daemon

    def record(self):
        with open(os.path.join(self.directory, "control.sock.runs")) as file:
            return file.read()

    def test_connections_of_a_killed_daemon_count(self):
        first = self.live("a")
        hold = Hold(first.address("a"), 6)
        self.addCleanup(hold.close)
        self.assertEqual(hold.echo_all(), 6)
        wait_until(lambda: self.record().count("worker") == 2, 5, "the record")
        first.control.close()
        first.kill_master()
        second = self.live("b")
        self.assertEqual(second.control.value("status")["places"]["used"], 6)
        with Hold(second.address("b"), 4) as b:
            self.assertEqual(b.echo_all(), 4)
            with Client(second.address("b"), timeout=10) as late:
                late.send(b"late\n")
                self.assertTrue(late.silent(0.3))
                hold.close()
                self.assertEqual(late.receive(5), b"late\n")


if __name__ == "__main__":
    main()
