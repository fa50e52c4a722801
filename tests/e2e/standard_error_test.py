"""The standard error of programs: every line in the log, with its connection, bounded; and no process waits."""

import os
import re
import signal
import threading
import time

from harness import Client, TestCase, exec_listener, listener, main, process, signal_process, wait_until


class Tags(TestCase):
    def shell(self, script, **keys):
        return self.start(exec_listener([self.write("handler", f"#!/bin/sh\n{script}\n", 0o755)], workers=1, **keys))

    def test_of_two_connections_at_the_same_time(self):
        # Half a line at a time, written in turns by the program itself and by one of its children, which stays until its
        # words have arrived: a process that is gone by then cannot be matched to its connection.
        daemon = self.shell('while read word; do printf "%s-" "$word" >&2; '
                            '(read more; printf "%s\\n" "$more" >&2; read gone); done')
        with Client(daemon.address()) as one, Client(daemon.address()) as two:
            for turn in range(1, 21):
                for client, word in ((one, b"one\n"), (two, b"two\n")):
                    client.send(word)
                for client, word in ((two, b"two\n"), (one, b"one\n")):
                    client.send(word)
                lines = daemon.wait_log("^(one|two)-(one|two)$", count=2 * turn, stream="stderr")
                for client in (one, two):
                    client.send(b"gone\n")
            self.assertEqual({(line["message"], line["peer"]) for line in lines},
                             {("one-one", one.name), ("two-two", two.name)})
            self.assertEqual(len({line["connection"] for line in lines}), 2)
            names = (one.name, two.name)
        for name in names:
            ended = daemon.wait_log("ended", peer=name)[0]
            self.assertIn(next(line["connection"] for line in lines if line["peer"] == name), ended["message"])

    def test_a_last_line_without_newline_comes_before_the_end(self):
        daemon = self.shell('printf "no newline" >&2')
        with Client(daemon.address()) as client:
            self.assertEqual(client.rest(), b"")
            daemon.wait_log("ended", peer=client.name)
        own = [line["message"].split()[0] for line in daemon.log(path="root/run", peer=client.name)]
        self.assertEqual(own, ["no", "connection"])

    def test_no_byte_controls_a_terminal_or_forges_a_line(self):
        hostile = b'\x1b[2J\r\n2026-01-01T00:00:00.000Z bulkheadd[1] error root: FAKE\r "}\\\x00\x7f\x9b\xff<script>\n' + b"y" * 1_000_000 + b"\n"
        data = os.path.join(self.directory, "data")
        with open(data, "wb") as file:
            file.write(hostile)
        for form in ("text", "json"):
            directory_log = os.path.join(self.directory, f"{form}.log")
            daemon = self.start(exec_listener(["/bin/sh", "-c", f"cat {data} >&2"], workers=1),
                                log={"target": directory_log, "format": form, "level": "info"})
            with Client(daemon.address()) as client:
                client.rest()

            def text():
                with open(directory_log, "rb") as file:
                    return file.read()
            wait_until(lambda: b" ended" in text(), 5, "its end")
            self.assertEqual(re.findall(rb"[^\x20-\x7e\n]", text()), [])
            about = [line for line in text().split(b"\n") if b"stderr" in line]
            self.assertEqual(len(about), 3, about)
            self.assertTrue(all(len(line) < 4096 for line in about))
            self.assertIn(b"yyy...", about[2])

    def test_other_destinations_of_standard_error(self):
        script = self.write("handler", "#!/bin/sh\necho said >&2\nreadlink /proc/self/fd/2\n", 0o755)
        for where, pattern in (("null", rb"^/dev/null\n$"), ("socket", rb"^said\nsocket:\[\d+\]\n$"), ("inherit", rb"^.*/stderr\n$"),
                               ("log", rb"^socket:\[\d+\]\n$")):
            daemon = self.start(exec_listener([script], workers=1, stderr=where), log={"target": "stderr", "format": "text"})
            with Client(daemon.address()) as client:
                self.assertRegex(client.rest(), pattern, where)
            wait_until(lambda: " ended" in daemon.stderr_text(), 5, "its end")
            self.assertEqual("said stream" in daemon.stderr_text() or " said connection=" in daemon.stderr_text(), where == "log")
            self.assertEqual("\nsaid\n" in daemon.stderr_text(), where == "inherit")
        for style, explicit, pattern in (("inetd", None, rb"^said\n"), ("inetd", "log", rb"^socket:")):
            keys = {"stderr": explicit} if explicit else {}
            daemon = self.start(exec_listener([script], style=style, workers=1, **keys))
            with Client(daemon.address()) as client:
                self.assertRegex(client.rest(), pattern)

    def test_a_process_child(self):
        def shell(name, **keys):
            return {"id": name, "type": "process", "argv": ["/bin/sh", "-c", "echo out; for i in 1 2 3 4 5; do echo err >&2; done; sleep 1000"],
                    **keys}
        daemon = self.start(shell("log", log_rate_limit=3), shell("null", stderr="null"), listener())
        for name in ("log", "null"):
            daemon.wait_log("^out$", path=f"root/{name}", stream="stdout")
        daemon.wait_log("were not logged", path="root/log")
        self.assertEqual(len(daemon.log(path="root/log", stream="stdout") + daemon.log(path="root/log", stream="stderr")), 3)
        self.assertEqual(daemon.log("err", path="root/null"), [])
        daemon = self.start(shell("inherit", stderr="inherit"), listener(), log={"target": "stderr", "format": "text"})
        wait_until(lambda: daemon.stderr_text().count("\nerr\n") >= 3 and " out " in daemon.stderr_text(), 5, "its words as they are")
        self.assertEqual([line for line in daemon.stderr_text().splitlines() if "err" in line], ["err"] * 5)


class Floods(TestCase):
    COUNT, SIZE = 100_000, 100  # 10 MB

    def test_ten_megabytes_block_no_process_and_are_counted(self):
        daemon = self.start(exec_listener([self.helper("complains"), str(self.COUNT), str(self.SIZE)], "flood", workers=1),
                            listener("echo", workers=1))
        slowest, served, stop = [], [0], threading.Event()

        def others():
            while not stop.is_set():
                began = time.monotonic()
                with Client(daemon.address("echo")) as client:
                    client.echo()
                slowest.append(time.monotonic() - began)
                served[0] += 1
        thread = threading.Thread(target=others)
        thread.start()
        try:
            began = time.monotonic()
            with Client(daemon.address("flood"), 60) as client:
                self.assertEqual(client.receive(7), b"done 0\n")
                took = time.monotonic() - began
                self.assertTrue(client.echo())
                client.half_close()
                self.assertEqual(client.rest(), b"")
        finally:
            stop.set()
            thread.join()
        daemon.wait_log("ended", path="root/flood", peer=client.name)
        logged = len(daemon.log(r"^\d{6} x", path="root/flood", peer=client.name))
        suppressed = sum(line["suppressed"] for line in daemon.log(" not logged$", path="root/flood", peer=client.name))
        p99 = sorted(slowest)[int(len(slowest) * 0.99)]
        self.measured(seconds=took, logged=logged, suppressed=suppressed, echo_p99=p99, echoes=served[0])
        self.assertEqual(logged + suppressed, self.COUNT)
        self.assertGreaterEqual(suppressed, 1)
        self.assertLessEqual(logged, 100 * (int(took) + 3))
        self.assertLess(took, 30)
        self.assertLess(p99, 2.0 if self.sanitized else 0.5)

    def test_a_listeners_own_limit(self):
        for limit, logged in ((7, 7), ("unlimited", 300)):
            daemon = self.start(exec_listener([self.helper("complains"), "300", "20"], workers=1, log_rate_limit=limit))
            with Client(daemon.address()) as client:
                self.assertEqual(client.receive(7), b"done 0\n")
            daemon.wait_log("ended", path="root/run")
            self.assertEqual(len(daemon.log(r"^\d{6} x", path="root/run")), logged)
            told = daemon.log(" not logged$", path="root/run")
            self.assertEqual([line["suppressed"] for line in told], [293] if limit == 7 else [])

    def test_a_worker_that_does_not_read_blocks_no_program_for_ever(self):
        # More than the kernel queues, so that each write beyond waits for its second.
        daemon = self.start(exec_listener([self.helper("complains"), "600", "20"], workers=1))
        with Client(daemon.address(), 60) as first:
            self.assertEqual(first.receive(7), b"done 0\n")
        daemon.wait_log("ended", path="root/run")
        worker = daemon.workers()[0]
        slow = Client(daemon.address(), 60)
        self.addCleanup(slow.close)
        child = wait_until(daemon.connections, 5, "its process")[0]
        signal_process(worker.pid, signal.SIGSTOP)
        try:
            wait_until(lambda: slow.receive(5, 30) == b"done ", 30, "the program goes on")
        finally:
            signal_process(worker.pid, signal.SIGCONT)
        self.assertTrue(process(child.pid))


class WithoutItsWorker(TestCase):
    HANDLER = '#!/bin/sh\nwhile read word; do echo "$word" >&2; echo "$word"; done\n'

    def say(self, client, word):
        self.assertTrue(client.echo(word.encode() + b"\n"))

    def test_the_next_worker_continues_reading(self):
        daemon = self.start(exec_listener([self.write("handler", self.HANDLER, 0o755)], workers=1))
        with Client(daemon.address()) as client:
            self.say(client, "before")
            before = daemon.wait_log("^before$", path="root/run", stream="stderr")[0]
            child = daemon.connections()[0]
            workers = daemon.workers()
            signal_process(workers[0].pid, signal.SIGKILL)
            daemon.wait_workers(1, without=workers)
            for number in range(20):
                self.say(client, f"after {number}")
            lines = daemon.wait_log(r"^after \d+$", count=20, path="root/run", stream="stderr")
            self.assertEqual({(line["connection"], line["peer"]) for line in lines}, {(before["connection"], client.name)})
            self.assertTrue(child.alive())

    def test_the_master_reads_while_no_worker_runs(self):
        daemon = self.start(exec_listener([self.write("handler", self.HANDLER, 0o755)], workers=1,
                                          restart_delay={"min": "3s", "max": "3s", "jitter": 0}, max_restarts=100))
        with Client(daemon.address()) as client:
            self.say(client, "before")
            for _ in range(2):  # the first restart is immediate
                worker = wait_until(daemon.workers, 5, "a worker")[0]
                signal_process(worker.pid, signal.SIGKILL)
                wait_until(lambda: not worker.alive(), 5, "its end")
            wait_until(lambda: not daemon.workers(), 2, "no worker")
            self.say(client, "alone")
            line = daemon.wait_log("^alone$", path="root/run", stream="stderr", seconds=2)[0]
            self.assertEqual((line["writer"], line["peer"]), (daemon.pid, client.name))
            daemon.wait_workers(1, seconds=10)
            self.say(client, "again")
            line = daemon.wait_log("^again$", path="root/run", stream="stderr")[0]
            self.assertEqual((line["writer"], line["peer"]), (daemon.workers()[0].pid, client.name))

    def test_writers_survive_the_end_of_all_readers(self):
        script = self.write("handler", '#!/bin/sh\nwhile read word; do echo "$word" >&2; echo "$word"; done; echo end\n', 0o755)
        daemon = self.start(exec_listener([script], workers=1))
        with Client(daemon.address()) as client:
            self.say(client, "before")
            worker = daemon.workers()[0]
            daemon.kill_master()
            signal_process(worker.pid, signal.SIGKILL)
            wait_until(lambda: not worker.alive(), 5, "its end")
            self.say(client, "nobody listens")
            client.half_close()
            self.assertEqual(client.rest(), b"end\n")


if __name__ == "__main__":
    main()
