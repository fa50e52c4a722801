"""More clients than free slots: max_connections and max_connection_rate in every form of on_full."""

import os
import random
import signal
import threading
import time

from harness import BUSY, AdmissionTestCase, Client, Hold, kill_workers, listener, main, outcome, signal_process, wait_until


class OnFull(AdmissionTestCase):
    LIMIT = 20
    MORE = 60
    EXPECTED = {"close": (b"", "end"), "message": (BUSY.encode(), "end"), "reset": (b"", "reset")}

    def sources(self):
        for number in range(self.MORE):
            yield (f"127.0.{1 + number % 7}.{1 + number}", 0)

    def refuse(self, daemon, form):
        """MORE clients that find no free slot, each of another source, all at once and all sending already."""
        found, late = [], []
        for source in self.sources():
            try:  # a reset can be as fast as that
                client = Client(daemon.address(), source=source)
            except ConnectionError:
                found.append((b"", "reset"))
                continue
            try:
                client.send(b"is there room?\n")
                late.append(client)
            except ConnectionError:
                found.append((b"", "reset"))
                client.close()
        found += [outcome(client) for client in late]
        for client in late:
            client.close()
        self.assertEqual(set(found), {self.EXPECTED[form]}, found)

    def test_every_form_at_max_connections(self):
        for form in ("close", "message", "reset"):
            daemon = self.supervise(listener(max_connections=self.LIMIT, on_full=form, banner_fail=BUSY))
            with Hold(daemon.address(), self.LIMIT) as held:
                self.assertEqual(held.echo_all(), self.LIMIT)
                self.refuse(daemon, form)
                self.assertEqual(held.echo_all(), self.LIMIT)
                self.assertEqual(self.counts(daemon)["accepted"], self.LIMIT)
                self.assertEqual(self.refused(daemon), {"max_connections": self.MORE})
                line = daemon.wait_log("^refused a connection: max_connections is 20$")[0]
                self.assertEqual((line["reason"], line["level"]), ("max_connections", "warning"))
            self.wait_counts(daemon, active=0, completed=self.LIMIT, crashed=0)
            with Hold(daemon.address(), self.LIMIT) as held:
                self.assertEqual(held.echo_all(), self.LIMIT)

    def test_every_form_of_on_full_refuses_at_max_connection_rate(self):
        rate = {"count": self.LIMIT, "per": "1h"}
        for form in ("close", "message", "reset"):
            daemon = self.supervise(listener(max_connection_rate=rate, on_full=form, banner_fail=BUSY))
            for _ in range(self.LIMIT):
                with Client(daemon.address()) as client:
                    self.assertTrue(client.echo())
            self.refuse(daemon, form)
            self.wait_counts(daemon, active=0, accepted=self.LIMIT)
            self.assertEqual(self.refused(daemon), {"rate": self.MORE})
            daemon.wait_log("^refused a connection: max_connection_rate is 20 per 1h$", reason="rate")

    def test_queue_serves_every_client_in_the_end(self):
        daemon = self.supervise(listener(max_connections=self.LIMIT))
        with Hold(daemon.address(), self.LIMIT) as held:
            self.assertEqual(held.echo_all(), self.LIMIT)
            late = [Client(daemon.address(), source=source) for source in self.sources()]
            for client in late:
                client.send(b"is there room?\n")
            self.assertTrue(late[0].silent(0.2))
            self.assertEqual(self.counts(daemon)["active"], self.LIMIT)
        served = 0
        for client in late:
            served += client.receive(15) == b"is there room?\n"
            client.close()
        self.assertEqual(served, self.MORE)
        self.wait_counts(daemon, active=0, accepted=self.LIMIT + self.MORE)
        self.assertEqual(self.refused(daemon), {})

    def test_the_end_arrives_even_if_the_client_sends_before_it_reads(self):
        for form in ("message", "close"):
            daemon = self.supervise(listener(max_connections=1, on_full=form, banner_fail=BUSY))
            with Client(daemon.address()) as first:
                self.assertTrue(first.echo())
                read = 0
                for _ in range(300):
                    with Client(daemon.address()) as client:
                        client.send(bytes(100 << 10))
                        read += outcome(client) == self.EXPECTED[form]
            self.measured(form=form, refused=300, read=read)
            self.assertGreaterEqual(read, 297)

    def test_a_client_that_never_stops_sending_is_read_for_a_second_at_most(self):
        daemon = self.supervise(listener(workers=1, max_connections=1, on_full="message", banner_fail=BUSY))
        worker = daemon.workers()[0]
        with Client(daemon.address()) as first, Client(daemon.address()) as silent, Client(daemon.address()) as honest:
            self.assertTrue(first.echo())
            self.assertEqual(silent.receive(len(BUSY)), BUSY.encode())  # and stays
            with Client(daemon.address()) as flood:
                flood.socket.settimeout(0.2)
                began, sent = time.monotonic(), 0
                try:
                    while time.monotonic() - began < 5:
                        sent += flood.socket.send(bytes(1 << 16))
                except OSError:
                    pass
                gone_after = time.monotonic() - began
            self.assertEqual(outcome(honest), (BUSY.encode(), "end"))
            self.assertTrue(first.echo())
            if os.geteuid() == 0:
                wait_until(lambda: list(worker.fd_kinds().values()).count("socket") == 3, 3, "the channel, the log and the listener")
        self.measured(sent_kilobytes=sent >> 10, gone_after=gone_after)
        self.assertLess(gone_after, 2)

    def test_many_refused_clients_that_stay_cost_a_bounded_number_of_descriptors(self):
        daemon = self.supervise(listener(workers=1, max_connections=1, on_full="close", backlog=4096))
        with Client(daemon.address()) as first:
            self.assertTrue(first.echo())
            stubborn = [Client(daemon.address()) for _ in range(700)]
            wait_until(lambda: self.refused(daemon) == {"max_connections": 700}, 5, "all refused")
            self.assertTrue(first.echo())
            if os.geteuid() == 0:
                self.assertLess(len(daemon.workers()[0].fds()), 300)
            for client in stubborn:
                client.close()

    def test_a_retiring_worker_finishes_its_refusals(self):
        daemon = self.supervise(listener(workers=1, max_connections=1, on_full="message", banner_fail=BUSY))
        with Client(daemon.address()) as first, Client(daemon.address()) as late:
            self.assertTrue(first.echo())
            late.send(bytes(50 << 10))
            self.wait_counts(daemon, active=1)
            wait_until(lambda: self.refused(daemon), 5, "refused")
            late.send(bytes(50 << 10))
            signal_process(daemon.workers()[0].pid, signal.SIGTERM)
            self.assertEqual(outcome(late), (BUSY.encode(), "end"))
            self.assertTrue(first.echo())


class Rate(AdmissionTestCase):
    def test_queue_waits_for_the_window_and_recovers(self):
        daemon = self.supervise(listener(max_connection_rate={"count": 5, "per": "300ms"}))
        began, served = time.monotonic(), []
        clients = [Client(daemon.address()) for _ in range(18)]
        for client in clients:
            client.send(b"hello\n")
        for client in clients:
            self.assertEqual(client.receive(6), b"hello\n")
            served.append(time.monotonic() - began)
            client.close()
        self.measured(clients=18, last_after=served[-1], windows=[round(one, 2) for one in served[::5]])
        for number, moment in enumerate(served):
            self.assertGreaterEqual(moment, number // 5 * 0.3 - 0.05)
        self.assertLess(served[-1], 0.9 + 1.0)
        self.assertEqual(self.refused(daemon), {})
        daemon.wait_log("^max_connection_rate reached")
        paused = daemon.events.of("accept_paused")
        self.assertEqual({event["reason"] for event in paused}, {"max_connection_rate"})
        daemon.wait_log("accepting again")
        daemon.events.next("accept_resumed", "root/echo")
        # More than a window later: the next five are served at once.
        for _ in range(5):
            with Client(daemon.address(), timeout=0.25) as client:
                self.assertTrue(client.echo())

    def test_denied_connections_do_not_use_up_the_rate(self):
        daemon = self.supervise(listener(max_connection_rate={"count": 3, "per": "1h"}, on_full="close", deny="127.0.0.9"),
                                listener("queue", max_connection_rate={"count": 3, "per": "1h"}, deny="127.0.0.9"))
        for name in ("echo", "queue"):
            for _ in range(50):
                with Client(daemon.address(name), source=("127.0.0.9", 0)) as client:
                    self.assertEqual(client.rest(), b"")
            for _ in range(3):
                with Client(daemon.address(name)) as client:
                    self.assertTrue(client.echo())
            self.assertEqual(self.refused(daemon, name), {"denied": 50})

    def test_the_rate_is_exact_while_workers_are_killed(self):
        limit = 200
        daemon = self.supervise(listener(workers=4, max_connection_rate={"count": limit, "per": "1h"}, on_full="close",
                                         max_restarts=1000000, restart_delay="none"))
        stop = threading.Event()
        killer = threading.Thread(target=kill_workers, args=(daemon, stop))
        killer.start()
        echoed = 0
        try:
            for _ in range(3 * limit):
                try:
                    with Client(daemon.address()) as client:
                        echoed += client.echo()
                except OSError:
                    pass
        finally:
            stop.set()
            killer.join()
        daemon.wait_workers(4)
        while self.counts(daemon)["accepted"] < limit and not self.refused_now(daemon):
            pass
        self.wait_counts(daemon, active=0)
        accepted = self.counts(daemon)["accepted"]
        self.measured(limit=limit, attempts=3 * limit, accepted=accepted, echoed=echoed)
        self.assertLessEqual(echoed, limit)
        self.assertLessEqual(accepted, limit)
        self.assertGreaterEqual(accepted, limit - 20)  # a worker may die with a connection that counted but was no process yet

    def refused_now(self, daemon):
        """Uses the part of the rate that killed workers left; true when it is used up."""
        with Client(daemon.address()) as client:
            try:
                return not client.echo()
            except OSError:
                return True


class Killed(AdmissionTestCase):
    def test_the_limit_holds_while_workers_are_killed_and_all_counts_return_to_zero(self):
        limit = 10
        daemon = self.supervise(listener(workers=4, max_connections=limit, on_full="message", banner_fail=BUSY,
                                         max_restarts=1000000, restart_delay="none"))
        stop, most, found = threading.Event(), [0], {"echo": 0, "busy": 0, "lost": 0}
        lock, now = threading.Lock(), [0]

        def client(number):
            chosen = random.Random(number)
            while not stop.is_set():
                try:
                    with Client(daemon.address(), source=(f"127.0.{number}.{chosen.randrange(1, 250)}", 0)) as one:
                        one.send(b"hello\n")
                        answer = one.receive(6)
                        if answer != b"hello\n":
                            with lock:
                                found["busy" if answer == BUSY[:6].encode() else "lost"] += 1
                            continue
                        with lock:
                            found["echo"] += 1
                            now[0] += 1
                            most[0] = max(most[0], now[0])
                        time.sleep(chosen.random() / 50)
                        with lock:
                            now[0] -= 1
                except OSError:
                    with lock:
                        found["lost"] += 1

        threads = [threading.Thread(target=client, args=(n,)) for n in range(1, 25)]
        killer = threading.Thread(target=kill_workers, args=(daemon, stop))
        for thread in (*threads, killer):
            thread.start()
        time.sleep(2.5)
        stop.set()
        for thread in (*threads, killer):
            thread.join()
        daemon.wait_workers(4)
        self.wait_counts(daemon, active=0)
        counts = self.counts(daemon)
        self.measured(**found, most_at_once=most[0], accepted=counts["accepted"], refused=self.refused(daemon))
        self.assertLessEqual(most[0], limit)
        self.assertGreater(found["echo"], 100)
        self.assertGreater(found["busy"], 100)
        self.assertEqual(counts["accepted"], counts["completed"])
        self.assertGreaterEqual(counts["accepted"], found["echo"])
        self.assertGreaterEqual(self.refused(daemon)["max_connections"], found["busy"])
        with Hold(daemon.address(), limit) as held:
            self.assertEqual(held.echo_all(), limit)


if __name__ == "__main__":
    main()
