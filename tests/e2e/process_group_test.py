"""A run of a process is over when its group is: a service behind a start script that does not exec it, and what else a
leader may leave behind."""

import os
import signal
import time

from harness import ControlledTestCase, Client, descendants, free_port, listener, main, process, signal_process, wait_until
from harness.daemon import listening_on
from harness.upgrade import UpgradeTestCase, echo_listener

STOPS_IN = 0.6


def program(name, *argv, **keys):
    return {"id": name, "type": "process", "argv": list(argv), "shutdown": "10s", **keys}


def shell(name, script, **keys):
    return program(name, "/bin/sh", "-c", script, **keys)


def members(group):
    """Of a process group, its leader and zombies not included."""
    return [one for one in descendants(os.getpid()) if one.pgrp == group and one.pid != group and one.state != "Z"]


class GroupTestCase(ControlledTestCase):
    def behind_script(self, name="server", seconds=STOPS_IN, **keys):
        """A server behind a start script; its port."""
        port = free_port()
        return port, shell(name, f"{self.helper('slow_to_stop')} {port} {seconds} & wait", **keys)

    def serving(self, daemon, port):
        wait_until(lambda: listening_on(port), 5, f"port {port}")

    def kinds(self, daemon, path, after=0):
        return [one["event"] for one in daemon.events.all[after:] if one["path"] == path]


class StartScripts(GroupTestCase):
    def test_restart_waits_for_the_server(self):
        port, child = self.behind_script()
        daemon = self.supervise(child)
        self.serving(daemon, port)
        before = daemon.events.mark()
        self.assertEqual(daemon.control.value("restart", "root/server"), {"ok": True})
        self.assertEqual(daemon.control.node("root/server")["restarts"], 0)
        self.serving(daemon, port)
        self.assertEqual(daemon.log("Address already in use"), [])
        self.assertEqual(self.kinds(daemon, "root/server", before),
                         ["child_stopping", "child_exited", "child_started", "child_ready"])
        ended = daemon.log("killed by SIGTERM", path="root/server")
        stopped = daemon.log("^stopped$", path="root/server")
        self.assertEqual((len(ended), len(stopped)), (1, 1))
        self.assertLess(ended[0]["time"], stopped[0]["time"])

    def test_stop_answers_when_the_server_has_stopped(self):
        port, child = self.behind_script()
        daemon = self.supervise(child)
        self.serving(daemon, port)
        self.assertEqual(daemon.control.value("stop", "root/server"), {"ok": True})
        self.assertFalse(listening_on(port))
        self.assertEqual(daemon.control.node("root/server")["state"], "stopped")

    def test_it_is_shown_as_stopping_meanwhile(self):
        port, child = self.behind_script(seconds=30, restart="temporary")
        daemon = self.supervise(child)
        self.serving(daemon, port)
        leader = daemon.control.node("root/server")["pid"]
        signal_process(leader, signal.SIGKILL)
        daemon.events.next("child_exited", "root/server")
        node = daemon.control.node("root/server")
        self.assertEqual((node["state"], node.get("pid")), ("stopping", None))
        daemon.wait_log("^waiting for the rest of its process group to end$", path="root/server")
        for one in members(leader):
            signal_process(one.pid, signal.SIGKILL)
        daemon.events.next("child_removed", "root/server")

    def test_the_next_process_in_the_stop_order_waits_for_the_whole_group(self):
        port, child = self.behind_script()
        daemon = self.supervise(shell("first", "echo first >&2; exec sleep 1000"), child)
        self.serving(daemon, port)
        self.assertEqual(daemon.stop(), 0)
        stopped = daemon.log("^stopped$", path="root/server")[0]
        self.assertLess(stopped["time"], daemon.log("killed by SIGTERM", path="root/first")[0]["time"])

    def test_a_crashed_script_is_restarted_when_its_server_has_stopped(self):
        port, child = self.behind_script()
        daemon = self.supervise(child, supervisor={"max_restarts": 1, "max_seconds": 60})
        self.serving(daemon, port)
        before = daemon.events.mark()
        signal_process(daemon.control.node("root/server")["pid"], signal.SIGKILL)
        daemon.events.next("child_ready", "root/server", after=before)
        self.assertEqual(self.kinds(daemon, "root/server", before),
                         ["child_exited", "child_restarting", "child_started", "child_ready"])
        self.serving(daemon, port)
        self.assertEqual(len(daemon.log("^stopped$", path="root/server")), 1)


class Deadlines(GroupTestCase):
    def left_after(self, daemon, path="root/job"):
        """Seconds that the last of its group lives after the order to stop, and what of it is left at the answer."""
        leader = daemon.control.node(path)["pid"]
        wait_until(lambda: members(leader), 5, "a companion")
        begun = time.monotonic()
        self.assertEqual(daemon.control.value("stop", path), {"ok": True})
        self.assertEqual(members(leader), [])
        return time.monotonic() - begun

    def test_one_deadline_from_the_first_signal(self):
        script = 'trap "" TERM; sleep 1000 & trap "sleep 2; exit 0" TERM; echo set; while :; do sleep 0.05; done'
        daemon = self.supervise(shell("job", script, shutdown="3s"))
        daemon.wait_log("^set$", path="root/job")
        taken = self.left_after(daemon)
        self.assertTrue(2.99 <= taken < 4.9, taken)  # 5, if it counted from the end of the leader
        daemon.wait_log("^killed the rest of its process group$", path="root/job")

    def test_mixed_asks_the_leader_and_kills_the_others_at_once(self):
        script = '(trap "echo asked" TERM; while :; do sleep 0.05; done) & trap "exit 0" TERM; while :; do sleep 0.05; done'
        daemon = self.supervise(shell("job", script, shutdown="20s", kill_mode="mixed"))
        taken = self.left_after(daemon)
        self.assertLess(taken, 5)
        self.assertEqual(daemon.log("^asked$", path="root/job"), [])

    def test_process_leaves_the_others_alone(self):
        script = "sleep 1000 & exec sleep 1000"
        daemon = self.supervise(shell("job", script, kill_mode="process"))
        leader = daemon.control.node("root/job")["pid"]
        left = wait_until(lambda: members(leader), 5, "a companion")
        self.assertEqual(daemon.control.value("stop", "root/job"), {"ok": True})
        self.assertEqual([one.pid for one in members(leader)], [one.pid for one in left])
        for one in left:
            signal_process(one.pid, signal.SIGKILL)


class Members(GroupTestCase):
    # The parent of the deaf one leaves the group, and lives: so the deaf one never becomes the master's child.
    ELSEWHERE = """
import os, signal, sys, time
if os.fork() == 0:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if os.fork() == 0:
        time.sleep(1000)
    os.setpgid(0, 0)
    time.sleep(1000)
signal.pause()
"""

    def test_one_whose_parent_is_elsewhere_counts(self):
        daemon = self.supervise(program("job", "/usr/bin/python3", "-c", self.ELSEWHERE, shutdown="500ms"))
        leader = daemon.control.node("root/job")["pid"]
        wait_until(lambda: len(members(leader)) == 1 and len(descendants(leader)) == 2, 5, "both")
        parent = next(one for one in descendants(leader) if one.pgrp != leader)
        begun = time.monotonic()
        self.assertEqual(daemon.control.value("stop", "root/job"), {"ok": True})
        self.assertGreaterEqual(time.monotonic() - begun, 0.49)
        self.assertEqual(members(leader), [])
        signal_process(parent.pid, signal.SIGKILL)

    def test_others_are_reaped_behind_a_leader_that_waits(self):
        # Born before the others, so that the kernel tells of it first.
        script = 'trap "" TERM; sleep 1000 & exit 0'
        daemon = self.supervise(shell("first", script, shutdown="30s", restart="temporary", ready="fork"),
                                listener(workers=1), shell("second", "sleep 1000 & exec sleep 1000", restart="permanent"))
        ended = daemon.events.next("child_exited", "root/first")
        self.assertEqual(process(ended["pid"]).state, "Z")
        with Client(daemon.address()) as client:
            client.echo(b"once\n")
            child = daemon.child_of(client)
            before = daemon.events.mark()
            signal_process(daemon.workers()[0].pid, signal.SIGKILL)
            daemon.events.next("child_ready", "root/echo/1", after=before)
            client.echo(b"again\n")
        wait_until(lambda: process(child.pid) is None, 5, "the adopted connection reaped")
        before = daemon.events.mark()
        signal_process(daemon.control.node("root/second")["pid"], signal.SIGKILL)
        daemon.events.next("child_ready", "root/second", after=before)
        wait_until(lambda: [one.pid for one in daemon.zombies()] == [ended["pid"]], 5, "no other zombie")
        for one in members(ended["pid"]):
            signal_process(one.pid, signal.SIGKILL)
        daemon.events.next("child_removed", "root/first")


class Background(GroupTestCase):
    """A program that exits at once while what it has started continues is noticed, for it cannot be supervised."""

    HINT = "; it seems to have gone to the background, where it cannot be supervised: it must be told to stay in the foreground"

    def run_once(self, script, **keys):
        daemon = self.supervise(listener(), shell("p", script, restart="transient", **keys))
        return daemon, daemon.events.next("child_exited", "root/p")

    def test_in_a_session_of_its_own(self):
        pid_file = os.path.join(self.directory, "pid")
        daemon, event = self.run_once(f"setsid sh -c 'echo $$ >{pid_file}; exec sleep 1000' & while ! [ -s {pid_file} ]; do :; done")
        with open(pid_file) as file:
            stray = int(file.read())
        self.addCleanup(signal_process, stray, signal.SIGKILL)
        self.assertTrue(daemon.log("exited with status 0" + self.HINT, path="root/p"))
        self.assertEqual("; " + event["remark"], self.HINT)
        self.assertIn(self.HINT, daemon.control.run("explain", "root/p")[1])
        signal_process(stray, signal.SIGKILL)

    def test_in_its_group(self):
        daemon, _ = self.run_once("sleep 1000 &")
        self.assertTrue(daemon.log("exited with status 0" + self.HINT, path="root/p"))

    def test_others_are_not_suspected(self):
        for script in ("exit 0", "sleep 1000 & exit 3", "sleep 0.01 & wait"):
            with self.subTest(script):
                daemon, event = self.run_once(script)
                self.assertNotIn("background", str(event))


class Upgrades(UpgradeTestCase):
    def test_a_run_that_is_half_over_is_continued(self):
        script = '(trap "echo asked" TERM; echo up; while :; do sleep 0.05; done) & exec sleep 1000'
        daemon = self.supervise(echo_listener(), shell("job", script, shutdown="3s"))
        daemon.wait_log("^up$", path="root/job")
        signal_process(daemon.control.node("root/job")["pid"], signal.SIGKILL)
        ended = daemon.events.next("child_exited", "root/job")
        begun = time.monotonic()
        self.upgraded(daemon, self.next)
        self.assertEqual(daemon.control.node("root/job")["state"], "stopping")
        daemon.wait_log("^killed the rest of its process group$", path="root/job")
        taken = time.monotonic() - begun
        self.assertTrue(2 < taken < 4, taken)
        wait_until(lambda: daemon.control.node("root/job")["state"] == "running", 5, "the next run")
        self.assertEqual(len(daemon.log("killed by SIGKILL", path="root/job")), 1)
        self.assertEqual(members(ended["pid"]), [])


if __name__ == "__main__":
    main()
