"""`drain`, `stop` and `delete` of listeners while the daemon continues: no client is reset, nothing is left over, and a
listener that is not started again does not leave clients waiting at its port."""

import signal
import threading

from harness import (Client, ControlledTestCase, Hold, Queued, Storm, exec_listener, free_port, listener, main,
                     signal_process, wait_until)


def refused(address):
    try:
        Client(address, 1.0).close()
        return False
    except TimeoutError:  # while handshakes are let through, others are dropped
        return False
    except ConnectionRefusedError:
        return True


def fixed(name="echo", **keys):
    return listener(name, listen=f"127.0.0.1:{free_port()}", **keys)


class Drain(ControlledTestCase):
    def ask(self, daemon, *words):
        """A command that waits for something, and its later (status, stdout, stderr)."""
        out = []
        thread = threading.Thread(target=lambda: out.append(daemon.control.run(*words)), daemon=True)
        thread.start()
        self.addCleanup(thread.join, 10)

        def result():
            thread.join(15)
            return out[0] if out else None
        return result

    def phase(self, daemon, path="root/echo"):
        return daemon.control.node(path).get("phase")

    def wait_phase(self, daemon, phase, path="root/echo"):
        wait_until(lambda: self.phase(daemon, path) == phase, 5, f"{path} {phase}", every=0.01)


class Notice(Drain):
    """`drain_fd`: programs that can end a conversation get the time to do so."""

    def test_programs_of_every_style_are_notified_even_of_dead_workers(self):
        styles = {"ucspi": "3 of [0, 1, 2, 3]", "inetd": "3 of [0, 1, 2, 3]", "listen_fds": "4 of [0, 1, 2, 3, 4]"}
        daemon = self.supervise(*[exec_listener([self.helper("hears_drain")], style, style=style, drain_fd=True)
                                  for style in styles])
        clients = [Client(daemon.address(style), 20) for style in styles]
        for client in clients:
            self.addCleanup(client.close)
        for client, told in zip(clients, styles.values()):
            self.assertEqual(client.receive(len(told) + 1).decode(), told + "\n")
        before = daemon.workers()
        for worker in before:
            signal_process(worker.pid, signal.SIGKILL)
        daemon.wait_workers(len(before), without=before)
        for client in clients:
            self.assertTrue(client.silent(0.05))
        daemon.send_signal(signal.SIGTERM)
        self.assertEqual([client.rest() for client in clients], [b"drained\n"] * 3)
        self.assertEqual(daemon.wait_exit(), 0)

    def test_a_program_without_drain_fd_has_no_such_descriptor(self):
        daemon = self.start(exec_listener(["/bin/sh", "-c", "echo $${BULKHEAD_DRAIN_FD-none}; ls /proc/self/fd"]),
                            exec_listener([self.helper("hears_drain")], "other", drain_fd=True))
        with Client(daemon.address("run")) as client:
            self.assertEqual(client.rest().split(), [b"none", b"0", b"1", b"2", b"3"])  # 3: what ls reads


class One(Drain):
    def test_connections_continue_new_clients_are_refused_and_start_brings_it_back(self):
        daemon = self.supervise(fixed(), fixed("other"), daemon={"drain_timeout": "30s"})
        address = daemon.address("echo")
        with Hold(address, 20) as held:
            self.assertEqual(held.echo_all(), 20)
            self.assertEqual(daemon.control.run("drain", "root/echo"), (0, "root/echo is draining\n", ""))
            daemon.events.next("drain_started", "root/echo")
            wait_until(lambda: refused(address), 5, "the port refuses")
            self.wait_phase(daemon, "draining")
            self.assertIn("ending: draining", daemon.control.run("tree")[1])
            self.assertEqual(held.echo_all(), 20)
            self.assertEqual(daemon.control.value("status")["state"], "running")
            self.assertEqual(daemon.control.value("start", "root/echo"), {"error": "running"})
            self.assertEqual(daemon.control.run("suspend", "root/echo")[0], 2)
            with Client(daemon.address("other")) as client:
                self.assertTrue(client.echo())
            self.assertEqual(daemon.events.of("drain_done"), [])
        daemon.events.next("drain_done", "root/echo")
        self.wait_state(daemon, "root/echo", "stopped")
        self.assertIsNone(self.phase(daemon))
        mark = daemon.events.mark()
        self.assertEqual(daemon.control.run("start", "root/echo")[0], 0)
        daemon.events.next("listener_bound", "root/echo", after=mark, address="%s:%d" % address)
        with Client(address) as client:
            self.assertTrue(client.echo())

    def test_the_queue_is_served(self):
        daemon = self.supervise(fixed())
        with Queued(daemon, 50) as queued:
            self.assertEqual(daemon.control.run("drain")[0], 0)
            self.wait_phase(daemon, "draining")
            echoed = queued.release()
        self.wait_state(daemon, "root/echo", "stopped")
        self.measured(queued=50, echoed=echoed)
        self.assertEqual(echoed, 50)

    def test_no_client_is_reset_under_load(self):
        daemon = self.supervise(fixed(max_restarts=1000))
        outcomes = dict.fromkeys(Storm.OUTCOMES, 0)
        for _ in range(3):
            with Storm(daemon.address()) as storm:
                wait_until(lambda: storm.total > 100, 10, "a storm")
                self.assertEqual(daemon.control.run("drain", "--wait", "root/echo")[0], 0)
            for key, value in storm.counts.items():
                outcomes[key] += value
            self.assertEqual(daemon.control.run("start", "root/echo")[0], 0)
        self.measured(drains=3, **outcomes)
        self.assertGreater(outcomes["ok"], 300)
        self.assertEqual([outcomes[key] for key in ("reset", "eof", "wrong", "timeout")], [0] * 4)

    def test_the_deadline_ends_the_remaining_connections(self):
        daemon = self.supervise(exec_listener([self.helper("ignores_term")], shutdown="300ms"), daemon={"drain_timeout": "300ms"})
        with Hold(daemon.address(), 3) as held:
            for client in held.clients:
                self.assertEqual(client.receive(6), b"ready\n")
            self.assertEqual(daemon.control.run("drain", "--wait", "root/run")[0], 0)
            self.assertEqual([client.rest() for client in held.clients], [b""] * 3)
        self.assertEqual(daemon.control.node("root/run")["connections"]["active"], 0)

    def test_lame_duck_serves_new_clients_and_can_be_called_off(self):
        daemon = self.supervise(fixed(), daemon={"lame_duck": "60s"})
        asker = self.ask(daemon, "drain", "--wait", "root/echo")
        self.wait_phase(daemon, "lame_duck")
        with Client(daemon.address()) as client:
            self.assertTrue(client.echo())
        self.assertEqual(daemon.control.value("status")["state"], "draining")
        self.assertEqual(daemon.control.run("resume", "root/echo")[0], 0)
        status, _, errors = asker()
        self.assertEqual((status, "drain called off" in errors), (2, True), errors)
        daemon.events.next("drain_done", "root/echo", called_off=True)
        self.assertEqual((self.phase(daemon), daemon.control.value("status")["state"]), (None, "running"))
        self.assertEqual(daemon.control.run("drain", "root/echo")[0], 0)
        self.wait_phase(daemon, "lame_duck")
        self.assertEqual(daemon.control.run("stop", "root/echo")[0], 0)  # skips the rest of the lame duck
        self.assertTrue(refused(daemon.address()))
        self.assertEqual(daemon.stop(signal.SIGQUIT), 0)



class All(Drain):
    def test_the_daemon_continues_after_a_drain_of_all(self):
        daemon = self.supervise(fixed("a"), {"id": "in", "type": "supervisor", "children": [fixed("b")]},
                                {"id": "sleeper", "type": "process", "argv": ["/bin/sleep", "100"], "ready": "exec"})
        with Hold(daemon.address("a"), 3) as first, Hold(daemon.address("b"), 3) as second:
            self.assertEqual((first.echo_all(), second.echo_all()), (3, 3))
            asker = self.ask(daemon, "drain", "--wait")
            self.wait_phase(daemon, "draining", "root/in/b")
            wait_until(lambda: refused(daemon.address("a")) and refused(daemon.address("b")), 5, "both refuse")
            self.assertEqual(daemon.control.value("status")["state"], "draining")
            self.assertEqual((first.echo_all(), second.echo_all()), (3, 3))
        self.assertEqual(asker(), (0, "every listener has drained\n", ""))
        self.assertEqual(daemon.control.value("status")["state"], "running")
        self.assertEqual(daemon.control.node("root/sleeper")["state"], "running")

    def test_term_during_a_drain(self):
        daemon = self.supervise(fixed(), daemon={"drain_timeout": "30s"})
        with Hold(daemon.address(), 5) as held:
            self.assertEqual(held.echo_all(), 5)
            self.assertEqual(daemon.control.run("drain")[0], 0)
            self.wait_phase(daemon, "draining")
            daemon.send_signal(signal.SIGTERM)
            daemon.wait_log("^shutting down")
            self.assertEqual(held.echo_all(), 5)
        self.assertEqual(daemon.wait_exit(5), 0)


class GaveUp(Drain):
    def give_up(self, daemon):
        daemon.wait_workers(2)
        signal_process(daemon.workers()[0].pid, signal.SIGKILL)
        daemon.events.next("intensity_exceeded", "root/echo")

    def test_no_client_is_left_waiting_at_its_port(self):
        """A transient listener that gave up has ended with `shutdown`, which is normal: OTP does not start it again."""
        daemon = self.supervise(fixed(restart="transient", max_restarts=0))
        with Hold(daemon.address(), 4) as held:
            self.assertEqual(held.echo_all(), 4)
            self.give_up(daemon)
            self.wait_state(daemon, "root/echo", "stopped")
            wait_until(lambda: refused(daemon.address()), 5, "the port refuses")
            daemon.wait_log("the listener will not be restarted")
            self.assertEqual(held.echo_all(), 4)
            self.assertEqual(daemon.control.node("root/echo")["connections"]["active"], 4)
            self.assertEqual(daemon.control.run("start", "root/echo")[0], 0)
            with Client(daemon.address()) as client:
                self.assertTrue(client.echo())
            self.assertEqual(held.echo_all(), 4)

    def test_delete_ends_its_remaining_connections(self):
        daemon = self.supervise(fixed(restart="transient", max_restarts=0), fixed("other"), daemon={"drain_timeout": "300ms"})
        with Hold(daemon.address("echo"), 4) as held:
            self.assertEqual(held.echo_all(), 4)
            self.give_up_first(daemon)
            self.wait_state(daemon, "root/echo", "stopped")
            self.assertEqual(daemon.control.run("delete", "root/echo")[0], 0)
            self.assertEqual([client.rest() for client in held.clients], [b""] * 4)
        daemon.events.next("child_removed", "root/echo")
        self.assertIsNone(daemon.control.node("root/echo"))

    def give_up_first(self, daemon):
        signal_process(daemon.workers("echo")[0].pid, signal.SIGKILL)
        daemon.events.next("intensity_exceeded", "root/echo")

    def test_a_restarted_listener_keeps_its_port(self):
        daemon = self.supervise(fixed(max_restarts=0), supervisor={"max_restarts": 10})
        before = daemon.workers()
        with Storm(daemon.address()) as storm:
            self.give_up(daemon)
            daemon.wait_workers(2, without=before)
        self.assertLessEqual(set(storm.failed), {"reset", "eof"})  # the one that the dead worker held
        self.assertEqual(storm.counts["refused"], 0)


if __name__ == "__main__":
    main()
