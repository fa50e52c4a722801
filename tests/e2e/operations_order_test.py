"""Operators, reloads and upgrades at the same time: everything is answered, and afterwards the tree is what the file says."""

import json
import subprocess
import time

from harness import Client, Hold, ReloadTestCase, UpgradeTestCase, echo_listener, main, wait_until


def slow(name="c", seconds=1.5, **keys):
    """A process that takes a while to stop."""
    script = f"trap 'sleep {seconds}; exit 0' TERM; while :; do sleep 0.05; done"
    return {"id": name, "type": "process", "argv": ["/bin/sh", "-c", script], "ready": "exec", "kill_mode": "process", **keys}


class OrderTestCase(UpgradeTestCase, ReloadTestCase):
    def ask(self, daemon, *words):
        """A command that is under way."""
        asked = subprocess.Popen(daemon.control.command("--json", *words), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(asked.communicate)
        return asked

    def answer(self, asked, within=15):
        """(status, answer)"""
        out, err = asked.communicate(timeout=within)
        return asked.returncode, json.loads(out) if out else err

    def paths(self, daemon):
        return sorted(node["path"] for node in daemon.control.value("tree")["children"])

    def asked_for(self, daemon, command, path):
        wait_until(lambda: f"{command} {path} requested" in daemon.log_text(), 5, f"{command} has arrived")


class WhileAnUpgradeIsUnderWay(OrderTestCase):
    def test_a_reload_that_removes_what_is_being_restarted(self):
        a = echo_listener("a")
        daemon = self.supervise(a, slow())
        with Hold(daemon.address("a"), 3) as hold:
            restart = self.ask(daemon, "restart", "root/c")
            self.asked_for(daemon, "restart", "root/c")
            upgrade = self.ask(daemon, "upgrade", "--wait")
            self.rewrite(daemon, a)
            reload = self.ask(daemon, "reload", "--wait")
            for asked in (upgrade, reload):
                self.assertEqual(self.answer(asked)[0], 0, daemon.log_text()[-3000:])
            # The reload ends the start of c that it meets.
            status, answer = self.answer(restart)
            self.assertIn((status, answer.get("error")), [(0, None), (1, "start_failed")])
            wait_until(lambda: self.paths(daemon) == ["root/a"], 5, "c has gone")
            self.upgraded(daemon, self.next)
            self.assertEqual(hold.echo_all(), 3)

    def test_a_stop_goes_on_in_the_new_program_and_is_answered_there(self):
        daemon = self.supervise(echo_listener("a"), slow())
        stop = self.ask(daemon, "stop", "root/c")
        self.asked_for(daemon, "stop", "root/c")
        self.upgraded(daemon, self.next)
        self.assertEqual(self.answer(stop)[0], 0)
        self.assertEqual(daemon.control.node("root/c")["state"], "stopped")

    def test_a_restart_goes_on_in_the_new_program_and_is_answered_there(self):
        daemon = self.supervise(echo_listener("a"), slow())
        before = daemon.control.node("root/c")["pid"]
        restart = self.ask(daemon, "restart", "root/c")
        self.asked_for(daemon, "restart", "root/c")
        self.upgraded(daemon, self.next)
        self.assertEqual(self.answer(restart)[0], 0)
        node = daemon.control.node("root/c")
        self.assertEqual(node["state"], "running")
        self.assertNotEqual(node["pid"], before)

    def test_a_drain_goes_on_in_the_new_program(self):
        daemon = self.supervise(echo_listener("a"), echo_listener("b"), daemon={"drain_timeout": "30s"})
        with Client(daemon.address("a")) as client:
            self.assertTrue(client.echo())
            stop = self.ask(daemon, "stop", "root/a")
            self.asked_for(daemon, "stop", "root/a")
            self.upgraded(daemon, self.next)
            self.assertTrue(client.echo())
            self.assertIsNone(stop.poll())
        self.assertEqual(self.answer(stop)[0], 0)
        self.assertEqual(daemon.control.node("root/a")["state"], "stopped")


class WhileAListenerDrains(OrderTestCase):
    def held(self, *more, **keys):
        """A daemon with a listener, and connections of it."""
        self.a = echo_listener("a", **keys)
        daemon = self.supervise(self.a, *more, daemon={"drain_timeout": "infinity"})
        hold = Hold(daemon.address("a"), 3)
        self.addCleanup(hold.close)
        return daemon, hold

    def serves(self, daemon, address, hold, name="a"):
        self.assertEqual(hold.echo_all(), 3)
        with Client(address) as client:
            self.assertTrue(client.echo())
        wait_until(lambda: daemon.control.node(f"root/{name}")["state"] == "running", 5, "it runs")

    def drains(self, daemon, path="root/a"):
        wait_until(lambda: daemon.control.node(path).get("phase") == "draining" or daemon.control.node(path)["state"] == "draining",
                   5, "it drains")

    def test_a_reload_takes_it_back_at_once(self):
        daemon, hold = self.held(echo_listener("other"))
        address = daemon.address("a")
        for wait in (False, True):
            self.rewrite(daemon, echo_listener("other2"))
            self.reload(daemon)
            if wait:
                self.drains(daemon)
            self.rewrite(daemon, self.a)
            began = time.monotonic()
            self.assertIn(("taken_back", "root/a"), self.changes(self.reload(daemon)))
            self.assertLess(time.monotonic() - began, 5)
            self.serves(daemon, address, hold)
        self.upgraded(daemon, self.next)
        self.serves(daemon, address, hold)

    def test_a_rename_and_back(self):
        daemon, hold = self.held()
        address = daemon.address("a")
        b = {**self.a, "id": "b"}
        for _ in range(2):
            self.rewrite(daemon, b)
            self.reload(daemon)
            self.serves(daemon, address, hold, "b")
            self.rewrite(daemon, self.a)
            self.reload(daemon)
            self.serves(daemon, address, hold)
        self.assertEqual(self.answer(self.ask(daemon, "upgrade", "--wait"))[0], 0)
        self.serves(daemon, address, hold)

    def test_another_listener_gets_its_port(self):
        daemon, hold = self.held(echo_listener("other"))
        address = daemon.address("a")
        self.rewrite(daemon, echo_listener("other"))
        self.reload(daemon)
        self.rewrite(daemon, {**self.a, "id": "b"})
        self.reload(daemon)
        self.serves(daemon, address, hold, "b")

    def test_an_upgrade_continues_with_it(self):
        daemon, hold = self.held(echo_listener("other"))
        address = daemon.address("a")
        self.rewrite(daemon, echo_listener("other"))
        self.reload(daemon)
        self.upgraded(daemon, self.next)
        self.assertEqual(hold.echo_all(), 3)
        self.rewrite(daemon, self.a)
        self.assertIn(("taken_back", "root/a"), self.changes(self.reload(daemon)))
        self.serves(daemon, address, hold)
        self.rewrite(daemon, echo_listener("other"))
        self.reload(daemon)
        hold.close()
        wait_until(lambda: self.paths(daemon) == ["root/other"], 5, "a has gone")

    def test_with_its_supervisor(self):
        self.a = echo_listener("a")
        web = {"id": "web", "type": "supervisor", "children": [self.a, slow("p", 0.1)]}
        daemon = self.supervise(web, slow("x", 0.1), daemon={"drain_timeout": "infinity"})
        address = daemon.address("a")
        pid = daemon.control.node("root/web/p")["pid"]
        with Hold(address, 3) as hold:
            self.rewrite(daemon, slow("x", 0.1))
            self.reload(daemon)
            self.upgraded(daemon, self.next)
            self.rewrite(daemon, web)
            self.reload(daemon)
            self.serves(daemon, address, hold, "web/a")
            self.assertEqual(daemon.control.node("root/web/p")["pid"], pid)

    def test_a_reload_that_fails_lets_it_drain_on(self):
        daemon, hold = self.held(echo_listener("other"))
        self.rewrite(daemon, echo_listener("other"))
        self.reload(daemon)
        self.rewrite(daemon, self.a, {"id": "bad", "type": "process", "argv": ["/bin/false"], "ready": "notify_fd"})
        self.refused(daemon)
        self.assertEqual(hold.echo_all(), 3)
        self.drains(daemon)
        hold.close()
        wait_until(lambda: self.paths(daemon) == ["root/other"], 5, "a has gone")

    def test_a_socket_file(self):
        path = f"{self.directory}/a.sock"
        self.a = echo_listener("a", listen=f"unix:{path}")
        daemon = self.supervise(self.a, slow("x", 0.1), daemon={"drain_timeout": "infinity"})
        with Client(path) as client:
            self.assertTrue(client.echo())
            for wait in (False, True):
                self.rewrite(daemon, slow("x", 0.1))
                self.reload(daemon)
                if wait:
                    self.drains(daemon)
                self.rewrite(daemon, self.a)
                self.reload(daemon)
                self.assertTrue(client.echo())
                with Client(path) as another:
                    self.assertTrue(another.echo())

    def test_also_if_a_process_is_to_take_its_place(self):
        daemon, hold = self.held(echo_listener("other"))
        address = daemon.address("a")
        self.rewrite(daemon, slow("a", 0.1), echo_listener("other2"))
        replaced = self.ask(daemon, "reload", "--wait")
        self.drains(daemon)
        self.rewrite(daemon, self.a, echo_listener("other3"))
        self.assertIn(("taken_back", "root/a"), self.changes(self.reload(daemon)))
        status, answer = self.answer(replaced)  # with what the other one has done
        self.assertEqual(status, 0)
        self.assertIn(("taken_back", "root/a"), self.changes(answer))
        self.serves(daemon, address, hold)

    def test_a_refused_reload_does_not_keep_a_process_from_taking_its_place(self):
        daemon = self.supervise(echo_listener("other"), slow("a", 0.5))
        self.rewrite(daemon, echo_listener("other"), echo_listener("a"))
        replaced = self.ask(daemon, "reload")
        daemon.events.next("child_stopping", "root/a")
        self.rewrite(daemon, "nonsense")
        self.assertEqual(self.answer(self.ask(daemon, "reload"))[0], 2)
        status, answer = self.answer(replaced)
        self.assertEqual(status, 0)
        self.assertIn(("replaced", "root/a", "type"), self.changes(answer))
        self.assertEqual(daemon.control.node("root/a")["state"], "running")

    def test_a_process_that_has_not_ended_is_waited_for(self):
        a = echo_listener("a")
        daemon = self.supervise(a, slow())
        before = daemon.control.node("root/c")["pid"]
        self.rewrite(daemon, a)
        self.reload(daemon)
        self.rewrite(daemon, a, slow())
        self.reload(daemon)
        node = daemon.control.node("root/c")
        self.assertEqual(node["state"], "running")
        self.assertNotEqual(node["pid"], before)


if __name__ == "__main__":
    main()
