"""A log of its own for a listener or a process: which lines go there, how they look, and what happens to it meanwhile."""

import json
import os
import signal

from harness import Client, ControlledTestCase, exec_listener, listener, main, signal_process, wait_until


class OwnLog(ControlledTestCase):
    def path(self, name):
        return os.path.join(self.directory, name)

    def lines(self, name):
        try:
            with open(self.path(name)) as file:
                return file.read().splitlines()
        except FileNotFoundError:
            return []

    def wait_line(self, name, *words):
        def there():
            return [line for line in self.lines(name) if all(word in line for word in words)]
        return wait_until(there, 10, f"{words} in {name}")

    def start_with(self, *children):
        daemon = self.supervise(*children, log={"target": self.path("daemon"), "format": "json", "level": "debug"})
        daemon.log_path = self.path("daemon")
        return daemon

    def edit(self, daemon, change):
        with open(daemon.config_path) as file:
            config = json.load(file)
        change(config)
        with open(daemon.config_path, "w") as file:
            json.dump(config, file)
        status, _, err = daemon.control.run("reload")
        self.assertEqual(status, 0, err)

    def speaker(self, **keys):
        """A handler that repeats on its standard error what its client says."""
        return exec_listener(["/bin/sh", "-c", "while read line; do echo heard $line >&2; echo $line; done"], name="web", workers=1, **keys)

    def say(self, daemon, *words):
        with Client(daemon.address("web")) as client:
            for word in words:
                client.echo(word.encode() + b"\n")

    def writer(self, name="app", **keys):
        """A process that writes a line each time it gets a signal."""
        script = "n=0; trap 'n=$((n+1)); echo signal $n' USR1; echo begins; while :; do sleep 0.05; done"
        return {"id": name, "type": "process", "argv": ["/bin/sh", "-c", script], "ready": "exec", **keys}

    def nudge(self, daemon, name="app"):
        self.assertEqual(daemon.control.run("signal", name, "USR1")[0], 0)

    def test_of_a_listener_its_workers_and_connections_write_there_and_the_daemon_does_not(self):
        daemon = self.start_with(self.speaker(log={"target": self.path("web"), "format": "text"}, deny="127.0.0.77"), listener("other"))
        self.say(daemon, "hello")
        said = self.wait_line("web", "heard hello", "stream=stderr")
        self.assertRegex(said[0], r"Z bulkhead-worker\[\d+\] info root/web: heard hello connection=")
        self.wait_line("web", "connection_ended")
        with Client(daemon.address("web"), source=("127.0.0.77", 0)) as client:
            client.rest()
        self.wait_line("web", "refused a connection")
        daemon.wait_log("Serving requests", path="root/web")
        self.assertFalse(daemon.log("heard|ended|refused a connection", path="root/web"))
        self.assertFalse([line for line in self.lines("web") if "Serving" in line])
        status, out, _ = daemon.control.run("logs", "web")
        self.assertIn("heard hello", out)
        self.assertIn("Serving requests", out)

    def test_of_a_listener_the_connections_that_the_master_has_adopted(self):
        daemon = self.start_with(self.speaker(log={"target": self.path("web"), "format": "text"}))
        with Client(daemon.address("web")) as client:
            client.echo()
            signal_process(daemon.workers("web")[0].pid, signal.SIGKILL)
            daemon.events.next("children_adopted", "root/web")
        ended = self.wait_line("web", "connection_ended")
        self.assertRegex(ended[0], r"Z bulkheadd\[\d+\] info root/web: connection")
        self.assertFalse(daemon.log("ended", event="connection_ended"))

    def test_of_a_process_its_output(self):
        daemon = self.start_with(self.writer(log={"target": self.path("app"), "format": "text"}), self.writer("other"))
        self.assertRegex(self.wait_line("app", "begins")[0], r"Z bulkheadd\[\d+\] info root/app: begins stream=stdout$")
        daemon.wait_log("^begins", path="root/other")
        daemon.wait_log("^ready", path="root/app")
        self.assertFalse(daemon.log("^begins", path="root/app"))

    def test_what_is_absent_is_the_daemons(self):
        daemon = self.start_with(self.writer(log={"target": self.path("app")}), self.writer("quiet", log={"level": "warning"}),
                                 self.writer("text", log={"format": "text"}))
        self.assertEqual(json.loads(self.wait_line("app", "begins")[0])["path"], "root/app")
        self.wait_line("daemon", "info root/text: begins stream=stdout")
        self.nudge(daemon, "quiet")
        self.nudge(daemon, "app")
        self.wait_line("app", "signal 1")
        self.assertFalse([line for line in self.lines("daemon") if "stdout" in line and "root/quiet" in line])
        os.unlink(self.path("daemon"))  # it is not all JSON
        self.assertEqual(daemon.control.run("reopen")[0], 0)

    def test_two_may_have_the_same_and_no_worker_has_it(self):
        own = {"target": self.path("both"), "format": "text"}
        daemon = self.start_with(self.speaker(log=own), self.writer(log=own))
        self.say(daemon, "hello")
        self.wait_line("both", "heard hello")
        self.wait_line("both", "begins")
        for one in daemon.tree():
            if one.pid == daemon.pid:
                continue
            self.assertNotIn(self.path("both"), [os.readlink(f"/proc/{one.pid}/fd/{fd}") for fd in os.listdir(f"/proc/{one.pid}/fd")])

    def test_it_is_reopened_with_the_daemons(self):
        daemon = self.start_with(self.speaker(log={"target": self.path("web")}), self.writer(log={"target": self.path("app")}))
        self.wait_line("app", "begins")
        for number, reopen in enumerate((lambda: daemon.control.run("reopen"), lambda: daemon.send_signal(signal.SIGUSR1))):
            for name in ("web", "app"):
                os.rename(self.path(name), self.path(f"{name}.{number}"))
            reopen()
            wait_until(lambda: os.path.exists(self.path("web")) and os.path.exists(self.path("app")), 10, "new files")
            self.say(daemon, f"hello-{number}")
            self.nudge(daemon)
            self.wait_line("web", f"heard hello-{number}")
            self.wait_line("app", f"signal {number + 1}")

    def test_a_reload_changes_it_in_place(self):
        daemon = self.start_with(self.speaker(), self.writer())
        worker, app = daemon.control.node("root/web/1")["pid"], daemon.control.node("root/app")["pid"]
        self.say(daemon, "first")
        daemon.wait_log("heard first")

        def give_own(config):
            for child, name in zip(config["supervisor"]["children"], ("web", "app")):
                child["log"] = {"target": self.path(name), "format": "text"}
        self.edit(daemon, give_own)
        self.say(daemon, "second")
        self.nudge(daemon)
        self.wait_line("web", "info root/web: heard second")
        self.wait_line("app", "info root/app: signal 1")
        self.assertFalse(daemon.log("heard second|signal 1"))

        def take_away(config):
            for child in config["supervisor"]["children"]:
                del child["log"]
        self.edit(daemon, take_away)
        self.say(daemon, "third")
        self.nudge(daemon)
        daemon.wait_log("heard third")
        daemon.wait_log("signal 2")
        self.assertEqual((daemon.control.node("root/web/1")["pid"], daemon.control.node("root/app")["pid"]), (worker, app))

    def test_a_reload_with_new_workers_and_one_that_is_refused(self):
        daemon = self.start_with(self.speaker(log={"target": self.path("web")}), self.writer())

        def change(config):
            config["supervisor"]["children"][0].update(log={"target": self.path("new")}, env={"A": "1"})
        self.edit(daemon, change)
        self.say(daemon, "second")
        self.wait_line("new", "heard second")

        def break_it(config):
            config["supervisor"]["children"][0].update(log={"target": self.path("newest")}, env={"A": "2"})
            config["supervisor"]["children"].append({"id": "bad", "type": "process", "argv": ["/bin/false"], "ready": "notify_fd"})
        with self.assertRaises(AssertionError):
            self.edit(daemon, break_it)
        self.say(daemon, "third")
        self.wait_line("new", "heard third")
        self.assertFalse(os.path.exists(self.path("newest")))

    def test_an_upgrade_keeps_it(self):
        daemon = self.start_with(self.speaker(log={"target": self.path("web")}), self.writer(log={"target": self.path("app")}))
        self.wait_line("app", "begins")
        with Client(daemon.address("web")) as client:
            client.echo(b"before\n")
            self.assertEqual(daemon.control.run("upgrade")[0], 0)
            client.echo(b"after\n")
            self.wait_line("web", "heard after")
        self.wait_line("web", "connection_ended")
        self.nudge(daemon)
        self.wait_line("app", "signal 1")
        self.assertFalse(daemon.log("heard|signal 1|connection_ended"))

    def test_handlers_inherit_it(self):
        daemon = self.start_with(self.speaker(log={"target": self.path("web")}, stderr="inherit"))
        self.say(daemon, "hello")
        self.assertEqual(self.wait_line("web", "heard hello"), ["heard hello"])

    def test_check_names_one_that_cannot_be_opened(self):
        children = [listener("web", log={"target": self.path("no/such/web.log")}), self.writer(log={"target": self.path("no/app.log")})]
        file = self.write("bad.json", json.dumps({"supervisor": {"children": children}}))
        status, _, err = self.run_program("--check", "-c", file)
        self.assertEqual(status, 78)
        self.assertIn("/supervisor/children/0/log/target: cannot open the log", err)
        self.assertIn("/supervisor/children/1/log/target: cannot open the log", err)

    def test_one_that_has_gone_since_is_a_failed_start_with_a_reason(self):
        os.mkdir(self.path("logs"))
        daemon = self.start_with(self.writer(log={"target": self.path("logs/app")}, start="manual"), self.writer("other"))
        for name in os.listdir(self.path("logs")):
            os.unlink(self.path(f"logs/{name}"))
        os.rmdir(self.path("logs"))
        status, _, err = daemon.control.run("start", "app")
        self.assertEqual(status, 1)
        self.assertIn("No such file or directory", err)


if __name__ == "__main__":
    main()
