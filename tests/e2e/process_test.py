"""Process children for real: readiness, stopping, the meaning of their ends, restarts,
their environment, and their fate when the master dies."""

import datetime
import json
import os
import signal

from harness import Client, ControlledTestCase, descendants, listener, main, needs_root, process, signal_process, wait_until

ENOUGH = {"max_restarts": 100, "max_seconds": 60}
AT_ONCE = {"restart_delay": "none"}


def program(name, *argv, **keys):
    return {"id": name, "type": "process", "argv": list(argv), "ready": "exec", "shutdown": "10s", **keys}


def shell(name, script, **keys):
    return program(name, "/bin/sh", "-c", script, **keys)


def sleeper(name="sleeper", **keys):
    return program(name, "/bin/sleep", "1000", **keys)


def seconds_between(first, second):
    def clock(event):
        return datetime.datetime.fromisoformat(event["time"].replace("Z", "+00:00"))
    return (clock(second) - clock(first)).total_seconds()


class Readiness(ControlledTestCase):
    def gate(self, name):
        """A FIFO that a child reads a line from, and what opens it."""
        path = os.path.join(self.directory, name)
        os.mkfifo(path)
        holder = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        self.addCleanup(os.close, holder)
        return path, lambda: os.write(holder, b"\n")

    def test_the_next_sibling_waits_for_notify_fd_and_sd_notify(self):
        fd_gate, open_fd = self.gate("fd")
        socket_gate, open_socket = self.gate("socket")
        daemon = self.supervise(
            shell("fd", f'read line <{fd_gate}; echo >&"$NOTIFY_FD"; exec sleep 1000', ready="notify_fd"),
            shell("socket", f'read line <{socket_gate}; exec {self.helper("sd_notifies")} STATUS=warm READY=1 sleep:1000000',
                  ready="sd_notify"),
            sleeper("last", ready="fork"), wait=False)
        started = daemon.events.next("child_started", "root/fd")
        self.assertEqual(daemon.control.node("root/fd")["state"], "starting")
        self.assertEqual(daemon.control.value("status")["state"], "starting")
        open_fd()
        daemon.events.next("child_started", "root/socket")
        self.assertEqual([one["path"] for one in daemon.events.of("child_started")], ["root/fd", "root/socket"])
        open_socket()
        daemon.wait_ready()
        daemon.events.next("child_ready", "root/last")
        order = [(one["event"].removeprefix("child_"), one["path"]) for one in daemon.events.of("child_started", "child_ready")]
        self.assertEqual(order, [("started", "root/fd"), ("ready", "root/fd"), ("started", "root/socket"),
                                 ("ready", "root/socket"), ("started", "root/last"), ("ready", "root/last")])
        self.assertEqual(daemon.control.node("root/fd")["pid"], started["pid"])
        self.assertEqual(daemon.control.node("root/socket")["status"], "warm")

    def test_exec_reports_a_program_that_cannot_be_executed_and_fork_does_not(self):
        broken = "/bin/true", 200_000 * "x"  # execve(2): an argument has at most 128 KiB
        daemon = self.start(program("broken", *broken), wait=False)
        daemon.expected_status = 70
        self.assertEqual(daemon.wait_exit(), 70)
        told = daemon.log("^could not start: ", path="root", level="error")
        self.assertEqual(len(told), 1)
        self.assertIn("root/broken", told[0]["message"])
        self.assertTrue(daemon.log("exec", path="root/broken"), "stage and reason of the failure")
        daemon.wait_log("Argument list too long", path="root/broken")
        self.assertIn("root/broken failed while executing the program: Argument list too long; so root could not start",
                      told[0]["message"])
        daemon = self.supervise(program("broken", *broken, ready="fork", restart="temporary"), sleeper())
        daemon.events.next("child_ready", "root/broken")
        daemon.events.next("child_exited", "root/broken", asked=False)

    def test_start_timeout_at_boot_ends_the_daemon_with_the_causes_in_one_record(self):
        daemon = self.start(sleeper(), {"id": "web", "type": "supervisor", "children": [
            sleeper("first"), program("mute", self.helper("never_ready"), ready="notify_fd", start_timeout="200ms"),
            sleeper("never")]}, wait=False)
        daemon.expected_status = 70
        self.assertEqual(daemon.wait_exit(), 70)
        told = daemon.log("could not start", path="root", level="error")
        self.assertEqual(len(told), 1)
        self.assertEqual(told[0]["message"], "could not start: root/web/mute was not ready within start_timeout; so root/web "
                         "could not start; root/web could not be started; so root could not start")
        self.assertEqual(len(daemon.log("start_timeout", path="root/web/mute")), 1)
        self.assertEqual(daemon.log(path="root/web/never"), [])
        self.measured(status=70, chain=repr(told[0]["message"]))

    def test_start_timeout_after_boot_is_retried_and_counted(self):
        mark = os.path.join(self.directory, "mark")
        once = f'[ -e {mark} ] && exec sleep 1000; : >{mark}; echo >&"$NOTIFY_FD"; exec sleep 1000'
        daemon = self.supervise(sleeper(), shell("once", once, ready="notify_fd", start_timeout="200ms", **AT_ONCE),
                                supervisor={"max_restarts": 2, "max_seconds": 60})
        daemon.expected_status = 70
        signal_process(daemon.control.node("root/once")["pid"], signal.SIGKILL)
        daemon.events.next("intensity_exceeded", "root", max_restarts=2)
        counted = [one["restarts_in_window"] for one in daemon.events.of("child_restarting")]
        self.assertEqual(counted, [1, 2])
        self.assertEqual(len(daemon.log("start_timeout", path="root/once")), 2)
        self.assertEqual(daemon.wait_exit(), 70)
        self.assertEqual([one["message"] for one in daemon.log("^gave up: ", path="root", level="error")],
                         ["gave up: root/once was not ready within start_timeout and needed the 3rd restart within 60 s, "
                          "more than max_restarts 2 allows; root gave up"])

    def test_a_permanent_failure_before_readiness_is_not_tried_again(self):
        mark = os.path.join(self.directory, "mark")
        daemon = self.supervise(
            shell("hopeless", "exit 78", ready="notify_fd", permanent_failure_exit=[78], **AT_ONCE),
            shell("later", f'[ -e {mark} ] && exit 78; : >{mark}; echo >&3; exec sleep 1000', ready="notify_fd",
                  permanent_failure_exit=[78], **AT_ONCE), sleeper())
        self.wait_state(daemon, "root/hopeless", "failed")
        signal_process(daemon.control.node("root/later")["pid"], signal.SIGKILL)
        self.wait_state(daemon, "root/later", "failed")
        daemon.events.mark()
        self.assertEqual([one["path"] for one in daemon.events.of("child_restarting")], ["root/later"])
        self.assertEqual([one["path"] for one in daemon.events.of("child_started")],
                         ["root/hopeless", "root/later", "root/sleeper", "root/later"])
        self.assertEqual(daemon.control.node("root/sleeper")["state"], "running")
        sentences = [sentence[13:] for sentence in daemon.control.value("explain", "root/hopeless")["sentences"]]
        self.assertRegex(sentences[-2], r"^root/hopeless \(pid \d+\): exited with status 78\.$")
        self.assertEqual(sentences[-1], "root/hopeless: failed: permanent_failure_exit lists its exit status, so it is not started again.")
        self.assertEqual(daemon.control.value("start", "root/hopeless")["error"], "start_failed")
        self.wait_state(daemon, "root/hopeless", "failed")

    def test_the_causes_at_the_end_name_the_failed_system_call(self):
        mark = os.path.join(self.directory, "mark")
        broken = self.write("broken", f"#!/bin/sh\nmv $0 $0.gone\n: >{mark}; sleep 1000", 0o755)
        daemon = self.supervise(program("broken", broken, **AT_ONCE), supervisor={"max_restarts": 1, "max_seconds": 60})
        daemon.expected_status = 70
        wait_until(lambda: os.path.exists(mark), 5, "its program gone")
        signal_process(daemon.control.node("root/broken")["pid"], signal.SIGKILL)
        self.assertEqual(daemon.wait_exit(), 70)
        told = daemon.log("^gave up: ", path="root", level="error")[0]["message"]
        self.assertTrue(told.startswith("gave up: root/broken failed while executing the program: No such file or directory "
                                        "and needed the 2nd restart within 60 s"), told)

    def test_a_child_that_ends_before_it_is_ready_has_failed_to_start(self):
        daemon = self.supervise(sleeper())
        child = shell("early", "exit 0", ready="notify_fd", normal_exit=[0])
        child_file = self.write("early.json", json.dumps(child))
        self.assertEqual(daemon.control.value("add", "root", child_file)["error"], "start_failed")
        self.assertIsNone(daemon.control.node("root/early"))


class Watchdog(ControlledTestCase):
    def test_a_silent_process_is_killed_and_restarted_and_a_reporting_one_is_not(self):
        notifier = self.helper("sd_notifies")
        daemon = self.supervise(
            program("healthy", notifier, "READY=1", "every:100", ready="sd_notify", watchdog="2s"),
            program("silent", notifier, "READY=1", "sleep:1000000", ready="sd_notify", watchdog="500ms", **AT_ONCE),
            supervisor=ENOUGH)
        healthy = daemon.control.node("root/healthy")["pid"]
        for _ in range(5):
            before = daemon.events.mark()
            expired = daemon.events.next("watchdog_expired", "root/silent", after=before)
            ended = daemon.events.next("child_exited", "root/silent", after=before, asked=False)
            self.assertEqual(ended["reason"]["signal"], "SIGKILL")
            self.assertLess(expired["seq"], ended["seq"])
            daemon.events.next("child_ready", "root/silent", after=before)
        self.assertEqual(daemon.control.node("root/healthy")["pid"], healthy)
        self.assertEqual(daemon.control.node("root/healthy")["restarts"], 0)


class Stopping(ControlledTestCase):
    def stop(self, daemon, path):
        """Stops it by operator; its child_stopping and child_exited events."""
        before = daemon.events.mark()
        self.assertEqual(daemon.control.value("stop", path), {"ok": True})
        ended = daemon.events.next("child_exited", path, after=before)
        return [one for one in daemon.events.of("child_stopping", after=before) if one["path"] == path], ended

    def test_stop_signal_is_sent_instead_of_term(self):
        script = 'trap "" TERM; trap "echo told; exit 7" USR2; echo >&3; while :; do sleep 0.05; done'
        daemon = self.supervise(shell("job", script, ready="notify_fd", stop_signal="USR2"))
        stopping, ended = self.stop(daemon, "root/job")
        self.assertEqual((ended["asked"], ended["reason"]), (True, {"type": "exit", "status": 7}))
        self.assertEqual([one["how"] for one in stopping], ["SIGUSR2"])
        daemon.wait_log("^told$", path="root/job", stream="stdout")
        self.assertEqual(daemon.control.node("root/job")["state"], "stopped")

    def test_a_stopped_process_receives_the_stop_signal(self):
        daemon = self.supervise(sleeper(shutdown="60s"))
        pid = daemon.control.node("root/sleeper")["pid"]
        signal_process(pid, signal.SIGSTOP)
        wait_until(lambda: process(pid).state == "T", 5, "stopped")
        stopping, ended = self.stop(daemon, "root/sleeper")
        self.assertEqual([one["how"] for one in stopping], ["SIGTERM"])
        self.assertEqual(ended["reason"]["signal"], "SIGTERM")

    def test_a_process_that_ignores_term_is_killed_after_shutdown(self):
        daemon = self.supervise(shell("deaf", 'trap "" TERM; echo >&3; while :; do sleep 1000; done', ready="notify_fd",
                                      shutdown="400ms"))
        below = descendants(daemon.control.node("root/deaf")["pid"])
        stopping, ended = self.stop(daemon, "root/deaf")
        self.assertEqual([one["how"] for one in stopping], ["SIGTERM", "SIGKILL"])
        self.assertEqual((ended["asked"], ended["reason"]["signal"]), (True, "SIGKILL"))
        waited = seconds_between(*stopping)
        self.assertTrue(0.398 <= waited < 5, waited)
        self.wait_gone(below)
        self.measured(shutdown=0.4, killed_after=waited)

    def test_brutal_kill_sends_only_kill(self):
        daemon = self.supervise(shell("job", 'trap "echo asked" TERM; echo >&3; while :; do sleep 0.05; done', ready="notify_fd",
                                      shutdown="brutal_kill"))
        stopping, ended = self.stop(daemon, "root/job")
        self.assertEqual([one["how"] for one in stopping], ["SIGKILL"])
        self.assertEqual(ended["reason"]["signal"], "SIGKILL")
        self.assertEqual(daemon.log("asked", path="root/job"), [])

    def test_the_whole_group_ends_with_its_leader(self):
        # One is stopped, with a pipeline below it; another ends by itself and leaves a process that ignores TERM.
        daemon = self.supervise(program("pipeline", self.helper("has_grandchildren"), shutdown="300ms"),
                                program("leaver", self.helper("leaves_child"), shutdown="300ms", restart="temporary"), sleeper())
        daemon.wait_log("^left behind$", path="root/leaver")
        daemon.wait_log("^ready$", path="root/pipeline")
        leader = daemon.control.node("root/pipeline")["pid"]
        below = wait_until(lambda: (found := descendants(leader)) and len(found) >= 2 and found, 5, "a pipeline")
        self.stop(daemon, "root/pipeline")
        self.wait_gone(below)
        gone = daemon.events.next("child_exited", "root/leaver")
        wait_until(lambda: not [one for one in daemon.tree() if one.pgrp == gone["pid"]], 5, "nobody left in the group")

    def test_a_daemon_that_stops_ends_the_group_that_an_ended_child_left(self):
        daemon = self.supervise(program("leaver", self.helper("leaves_child"), shutdown="400ms", restart="temporary"), sleeper())
        daemon.wait_log("^left behind$", path="root/leaver")
        self.assertEqual(daemon.stop(), 0)
        self.assertEqual(daemon.left_over(), [])


class Output(ControlledTestCase):
    def test_lines_of_both_streams_carry_the_path(self):
        daemon = self.supervise(program("talker", self.helper("last_words"), "0", restart="transient", ready="fork"), sleeper())
        daemon.events.next("child_exited", "root/talker")
        daemon.wait_log("^last words$", path="root/talker")
        told = [(one["message"], one["stream"]) for one in daemon.log(path="root/talker") if "stream" in one]
        self.assertCountEqual(told, [("a line on stdout", "stdout"), ("a line on stderr", "stderr"), ("last words", "stderr")])
        self.assertEqual([message for message, stream in told if stream == "stderr"], ["a line on stderr", "last words"])

    def test_a_flood_blocks_no_process_and_is_counted(self):
        daemon = self.supervise(program("chatty", self.helper("chatty"), log_rate_limit=100), listener(workers=1))
        daemon.wait_log("were not logged", path="root/chatty", seconds=15)
        with Client(daemon.address()) as client:
            self.assertTrue(client.echo())
        self.assertLess(len(daemon.log("no end of it", path="root/chatty")), 2000)


class Ends(ControlledTestCase):
    def test_permanent_failure_is_not_restarted_and_shown_as_failed(self):
        daemon = self.supervise(shell("hopeless", 'echo >&3; exit 78', ready="notify_fd", permanent_failure_exit=[77, 78]),
                                sleeper())
        self.wait_state(daemon, "root/hopeless", "failed")
        self.assertEqual(daemon.events.of("child_restarting"), [])
        self.assertEqual(daemon.control.node("root/sleeper")["state"], "running")
        self.assertIn("failed", daemon.control.run("tree")[1])
        before = daemon.events.mark()
        self.assertEqual(daemon.control.value("start", "root/hopeless"), {"ok": True})
        daemon.events.next("child_exited", "root/hopeless", after=before)
        self.wait_state(daemon, "root/hopeless", "failed")

    def test_normal_exit_decides_for_a_transient_child(self):
        mark = os.path.join(self.directory, "mark")
        daemon = self.supervise(shell("clean", "exit 3", normal_exit=[0, 3], restart="transient"),
                                shell("unclean", f"[ -e {mark} ] && exec sleep 1000; : >{mark}; exit 4", normal_exit=[0, 3],
                                      restart="transient", **AT_ONCE))
        self.wait_state(daemon, "root/clean", "stopped")
        daemon.events.next("child_restarting", "root/unclean")
        self.wait_state(daemon, "root/unclean", "running")
        self.assertEqual([one["path"] for one in daemon.events.of("child_restarting")], ["root/unclean"])

    def test_a_term_from_another_process_is_a_crash(self):
        daemon = self.supervise(sleeper(restart="transient"), supervisor=ENOUGH)
        pid = daemon.control.node("root/sleeper")["pid"]
        signal_process(pid, signal.SIGTERM)
        ended = daemon.events.next("child_exited", "root/sleeper")
        self.assertEqual((ended["pid"], ended["asked"], ended["reason"]["signal"]), (pid, False, "SIGTERM"))
        self.assertNotEqual(daemon.events.next("child_ready", "root/sleeper", after=daemon.events.all.index(ended))["pid"], pid)

    def test_auto_shutdown_ends_the_daemon_with_0(self):
        for mode, needed in (("any_significant", 1), ("all_significant", 2)):
            jobs = [sleeper(f"job{number}", restart="transient", significant=True)
                    for number in (1, 2)]
            for job in jobs:
                job["argv"] = ["/bin/sh", "-c", 'trap "exit 0" USR1; echo >&3; while :; do sleep 0.05; done']
                job["ready"] = "notify_fd"
            daemon = self.supervise(*jobs, sleeper(), supervisor={"auto_shutdown": mode})
            for number in range(1, needed + 1):
                self.assertEqual(daemon.control.node("root")["state"], "running")
                signal_process(daemon.control.node(f"root/job{number}")["pid"], signal.SIGUSR1)
                daemon.events.next("child_exited", f"root/job{number}", asked=False)
            self.assertEqual(daemon.wait_exit(), 0)
            self.assertEqual(daemon.log(level="error"), [])


class Restarts(ControlledTestCase):
    def test_restart_delay_grows_and_blocks_no_sibling(self):
        delay = {"min": "600ms", "max": "1s", "factor": 1.5, "jitter": 0}
        daemon = self.supervise(shell("crasher", "exit 1", restart_delay=delay), sleeper(), supervisor=ENOUGH)
        crashes = daemon.events.wait(lambda events: len(found := [one for one in events if one["event"] == "child_restarting"
                                                                  and one["path"] == "root/crasher"]) >= 2 and found)
        self.assertEqual([one["delay_ms"] for one in crashes[:2]], [0, 600])
        node = self.wait_state(daemon, "root/crasher", "waiting")
        self.assertTrue(0 < node["restart_in_seconds"] <= 1, node)
        self.assertNotIn("pid", node)
        # A sibling that dies meanwhile is back before the wait is over.
        before = daemon.events.mark()
        signal_process(daemon.control.node("root/sleeper")["pid"], signal.SIGKILL)
        back = daemon.events.next("child_ready", "root/sleeper", after=before)
        crashes = daemon.events.wait(lambda events: len(found := [one for one in events if one["event"] == "child_restarting"
                                                                  and one["path"] == "root/crasher"]) >= 4 and found)
        self.assertEqual([one["delay_ms"] for one in crashes[:4]], [0, 600, 900, 1000])
        starts = [one for one in daemon.events.of("child_started") if one["path"] == "root/crasher"]
        for crash, start in zip(crashes, starts[1:]):
            waited = seconds_between(crash, start)
            self.assertTrue(crash["delay_ms"] / 1000 - 0.002 <= waited < crash["delay_ms"] / 1000 + 0.5, waited)
        killed = daemon.events.next("child_exited", "root/sleeper")
        self.assertLess(seconds_between(killed, back), 0.5)

    def test_an_operator_stops_and_starts_a_waiting_child(self):
        mark = os.path.join(self.directory, "mark")
        daemon = self.supervise(shell("crasher", f"[ -e {mark} ] && exec sleep 1000; exit 1",
                                      restart_delay={"min": "1h", "max": "1h", "jitter": 0}), supervisor=ENOUGH)
        self.wait_state(daemon, "root/crasher", "waiting")
        self.assertEqual(daemon.control.value("start", "root/crasher"), {"error": "restarting"})
        self.assertEqual(daemon.control.value("stop", "root/crasher"), {"ok": True})
        self.assertEqual(daemon.control.node("root/crasher")["state"], "stopped")
        open(mark, "w").close()
        self.assertEqual(daemon.control.value("start", "root/crasher"), {"ok": True})
        self.assertEqual(daemon.control.node("root/crasher")["state"], "running")

    def test_escalation_through_two_levels_ends_the_daemon_and_reports_the_causes_in_order(self):
        inner = {"id": "inner", "type": "supervisor", "max_restarts": 1, "max_seconds": 60, "children": [
            sleeper("bystander"), sleeper("job", **AT_ONCE)]}
        middle = {"id": "middle", "type": "supervisor", "max_restarts": 0, "max_seconds": 60, "children": [inner]}
        daemon = self.supervise(middle, listener(workers=1), supervisor={"max_restarts": 0, "max_seconds": 60})
        daemon.expected_status = 70
        path = "root/middle/inner/job"
        with Client(daemon.address()) as client:
            self.assertTrue(client.echo())
            child = daemon.child_of(client)
            for _ in range(2):
                before = daemon.events.mark()
                signal_process(daemon.control.node(path)["pid"], signal.SIGSEGV)
                daemon.events.next("child_exited", path, after=before)
                if _ == 0:
                    daemon.events.next("child_ready", path, after=before)
            self.assertEqual(daemon.wait_exit(), 70)
            self.assertTrue(client.echo(b"without a daemon\n"))
        self.wait_gone([child])
        told = daemon.log("^gave up: ", path="root", level="error")
        self.assertEqual(len(told), 1)
        message = told[0]["message"]
        places = [message.find(part) for part in (path, "root/middle/inner gave up", "root/middle gave up", "root gave up")]
        self.assertTrue(-1 not in places and places == sorted(places), message)
        self.assertIn(f"{path} was killed by SIGSEGV and needed the 2nd restart", message.replace(" (core dumped)", ""))
        self.assertEqual([one["path"] for one in daemon.events.of("intensity_exceeded")],
                         ["root/middle/inner", "root/middle", "root"])
        self.measured(chain=repr(message))

    def test_the_last_events_reach_followers(self):
        daemon = self.supervise(sleeper(**AT_ONCE), supervisor={"max_restarts": 0})
        daemon.expected_status = 70
        signal_process(daemon.control.node("root/sleeper")["pid"], signal.SIGKILL)
        self.assertEqual(daemon.wait_exit(), 70)
        wait_until(lambda: daemon.events.ended, 10, "the end of the stream")
        last = daemon.events.of("child_exited", "intensity_exceeded", "supervisor_terminated")
        self.assertEqual([(one["event"], one["path"]) for one in last],
                         [("child_exited", "root/sleeper"), ("intensity_exceeded", "root"), ("supervisor_terminated", "root")])
        self.assertEqual(last[-1]["cause"], "intensity")
        self.assertEqual(daemon.events.of("drain_started", "drain_done"), [])

    def test_a_finished_drain_has_a_start_event(self):
        for ending, expected in ((lambda daemon: daemon.stop(), ["drain_started", "drain_done"]),
                                 (lambda daemon: daemon.stop(signal.SIGINT), [])):
            daemon = self.supervise(sleeper(), listener(workers=1))
            ending(daemon)
            wait_until(lambda: daemon.events.ended, 10, "the end of the stream")
            self.assertEqual([one["event"] for one in daemon.events.of("drain_started", "drain_done")], expected)

    def test_a_stop_during_the_start_is_no_failure(self):
        daemon = self.supervise(sleeper(), program("mute", self.helper("never_ready"), ready="notify_fd"), wait=False)
        daemon.events.next("child_started", "root/mute")
        self.assertEqual(daemon.stop(), 0)
        wait_until(lambda: daemon.events.ended, 10, "the end of the stream")
        self.assertEqual([(one["path"], one["asked"]) for one in daemon.events.of("child_exited")],
                         [("root/mute", True), ("root/sleeper", True)])
        self.assertEqual(daemon.log(level="error"), [])

    def test_a_child_that_was_dead_before_its_turn_is_not_reported_as_stopped(self):
        daemon = self.supervise(sleeper("first"), sleeper("second"), sleeper("third"),
                                supervisor={"strategy": "one_for_all", "max_restarts": 9})
        pids = {name: daemon.control.node(f"root/{name}")["pid"] for name in ("first", "second", "third")}
        before = daemon.events.mark()
        signal_process(daemon.pid, signal.SIGSTOP)
        wait_until(lambda: process(daemon.pid).state == "T", 5, "the daemon stopped")
        for name in ("first", "second"):
            signal_process(pids[name], signal.SIGSEGV)
            wait_until(lambda: process(pids[name]).state == "Z", 5, f"{name} dead")
        signal_process(daemon.pid, signal.SIGCONT)
        daemon.events.next("child_ready", "root/third", after=before)
        ends = {one["path"]: (one["asked"], one["reason"]["signal"]) for one in daemon.events.of("child_exited", after=before)}
        self.assertEqual(ends, {"root/first": (False, "SIGSEGV"), "root/second": (False, "SIGSEGV"),
                                "root/third": (True, "SIGTERM")})
        self.assertEqual([one["path"] for one in daemon.events.of("child_stopping", after=before)], ["root/third"])
        self.assertEqual(len(daemon.log("killed by SIGSEGV", level="warning")), 2)
        self.assertEqual(daemon.control.node("root")["restarts_in_window"], 1)

    def test_deleted_or_replaced_children_are_back_as_configured_after_their_supervisor_restarts(self):
        inner = {"id": "web", "type": "supervisor", "max_restarts": 0, "max_seconds": 60, "children": [
            shell("a", "echo the first; exec sleep 1000"), sleeper("b")]}
        daemon = self.supervise(inner, supervisor=ENOUGH)
        daemon.wait_log("^the first$", path="root/web/a")
        for verb in ("stop", "delete"):
            self.assertEqual(daemon.control.value(verb, "root/web/a"), {"ok": True})
        other = self.write("other.json", '{"id": "a", "type": "process", "ready": "exec", '
                           '"argv": ["/bin/sh", "-c", "echo another; exec sleep 1000"]}')
        self.assertEqual(daemon.control.value("add", "root/web", other), {"ok": True})
        daemon.wait_log("^another$", path="root/web/a")
        signal_process(daemon.control.node("root/web/b")["pid"], signal.SIGKILL)
        daemon.wait_log("^the first$", 2, path="root/web/a")
        self.assertEqual([child["id"] for child in daemon.control.node("root/web")["children"]], ["a", "b"])


class Surroundings(ControlledTestCase):
    def environment_of(self, daemon, path):
        daemon.events.next("child_exited", path)
        wait_until(lambda: daemon.log(path=path, stream="stdout"), 5, "its environment")
        return dict(one["message"].split("=", 1) for one in daemon.log(path=path, stream="stdout"))

    def test_the_environment_is_exactly_as_configured(self):
        environment = {**os.environ, "MARK": "from outside", "SECRET": "stays here", "PATH": "/bin:/usr/bin", "TZ": "UTC"}
        environment.pop("LANG", None)
        daemon = self.supervise(
            program("usual", "/usr/bin/env", restart="temporary"),
            program("own", "/usr/bin/env", restart="temporary", env={"A": "b c", "MARK": "ours"}, pass_env=["MARK", "PATH"]),
            sleeper(), environment=environment)
        self.assertEqual(self.environment_of(daemon, "root/usual"), {"PATH": "/bin:/usr/bin", "TZ": "UTC"})
        self.assertEqual(self.environment_of(daemon, "root/own"), {"A": "b c", "MARK": "ours", "PATH": "/bin:/usr/bin"})

    @needs_root
    def test_user_and_directory(self):
        daemon = self.supervise(shell("who", 'echo "$(id -u) $(id -g) $(pwd)"; exec sleep 1000', user="nobody", chdir="/usr"),
                                sleeper("root"))
        daemon.wait_log("^65534 65534 /usr$", path="root/who", stream="stdout")
        status = process(daemon.control.node("root/who")["pid"]).status()
        self.assertEqual(set(status["Uid"].split()) | set(status["Gid"].split()), {"65534"})
        self.assertEqual(status["SigBlk"].strip("0"), "")
        self.assertEqual(process(daemon.control.node("root/root")["pid"]).status()["Uid"].split()[0], "0")

    @needs_root
    def test_nothing_of_the_daemon_is_inherited(self):
        daemon = self.supervise(sleeper())
        found = process(daemon.control.node("root/sleeper")["pid"])
        self.assertEqual(found.fd_kinds(), {0: "/dev/null", 1: "pipe", 2: "pipe"})
        self.assertEqual((found.pgrp, found.session), (found.pid, found.pid))


class Master(ControlledTestCase):
    def test_the_sudden_death_of_the_master_ends_processes_but_not_connections(self):
        daemon = self.supervise(sleeper(), shell("other", "exec sleep 1000", stop_signal="INT"), listener(workers=1))
        processes = [process(daemon.control.node(path)["pid"]) for path in ("root/sleeper", "root/other")]
        with Client(daemon.address()) as client:
            self.assertTrue(client.echo())
            daemon.kill_master()
            self.wait_gone(processes)
            for _ in range(20):
                self.assertTrue(client.echo(b"still here\n"))


if __name__ == "__main__":
    main()
