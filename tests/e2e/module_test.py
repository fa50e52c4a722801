"""Handler modules: the parameters of serve(), how a connection may end, what the worker keeps of it, and replaced files."""

import json
import os
import re
import shutil
import signal
import subprocess
import threading
import time

from harness import (Canary, Client, ControlledTestCase, Hold, Storm, TestCase, children_of, free_port, listener, main, module_listener,
                     needs_root, signal_process, wait_until)


class Told(Client):
    """A client of does_as_told, line by line."""

    def lines(self, last):
        out = []
        while not out or out[-1] != last:
            out.append(self.line())
        return out

    def line(self):
        text = b""
        while not text.endswith(b"\n"):
            byte = self.receive(1)
            if not byte:
                break
            text += byte
        return text.decode().rstrip("\n")

    def tell(self, words):
        self.send(words.encode() + b"\n")
        return self.line()

    def facts(self):
        self.send(b"facts\n")
        pairs = [line.split(" ", 1) for line in self.lines("end")[:-1]]
        return {key: value for key, value in pairs if key != "env"}, [value for key, value in pairs if key == "env"]


class Serving(ControlledTestCase):
    options = {"a": [1, 2.5, None, True, {"b": "é\n\""}], "empty": {}}

    def test_a_module_knows_its_connection(self):
        daemon = self.supervise(module_listener(self.module("does_as_told"), options=self.options),
                                environment={**os.environ, "LANG": "C", "TZ": "UTC", "SECRET": "x"})
        with Told(daemon.address()) as client:
            facts, environment = client.facts()
            child = daemon.child_of(client)
            listed = daemon.control.call("connections")["result"][0]
        self.assertEqual(json.loads(facts["options"]), self.options)
        self.assertEqual(len(facts["options"].encode()), int(facts["options_length"]))
        self.assertEqual(facts["state"], facts["options"])
        self.assertEqual((facts["abi"], facts["fd"], facts["listener"], facts["generation"]), ("1", "0", "root/own", "1"))
        self.assertIn(facts["worker"], ("1", "2"))
        self.assertEqual(facts["peer"], client.name)
        self.assertEqual(facts["local"], "%s:%d" % daemon.address())
        self.assertEqual(facts["id"], listed["id"])
        self.assertEqual(facts["id"], child.title.split()[2])
        self.assertEqual(listed["handler"], "does_as_told.so")
        self.assertEqual((facts["init_in_worker"], facts["atfork"]), ("1", "1"))
        names = {line.split("=", 1)[0] for line in environment}
        self.assertTrue({"PATH", "LANG", "TZ", "PROTO", "BULKHEAD_LISTENER"} <= names, names)
        self.assertNotIn("SECRET", names)
        self.assertIn(f"BULKHEAD_CONN_ID={facts['id']}", environment)
        self.assertIn("TCPREMOTEPORT=%s" % client.name.rsplit(":", 1)[1], environment)

    def test_over_a_unix_socket_and_without_options(self):
        path = os.path.join(self.directory, "s")
        daemon = self.start(module_listener(self.module("does_as_told"), listen=f"unix:{path}"))
        with Told(daemon.address()) as client:
            facts, _ = client.facts()
        self.assertEqual(facts["options"], "{}")
        self.assertEqual(facts["local"], f"unix:{path}")
        self.assertEqual(facts["peer"], f"unix:uid={os.geteuid()},pid={os.getpid()}")

    @needs_root
    def test_the_process_has_the_identity_of_the_listener(self):
        daemon = self.start(module_listener(self.module("does_as_told"), user="nobody"))
        with Told(daemon.address()) as client:
            self.assertEqual(client.facts()[0]["uid"], "65534")
        self.assertEqual([worker.status()["Uid"].split() for worker in daemon.workers()], [["65534"] * 4] * 2)

    @needs_root
    def test_the_process_has_no_descriptor_of_the_worker(self):
        daemon = self.start(module_listener(self.module("does_as_told"), options={"init_opens": 1}))
        with Told(daemon.address()) as client, Told(daemon.address()) as other:
            self.assertTrue(client.echo() and other.echo())
            child = daemon.child_of(client)
            fds = child.fds()
            self.assertEqual(sorted(fds), [0, 1, 2, 3, 4, 5])  # 5: its own fdopen(dup(0))
            self.assertEqual(len({fds[0], fds[1], fds[5]}), 1)
            self.assertNotEqual(fds[0], daemon.child_of(other).fds()[0])
            self.assertTrue(fds[3].startswith("pipe:"))
            self.assertEqual([bool(child.fd_flags(fd) & os.O_CLOEXEC) for fd in range(5)], [False, False, False, True, True])
            self.assertEqual(child.fd_flags(0) & os.O_NONBLOCK, 0)
            status = child.status()
            self.assertEqual((int(status["SigBlk"], 16), int(status["SigIgn"], 16)), (0, 0))
            self.assertEqual((child.pgrp, child.session), (child.pid, child.pid))
            with open(f"/proc/{child.pid}/maps") as file:
                maps = file.read()
            for name in ("bulkhead-plan", "bulkhead-table", "bulkhead-sources", "/dev/zero"):
                self.assertNotIn(name, maps)
            self.assertEqual(len(set(re.findall(r"/memfd:(\S+)", maps))), 1)

    def test_log_lines_of_a_module(self):
        daemon = self.start(module_listener(self.module("does_as_told")))
        self.assertEqual(len(daemon.wait_log("^initialised$", 2, path="root/own", level="info")), 2)
        with Told(daemon.address()) as client:
            facts, _ = client.facts()
            self.assertEqual(client.tell("log it rains \x1b[31m in\tRome"), "logged")
            child = daemon.child_of(client)
            line = daemon.wait_log("it rains")[0]
            self.assertEqual(line["message"], "it rains \\x1b[31m in\\x09Rome")
            self.assertEqual((line["path"], line["level"], line["connection"]), ("root/own", "warning", facts["id"]))
            self.assertEqual(line["writer"], child.pid)
        loaded = daemon.log("loaded the handler module")
        self.assertEqual(len(loaded), 2)
        self.assertEqual(loaded[0]["size"], os.path.getsize(self.module("does_as_told")))
        self.assertRegex(loaded[0]["modified"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
        self.assertRegex(loaded[0]["build_id"], r"^[0-9a-f]{40}$")

    def test_standard_error_is_treated_like_a_programs(self):
        daemon = self.start(module_listener(self.module("does_as_told"), workers=1))
        with Told(daemon.address()) as one, Told(daemon.address()) as two:
            for client, words in ((one, "it hails"), (two, "it snows")):
                self.assertEqual(client.tell(f"complain {words}"), "complained")
                line = daemon.wait_log(f"^{words}$", stream="stderr")[0]
                self.assertEqual((line["path"], line["peer"], line["connection"]), ("root/own", client.name, client.facts()[0]["id"]))
        daemon = self.start(module_listener(self.module("does_as_told"), workers=1, stderr="socket"))
        with Told(daemon.address()) as client:
            self.assertEqual(client.tell("complain it rains"), "it rains")

    def test_each_rule_has_its_own_module_options(self):
        def rule(network, **what):
            return {"from": network, **what}
        path = self.module("does_as_told")
        daemon = self.start(module_listener(path, workers=1, options={"is": "first"}, env={"WHO": "anybody"}, rules=[
            rule("127.0.3.0/24", env={"WHO": "friend"}),
            rule("127.0.4.0/24", handler={"module": self.module("does_as_told_too"), "options": {"is": "second"}}),
            rule("127.0.5.0/24", handler="echo")]))
        self.assertEqual(len(daemon.wait_log("^initialised$", count=3)), 3)
        for source, version, options, who in (("127.0.2.1", "a", "first", "anybody"), ("127.0.3.1", "a", "first", "friend"),
                                              ("127.0.4.1", "b", "second", "anybody")):
            with Told(daemon.address(), source=(source, 0)) as client:
                facts, environment = client.facts()
                self.assertEqual((client.tell("version"), json.loads(facts["options"])["is"]), (version, options))
                self.assertIn(f"WHO={who}", environment)
        with Told(daemon.address(), source=("127.0.5.1", 0)) as client:
            self.assertEqual(client.tell("version"), "version")

    def test_random_numbers_differ_between_connections(self):
        daemon = self.start(module_listener(self.module("does_as_told")))
        seen = set()
        for _ in range(100):
            with Told(daemon.address()) as client:
                seen.add(client.tell("random"))
        self.assertEqual(len(seen), 100)


class Ends(ControlledTestCase):
    """Every end of a connection affects no other: (command for the module, log line of the end)."""

    variants = {
        "return 0": {"status": 0}, "return 3": {"status": 3}, "return 300": {"status": 255}, "exit 0": {"status": 0},
        "exit 4": {"status": 4}, "_exit 5": {"status": 5}, "abort": {"signal": "SIGABRT"}, "throw": {"status": 70},
        "throw_int": {"status": 70}, "segv": {"signal": "SIGSEGV"}, "fork": {"status": 0}, "close": {"status": 0},
        "daemon": {"status": 0}, "heap": {"signal": "SIGABRT"}, "loop": {"signal": "SIGKILL"}}

    def setUp(self):
        super().setUp()
        self.daemon = self.supervise(module_listener(self.module("does_as_told"), workers=1),
                                     environment=self.without_fault_handlers)
        self.worker = self.daemon.workers()[0]

    def end_of(self, words):
        """The log line of the end of a connection after that command; it must have had no other effect."""
        with Told(self.daemon.address()) as client:
            self.assertTrue(client.echo())
            child = self.daemon.child_of(client)
            client.send(words.encode() + b"\n")
            if words == "loop":
                self.assertEqual(client.line(), "looping")
                self.assertTrue(child.alive())
                signal_process(child.pid, signal.SIGKILL)
            client.rest(10)
            line = self.daemon.wait_log(r"ended|crashed", peer=client.name, pid=child.pid)[0]
        if words == "daemon":
            self.end_the_daemonised(child.pid)
        return line

    def end_the_daemonised(self, leader):
        """It left its session on purpose: it is the master's child now, and any operator may kill it."""
        def stray():
            return next((one for one in children_of(self.daemon.pid)
                         if one.pid != self.worker.pid and one.title.startswith("bulkheadd: connection")), None)
        found = wait_until(stray, 5, "the process that made itself a daemon")
        self.assertNotEqual(found.pid, leader)
        signal_process(found.pid, signal.SIGKILL)
        wait_until(lambda: not found.alive(), 5, "the stray is reaped")

    def test_every_way_to_end_is_contained(self):
        if self.sanitized:
            del self.variants["heap"]
        with Canary(self.daemon.address(), 3) as canary:
            for words, expected in self.variants.items():
                with self.subTest(words):
                    line = self.end_of(words)
                    self.assertEqual({key: line.get(key) for key in expected}, expected, line)
                    self.assertEqual(line["level"], "info" if expected.get("status") == 0 else "warning", line)
            self.assertEqual(self.daemon.workers()[0].pid, self.worker.pid)
        self.assertEqual(canary.errors, 0)
        stats = self.daemon.control.node("root/own")["connections"]
        crashes = sum(expected.get("status") != 0 for expected in self.variants.values())
        self.assertEqual((stats["crashed"], stats["refused"]["handler_start"]), (crashes, 0))
        self.assertEqual(len(self.daemon.wait_log("threw an exception: as told", level="error", count=1)), 1)
        self.assertEqual(len(self.daemon.wait_log("threw an exception$", level="error", count=1)), 1)

    def test_return_and_exit_run_only_the_atexit_handlers_of_serve(self):
        diary = self.write("diary", "", 0o666)
        daemon = self.start(module_listener(self.module("does_as_told"), options={"diary": diary}))
        for words, rest in (("stdio", b"buffered"), ("atexit", b"atexit of serve\n"), ("exit 0", b"")):
            for _ in range(5):
                with Told(daemon.address()) as client:
                    client.send(words.encode() + b"\n")
                    self.assertEqual(client.rest(), rest, words)
        self.assertEqual(daemon.stop(), 0)
        with open(diary) as file:
            self.assertEqual(file.read(), "fini\nfini\n")  # two workers retired; nothing ran twice, nothing in a connection

    def test_fini_is_limited_to_one_second(self):
        daemon = self.start(module_listener(self.module("does_as_told"), options={"fini_hangs": 1}, workers=1))
        began = time.monotonic()
        self.assertEqual(daemon.stop(), 0)
        self.assertLess(time.monotonic() - began, 3.0)


class Draining(ControlledTestCase):
    def waiting(self, address, count=3):
        clients = [Told(address) for _ in range(count)]
        for client in clients:
            self.addCleanup(client.close)
            self.assertEqual(client.tell("drain"), "waiting")
        return clients

    def test_a_stop_of_the_listener_is_noticed_in_all_connections_even_adopted_ones(self):
        daemon = self.supervise(module_listener(self.module("does_as_told"), max_restarts=100, listen=f"127.0.0.1:{free_port()}"))
        clients = self.waiting(daemon.address())
        before = daemon.workers()
        for worker in before:
            signal_process(worker.pid, signal.SIGKILL)
        daemon.wait_workers(2, without=before)
        clients += self.waiting(daemon.address())
        for client in clients:
            self.assertTrue(client.silent(0.05))
        stop = subprocess.Popen(daemon.control.command("stop", "root/own"), stdout=subprocess.DEVNULL)
        self.assertEqual([client.line() for client in clients], ["drained"] * 6)
        for client in clients:
            client.close()
        self.assertEqual(stop.wait(10), 0)
        self.assertEqual(daemon.control.run("start", "root/own")[0], 0)
        for client in self.waiting(daemon.address(), 1):  # the listener starts again
            self.assertTrue(client.silent(0.1))

    def test_a_stop_of_the_daemon_is_noticed(self):
        daemon = self.start(module_listener(self.module("does_as_told")))
        clients = self.waiting(daemon.address())
        daemon.send_signal(signal.SIGTERM)
        self.assertEqual([client.line() for client in clients], ["drained"] * 3)
        for client in clients:
            client.close()
        self.assertEqual(daemon.wait_exit(), 0)

    def test_the_masters_death_is_noticed(self):
        daemon = self.start(module_listener(self.module("does_as_told")))
        clients = self.waiting(daemon.address())
        daemon.kill_master()
        self.assertEqual([client.line() for client in clients], ["drained"] * 3)


class TheFile(ControlledTestCase):
    """Loaded from a private copy, so changes of the file have no effect until the next worker starts."""

    def setUp(self):
        super().setUp()
        self.path = os.path.join(self.directory, "own.so")
        shutil.copy(self.module("does_as_told"), self.path)
        self.daemon = self.supervise(module_listener(self.path, max_restarts=1000))

    def version(self):
        with Told(self.daemon.address()) as client:
            return client.tell("version")

    def overwrite(self):
        shutil.copyfile(self.module("does_as_told_too"), self.path)

    def truncate(self):
        os.truncate(self.path, 0)

    def test_the_file_is_overwritten_truncated_and_removed_under_load(self):
        workers = self.daemon.workers()
        with Storm(self.daemon.address(), threads=2) as storm, Hold(self.daemon.address(), 10) as held:
            for deed in (self.overwrite, self.truncate, lambda: os.unlink(self.path)):
                served = storm.total
                deed()
                wait_until(lambda: storm.total > served + 50, 20, "fifty more connections")
                self.assertEqual(held.echo_all(), 10)
            self.assertEqual(self.version(), "a")
        self.assertEqual(storm.failed, {})
        self.assertEqual(self.daemon.log("crashed"), [])
        self.assertEqual([one.pid for one in self.daemon.workers()], [one.pid for one in workers])
        self.measured(**storm.counts)

    @needs_root
    def test_the_next_worker_loads_the_present_file(self):
        for turn in range(6):
            shutil.copyfile(self.module(("does_as_told", "does_as_told_too")[turn % 2]), self.path)
            before = self.daemon.workers()
            with Told(self.daemon.address()) as old:
                self.assertTrue(old.echo())
                self.assertEqual(self.daemon.control.run("restart", "root/own")[0], 0)
                workers = self.daemon.wait_workers(2, without=before)
                self.assertEqual(self.version(), "ab"[turn % 2])
                self.assertTrue(old.echo())
            for worker in workers:
                with open(f"/proc/{worker.pid}/maps") as file:
                    self.assertEqual(len(set(re.findall(r"\S* \d+ +(/memfd:own\.so.*)", file.read()))), 1)
        self.assertEqual(self.daemon.log("crashed"), [])


    def test_a_reload_notices_a_changed_file_and_tries_it_first(self):
        before = self.daemon.workers()
        self.assertEqual(self.reload(), (0, []))
        self.overwrite()
        with Told(self.daemon.address()) as old:
            self.assertTrue(old.echo())
            self.assertEqual(self.reload(), (0, [["root/own", "new_workers", ["handler"]]]))
            workers = self.daemon.wait_workers(2, without=before)
            self.assertEqual((self.version(), old.tell("version")), ("b", "a"))
        shutil.copyfile(self.module("ctor_exits"), self.path)
        self.assertEqual(self.reload()[0], 2)
        self.assertEqual([one.pid for one in self.daemon.workers()], [one.pid for one in workers])
        self.assertEqual(self.version(), "b")

    def reload(self):
        """(exit status, [[path, kind, keys] of each change])"""
        status, out, _ = self.daemon.control.run("--json", "reload", "--wait")
        changes = json.loads(out).get("changes", []) if status == 0 else []
        return status, [[one["path"], one["kind"], one["keys"]] for one in changes]


class Killed(TestCase):
    def test_every_serving_process_is_in_the_table(self):
        """Workers are killed while they fork: a process between fork and table ends by itself, and every slot is freed."""
        daemon = self.start(module_listener(self.module("does_as_told"), max_restarts=1_000_000, restart_delay="none",
                                            max_connections=100, shutdown="1s"))
        kills = 0
        with Storm(daemon.address(), threads=4) as storm:
            deadline = time.monotonic() + 4.0
            while time.monotonic() < deadline:
                workers = daemon.workers()
                if workers:
                    kills += signal_process(workers[kills % len(workers)].pid, signal.SIGKILL)
                threading.Event().wait(0.02)
            storm.stop()
        wait_until(lambda: not daemon.connections(), 10, "every child reaped")
        counts = storm.counts
        self.measured(kills=kills, **counts)
        self.assertEqual((counts["refused"], counts["wrong"], counts["timeout"]), (0, 0, 0))
        self.assertLessEqual(counts["reset"] + counts["eof"], kills)
        daemon.wait_workers(2)
        with Hold(daemon.address(), 100) as held:
            self.assertEqual(held.echo_all(), 100)


class Mixed(TestCase):
    def test_only_a_listener_with_a_module_has_the_module_worker(self):
        daemon = self.start(module_listener(self.module("does_as_told")), listener())
        programs = {name: {os.path.basename(os.readlink(f"/proc/{worker.pid}/exe")) for worker in daemon.workers(name)}
                    for name in ("own", "echo")} if os.geteuid() == 0 else {}
        if programs:
            self.assertEqual(programs, {"own": {"bulkhead-module-worker"}, "echo": {"bulkhead-worker"}})
        for name in ("own", "echo"):
            with Client(daemon.address(name)) as client:
                self.assertTrue(client.echo())


if __name__ == "__main__":
    main()
