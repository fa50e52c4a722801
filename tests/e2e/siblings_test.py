"""A child that stops for an hour or starts for a minute: its siblings and the commands for them are not held up, and what waits for it says so."""

import os
import signal
import threading

from harness import ControlledTestCase, main, signal_process, sleeper, wait_until

# Ends once there is a file `let_go`.
STUBBORN = "trap '[ -e let_go ] && exit 0' TERM; echo > /proc/self/fd/$NOTIFY_FD; while :; do sleep 1000 & wait; done"
# Ready the first time only.
SLOW = "[ -e started ] && exec sleep 1000; touch started; echo > /proc/self/fd/$NOTIFY_FD; exec sleep 1000"


class Siblings(ControlledTestCase):
    def child(self, name, script, **keys):
        return {"id": name, "type": "process", "argv": ["/bin/sh", "-c", script], "ready": "notify_fd", "chdir": self.directory, **keys}

    def stubborn(self, name="slow"):
        self.addCleanup(lambda: open(os.path.join(self.directory, "let_go"), "w").close())
        return self.child(name, STUBBORN, shutdown="infinity")

    def pid(self, daemon, path):
        return daemon.control.node(path)["pid"]

    def later(self, daemon, *command):
        """A command that is not answered before the slow child is killed."""
        thread = threading.Thread(target=daemon.control.run, args=command)
        thread.start()
        self.addCleanup(thread.join)
        return thread

    def the_others_go_on(self, daemon):
        for path in "root/a", "root/b":
            before = self.pid(daemon, path)
            mark = daemon.events.mark()
            signal_process(before, signal.SIGKILL)
            daemon.events.next("child_ready", path, after=mark)
            self.assertNotEqual(self.pid(daemon, path), before)
            self.assertNotIn("waits_for", daemon.control.value("explain", path))
        for verb in "restart", "stop", "start", "stop", "delete":
            self.assertEqual(daemon.control.run(verb, "root/b")[0], 0, verb)
        self.assertEqual(daemon.control.call("add", path="root", child=sleeper("c"))["result"], {"ok": True})

    def test_one_that_stops_for_an_hour(self):
        daemon = self.supervise(sleeper("a"), self.stubborn(), sleeper("b"))
        pid = self.pid(daemon, "root/slow")
        stop = self.later(daemon, "stop", "root/slow")
        wait_until(lambda: daemon.control.node("root/slow")["state"] == "stopping", 5, "stopping")
        self.the_others_go_on(daemon)
        self.assertEqual(daemon.control.node("root/slow")["state"], "stopping")
        self.assertTrue(stop.is_alive())
        os.killpg(pid, signal.SIGKILL)
        stop.join()

    def test_one_that_starts_for_a_minute(self):
        daemon = self.supervise(sleeper("a"), self.child("slow", SLOW, start_timeout="1m"), sleeper("b"))
        mark = daemon.events.mark()
        signal_process(self.pid(daemon, "root/slow"), signal.SIGKILL)
        daemon.events.next("child_started", "root/slow", after=mark)
        self.the_others_go_on(daemon)
        self.assertEqual(daemon.control.node("root/slow")["state"], "starting")

    def test_what_waits_in_a_group_says_for_whom(self):
        group = {"id": "g", "type": "supervisor", "strategy": "one_for_all", "children": [sleeper("a"), self.stubborn(), sleeper("b")]}
        daemon = self.supervise(group)
        slow = self.pid(daemon, "root/g/slow")
        mark = daemon.events.mark()
        signal_process(self.pid(daemon, "root/g/a"), signal.SIGKILL)
        daemon.events.next("child_stopping", "root/g/slow", after=mark)
        told = daemon.control.value("explain", "root/g/a")
        self.assertEqual((told["state"], told["waits_for"]), ("starting", "root/g/slow"), told)
        self.assertTrue(any("root/g/slow: stopping with SIGTERM." in one for one in told["sentences"]), told)
        self.assertTrue(daemon.control.run("explain", "root/g/a")[1].startswith("root/g/a is starting and waits for root/g/slow.\n"))
        self.assertEqual(daemon.control.node("root/g/a")["waits_for"], "root/g/slow")
        self.assertNotIn("waits_for", daemon.control.node("root/g/slow"))
        self.assertIn(", waits for root/g/slow\n", daemon.control.run("tree")[1])
        self.assertEqual(daemon.control.run("delete", "root/g/a")[0], 1)
        mark = daemon.events.mark()
        os.killpg(slow, signal.SIGKILL)
        daemon.events.next("child_ready", "root/g/slow", after=mark)
        wait_until(lambda: "waits_for" not in daemon.control.value("explain", "root/g/a"), 5, "nothing to wait for")


if __name__ == "__main__":
    main()
