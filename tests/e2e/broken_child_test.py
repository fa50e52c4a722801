"""Children that are broken, or broken by something below the master, for longer than a moment: by default none of them
ends the daemon, and siblings do not notice."""

import contextlib
import os
import signal
import time

from harness import Client, ControlledTestCase, Hold, Strace, exec_listener, find_node, listener, main, needs_root, signal_process, wait_until

CALLS_OF_FORK = "clone,fork,vfork,clone3"


def crasher(name="crasher", **keys):
    return {"id": name, "type": "process", "argv": ["/bin/sh", "-c", "exit 1"], "ready": "exec", **keys}


def sleeper(name="sleeper", **keys):
    return {"id": name, "type": "process", "argv": ["/bin/sleep", "1000"], "ready": "exec", **keys}


class BrokenChild(ControlledTestCase):
    def delays(self, events, path):
        return [one["delay_ms"] for one in events.of("child_restarting") if one["path"] == path]

    def test_a_process_that_crashes_at_once_beside_a_healthy_listener(self):
        daemon = self.supervise(crasher(), listener())
        with Hold(daemon.address(), 20) as held:
            daemon.events.wait(lambda events: len(self.delays(daemon.events, "root/crasher")) >= 4, 15, "four restarts")
            self.assertEqual(held.echo_all(), 20)
        first, second, third, fourth = self.delays(daemon.events, "root/crasher")[:4]
        self.assertEqual(first, 0)
        for delay, wanted in ((second, 1000), (third, 2000), (fourth, 4000)):
            self.assertAlmostEqual(delay, wanted, delta=wanted * 0.11)
        crashing = daemon.control.node("root/crasher")
        self.assertEqual(crashing["state"], "waiting")
        root = daemon.control.value("tree")
        self.assertEqual((root["state"], root["max_restarts"]), ("running", "unlimited"))
        self.measured(delays=[first, second, third, fourth])

    def test_a_child_without_a_delay_still_has_otp_s_limit(self):
        daemon = self.supervise(crasher(restart_delay="none"), listener(), wait=False)
        daemon.expected_status = 70
        self.assertEqual(daemon.wait_exit(), 70)

    @needs_root
    def test_handlers_that_kill_their_workers(self):
        """As a user of their own, or one that starts when its worker has gone would kill the master."""
        kills = exec_listener(["/bin/sh", "-c", "kill -9 $PPID"], "bad", workers=2, user="nobody")
        daemon = self.supervise(kills, listener(), sleeper())
        pid = daemon.control.node("root/sleeper")["pid"]
        with Hold(daemon.address("echo"), 20) as held:
            deadline, victims = time.monotonic() + (30 if os.environ.get("BULKHEAD_LONG") else 4), 0
            while time.monotonic() < deadline:
                with Client(daemon.address("bad")) as client, contextlib.suppress(TimeoutError):
                    victims += client.rest(0.2) is not None
            self.assertEqual(held.echo_all(), 20)
        started = [one for one in daemon.events.of("child_started") if one["path"].startswith("root/bad/")]
        self.measured(connections=victims, worker_starts=len(started))
        self.assertTrue(daemon.running())
        tree = daemon.control.value("tree")  # by a connection of its own: an idle one is closed
        self.assertEqual(find_node(tree, "root/sleeper")["pid"], pid)
        self.assertEqual(tree["state"], "running")
        # Two workers, 0, 0.1, 0.2, 0.4 … s: not one start per connection.
        self.assertLess(len(started), 2 * 8 + 4)

    def test_a_listener_all_of_whose_workers_wait_is_waiting_and_recovers(self):
        daemon = self.supervise(listener(workers=1, restart_delay={"min": "2s", "max": "2s", "jitter": 0}), sleeper())
        for _ in range(2):
            worker = daemon.wait_workers(1)[0]
            signal_process(worker.pid, signal.SIGKILL)
            wait_until(lambda: worker.pid not in [one.pid for one in daemon.workers()], 5, "the worker gone")
        daemon.events.wait(lambda _: daemon.control.node("root/echo")["state"] == "waiting", 5, "root/echo waiting")
        self.assertEqual(daemon.control.node("root/sleeper")["state"], "running")
        with Client(daemon.address(), timeout=10.0) as client:  # queued
            self.assertTrue(client.echo())
        self.assertEqual(daemon.control.node("root/echo")["state"], "running")

    def test_a_storm_of_term_to_workers_is_throttled(self):
        daemon = self.supervise(listener(workers=2))
        with Hold(daemon.address(), 20) as held:
            self.assertEqual(held.echo_all(), 20)  # a connection's process that has just begun still has the worker's title
            deadline = time.monotonic() + 3
            while time.monotonic() < deadline:
                for worker in daemon.workers():
                    signal_process(worker.pid, signal.SIGTERM)
                time.sleep(0.01)  # the storm's own pace
            self.assertEqual(held.echo_all(), 20)
        starts = len(daemon.events.of("child_started"))
        self.measured(worker_starts=starts)
        self.assertLess(starts, 2 + 2 * 7)
        self.assertTrue(daemon.running())

    def test_a_restart_that_lacks_processes_is_not_counted(self):
        limits = {"max_restarts": 1, "max_seconds": 60}
        daemon = self.supervise(listener(workers=1, **limits), sleeper(), supervisor=limits)
        victims = {"root/echo/1": daemon.workers()[0].pid, "root/sleeper": daemon.control.node("root/sleeper")["pid"]}
        with Hold(daemon.address(), 5) as held:
            with Strace(daemon.pid, CALLS_OF_FORK, "error=EAGAIN"):
                for pid in victims.values():
                    signal_process(pid, signal.SIGKILL)
                for path in victims:
                    daemon.events.wait(lambda events: sum(one["event"] == "fork_failed" and one["path"] == path
                                                          for one in events) >= 4, 10, f"fork_failed of {path}")
                self.assertEqual(daemon.control.node("root/sleeper")["state"], "waiting")
                self.assertEqual(daemon.control.node("root/echo")["state"], "waiting")
                self.assertEqual(held.echo_all(), 5)
            for path in victims:
                daemon.events.wait(lambda _: daemon.control.node(path)["state"] == "running", 10, f"{path} running")
        self.assertEqual(daemon.events.of("fork_failed")[0]["errno"], 11)
        self.assertEqual(daemon.control.value("tree")["restarts_in_window"], 1)

    def test_an_operators_start_that_lacks_processes_is_reported_at_once(self):
        daemon = self.supervise(listener(), sleeper())
        self.assertEqual(daemon.control.value("stop", "root/sleeper"), {"ok": True})
        with Strace(daemon.pid, CALLS_OF_FORK, "error=EAGAIN"):
            self.assertEqual(daemon.control.value("start", "root/sleeper")["error"], "start_failed")
        self.assertEqual(daemon.control.node("root/sleeper")["state"], "stopped")


if __name__ == "__main__":
    main()
