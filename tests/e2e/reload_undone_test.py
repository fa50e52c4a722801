"""A reload that fails leaves everything as it was, even if it fails late, or is interrupted."""

import os
import signal
import threading

from harness import (Client, Hold, ReloadTestCase, Storm, free_port, main, module_listener, signal_process, sleeper, steady, wait_until)


def fails(name, **keys):
    return {"id": name, "type": "process", "argv": ["/bin/false"], "ready": "notify_fd", **keys}


def refuses(port):
    try:
        Client(("127.0.0.1", port)).close()
    except ConnectionRefusedError:
        return True
    return False


class Undone(ReloadTestCase):
    def begin_reload(self, daemon):
        """Returns a function that waits for the outcome: (status, errors)."""
        out = []
        def run():
            status, _, errors = daemon.control.run("reload", "--wait")
            out.append((status, errors))
        thread = threading.Thread(target=run)
        thread.start()
        self.addCleanup(thread.join)
        def wait():
            thread.join(20)
            return out[0]
        return wait

    def test_a_process_that_does_not_start_undoes_everything(self):
        """The first has to leave a lock to the second, so they cannot run side by side."""
        lock = self.write("lock", "")
        def locked(*command, **keys):
            return {**sleeper("locked"), "argv": ["/usr/bin/flock", "-nF", lock, *command], **keys}
        fresh = free_port()
        daemon = self.supervise(steady(), locked("/bin/sleep", "1000"), sleeper("good"))
        workers = [one.pid for one in daemon.workers()]
        with Hold(daemon.address(), 20) as hold, Storm(daemon.address(), threads=1) as storm:
            self.assertEqual(hold.echo_all(), 20)
            self.rewrite(daemon, steady(handler="chargen"), sleeper("good", 2000), steady("new", listen=f"127.0.0.1:{fresh}"),
                         locked("/bin/false", ready="notify_fd"))
            self.assertEqual(self.refused(daemon), "root/locked did not start with the new configuration")
            storm.stop()
            self.assertEqual(hold.echo_all(), 20)
            self.assertEqual(set(storm.failed), set())
        self.assertEqual([one.pid for one in daemon.workers("echo")], workers)
        self.assertEqual(daemon.control.value("status")["generation"], 1)
        self.assertRaises(ConnectionRefusedError, Client, ("127.0.0.1", fresh))
        self.assertEqual([one["id"] for one in daemon.control.node("root")["children"]], ["echo", "locked", "good"])
        self.assertIn("sleep 1000", self.title(daemon, "root/locked"))
        self.assertIn("sleep 1000", self.title(daemon, "root/good"))
        mark = daemon.events.mark()
        signal_process(daemon.control.node("root/good")["pid"], signal.SIGKILL)
        daemon.events.next("child_ready", "root/good", after=mark)
        self.assertIn("sleep 1000", self.title(daemon, "root/good"))
        self.rewrite(daemon, steady(), locked("/bin/sleep", "3000"), sleeper("good", 2000))
        self.assertEqual(self.changes(self.reload(daemon)), [("restarted", "root/locked", "argv"), ("restarted", "root/good", "argv")])
        self.assertIn("sleep 3000", self.title(daemon, "root/locked"))

    def test_a_new_address_is_closed_when_its_worker_does_not_start(self):
        old, new = free_port(), free_port()
        daemon = self.supervise(steady(listen=f"127.0.0.1:{old}"))
        workers = [one.pid for one in daemon.workers()]
        refuses = module_listener(self.module("does_as_told"), "echo", {"init_refuses": 1}, listen=f"127.0.0.1:{new}")
        self.rewrite(daemon, refuses)
        self.assertIn("did not become ready", self.refused(daemon))
        self.assertRaises(ConnectionRefusedError, Client, ("127.0.0.1", new))
        self.assertEqual([one.pid for one in daemon.workers()], workers)
        with Client(daemon.address()) as client:
            self.assertTrue(client.echo())

    def test_a_stop_ends_a_trial(self):
        gate = os.path.join(self.directory, "gate")
        os.mkfifo(gate)
        waits = {"id": "waits", "type": "process", "ready": "notify_fd", "start_timeout": "30s",
                 "argv": ["/bin/sh", "-c", f"read line < {gate}; echo >&3; exec sleep 1000"]}
        fresh = free_port()
        daemon = self.supervise(steady())
        with Client(daemon.address()) as held:
            self.assertTrue(held.echo())
            mark = daemon.events.mark()
            self.rewrite(daemon, steady(handler="chargen"), steady("new", listen=f"127.0.0.1:{fresh}"), waits)
            outcome = self.begin_reload(daemon)
            daemon.events.next("child_started", "root/waits", after=mark)
            daemon.send_signal(signal.SIGTERM)
            wait_until(lambda: daemon.control.value("status")["state"] == "draining", 5, "the drain")
            daemon.send_signal(signal.SIGHUP)
            self.assertEqual(outcome(), (2, "bulkheadctl: the daemon is stopping\n"))
            daemon.wait_log("^not reloaded: the daemon is stopping", count=2)
            with open(gate, "w") as file:
                file.write("go\n")
            wait_until(lambda: refuses(fresh), 5, "the new port closed")
            self.assertEqual(daemon.control.value("status")["generation"], 1)
            self.assertTrue(held.echo())
        self.assertEqual(daemon.wait_exit(), 0)

    def test_a_reload_requested_while_the_daemon_starts(self):
        gate = os.path.join(self.directory, "gate")
        os.mkfifo(gate)
        waits = {"id": "waits", "type": "process", "ready": "notify_fd", "start_timeout": "30s",
                 "argv": ["/bin/sh", "-c", f"read line < {gate}; echo >&3; exec sleep 1000"]}
        daemon = self.supervise(waits, wait=False)
        daemon.events.next("child_started", "root/waits")
        self.rewrite(daemon, waits, sleeper("more"))
        daemon.send_signal(signal.SIGHUP)
        outcome = self.begin_reload(daemon)
        self.assertEqual(daemon.control.value("status")["state"], "starting")
        self.assertEqual(daemon.events.of("reload_started"), [])
        with open(gate, "w") as file:
            file.write("go\n")
        daemon.wait_ready()
        self.assertEqual(outcome(), (0, ""))
        self.assertEqual(daemon.control.node("root/more")["state"], "running")


if __name__ == "__main__":
    main()
