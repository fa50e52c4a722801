"""The life of a child as the file describes it: disabled, under another name, by hand, later, once."""

import json
import os
import signal
import subprocess

from harness import (Client, ReloadTestCase, UpgradeTestCase, echo_listener, exec_listener, free_port, main, needs_root,
                     signal_process, sleeper, steady, wait_until)


def shell(name, script, **keys):
    return {"id": name, "type": "process", "argv": ["/bin/sh", "-c", script], "ready": "exec", **keys}


class LifeTestCase(ReloadTestCase):
    def ok(self, daemon, *command):
        status, out, err = daemon.control.run(*command)
        self.assertEqual((status, err), (0, ""), command)
        return out

    def no(self, daemon, *command):
        """(status, standard error)"""
        status, _, err = daemon.control.run(*command)
        self.assertNotEqual(status, 0, command)
        return status, err

    def state(self, daemon, path):
        return (daemon.control.node(path) or {}).get("state")

    def pid(self, daemon, path):
        return daemon.control.node(path).get("pid")


class Disabled(LifeTestCase):
    def test_it_is_shown_and_not_started(self):
        daemon = self.supervise(sleeper("job", enabled=False), steady(), {
            "id": "group", "type": "supervisor", "enabled": False, "children": [sleeper("inner")]})
        self.assertEqual([self.state(daemon, "root/" + path) for path in ("job", "echo", "group", "group/inner")],
                         ["disabled", "running", "disabled", "disabled"])
        self.assertEqual([one["path"] for one in daemon.events.of("child_started")], ["root/echo/1", "root/echo/2"])
        self.assertRegex(self.ok(daemon, "tree"), r"job +disabled +0 +process\n")
        self.assertIn("disabled", self.ok(daemon, "explain", "job"))
        for command in "start", "stop", "restart", "delete":
            self.assertEqual(self.no(daemon, command, "root/job"), (2, "bulkheadctl: root/job is disabled in the file\n"))
        self.assertEqual(self.no(daemon, "start", "group/inner")[0], 2)
        self.assertEqual(json.loads(self.ok(daemon, "--json", "diff")), {"ok": True, "changes": [], "needs_restart": [], "differs": []})

    def test_a_reload_enables_and_disables_it(self):
        port = free_port()
        one, other = (steady(name, listen=f"127.0.0.1:{port}") for name in ("one", "other"))
        daemon = self.supervise(one, {**other, "enabled": False}, sleeper("job"))
        self.assertEqual(self.changes(self.reload(daemon)), [])
        self.rewrite(daemon, {**one, "enabled": False}, other, sleeper("job", enabled=False))
        self.assertEqual(sorted(self.changes(self.reload(daemon))),
                         [("added", "root/other"), ("removed", "root/job"), ("removed", "root/one")])
        wait_until(lambda: self.state(daemon, "root/one") == self.state(daemon, "root/job") == "disabled", 5, "their ends")
        with Client(("127.0.0.1", port)) as client:
            client.echo()
            self.assertEqual(daemon.listed_connections()[0]["listener"], "root/other")
        self.rewrite(daemon, one, {**other, "enabled": False}, sleeper("job"))
        self.assertEqual(sorted(self.changes(self.reload(daemon))),
                         [("added", "root/job"), ("added", "root/one"), ("removed", "root/other")])
        self.assertEqual(self.state(daemon, "root/job"), "running")

    def test_it_is_checked_like_any_other(self):
        daemon = self.supervise(steady())
        self.rewrite(daemon, steady(), sleeper("job", enabled=False, nice=77), sleeper("job"))
        reasons = self.refused(daemon)
        self.assertIn("/supervisor/children/1/nice", reasons)
        self.assertIn("is already used by", reasons)

    def test_operators_may_add_another_child_of_its_name(self):
        daemon = self.supervise(steady(), sleeper("job", enabled=False))
        self.assertEqual(self.no(daemon, "add", "root", self.write("off.json", json.dumps(sleeper("x", enabled=False)))),
                         (2, 'bulkheadctl: the child is disabled ("enabled": false)\n'))
        self.ok(daemon, "add", "root", self.write("job.json", json.dumps(sleeper("job"))))
        self.assertEqual(self.state(daemon, "root/job"), "running")
        self.ok(daemon, "stop", "job")
        self.ok(daemon, "delete", "job")
        self.assertEqual(self.state(daemon, "root/job"), "disabled")

    def test_all_may_be_disabled(self):
        daemon = self.supervise(sleeper("job", enabled=False))
        self.assertEqual(daemon.control.value("status")["state"], "running")
        self.rewrite(daemon, sleeper("job"))
        self.assertEqual(self.changes(self.reload(daemon)), [("added", "root/job")])


class Names(LifeTestCase):
    def test_a_program_has_the_name_of_arg0(self):
        daemon = self.supervise(shell("job", "exec sleep 1000", arg0="-sh"), shell("named", "echo $0 is my name; exec sleep 1000"))
        wait_until(lambda: daemon.log("sh is my name"), 5, "its output")
        name = daemon.control.node("root/job")
        self.assertEqual(name["state"], "running")
        keys = exec_listener(["/bin/cat", "/proc/self/cmdline"], "arg0", listen="127.0.0.1:0")
        keys["handler"]["arg0"] = "-moggy"
        self.rewrite(daemon, {"id": "cat", "type": "process", "argv": ["/bin/cat", "/proc/self/cmdline"], "arg0": "tabby", "ready": "exec",
                              "restart": "transient"}, keys)
        self.reload(daemon)
        wait_until(lambda: daemon.log("tabby", path="root/cat"), 5, "its name")
        address = daemon.control.node("root/arg0")["endpoints"][0]["address"].rsplit(":", 1)
        with Client((address[0], int(address[1]))) as client:
            self.assertEqual(client.rest(), b"-moggy\0/proc/self/cmdline\0")


class Variables(LifeTestCase):
    SHOW = "echo a=$A b=$B c=$C path=${PATH:-none} login=${LOGNAME:-none}; exec sleep 1000"

    def env_file(self, text, mode=0o600):
        return self.write("some.env", text, mode)

    def test_a_file_gives_variables_and_a_change_of_it_is_a_change_of_the_child(self):
        path = self.env_file("# settings\nA=one\nB='two words'\nC=three\nLOGNAME=x\n")
        job = shell("job", self.SHOW, env_file=path, env={"C": "from env"}, unset_env=["LOGNAME"])
        handler = exec_listener(["/bin/sh", "-c", "echo $A"], env_file=path, max_restarts=1000)
        daemon = self.supervise(job, handler, sleeper("other"))
        daemon.wait_log(r"a=one b=two words c=from env path=/.* login=none", path="root/job")
        with Client(daemon.address("run")) as client:
            self.assertEqual(client.rest(), b"one\n")
        self.assertEqual(self.changes(self.reload(daemon)), [])
        self.env_file("A=other\n")
        self.assertEqual(self.changes(self.reload(daemon)),
                         [("restarted", "root/job", "env_file"), ("new_workers", "root/run", "env_file")])
        daemon.wait_log("a=other b= c=from env", path="root/job")
        with Client(daemon.address("run")) as client:
            self.assertEqual(client.rest(), b"other\n")
        self.assertNotIn("other\\n", self.ok(daemon, "config"))

    def test_a_bad_file_is_refused_with_its_name_and_line(self):
        path = self.env_file("A=1\n")
        daemon = self.supervise(shell("job", self.SHOW, env_file=path))
        self.env_file("A=1\nexport B=2\n")
        self.assertIn(path + ":2:1: /supervisor/children/0/env_file: expected NAME=VALUE", self.refused(daemon))
        self.assertEqual(self.state(daemon, "root/job"), "running")

    @needs_root
    def test_a_file_that_others_may_write_to_is_refused(self):
        path = self.env_file("A=1\n", 0o600)
        daemon = self.supervise(shell("job", self.SHOW, env_file=path))
        os.chmod(path, 0o666)
        self.assertIn("/supervisor/children/0/env_file: cannot use", self.refused(daemon))


class VariablesAndUpgrades(UpgradeTestCase):
    def test_an_upgrade_keeps_what_was_read_even_if_the_file_is_gone(self):
        path = self.write("some.env", "A=one\n", 0o600)
        daemon = self.supervise(echo_listener(), shell("job", "echo a=$A; exec sleep 1000", env_file=path))
        daemon.wait_log("a=one")
        os.unlink(path)
        self.assertEqual(self.upgrade(daemon)[0], 0)
        signal_process(daemon.control.node("root/job")["pid"], signal.SIGKILL)
        daemon.wait_log("a=one", count=2)
        self.write("some.env", "A=one\n", 0o600)
        self.assertEqual(json.loads(daemon.control.run("--json", "reload")[1])["changes"], [])


class Dependents(LifeTestCase):
    def group(self, strategy, **keys):
        return {"id": "app", "type": "supervisor", "strategy": strategy, "max_restarts": 0, "children": [
            sleeper("cache"), sleeper("db", **keys), steady("web"), sleeper("jobs")]}

    def pids(self, daemon):
        return {name: self.pid(daemon, "root/app/" + name) for name in ("cache", "db", "jobs", "web/1")}

    def restarted(self, daemon, *command):
        """The answer, and what has another process now."""
        before = self.pids(daemon)
        answer = daemon.control.value("restart", *command)
        after = self.pids(daemon)
        return answer, [name for name in before if before[name] != after[name]]

    def test_a_restart_says_what_it_leaves_alone(self):
        daemon = self.supervise(self.group("rest_for_one"))
        self.assertEqual(self.restarted(daemon, "root/app/db"), ({"ok": True}, ["db"]))
        self.assertEqual(self.ok(daemon, "restart", "app/db"),
                         "root/app/db has been restarted alone; rest_for_one ties these to it, and --with-dependents restarts them too: "
                         "root/app/web, root/app/jobs\n")
        self.assertEqual(self.ok(daemon, "restart", "app/jobs"), "root/app/jobs has been restarted\n")
        answer = daemon.control.call("restart", path="root/app/web", remark=True)
        self.assertEqual(answer["result"]["left"], ["root/app/jobs"])

    def test_the_dependents_are_restarted_in_order_and_the_port_stays(self):
        daemon = self.supervise(self.group("rest_for_one"))
        with Client(daemon.address("web")) as client:
            client.echo()
            mark = daemon.events.mark()
            answer, new = self.restarted(daemon, "--with-dependents", "root/app/db")
            self.assertEqual(answer["dependents"], ["root/app/web", "root/app/jobs"])
            self.assertEqual(new, ["db", "jobs", "web/1"])
            client.echo()
        kinds = [(one["event"], one["path"].removeprefix("root/app/")) for one in
                 daemon.events.of("child_stopping", "child_started", "supervisor_started", after=mark)]
        self.assertEqual([one for one in kinds if "/" not in one[1]],
                         [("child_stopping", "jobs"), ("child_stopping", "db"), ("child_started", "db"),
                          ("supervisor_started", "web"), ("child_started", "jobs")])
        supervisor = daemon.control.node("root/app")
        self.assertEqual((supervisor["restarts_in_window"], supervisor["restarts"]), (0, 0))

    def test_one_for_all_restarts_all_that_run(self):
        daemon = self.supervise(self.group("one_for_all"))
        self.ok(daemon, "stop", "app/jobs")
        answer, new = self.restarted(daemon, "--with-dependents", "root/app/db")
        self.assertEqual((answer["dependents"], new), (["root/app/cache", "root/app/web"], ["cache", "db", "web/1"]))
        self.assertEqual(self.state(daemon, "root/app/jobs"), "stopped")
        self.assertEqual(self.no(daemon, "restart", "--with-dependents", "app/dbb"),
                         (1, "bulkheadctl: there is no node root/app/dbb; did you mean root/app/db?\n"))
        self.assertEqual(self.no(daemon, "restart", "--with-dependents", "root")[0], 2)

    def test_a_start_that_fails_is_answered_and_tried_again(self):
        ready = os.path.join(self.directory, "ready")
        self.write("ready", "")
        job = shell("db", f"test -e {ready} || exit 3; printf '\\n' >&3; exec sleep 1000", ready="notify_fd")
        daemon = self.supervise({"id": "app", "type": "supervisor", "strategy": "rest_for_one", "children": [job, sleeper("jobs")]})
        os.unlink(ready)
        status, err = self.no(daemon, "restart", "--with-dependents", "app/db")
        self.assertEqual(status, 1)
        self.assertIn("exited with status 3", err)
        self.write("ready", "")
        self.wait_state(daemon, "root/app/jobs", "running")
        self.assertEqual(self.state(daemon, "root/app/db"), "running")


class ByHand(LifeTestCase):
    def test_only_operators_start_it(self):
        daemon = self.supervise(sleeper("job", start="manual"), sleeper("other"))
        self.assertEqual(self.state(daemon, "root/job"), "stopped")
        self.assertIn("started by operators only", self.ok(daemon, "explain", "job"))
        self.assertEqual(self.changes(self.reload(daemon)), [])
        self.rewrite(daemon, sleeper("job", 2000, start="manual"), sleeper("other"))
        self.assertEqual(self.changes(self.reload(daemon)), [("in_place", "root/job", "argv")])
        self.assertEqual(self.state(daemon, "root/job"), "stopped")
        self.ok(daemon, "start", "job")
        self.assertIn("2000", self.title(daemon, "root/job"))
        before = self.pid(daemon, "root/job")
        self.assertEqual(self.changes(self.reload(daemon)), [])
        self.rewrite(daemon, sleeper("job", 3000, start="manual"), sleeper("other"))
        self.assertEqual(self.changes(self.reload(daemon)), [("restarted", "root/job", "argv")])
        self.assertNotEqual(self.pid(daemon, "root/job"), before)
        signal_process(self.pid(daemon, "root/job"), signal.SIGKILL)
        daemon.events.next("child_restarting", "root/job")
        self.wait_state(daemon, "root/job", "running")

    def test_a_stopped_one_is_as_the_file_says(self):
        daemon = self.supervise(sleeper("job", start="manual"), sleeper("other"))
        self.ok(daemon, "start", "job")
        self.ok(daemon, "stop", "job")
        self.assertNotIn("differs", daemon.control.node("root/job"))
        self.assertEqual(self.changes(json.loads(self.ok(daemon, "--json", "reload", "--reset"))), [])
        self.assertEqual(self.state(daemon, "root/job"), "stopped")

    def test_a_reload_that_adds_it_does_not_start_it(self):
        daemon = self.supervise(sleeper("other"))
        self.rewrite(daemon, sleeper("other"), sleeper("job", start="manual"), sleeper("once", start="manual", restart="temporary"))
        self.assertEqual(self.changes(self.reload(daemon)), [("added", "root/job"), ("added", "root/once")])
        self.assertEqual(self.state(daemon, "root/job"), "stopped")
        self.ok(daemon, "start", "once")
        self.rewrite(daemon, sleeper("other"), sleeper("job", start="manual"), sleeper("once", 2000, start="manual", restart="temporary"))
        self.assertEqual(self.changes(self.reload(daemon)), [("restarted", "root/once", "argv")])
        self.assertEqual(self.state(daemon, "root/once"), "running")


class Later(LifeTestCase):
    def test_the_first_start_is_delayed_and_the_siblings_after_it_wait(self):
        daemon = self.supervise(sleeper("a"), sleeper("late", start_delay="700ms"), sleeper("b"), wait=False)
        node = self.wait_state(daemon, "root/late", "starting")
        self.assertLess(node["start_in_seconds"], 0.71)
        self.assertNotIn("pid", node)
        self.assertEqual(self.state(daemon, "root/b"), "stopped")
        self.assertEqual(daemon.control.value("status")["state"], "starting")
        daemon.wait_ready()
        self.assertEqual([one["path"] for one in daemon.events.of("child_started")], ["root/a", "root/late", "root/b"])
        self.ok(daemon, "restart", "late")
        signal_process(self.pid(daemon, "root/late"), signal.SIGKILL)
        self.assertEqual(daemon.events.next("child_restarting", "root/late")["delay_ms"], 0)

    def test_an_operator_or_the_end_of_the_daemon_calls_it_off(self):
        daemon = self.supervise(sleeper("late", start_delay="1h"), sleeper("b"), wait=False)
        self.wait_state(daemon, "root/late", "starting")
        self.ok(daemon, "stop", "late")
        daemon.wait_ready()
        self.assertEqual([self.state(daemon, "root/" + name) for name in ("late", "b")], ["stopped", "running"])
        self.ok(daemon, "start", "late")
        other = self.supervise(sleeper("late", start_delay="1h"), wait=False)
        self.wait_state(other, "root/late", "starting")
        self.assertEqual(other.stop(), 0)


class Once(LifeTestCase):
    def job(self, script="true", name="job", **keys):
        return {"id": name, "type": "process", "argv": ["/bin/sh", "-c", script], "chdir": self.directory, "oneshot": True, **keys}

    def runs(self):
        try:
            with open(os.path.join(self.directory, "runs")) as file:
                return file.read()
        except FileNotFoundError:
            return ""

    def test_it_is_ready_when_it_has_been_done_and_is_not_done_again(self):
        script = "printf x >> runs; while test -e wait; do sleep 0.02; done"
        self.write("wait", "")
        daemon = self.supervise(self.job(script), sleeper("after"), wait=False)
        wait_until(self.runs, 5, "it")
        self.assertEqual((self.state(daemon, "root/job"), self.state(daemon, "root/after")), ("starting", "stopped"))
        os.unlink(os.path.join(self.directory, "wait"))
        daemon.wait_ready()
        self.assertEqual(self.state(daemon, "root/job"), "finished")
        self.assertEqual([one["event"] for one in daemon.events.all if one["path"] == "root/job"],
                         ["child_started", "child_ready", "child_exited"])
        self.assertEqual(self.changes(self.reload(daemon)), [])
        self.rewrite(daemon, self.job(script + "; true"), sleeper("after"), self.job("printf y >> runs", "other"))
        self.assertEqual(self.changes(self.reload(daemon)), [("in_place", "root/job", "argv"), ("added", "root/other")])
        self.assertEqual((self.runs(), self.state(daemon, "root/other")), ("xy", "finished"))
        self.ok(daemon, "start", "job")
        self.assertEqual((self.runs(), self.state(daemon, "root/job")), ("xyx", "finished"))
        self.ok(daemon, "restart", "job")
        self.assertEqual(self.runs(), "xyxx")
        self.assertEqual(json.loads(self.ok(daemon, "--json", "tree"))["restarts_in_window"], 0)

    def test_a_failure_is_a_failed_start(self):
        daemon = self.start(self.job("exit 3"), sleeper("after"), wait=False)
        daemon.expected_status = 70
        self.assertEqual(daemon.wait_exit(), 70)
        daemon.wait_log("exited with status 3", path="root/job")

    def test_one_that_takes_too_long_has_failed(self):
        daemon = self.supervise(sleeper("other"))
        status, err = self.no(daemon, "add", "root", self.write("job.json", json.dumps(self.job("sleep 1000", start_timeout="200ms"))))
        self.assertEqual(status, 1)
        self.assertIn("killed by SIGKILL", err)
        self.assertIsNone(daemon.control.node("root/job"))

    def test_contradictions_are_errors_of_the_file(self):
        daemon = self.supervise(sleeper("other"))
        self.rewrite(daemon, self.job(restart="permanent"), self.job(name="ready", ready="exec"), self.job(name="good", restart="transient"))
        reasons = self.refused(daemon).splitlines()
        self.assertEqual(len(reasons), 2)
        self.assertIn('/supervisor/children/0/restart: a oneshot is "transient"', reasons[0])
        self.assertIn("/supervisor/children/1/ready: a oneshot is ready when it has exited normally", reasons[1])


class LifeAndUpgrades(UpgradeTestCase):
    def test_an_upgrade_changes_nothing_about_them(self):
        daemon = self.supervise(
            echo_listener(), sleeper("started", start="manual"), sleeper("stopped", start="manual"),
            {"id": "job", "type": "process", "argv": ["/bin/sh", "-c", "echo x >> runs"], "chdir": self.directory, "oneshot": True},
            sleeper("off", enabled=False))
        self.assertEqual(daemon.control.run("start", "started")[0], 0)
        before = daemon.control.node("root/started")["pid"]
        self.assertEqual(self.upgrade(daemon)[0], 0)
        self.assertEqual([daemon.control.node("root/" + name)["state"] for name in ("started", "stopped", "job", "off")],
                         ["running", "stopped", "finished", "disabled"])
        self.assertEqual(daemon.control.node("root/started")["pid"], before)
        self.assertEqual(json.loads(daemon.control.run("--json", "reload")[1])["changes"], [])
        with open(os.path.join(self.directory, "runs")) as file:
            self.assertEqual(file.read(), "x\n")


class DependentsAndUpgrades(UpgradeTestCase):
    def test_a_restart_that_an_upgrade_finds_under_way_is_answered_by_the_new_program(self):
        slow = shell("slow", "trap 'while test -e wait; do sleep 0.05; done; exit 0' TERM; while :; do sleep 0.05; done",
                     chdir=self.directory, shutdown="infinity")
        daemon = self.supervise({"id": "app", "type": "supervisor", "strategy": "one_for_all",
                                 "children": [sleeper("db"), slow, echo_listener()]})
        self.write("wait", "")
        before = daemon.control.node("root/app/db")["pid"]
        restart = subprocess.Popen(daemon.control.command("restart", "--with-dependents", "app/db"), stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True)
        self.addCleanup(restart.communicate)
        daemon.events.next("child_stopping", "root/app/slow")
        self.assertEqual(self.upgrade(daemon)[0], 0)
        os.unlink(os.path.join(self.directory, "wait"))
        out, err = restart.communicate(timeout=10)
        self.assertEqual((restart.returncode, err), (0, ""), out)
        self.assertNotEqual(daemon.control.node("root/app/db")["pid"], before)
        self.assertEqual(daemon.control.node("root/app")["restarts_in_window"], 0)


if __name__ == "__main__":
    main()
