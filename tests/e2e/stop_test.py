"""Every kind of shutdown: gracefully, at once, step by step, during the start; no process is ever left."""

import os
import signal
import socket
import time

from harness import Client, Hold, Queued, Storm, TestCase, exec_listener, free_port, listener, main, signal_process, wait_until


def connect_outcome(address):
    try:
        with Client(address, 1.0):
            return "connected"
    except ConnectionRefusedError:
        return "refused"
    except TimeoutError:
        return "timeout"


class Graceful(TestCase):
    def test_a_stop_without_connections_is_prompt(self):
        daemon = self.start()
        with Client(daemon.address()) as client:
            self.assertTrue(client.echo())
        wait_until(lambda: not daemon.connections(), 5, "the child's end")
        began = time.monotonic()
        self.assertEqual(daemon.stop(), 0)
        took = time.monotonic() - began
        self.assertLess(took, 1.0)
        self.measured(stopped_after=took)

    def test_connections_continue_and_the_stop_waits_for_them(self):
        daemon = self.start(daemon={"drain_timeout": "30s"})
        address = daemon.address()
        with Hold(address, 20) as held:
            self.assertEqual(held.echo_all(), 20)
            daemon.send_signal(signal.SIGTERM)
            wait_until(lambda: connect_outcome(address) == "refused", 3, "the port refuses")
            for _ in range(3):
                self.assertEqual(held.echo_all(), 20)
            self.assertTrue(daemon.running())
        began = time.monotonic()
        self.assertEqual(daemon.wait_exit(), 0)
        self.measured(held=20, lost=0, ended_after_the_last=time.monotonic() - began)
        self.assertLess(time.monotonic() - began, 1.0)

    def test_drain_timeout_ends_the_remaining_connections(self):
        daemon = self.start(daemon={"drain_timeout": "1s"})
        with Hold(daemon.address(), 20) as held:
            self.assertEqual(held.echo_all(), 20)
            began = time.monotonic()
            daemon.send_signal(signal.SIGTERM)
            self.assertEqual([client.rest() for client in held.clients], [b""] * 20)
            drained = time.monotonic() - began
            self.assertEqual(daemon.wait_exit(), 0)
        self.assertGreater(drained, 0.9)
        self.assertLess(drained, 2.5)
        self.assertEqual(daemon.log("crashed"), [])
        self.measured(drained_after=drained)

    def test_adopted_connections_are_drained_like_the_others(self):
        daemon = self.start(listener(max_restarts=1000), daemon={"drain_timeout": "1s"})
        with Hold(daemon.address(), 20) as held:
            self.assertEqual(held.echo_all(), 20)
            before = daemon.workers()
            for worker in before:
                signal_process(worker.pid, signal.SIGKILL)
            daemon.wait_workers(2, without=before)
            daemon.send_signal(signal.SIGTERM)
            self.assertEqual(held.echo_all(), 20)
            self.assertEqual([client.rest() for client in held.clients], [b""] * 20)
            self.assertEqual(daemon.wait_exit(), 0)

    def test_queued_clients_are_served(self):
        daemon = self.start()
        address = daemon.address()
        with Queued(daemon, 50) as queued:
            daemon.send_signal(signal.SIGTERM)
            daemon.wait_log("^shutting down")
            echoed = queued.release()
            late = wait_until(lambda: connect_outcome(address) == "refused", 3, "the port refuses")
        self.assertEqual(daemon.wait_exit(), 0)
        self.assertTrue(late)
        self.measured(queued=50, echoed=echoed, reset=50 - echoed)
        self.assertEqual(echoed, 50)

    def test_no_client_is_reset_under_load(self):
        resets = refused = served = 0
        without = ("setpriv", "--bounding-set=-net_admin", "--") if os.geteuid() == 0 else ()
        for prefix in ((), without, without):  # a service manager leaves few capabilities
            daemon = self.start(prefix=prefix)
            with Storm(daemon.address()) as storm:
                wait_until(lambda: storm.total > 100, 10, "a storm")
                self.assertEqual(daemon.stop(), 0)
            resets += storm.counts["reset"] + storm.counts["eof"]
            refused += storm.counts["refused"]
            served += storm.counts["ok"]
            self.assertEqual((storm.counts["wrong"], storm.counts["timeout"]), (0, 0))
        self.measured(stops=3, served=served, refused=refused, reset=resets)
        self.assertEqual(resets, 0)

    def test_a_worker_that_dies_during_the_drain_is_replaced_and_drains(self):
        daemon = self.start(daemon={"drain_timeout": "20s"})
        with Hold(daemon.address(), 10) as held:
            self.assertEqual(held.echo_all(), 10)
            daemon.send_signal(signal.SIGTERM)
            daemon.wait_log("^shutting down")
            for worker in daemon.workers():
                signal_process(worker.pid, signal.SIGKILL)
            self.assertEqual(held.echo_all(), 10)
        self.assertEqual(daemon.wait_exit(), 0)


class Fast(TestCase):
    def test_int_does_not_wait_for_connections(self):
        daemon = self.start(daemon={"drain_timeout": "60s"})
        with Hold(daemon.address(), 20) as held:
            self.assertEqual(held.echo_all(), 20)
            began = time.monotonic()
            self.assertEqual(daemon.stop(signal.SIGINT), 0)
            took = time.monotonic() - began
            self.assertEqual([client.rest() for client in held.clients], [b""] * 20)
        self.assertLess(took, 1.5)
        self.measured(stopped_after=took)

    def test_a_second_term_ends_the_drain(self):
        daemon = self.start(daemon={"drain_timeout": "60s"})
        with Hold(daemon.address(), 10) as held:
            self.assertEqual(held.echo_all(), 10)
            daemon.send_signal(signal.SIGTERM)
            daemon.wait_log("^shutting down: existing connections")
            self.assertEqual(held.echo_all(), 10)
            began = time.monotonic()
            self.assertEqual(daemon.stop(), 0)
        self.assertLess(time.monotonic() - began, 1.5)

    def test_a_third_term_kills(self):
        daemon = self.start(exec_listener([self.helper("ignores_term")], shutdown="60s"), daemon={"drain_timeout": "60s"})
        with Client(daemon.address()) as client:
            self.assertEqual(client.receive(6), b"ready\n")
            daemon.send_signal(signal.SIGTERM)
            daemon.wait_log("^shutting down: existing connections")
            daemon.send_signal(signal.SIGTERM)
            daemon.wait_log("^ending the remaining connections")
            self.assertTrue(client.silent(0.2))
            began = time.monotonic()
            self.assertEqual(daemon.stop(), 0)
            self.assertEqual(client.rest(), b"")
        self.assertLess(time.monotonic() - began, 1.5)

    def test_three_terms_at_once(self):
        daemon = self.start(exec_listener([self.helper("ignores_term")], shutdown="60s"), daemon={"drain_timeout": "60s"})
        with Hold(daemon.address(), 5) as held:
            for client in held.clients:
                self.assertEqual(client.receive(6), b"ready\n")
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
                daemon.send_signal(number)
            self.assertEqual(daemon.wait_exit(5), 0)


class Stubborn(TestCase):
    def test_a_handler_that_ignores_term_is_killed_after_shutdown(self):
        daemon = self.start(exec_listener([self.helper("ignores_term")], shutdown="700ms"), daemon={"drain_timeout": "100ms"})
        with Hold(daemon.address(), 5) as held:
            for client in held.clients:
                self.assertEqual(client.receive(6), b"ready\n")
            began = time.monotonic()
            self.assertEqual(daemon.stop(), 0)
            took = time.monotonic() - began
            self.assertEqual([client.rest() for client in held.clients], [b""] * 5)
        self.assertGreater(took, 0.75)
        self.assertLess(took, 2.0)
        self.measured(stopped_after=took)

    def test_the_grandchildren_of_a_handler_are_killed_too(self):
        daemon = self.start(exec_listener([self.helper("has_grandchildren")], shutdown="500ms"), daemon={"drain_timeout": "100ms"})
        with Hold(daemon.address(), 3) as held:
            for client in held.clients:
                self.assertEqual(client.receive(6), b"ready\n")
            before = len(daemon.tree())
            self.assertEqual(daemon.stop(), 0)
        self.assertGreaterEqual(before, 2 + 3 * 3)
        self.assertEqual(daemon.left_over(), [])
        self.measured(processes_before=before, left=0)

    def test_a_stopped_handler_is_continued_in_order_to_end(self):
        daemon = self.start(exec_listener(["/bin/cat"], shutdown="10s"), daemon={"drain_timeout": "100ms"})
        with Client(daemon.address()) as client:
            self.assertTrue(client.echo())
            child = daemon.connections()[0]
            signal_process(child.pid, signal.SIGSTOP)
            began = time.monotonic()
            self.assertEqual(daemon.stop(), 0)
        self.assertLess(time.monotonic() - began, 2.0)

    def test_a_stopped_worker_does_not_hold_up_the_stop(self):
        daemon = self.start(listener(shutdown="500ms"), daemon={"drain_timeout": "500ms"})
        with Hold(daemon.address(), 10) as held:
            self.assertEqual(held.echo_all(), 10)
            for worker in daemon.workers():
                signal_process(worker.pid, signal.SIGSTOP)
            began = time.monotonic()
            daemon.send_signal(signal.SIGTERM)
            self.assertEqual(daemon.wait_exit(15), 0)
            took = time.monotonic() - began
        self.measured(stopped_after=took)
        self.assertLess(took, 3.5)  # drain_timeout and shutdown are half a second each


class Start(TestCase):
    def test_term_at_any_moment_of_the_start(self):
        rounds = {"ended by TERM before main": 0, "exit 0": 0}
        port = free_port()
        for delay in range(0, 100, 3):
            daemon = self.start(listener(listen=f"127.0.0.1:{port}", workers=4), wait=False)
            time.sleep(delay / 1000)
            daemon.send_signal(signal.SIGTERM)
            status = daemon.wait_exit(5)
            if status == -signal.SIGTERM:
                # Nothing had begun yet: the program had not reached its first line.
                daemon.expected_status = status
                self.assertEqual(daemon.log_text(), "")
                rounds["ended by TERM before main"] += 1
            else:
                self.assertEqual(status, 0, daemon.log_text())
                rounds["exit 0"] += 1
            self.assertEqual(daemon.left_over(), [])
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(("127.0.0.1", port))
        self.measured(rounds=sum(rounds.values()), **{key.replace(" ", "_"): value for key, value in rounds.items()})

    def test_stop_and_start_again_on_the_same_port(self):
        port = free_port()
        for _ in range(5):
            daemon = self.start(listener(listen=f"127.0.0.1:{port}"))
            with Hold(daemon.address(), 20) as held:
                self.assertEqual(held.echo_all(), 20)
                self.assertEqual(daemon.stop(signal.SIGINT), 0)  # the server's side closes first: TIME_WAIT is here


if __name__ == "__main__":
    main()
