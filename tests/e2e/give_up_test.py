"""What becomes of connections when the root gives up, or ends with its significant children."""

import json
import os
import signal
import time

from harness import (Client, Control, ControlledTestCase, Hold, Manager, children_of, config_of, exec_listener, free_port, listener, main,
                     module_listener, process, signal_process, wait_until)
from harness.daemon import listening_on

GIVES_UP = {"max_restarts": 0}


class GiveUpTestCase(ControlledTestCase):
    """A root gives up at once when "bad" ends: when the test opens its gate."""

    def setUp(self):
        super().setUp()
        self.gate = os.path.join(self.directory, "gate")
        os.mkfifo(self.gate)
        self.socket = os.path.join(self.directory, "control.sock")

    def bad(self, status=3, **keys):
        return {"id": "bad", "type": "process", "ready": "exec", "argv": ["/bin/sh", "-c", f"read line <{self.gate}; exit {status}"], **keys}

    def sleeper(self):
        return {"id": "sleeper", "type": "process", "argv": ["/bin/sleep", "1000"], "ready": "exec"}

    def echo(self, name="echo", **keys):
        return listener(name, listen=f"127.0.0.1:{free_port()}", **keys)

    def live(self, *children, expected=70, keys=None, **options):
        """A daemon with the control socket and the pid file that all of them have."""
        config = config_of(*children, daemon={"pid_file": os.path.join(self.directory, "pid")}, **(GIVES_UP if keys is None else keys))
        config["control"] = {"socket": self.socket}
        daemon = self.start(config=config, **options)
        daemon.expected_status = expected
        daemon.control = Control(self.socket, self.bindir)
        self.addCleanup(daemon.control.close)
        return daemon

    def give_up(self):
        with open(self.gate, "w") as out:
            out.write("now\n")

    def end(self, daemon, status=70, within=3.0):
        """The root gives up; returns how long the daemon took to exit."""
        began = time.monotonic()
        self.give_up()
        self.assertEqual(daemon.wait_exit(), status)
        took = time.monotonic() - began
        self.assertLess(took, within * (5 if self.sanitized else 1))
        self.ports_are_closed(daemon)
        return took

    def ports_are_closed(self, daemon):
        for endpoint in daemon.ready["endpoints"]:
            address = endpoint["address"]
            if address.startswith("unix:"):
                self.assertFalse(os.path.exists(address.removeprefix("unix:")), address)
            else:
                self.assertFalse(listening_on(int(address.rsplit(":", 1)[1])), address)
        daemon.ready = None  # another daemon may have them soon
        for path in (self.socket, os.path.join(self.directory, "pid")):
            self.assertFalse(os.path.exists(path), path)

    def workers_end(self, workers):
        """Once their clients are gone, so are they."""
        self.wait_gone(workers)
        wait_until(lambda: not [one for one in children_of(os.getpid()) if one.title.startswith("bulkheadd: ") and one.state != "Z"
                                and one.pid not in [daemon.popen.pid for daemon in self.daemons]], 10, "no orphan")


class Leave(GiveUpTestCase):
    def test_connections_of_all_handlers_continue_through_two_lives(self):
        children = (self.sleeper(), self.echo(), exec_listener(["/bin/cat"], "cat", listen=f"127.0.0.1:{free_port()}"),
                    module_listener(self.module("does_as_told"), "module", listen=f"127.0.0.1:{free_port()}"),
                    self.echo("unix", workers=1) | {"listen": f"unix:{self.directory}/echo.sock"}, self.bad())
        first = self.live(*children)
        addresses = {name: first.address(name) for name in ("echo", "cat", "module", "unix")}
        held = [Hold(addresses[name], count) for name, count in (("echo", 20), ("cat", 3), ("module", 3), ("unix", 2))]
        for one in held:
            self.addCleanup(one.close)
            self.assertEqual(one.echo_all(), len(one))
        victim = first.workers("echo")[0]  # its connections are the master's, and then nobody's
        signal_process(victim.pid, signal.SIGKILL)
        wait_until(lambda: victim.pid not in [one.pid for one in first.wait_workers(2, name="echo")], 5, "another worker")
        workers = first.workers()
        sleeper = process(first.control.node("root/sleeper")["pid"])
        took = self.end(first)
        self.assertFalse(sleeper.alive())
        self.assertEqual([one.echo_all() for one in held], [20, 3, 3, 2])
        self.assertEqual(len(first.log("^gave up: ", path="root", level="error")), 1)
        self.assertEqual(len(first.log("^leaving: existing connections continue without the daemon$", path="root")), 1)
        self.assertEqual(first.log("ending the remaining connections|shutting down"), [])
        self.assertTrue(os.path.exists(self.socket + ".runs"))

        second = self.live(*children)
        before = self.former(second)
        for name, address in addresses.items():
            with Client(address) as client:
                self.assertTrue(client.echo(b"a client of the second life\n"), name)
        self.assertEqual([one.echo_all() for one in held], [20, 3, 3, 2])
        self.assertEqual(second.control.run("upgrade", "--wait")[0], 0)
        with Hold(addresses["echo"], 5) as more:
            self.assertEqual(more.echo_all(), 5)
            workers += second.workers()
            self.end(second)
            self.assertEqual(more.echo_all(), 5)
            self.assertEqual([one.echo_all() for one in held], [20, 3, 3, 2])
            third = self.live(*children, expected=0)
            self.assertEqual(self.former(third), before + 5)
            self.assertEqual([one.echo_all() for one in held], [20, 3, 3, 2])
        for one in held:
            one.close()
        self.workers_end([one for one in workers if one.pid != victim.pid])
        self.measured(exit_after=took, held=28, lost=0, former=before)
        self.assertEqual(third.stop(), 0)
        self.assertFalse(os.path.exists(self.socket + ".runs"))

    def former(self, daemon):
        """The connections of workers of previous daemons, as the daemon reports them."""
        lines = daemon.log("^connections of the previous daemon's workers continue")
        self.assertEqual(len(lines), 1)
        self.assertGreaterEqual(lines[0]["connections"], 8)
        return lines[0]["connections"]

    def test_a_worker_that_stands_still_is_killed_after_a_second(self):
        daemon = self.live(self.sleeper(), self.echo(workers=1), self.echo("other"), self.bad())
        with Hold(daemon.address("echo"), 5) as held, Hold(daemon.address("other"), 5) as others:
            self.assertEqual((held.echo_all(), others.echo_all()), (5, 5))
            stopped, *workers = daemon.workers("echo") + daemon.workers("other")
            signal_process(stopped.pid, signal.SIGSTOP)
            took = self.end(daemon, within=1.6)
            self.assertGreater(took, 0.9)
            self.assertEqual((held.echo_all(), others.echo_all()), (5, 5))
            self.assertFalse(stopped.alive())
            line = daemon.log("^killed by SIGKILL", path="root/echo/1")[0]
            self.assertIn("did not close its sockets", line["message"])
        self.workers_end(workers)
        self.measured(exit_after=took)

    def test_clients_in_the_queue_are_accepted_first(self):
        daemon = self.live(self.echo(workers=1), self.bad())
        worker = daemon.workers("echo")[0]
        signal_process(worker.pid, signal.SIGSTOP)
        with Hold(daemon.address("echo"), 10) as queued:
            for client in queued.clients:
                client.send(b"in the queue\n")
            self.give_up()
            daemon.wait_log("^leaving: ")
            signal_process(worker.pid, signal.SIGCONT)
            self.assertEqual(daemon.wait_exit(), 70)
            self.assertEqual([client.receive(13) for client in queued.clients], 10 * [b"in the queue\n"])
            self.assertEqual(queued.echo_all(), 10)
        self.workers_end([worker])

    def test_limits_of_connections_hold_without_the_daemon(self):
        daemon = self.live(self.echo(workers=1, max_lifetime="2s"), self.bad())
        workers = daemon.workers()
        with Client(daemon.address("echo")) as client:
            self.assertTrue(client.echo())
            self.end(daemon)
            self.assertTrue(client.echo())
            self.assertEqual(client.rest(10), b"")
        self.workers_end(workers)

    def test_a_service_manager_keeps_the_sockets(self):
        manager = Manager(self.directory)
        self.addCleanup(manager.close)
        children = (self.echo(), self.bad())
        first = self.live(*children, environment=manager.environment())
        manager.listen(lambda: len(manager.store) == 1, what="a stored socket")
        address = first.address("echo")
        workers = first.workers()
        with Client(address) as held:
            self.assertTrue(held.echo())
            first.ready = None  # its port stays open
            self.give_up()
            self.assertEqual(first.wait_exit(), 70)
            self.assertTrue(held.echo())
            with Client(address, timeout=10) as waits:
                waits.send(b"while nobody was there\n")
                second = self.live(*children, expected=0, **manager.with_store(self.helper("passes_sockets")))
                self.assertEqual(waits.receive(23), b"while nobody was there\n")
            self.assertTrue(held.echo())
        self.assertFalse([one for one in manager.news if "FDSTOREREMOVE" in one])
        self.workers_end(workers)
        self.assertEqual(second.stop(), 0)


class Drain(GiveUpTestCase):
    def drains(self, daemon, status):
        """The root ends; connections and processes stay until the last client has left."""
        sleeper = process(daemon.control.node("root/sleeper")["pid"])
        with Hold(daemon.address("echo"), 20) as held:
            self.assertEqual(held.echo_all(), 20)
            self.give_up()
            daemon.wait_log("^shutting down: existing connections continue until they end$", path="root")
            wait_until(lambda: not listening_on(daemon.address("echo")[1]), 5, "the port closed")
            self.assertEqual(held.echo_all(), 20)
            self.assertTrue(sleeper.alive())
            self.assertEqual(daemon.control.value("status")["state"], "draining")
        self.assertEqual(daemon.wait_exit(), status)
        self.assertFalse(sleeper.alive())
        self.assertEqual(daemon.log("ending the remaining connections|leaving"), [])
        self.ports_are_closed(daemon)
        self.assertFalse(os.path.exists(self.socket + ".runs"))

    def test_on_give_up_stop(self):
        daemon = self.live(self.sleeper(), self.echo(), self.bad(), keys={**GIVES_UP, "on_give_up": "stop"})
        self.drains(daemon, 70)

    def test_auto_shutdown_drains_whatever_on_give_up_says(self):
        job = self.bad(status=0, restart="transient", significant=True)
        daemon = self.live(self.sleeper(), self.echo(), job, expected=0, keys={"auto_shutdown": "any_significant", "on_give_up": "leave"})
        self.drains(daemon, 0)

    def test_a_reload_changes_what_happens(self):
        daemon = self.live(self.sleeper(), self.echo(), self.bad())
        with open(daemon.config_path) as file:
            config = json.load(file)
        config["supervisor"]["on_give_up"] = "stop"
        with open(daemon.config_path, "w") as file:
            json.dump(config, file)
        status, out, err = daemon.control.run("reload", "--wait")
        self.assertEqual((status, err), (0, ""), out)
        self.drains(daemon, 70)

    def test_drain_timeout_holds(self):
        daemon = self.live(self.echo(), self.bad(), keys={**GIVES_UP, "on_give_up": "stop"})
        with open(daemon.config_path) as file:
            config = json.load(file)
        config["daemon"]["drain_timeout"] = "300ms"
        with open(daemon.config_path, "w") as file:
            json.dump(config, file)
        self.assertEqual(daemon.control.run("reload", "--wait")[0], 0)
        with Client(daemon.address("echo")) as client:
            self.assertTrue(client.echo())
            self.give_up()
            self.assertEqual(client.rest(), b"")
            self.assertEqual(daemon.wait_exit(), 70)


if __name__ == "__main__":
    main()
