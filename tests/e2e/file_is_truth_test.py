"""After an accepted reload the tree is what the file says; what operators have changed survives it, is shown, and ends with --reset."""

import json
import os
import signal
import subprocess

from harness import Client, ReloadTestCase, UpgradeTestCase, main, signal_process, sleeper, wait_until
from harness import steady as listener


class Truth(ReloadTestCase):
    def ok(self, daemon, *command):
        status, out, err = daemon.control.run(*command)
        self.assertEqual((status, err), (0, ""), command)
        return out

    def reset(self, daemon):
        return self.changes(json.loads(self.ok(daemon, "--json", "reload", "--wait", "--reset")))

    def under_way(self, daemon, *command):
        return subprocess.Popen(daemon.control.command(*command), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def pid(self, daemon, path):
        return daemon.control.node(path).get("pid")

    def differs(self, daemon):
        """path -> what `tree` shows at it."""
        def walk(node):
            yield node["path"], node.get("differs")
            for child in node.get("children", []) + node.get("workers", []) + node.get("missing", []):
                yield from walk(child)
        return {path: words for path, words in walk(daemon.control.value("tree")) if words}

    def operators_change(self, daemon):
        """One of each kind."""
        self.ok(daemon, "stop", "root/idle")
        self.ok(daemon, "stop", "root/gone")
        self.ok(daemon, "delete", "root/gone")
        self.ok(daemon, "scale", "root/echo", "4")
        self.ok(daemon, "suspend", "root/web")
        self.ok(daemon, "add", "root", self.write("more.json", json.dumps(sleeper("more"))))

    ALL = {"root/idle": ["stopped"], "root/gone": ["deleted"], "root/echo": ["scaled"], "root/web": ["suspended"], "root/more": ["added"]}

    def supervise_some(self):
        return self.supervise(listener(), listener("web"), sleeper("idle"), sleeper("gone"))


class Reloads(Truth):
    def test_a_stopped_process_stays_stopped_and_starts_as_the_new_file_says(self):
        daemon = self.supervise(sleeper("job"), sleeper("other"))
        self.ok(daemon, "stop", "root/job")
        self.rewrite(daemon, sleeper("job", 2000), sleeper("other"))
        self.assertEqual(self.changes(self.reload(daemon)), [("in_place", "root/job", "argv")])
        daemon.send_signal(signal.SIGHUP)
        daemon.events.next("reload_done", "root", changes=[])
        self.assertEqual(daemon.control.node("root/job")["state"], "stopped")
        self.ok(daemon, "start", "root/job")
        self.assertIn("2000", self.title(daemon, "root/job"))

    def test_a_finished_job_is_not_done_again(self):
        def job(name, *argv, **keys):
            return {"id": name, "type": "process", "argv": list(argv), **keys}
        daemon = self.supervise(job("once", "/bin/true", restart="transient"), job("failed", "/bin/false", permanent_failure_exit=[1]),
                                job("temporary", "/bin/true", restart="temporary"), sleeper("stays"))
        wait_until(lambda: daemon.control.node("root/once")["state"] == "stopped" and daemon.control.node("root/temporary") is None
                   and daemon.control.node("root/failed")["state"] == "failed", 5, "their ends")
        mark = daemon.events.mark()
        self.assertEqual(self.reload(daemon)["changes"], [])
        self.rewrite(daemon, job("once", "/bin/true", "2", restart="transient"), job("failed", "/bin/false", "2", permanent_failure_exit=[1]),
                     job("temporary", "/bin/true", restart="temporary"), sleeper("stays"))
        self.assertEqual(self.changes(self.reload(daemon)), [("in_place", "root/once", "argv"), ("in_place", "root/failed", "argv")])
        self.assertEqual(self.differs(daemon), {})
        daemon.events.mark()
        self.assertEqual(daemon.events.of("child_started", after=mark), [])

    def test_a_temporary_job_that_ended_is_done_again_if_it_is_another_one(self):
        daemon = self.supervise(sleeper("job", restart="temporary"), sleeper("stays"))
        signal_process(self.pid(daemon, "root/job"), signal.SIGKILL)
        wait_until(lambda: daemon.control.node("root/job") is None, 5, "its end")
        self.assertEqual(self.reload(daemon)["changes"], [])
        self.rewrite(daemon, sleeper("job", 2000, restart="temporary"), sleeper("stays"))
        self.assertEqual(self.changes(self.reload(daemon)), [("added", "root/job")])
        self.assertIn("2000", self.title(daemon, "root/job"))

    def test_a_deleted_node_comes_back(self):
        daemon = self.supervise_some()
        for path in "root/gone", "root/echo":
            self.ok(daemon, "stop", path)
            self.ok(daemon, "delete", path)
        self.assertEqual(daemon.control.run("diff")[1], "A reload would do this:\n  root/echo is added\n  root/gone is added\n")
        daemon.send_signal(signal.SIGHUP)
        done = daemon.events.next("reload_done", "root")
        self.assertEqual([(one["kind"], one["path"]) for one in done["changes"]], [("added", "root/echo"), ("added", "root/gone")])
        self.assertEqual([one["id"] for one in daemon.control.node("root")["children"]], ["echo", "web", "idle", "gone"])
        host, port = daemon.control.node("root/echo")["endpoints"][0]["address"].split(":")
        with Client((host, int(port))) as client:
            self.assertTrue(client.echo())
        self.assertEqual(self.reload(daemon)["changes"], [])

    def test_a_node_that_was_deleted_is_not_reported_as_restarted(self):
        daemon = self.supervise(sleeper("job"), sleeper("other"))
        self.ok(daemon, "stop", "root/job")
        self.ok(daemon, "delete", "root/job")
        self.rewrite(daemon, sleeper("job", 2000), sleeper("other"))
        self.assertEqual(self.changes(self.reload(daemon)), [("added", "root/job")])
        self.assertIn("2000", self.title(daemon, "root/job"))

    def test_what_operators_have_changed_survives_and_is_shown(self):
        daemon = self.supervise_some()
        self.operators_change(daemon)
        self.assertEqual(self.differs(daemon), self.ALL)
        self.assertEqual(daemon.control.node("root/echo")["file_workers"], 2)
        self.assertEqual(self.changes(self.reload(daemon)), [("added", "root/gone")])
        self.assertEqual(self.differs(daemon), {path: words for path, words in self.ALL.items() if path != "root/gone"})
        answer = daemon.control.value("diff")
        self.assertEqual(answer["changes"], [])
        self.assertEqual({one["path"]: one["differs"] for one in answer["differs"]}, self.differs(daemon))
        text = self.ok(daemon, "diff")
        for line in "root/idle is stopped", "root/web is suspended", "root/echo has 4 workers instead of 2", "root/more was added":
            self.assertIn(f"  {line}\n", text)
        tree = self.ok(daemon, "tree")
        for remark in "stopped by an operator", "suspended", "scaled (2 in the file)", "added by an operator":
            self.assertIn(remark, tree)

    def test_reset_makes_the_tree_what_the_file_says(self):
        daemon = self.supervise_some()
        self.operators_change(daemon)
        self.assertEqual(self.reset(daemon), [("added", "root/gone"), ("in_place", "root/echo", "workers"), ("resumed", "root/web"),
                                              ("started", "root/idle"), ("removed", "root/more")])
        wait_until(lambda: self.differs(daemon) == {}, 5, "nothing that differs")
        self.assertEqual([(one["id"], one["state"]) for one in daemon.control.node("root")["children"]],
                         [(name, "running") for name in ("echo", "web", "idle", "gone")])
        self.assertEqual(len(daemon.workers("echo")), 2)
        with Client(daemon.address("web")) as client:
            self.assertTrue(client.echo())
        self.assertEqual(self.reset(daemon), [])
        self.assertEqual(self.ok(daemon, "diff"), "Nothing changes.\n")

    def test_reset_brings_back_a_temporary_child_that_ends_meanwhile(self):
        """It is there when the reload is planned, and has gone when it is carried out."""
        deaf = f"trap '' TERM; echo > {self.directory}/deaf; while [ ! -e {self.directory}/go ]; do sleep 0.02; done"
        temporary = sleeper("job", restart="temporary", shutdown="20s", argv=["/bin/sh", "-c", deaf])
        daemon = self.supervise(temporary, sleeper("stays"))
        wait_until(lambda: os.path.exists(os.path.join(self.directory, "deaf")), 5, "it ignores TERM")
        waits = (f"echo > {self.directory}/began; while [ ! -e {self.directory}/ready ]; do sleep 0.02; done; "
                 "echo > /proc/self/fd/$NOTIFY_FD; exec sleep 1000")
        late = sleeper("late", ready="notify_fd", argv=["/bin/sh", "-c", waits])
        self.rewrite(daemon, temporary, sleeper("stays"), late)
        with self.under_way(daemon, "stop", "root/job") as stop:
            daemon.events.next("child_stopping", "root/job")
            with self.under_way(daemon, "--json", "reload", "--reset") as reload:
                wait_until(lambda: os.path.exists(os.path.join(self.directory, "began")), 5, "the trial has begun")
                self.write("go", "")
                daemon.events.next("child_exited", "root/job")
                os.remove(os.path.join(self.directory, "go"))
                self.write("ready", "")
                self.assertEqual((stop.wait(10), reload.wait(10)), (0, 0), reload.stderr.read())
        self.assertEqual(self.differs(daemon), {})
        self.assertEqual(daemon.control.node("root/job")["state"], "running")
        self.write("go", "")


class Restarts(Truth):
    def test_no_restart_undoes_scale(self):
        team = {"id": "team", "type": "supervisor", "strategy": "one_for_all", "max_restarts": 9,
                "children": [sleeper("job", restart_delay="none"), listener()]}
        daemon = self.supervise(team)
        path = "root/team/echo"
        self.ok(daemon, "scale", path, "3")

        def pids():
            node = daemon.control.node(path)
            return {one.get("pid") for one in node["workers"] if one["state"] == "running"} if node else set()

        def kill():
            signal_process(self.pid(daemon, "root/team/job"), signal.SIGKILL)
        restarts = [kill, *(lambda p=p: self.ok(daemon, "restart", p) for p in (path, "root/team")), lambda: self.reload(daemon)]
        for restart in restarts:
            before = wait_until(lambda: len(found := pids()) == 3 and found, 5, "three workers")
            restart()
            if restart != restarts[-1]:
                wait_until(lambda: len(pids()) >= 2 and not pids() & before, 5, "other workers")
        self.assertEqual(len(wait_until(lambda: len(found := pids()) == 3 and found, 5, "three workers")), 3)
        self.assertEqual(self.differs(daemon), {path: ["scaled"]})


class Upgrades(UpgradeTestCase, Truth):
    def test_what_operators_have_changed_survives_an_upgrade(self):
        daemon = self.supervise_some()
        self.operators_change(daemon)
        self.upgraded(daemon, self.next)
        self.assertEqual(self.differs(daemon), self.ALL)
        self.ok(daemon, "restart", "root/echo")
        self.assertEqual(len(daemon.workers("echo")), 4)
        self.rewrite(daemon, listener(), listener("web"), sleeper("idle", 2000), sleeper("gone"))
        self.assertEqual(self.changes(self.reload(daemon)), [("in_place", "root/idle", "argv"), ("added", "root/gone")])
        self.assertEqual(daemon.control.node("root/idle")["state"], "stopped")
        self.assertEqual([change[1] for change in self.reset(daemon)], ["root/echo", "root/web", "root/idle", "root/more"])
        wait_until(lambda: self.differs(daemon) == {}, 5, "nothing that differs")
        self.assertIn("2000", self.title(daemon, "root/idle"))


if __name__ == "__main__":
    main()
