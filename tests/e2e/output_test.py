"""What processes write, and where it goes: the log with back pressure, long lines, the end of a run."""

import ctypes
import json
import os
import queue
import signal
import threading

from harness import (Client, ControlledTestCase, Hold, listener, main, needs_root, process, signal_process,
                     wait_until)

FLOOD = """
import sys
for number in range(int(sys.argv[1])):
    print(f"line {number} of a flood that nobody may cut or drop")
    if number % 100 == 0: sys.stdout.flush()
"""


def python(name, script, *arguments, **keys):
    return {"id": name, "type": "process", "argv": ["/usr/bin/python3", "-c", script, *arguments], "ready": "exec", **keys}


def flood(lines, **keys):
    return python("flood", FLOOD, str(lines), restart="transient", **keys)


def sleeper(name="sleeper", **keys):
    return {"id": name, "type": "process", "argv": ["/bin/sleep", "1000"], **keys}


class LogReader:
    """The reading end of a pipe that is the daemon's log; reads only when it is asked to."""

    def __init__(self):
        self.read_end, self.write_end = os.pipe()
        os.set_blocking(self.read_end, False)
        self.text = b""

    def started(self):
        os.close(self.write_end)

    def read(self):
        try:
            while part := os.read(self.read_end, 1 << 16):
                self.text += part
        except BlockingIOError:
            pass
        return self.text

    def entries(self, **fields):
        whole = self.read()[:self.text.rfind(b"\n") + 1]
        entries = [json.loads(line) for line in whole.splitlines()]
        return [one for one in entries if all(one.get(key) == value for key, value in fields.items())]


class BackPressure(ControlledTestCase):
    def supervise_with_stuck_log(self, *children):
        reader = LogReader()
        self.addCleanup(os.close, reader.read_end)
        daemon = self.supervise(*children, log={"target": "stderr", "format": "json"}, stderr=reader.write_end)
        reader.started()
        return daemon, reader

    def wait_numbers(self, reader, count):
        wait_until(lambda: b"line %d " % (count - 1) in reader.read(), 20, "the last line")
        self.assertEqual(self.numbers(reader), list(range(count)))

    def numbers(self, reader):
        told = [one["message"] for one in reader.entries(path="root/flood", stream="stdout")]
        return [int(message.split()[1]) for message in told]

    def test_a_process_loses_no_line(self):
        daemon = self.supervise(flood(20000), sleeper())
        daemon.events.next("child_exited", "root/flood")
        daemon.wait_log("^line 19999 of a flood", path="root/flood")
        told = [int(one["message"].split()[1]) for one in daemon.log("^line", path="root/flood")]
        self.assertEqual(told, list(range(20000)))

    def test_while_nobody_reads_the_log_a_process_waits_and_supervision_goes_on(self):
        daemon, reader = self.supervise_with_stuck_log(flood(5000), sleeper())
        node = daemon.control.node("root/flood")
        wait_until(lambda: process(node["pid"]).state == "S", 10, "a process that waits for the log")
        for _ in range(3):
            mark = daemon.events.mark()
            signal_process(daemon.control.node("root/sleeper")["pid"], signal.SIGKILL)
            daemon.events.next("child_exited", "root/sleeper", after=mark)
            daemon.events.next("child_started", "root/sleeper", after=mark)
        self.assertEqual(daemon.control.node("root/flood")["pid"], node["pid"])
        self.wait_numbers(reader, 5000)
        self.assertTrue(reader.entries(path="root/sleeper"), "there was room for the daemon's own lines")
        self.assertFalse([one for one in reader.entries(path="root") if "dropped" in one["message"]])

    def test_what_a_process_wrote_before_it_ended_outlives_it_and_the_daemon_ends_although_nobody_reads(self):
        daemon, reader = self.supervise_with_stuck_log(flood(600), sleeper())
        daemon.events.next("child_exited", "root/flood")
        self.wait_numbers(reader, 600)
        daemon.control.call("start", path="root/flood")
        daemon.events.next("child_exited", "root/flood", after=daemon.events.mark() - 1)
        self.assertEqual(daemon.stop(), 0)

    def test_an_upgrade_carries_what_waits_for_the_log(self):
        daemon, reader = self.supervise_with_stuck_log(flood(5000), sleeper())
        pid = daemon.control.node("root/flood")["pid"]
        self.assertEqual(daemon.control.run("upgrade", "--wait")[0], 0)
        self.assertEqual(daemon.control.node("root/flood")["pid"], pid)
        self.wait_numbers(reader, 5000)

    def test_a_limit_that_is_asked_for_counts_the_rest(self):
        daemon = self.supervise(flood(1000, log_rate_limit=100), sleeper())
        told = daemon.wait_log("were not logged", path="root/flood")
        self.assertEqual(told[0]["suppressed"], 900)
        self.assertEqual(len(daemon.log("^line", path="root/flood")), 100)


def text_of(path):
    with open(path) as file:
        return file.read()


class LongLines(ControlledTestCase):
    SCRIPT = r"""
import sys
sys.stdout.buffer.write(b"<" + "\u00e4".encode() * 5000 + b">\n" + b"\xff" * 5000 + b"\nshort\n")
"""

    def test_a_long_line_is_continued_and_not_cut(self):
        for form in ("json", "text"):
            with self.subTest(format=form):
                daemon = self.supervise(python("long", self.SCRIPT, restart="transient"), sleeper(),
                                        log={"target": os.path.join(self.directory, form), "format": form})
                daemon.events.next("child_exited", "root/long")
                path = os.path.join(self.directory, form)
                wait_until(lambda path=path: "short" in text_of(path), 5, "the last line")
                lines = [line for line in text_of(path).splitlines() if "stream" in line]
                joined = []
                for line in lines:
                    if form == "json":
                        entry = json.loads(line)
                        text, continued = entry["message"], entry.get("continued", False)
                    else:
                        text, _, fields = line.split(" root/long: ")[1].partition(" stream=stdout")
                        continued = fields == " continued=true"
                    if continued:
                        joined[-1] += text
                    else:
                        joined.append(text)
                self.assertEqual(joined, ["<" + "\u00e4" * 5000 + ">", "\\xff" * 5000, "short"])
                self.assertGreater(len(lines), 10)


class Reopening(ControlledTestCase):
    def test_a_log_that_cannot_be_opened_is_reported_with_its_target_and_errno(self):
        directory = os.path.join(self.directory, "logs")
        os.mkdir(directory)
        target = os.path.join(directory, "log")
        daemon = self.supervise(sleeper(), log={"target": target, "format": "json"})
        self.assertEqual(daemon.control.run("reopen"), (0, "the log has been reopened\n", ""))
        os.rename(target, target + ".1")
        os.mkdir(target)
        status, output, errors = daemon.control.run("reopen")
        self.assertEqual((status, output), (2, ""))
        self.assertIn(f"cannot reopen the log {target}: Is a directory; still writing to the old one", errors)
        self.assertIn("Is a directory", text_of(target + ".1"))
        os.rmdir(target)
        self.assertEqual(daemon.control.run("reopen")[0], 0)
        self.assertIn("reopened", text_of(target))

    def test_a_reload_to_a_log_that_cannot_be_opened_says_so(self):
        daemon = self.supervise(sleeper())
        with open(daemon.config_path) as file:
            config = json.load(file)
        config["log"]["target"] = os.path.join(self.directory, "missing", "log")
        with open(daemon.config_path, "w") as file:
            json.dump(config, file)
        status, _, errors = daemon.control.run("reload")
        self.assertEqual(status, 2)
        self.assertIn("missing/log", errors)
        self.assertIn("does not exist", errors)


TICKER = """
import itertools, sys, time
for number in itertools.count():
    print("tick", number, flush=True)
    print("tock", number, file=sys.stderr, flush=True)
    sys.stdin.readline() if len(sys.argv) > 1 else time.sleep(0.01)
"""


class Files(ControlledTestCase):
    def path(self, name):
        return os.path.join(self.directory, name)

    def test_a_file_is_rotated_while_its_process_runs_and_no_line_is_lost(self):
        out = self.path("out")
        daemon = self.supervise(python("ticker", TICKER, stdout=out, stderr="null"), sleeper())
        pid = daemon.control.node("root/ticker")["pid"]
        for number in range(1, 4):
            wait_until(lambda: "tick" in text_of(out), 5, "output")
            os.rename(out, f"{out}.{number}")
            if number == 1:
                daemon.send_signal(signal.SIGUSR1)
            elif number == 2:
                self.assertEqual(daemon.control.run("reopen")[0], 0)
            else:
                self.assertEqual(daemon.control.run("upgrade")[0], 0)
                self.assertEqual(daemon.control.run("reopen")[0], 0)
            wait_until(lambda: os.path.exists(out), 5, "a new file")
        self.assertEqual(daemon.control.node("root/ticker")["pid"], pid)
        self.assertEqual(daemon.control.run("stop", "root/ticker")[0], 0)
        told = [line for name in (f"{out}.1", f"{out}.2", f"{out}.3", out) for line in text_of(name).splitlines()]
        self.assertEqual(told, [f"tick {number}" for number in range(len(told))])
        self.assertEqual(os.stat(out).st_mode & 0o777, 0o640)
        self.assertFalse(daemon.log("tick|tock", path="root/ticker"))

    def test_a_file_that_cannot_be_opened_is_an_error_of_check_of_the_start_and_of_reopen(self):
        for value, problem in ((self.path("missing/out"), "No such file or directory"), (self.directory, "Is a directory")):
            for key in ("stdout", "stderr"):
                file = self.write("bad.json", json.dumps({"supervisor": {"children": [sleeper(**{key: value})]}}))
                status, _, errors = self.run_program("--check", "-c", file)
                self.assertEqual(status, 78)
                self.assertIn(f"/supervisor/children/0/{key}: cannot write to \"{value}\": {problem}", errors)
        directory = self.path("there")
        os.mkdir(directory)
        out = os.path.join(directory, "out")
        daemon = self.supervise(sleeper("writer", stdout=out, restart_delay="none"), sleeper())
        os.rename(directory, directory + ".1")
        status, _, errors = daemon.control.run("reopen")
        self.assertEqual(status, 2)
        self.assertIn(f"root/writer still writes to its old file: open {out}: No such file or directory", errors)
        os.rename(directory + ".1", directory)
        self.assertEqual(daemon.control.run("reopen")[0], 0)

    @needs_root
    def test_a_file_in_a_directory_of_somebody_else_is_refused(self):
        directory = self.path("theirs")
        os.mkdir(directory)
        os.chown(directory, 65534, 65534)
        file = self.write("bad.json", json.dumps({"supervisor": {"children": [sleeper(stdout=directory + "/out")]}}))
        status, _, errors = self.run_program("--check", "-c", file)
        self.assertEqual(status, 78)
        self.assertIn(f"others may write to {directory}", errors)

    def test_both_streams_discarded(self):
        daemon = self.supervise(python("quiet", TICKER, stdout="null", stderr="null"), sleeper())
        pid = daemon.control.node("root/quiet")["pid"]
        self.assertEqual([os.readlink(f"/proc/{pid}/fd/{fd}") for fd in (1, 2)], ["/dev/null"] * 2)


class Facts(ControlledTestCase):
    """What is logged must also be logged when it is over, or when it does not happen."""

    def test_the_end_of_a_full_listener_is_logged_with_its_length_and_the_refusals(self):
        daemon = self.supervise(listener(workers=1, max_connections=2, on_full="close"))
        with Hold(daemon.address(), 2):
            for _ in range(3):
                with Client(daemon.address()) as client:
                    self.assertEqual(client.receive(1), b"")
        told = daemon.wait_log("^max_connections is 2: no longer refusing; 3 connections were refused in [0-9.]+ s$")[0]
        self.assertEqual((told["path"], told["reason"], told["refused"]), ("root/echo", "max_connections", 3))

    def test_the_end_of_a_full_queueing_listener_is_logged_with_its_length_and_the_queue(self):
        daemon = self.supervise(listener(workers=1, max_connections=2))
        with Hold(daemon.address(), 2) as held:
            self.assertEqual(held.echo_all(), 2)
            late = [Client(daemon.address()) for _ in range(3)]
            daemon.wait_log("^max_connections 2 reached")
        for client in late:
            client.close()
        told = daemon.wait_log("^accepting again after [0-9.]+ s$")[0]
        self.assertEqual((told["reason"], told["path"]), ("max_connections", "root/echo"))
        self.assertIn(told["most_queued"], (1, 2, 3))  # as seen whenever the worker has looked

    @needs_root
    def test_a_child_that_does_not_end_after_sigkill_is_logged_by_pid(self):
        daemon = self.supervise(sleeper(shutdown="brutal_kill"), listener(workers=1))
        pid = daemon.control.node("root/sleeper")["pid"]
        held = Held(pid)
        stop = threading.Thread(target=daemon.control.run, args=("stop", "root/sleeper"))
        stop.start()
        told = daemon.wait_log(f"^pid {pid} did not end 10 s after SIGKILL$", seconds=15)[0]
        self.assertEqual((told["path"], told["pid"], told["level"]), ("root/sleeper", pid, "error"))
        held.let_go()
        stop.join()
        daemon.events.next("child_exited", "root/sleeper")


class Held:
    """A process whose end its parent cannot see, because this one traces it (ptrace(2))."""

    def __init__(self, pid):
        self.pid = pid
        self.orders = queue.Queue()
        attached = threading.Event()
        self.thread = threading.Thread(target=self._trace, args=(attached,))  # only the thread that attached may detach
        self.thread.start()
        attached.wait()

    def _trace(self, attached):
        seize = 0x4206
        if ctypes.CDLL(None, use_errno=True).ptrace(seize, self.pid, None, None) != 0:
            raise OSError(ctypes.get_errno(), "ptrace")
        attached.set()
        self.orders.get()
        os.waitpid(self.pid, 0)

    def let_go(self):
        self.orders.put(None)
        self.thread.join()


if __name__ == "__main__":
    main()
