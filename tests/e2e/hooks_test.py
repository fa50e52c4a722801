"""pre_start and post_stop: the commands around each run of a process."""

import os
import signal

from harness import (ReloadTestCase, UpgradeTestCase, descendants, echo_listener, main, needs_root, process, signal_process, sleeper,
                     wait_until)

FOREVER = "while :; do sleep 0.05; done"


def shell(script):
    return ["/bin/sh", "-c", script]


class HooksTestCase(ReloadTestCase):
    def job(self, script="exec sleep 1000", **keys):
        keys.setdefault("shutdown", "10s")
        return {"id": "job", "type": "process", "argv": shell(script), "chdir": self.directory, "ready": "exec", **keys}

    def told(self, name="told"):
        try:
            with open(os.path.join(self.directory, name)) as file:
                return file.read().splitlines()
        except FileNotFoundError:
            return []

    def remove(self, name):
        os.unlink(os.path.join(self.directory, name))

    def pid(self, daemon):
        return daemon.control.node("root/job").get("pid")


class PreStart(HooksTestCase):
    def test_it_runs_before_every_run_and_has_what_the_process_has(self):
        show = "echo pre $A ${NOTIFY_SOCKET:-none} $(umask) $(ls /proc/self/fd | tr '\\n' ' ') >> told"
        daemon = self.supervise(self.job("echo main >> told; exec sleep 1000", pre_start=shell(show + "; echo output of pre"),
                                         env={"A": "b"}, umask="077"), sleeper("after"))
        wait_until(lambda: len(self.told()) == 2, 5, "the process")
        self.assertEqual([line.split()[0] for line in self.told()], ["pre", "main"])
        self.assertEqual(self.told()[0].split()[:5], ["pre", "b", "none", "0077", "0"])
        daemon.wait_log("output of pre", path="root/job")
        signal_process(self.pid(daemon), signal.SIGKILL)
        wait_until(lambda: len(self.told()) == 4, 5, "another run")

    def test_it_is_in_the_group_of_the_process_and_in_none_of_the_masters_files(self):
        self.write("wait", "")
        daemon = self.supervise(self.job(pre_start=shell("echo $$ > told; while test -e wait; do sleep 0.02; done")), wait=False)
        wait_until(self.told, 5, "the pre_start")
        node = self.wait_state(daemon, "root/job", "starting")
        pre = process(int(self.told()[0]))
        self.assertEqual((pre.pgrp, pre.ppid), (node["pid"], node["pid"]))
        files = {os.readlink(f"/proc/{pre.pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pre.pid}/fd")}
        self.assertEqual({name for name in files if "socket" in name or "memfd" in name}, set())
        held = {os.readlink(f"/proc/{node['pid']}/fd/{fd}") for fd in os.listdir(f"/proc/{node['pid']}/fd")}
        self.assertEqual({name for name in held if "socket" in name or "memfd" in name or "eventpoll" in name}, set())
        self.remove("wait")
        self.assertEqual(self.wait_state(daemon, "root/job", "running")["pid"], node["pid"])

    def test_its_failure_is_a_failed_start(self):
        daemon = self.supervise(self.job(pre_start=shell("test -e bad && exit 7; exit 0")))
        self.write("bad", "")
        status, _, err = daemon.control.run("restart", "job")
        self.assertEqual(status, 1)
        self.assertIn("failed in its pre_start, which exited with status 7", err)
        self.assertEqual(daemon.control.node("root/job")["state"], "stopped")
        self.remove("bad")
        self.assertEqual(daemon.control.run("start", "job")[0], 0)
        signal_process(self.pid(daemon), signal.SIGKILL)
        self.write("bad", "")
        signal_process(wait_until(lambda: self.pid(daemon), 5, "it"), signal.SIGKILL)
        daemon.wait_log("failed in its pre_start", path="root/job", count=2)
        self.remove("bad")
        self.wait_state(daemon, "root/job", "running")

    def test_one_that_does_not_end_is_ended(self):
        daemon = self.supervise(self.job(pre_start=shell(f"test -e bad || exit 0; trap '' TERM; {FOREVER}"), start_timeout="300ms"))
        self.write("bad", "")
        status, _, err = daemon.control.run("restart", "job")
        self.assertEqual(status, 1)
        self.assertIn("its pre_start did not end within its start_timeout", err)
        wait_until(lambda: len([one for one in descendants(daemon.pid) if one.state != "Z"]) == 0, 5, "the ends")

    def test_the_process_has_its_own_start_timeout(self):
        daemon = self.supervise(self.job("sleep 0.5; printf '\\n' >&3; exec sleep 1000", pre_start=shell("sleep 0.5"),
                                         ready="notify_fd", start_timeout="900ms"))
        self.assertEqual(daemon.control.node("root/job")["state"], "running")

    def test_a_stop_ends_it(self):
        daemon = self.supervise(self.job(pre_start=shell(f"test -e slow || exit 0; echo x >> told; {FOREVER}")))
        self.write("slow", "")
        signal_process(self.pid(daemon), signal.SIGKILL)
        wait_until(self.told, 5, "the pre_start")
        self.assertEqual(daemon.control.run("stop", "job")[0], 0)
        self.assertEqual(daemon.control.node("root/job")["state"], "stopped")
        self.assertEqual([one for one in descendants(daemon.pid) if one.state != "Z"], [])

    def test_the_daemon_stops_while_it_runs(self):
        daemon = self.supervise(self.job(pre_start=shell(f"echo x >> told; trap '' TERM; {FOREVER}")), wait=False)
        wait_until(self.told, 5, "the pre_start")
        self.assertEqual(daemon.stop(), 0)

    def test_a_killed_master_leaves_none(self):
        daemon = self.supervise(self.job(pre_start=shell(f"echo $$ >> told; {FOREVER}")), wait=False)
        wait_until(self.told, 5, "the pre_start")
        pre = process(int(self.told()[0]))
        daemon.kill_master()
        self.wait_gone([pre])

    def test_a_program_that_is_not_there_is_an_error_of_the_file(self):
        daemon = self.supervise(self.job())
        self.rewrite(daemon, self.job(pre_start=["/no/such/program"]))
        self.assertIn("/supervisor/children/0/pre_start/0: cannot execute", self.refused(daemon))

    @needs_root
    def test_it_has_the_user_of_the_process(self):
        os.chmod(self.directory, 0o755)
        os.mkdir(os.path.join(self.directory, "own"))
        os.chmod(os.path.join(self.directory, "own"), 0o777)
        daemon = self.supervise(self.job(pre_start=shell("id -u > own/told"), post_stop=shell("id -u >> own/told"), user="nobody"))
        self.assertEqual(daemon.control.run("stop", "job")[0], 0)
        self.assertEqual(self.told("own/told"), ["65534", "65534"])


class PostStop(HooksTestCase):
    TELL = shell("echo $BULKHEAD_RESULT $SERVICE_RESULT $EXIT_CODE $EXIT_STATUS $A >> told")

    def test_it_is_told_how_the_process_ended(self):
        daemon = self.supervise(self.job("test -e status && exit $(cat status); exec sleep 1000", post_stop=self.TELL, env={"A": "b"}))
        told = []
        self.write("status", "3")
        signal_process(self.pid(daemon), signal.SIGKILL)
        told += ["signal signal killed KILL b", "exit-code exit-code exited 3 b"]
        wait_until(lambda: len(self.told()) >= 2, 5, "two runs")
        self.assertEqual(self.told()[:2], told)
        self.remove("status")
        self.wait_state(daemon, "root/job", "running")
        before = len(self.told())
        self.assertEqual(daemon.control.run("stop", "job")[0], 0)
        self.assertEqual(self.told()[before:], ["success success killed TERM b"])

    def test_a_process_that_must_be_killed_has_timed_out(self):
        daemon = self.supervise(self.job(f"trap '' TERM; {FOREVER}", post_stop=self.TELL, shutdown="200ms"))
        self.assertEqual(daemon.control.run("stop", "job")[0], 0)
        self.assertEqual(self.told(), ["timeout timeout killed KILL"])

    def test_it_also_runs_after_a_failed_start(self):
        daemon = self.supervise(self.job("test -e bad && exit 3; printf '\\n' >&3; exec sleep 1000", ready="notify_fd", post_stop=self.TELL))
        self.write("bad", "")
        self.assertEqual(daemon.control.run("restart", "job")[0], 1)
        self.assertEqual(self.told(), ["success success killed TERM", "exit-code exit-code exited 3"])

    def test_the_next_run_and_the_answer_of_stop_wait_for_it(self):
        daemon = self.supervise(self.job("echo run >> told; exec sleep 1000",
                                         post_stop=shell("while test -e wait; do sleep 0.02; done; echo post >> told")))
        self.write("wait", "")
        signal_process(self.pid(daemon), signal.SIGKILL)
        daemon.wait_log("running its post_stop", path="root/job")
        node = daemon.control.node("root/job")
        self.assertEqual((node["state"], node.get("pid")), ("stopping", None))
        self.assertEqual(self.told(), ["run"])
        self.remove("wait")
        wait_until(lambda: len(self.told()) == 3, 5, "the next run")
        self.assertEqual(daemon.control.run("stop", "job")[0], 0)
        self.assertEqual(self.told(), ["run", "post", "run", "post"])

    def test_one_that_does_not_end_is_killed_and_only_warned_about(self):
        daemon = self.supervise(self.job(post_stop=shell(f"trap '' TERM; (trap '' TERM; {FOREVER}) & {FOREVER}"), start_timeout="300ms"))
        self.assertEqual(daemon.control.run("stop", "job")[0], 0)
        daemon.wait_log("post_stop did not end in time", path="root/job", level="warning")
        self.assertEqual([one for one in descendants(daemon.pid) if one.state != "Z"], [])

    def test_a_shutdown_shorter_than_it_does_not_cut_it_short(self):
        daemon = self.supervise(self.job(post_stop=shell("sleep 0.6; echo done >> told"), shutdown="200ms"))
        self.assertEqual(daemon.control.run("stop", "job")[0], 0)
        self.assertEqual(self.told(), ["done"])

    def test_its_failure_is_a_warning(self):
        daemon = self.supervise(self.job(post_stop=shell("exit 9")))
        self.assertEqual(daemon.control.run("restart", "job")[0], 0)
        daemon.wait_log("post_stop exited with status 9", path="root/job", level="warning")

    def test_its_program_may_be_gone(self):
        path = self.write("clean", "#!/bin/sh\n", 0o755)
        daemon = self.supervise(self.job(post_stop=[path]))
        os.unlink(path)
        self.assertEqual(daemon.control.run("stop", "job")[0], 0)
        daemon.wait_log("post_stop failed while executing the program: No such file", path="root/job")

    def test_it_runs_when_the_daemon_stops(self):
        daemon = self.supervise(self.job(post_stop=self.TELL))
        self.assertEqual(daemon.stop(), 0)
        self.assertEqual(self.told(), ["success success killed TERM"])

    def test_it_does_not_hold_up_a_daemon_that_must_stop_now(self):
        daemon = self.supervise(self.job(post_stop=shell(f"echo x >> told; trap '' TERM; {FOREVER}"), start_timeout="infinity"))
        daemon.send_signal(signal.SIGTERM)
        wait_until(self.told, 5, "the post_stop")
        for _ in range(3):
            daemon.send_signal(signal.SIGINT)
        self.assertEqual(daemon.wait_exit(), 0)

    def test_a_killed_master_leaves_none(self):
        daemon = self.supervise(self.job(post_stop=shell(f"echo $$ >> told; {FOREVER}"), start_timeout="infinity"))
        signal_process(self.pid(daemon), signal.SIGKILL)
        wait_until(self.told, 5, "the post_stop")
        post = process(int(self.told()[0]))
        daemon.kill_master()
        self.wait_gone([post])

    def test_a_reload_changes_it_without_a_restart(self):
        daemon = self.supervise(self.job())
        before = self.pid(daemon)
        self.rewrite(daemon, self.job(post_stop=self.TELL, pre_start=shell("echo pre >> told")))
        self.assertEqual(self.changes(self.reload(daemon)), [("in_place", "root/job", "pre_start", "post_stop")])
        self.assertEqual(self.pid(daemon), before)
        self.assertEqual(daemon.control.run("restart", "job")[0], 0)
        self.assertEqual(self.told(), ["success success killed TERM", "pre"])


class Upgrades(UpgradeTestCase):
    def job(self, **keys):
        return {"id": "job", "type": "process", "argv": ["/bin/sleep", "1000"], "chdir": self.directory, "ready": "exec", **keys}

    def told(self):
        try:
            with open(os.path.join(self.directory, "told")) as file:
                return file.read().splitlines()
        except FileNotFoundError:
            return []

    def test_an_upgrade_during_a_post_stop(self):
        daemon = self.supervise(echo_listener(), self.job(
            post_stop=shell("echo $EXIT_STATUS >> told; while test -e wait; do sleep 0.02; done; echo after >> told"), restart="transient"))
        self.write("wait", "")
        signal_process(daemon.control.node("root/job")["pid"], signal.SIGUSR1)
        wait_until(self.told, 5, "the post_stop")
        self.assertEqual(self.upgrade(daemon)[0], 0)
        self.assertEqual(daemon.control.node("root/job")["state"], "stopping")
        os.unlink(os.path.join(self.directory, "wait"))
        self.wait_state(daemon, "root/job", "running")
        self.assertEqual(self.told(), ["USR1", "after"])

    def test_an_upgrade_during_a_pre_start(self):
        daemon = self.supervise(echo_listener(), self.job(
            pre_start=shell("test -e slow || exit 0; echo x >> told; while test -e wait; do sleep 0.02; done")))
        self.write("wait", "")
        self.write("slow", "")
        signal_process(daemon.control.node("root/job")["pid"], signal.SIGKILL)
        wait_until(self.told, 5, "the pre_start")
        self.assertEqual(self.upgrade(daemon)[0], 0)
        self.assertEqual(daemon.control.node("root/job")["state"], "starting")
        os.unlink(os.path.join(self.directory, "wait"))
        self.wait_state(daemon, "root/job", "running")


if __name__ == "__main__":
    main()
