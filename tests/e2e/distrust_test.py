"""A hostile worker or handler: with what it holds and what it may send, it harms neither the master nor its siblings."""

import ctypes
import fcntl
import json
import multiprocessing
import os
import re
import socket
import struct
import subprocess
import time
import unittest

from harness import Client, Control, TestCase, config_of, exec_listener, listener, main, needs_root, process, wait_until

LIBC = ctypes.CDLL(None, use_errno=True)
SYS_PIDFD_GETFD = 438
KCMP = 312  # x86_64; KCMP_FILE is 0


def descriptor_of(pid, number):
    """The very description that process `pid` has there, as code that runs in it could use it."""
    pidfd = os.pidfd_open(pid)
    try:
        out = LIBC.syscall(SYS_PIDFD_GETFD, pidfd, number, 0)
    finally:
        os.close(pidfd)
    if out < 0:
        raise OSError(ctypes.get_errno(), "pidfd_getfd")
    return out


def same_description(a, fd_a, b, fd_b):
    return LIBC.syscall(KCMP, a, b, 0, fd_a, fd_b) == 0


@needs_root
class Log(TestCase):
    def descriptions_below(self, daemon, path):
        """Whoever below the master has a descriptor of the log's file: (pid, descriptor)."""
        return [(one.pid, fd) for one in daemon.tree() for fd, target in one.fds().items() if target == path]

    def test_a_worker_can_neither_truncate_nor_overwrite_nor_block_it(self):
        daemon = self.start(listener(), exec_listener(["/bin/cat"]))
        with Client(daemon.address("echo")) as one, Client(daemon.address("run")) as two:
            one.echo()
            two.echo()
            self.assertEqual(self.descriptions_below(daemon, daemon.log_path), [])
            self.assertEqual(daemon.child_of(one).fds()[2], "/dev/null")
        before = daemon.log_text()
        for worker in daemon.workers("echo"):
            for number in worker.fds():
                mine = descriptor_of(worker.pid, number)
                if number == 2:
                    fcntl.fcntl(mine, fcntl.F_SETFL, 0)  # blocking, and no O_APPEND
                    with self.assertRaises(OSError):
                        os.ftruncate(mine, 0)
                    with self.assertRaises(OSError):
                        os.pwrite(mine, b"x" * 64, 0)
                os.close(mine)
        self.assertTrue(daemon.log_text().startswith(before))
        with Client(daemon.address("echo")) as client:
            client.echo()
        daemon.wait_log("ended", path="root/echo", peer=client.name)

    def test_no_process_has_the_masters_descriptions_of_standard_error(self):
        for stderr in ("file", "pipe", "socket"):
            with self.subTest(stderr):
                self.standard_error_is(stderr)

    def standard_error_is(self, kind):
        if kind == "file":
            ends = [os.open(os.path.join(self.directory, "err"), os.O_CREAT | os.O_RDWR)] * 2
        elif kind == "pipe":
            ends = os.pipe()
        else:
            ends = [one.detach() for one in socket.socketpair()]
        keys = {"workers": 1, "stderr": "inherit"}
        daemon = self.start(exec_listener(["/bin/sh", "-c", "echo said >&2; exec cat"], **keys),
                            {"id": "own", "type": "process", "argv": ["/bin/sh", "-c", "echo own >&2; exec sleep 60"], "stderr": "inherit"},
                            log={"target": "stderr", "format": "text"}, stderr=ends[1])
        ours = process(daemon.pid).fds()
        with Client(daemon.address()) as client:
            client.echo()
            for one in daemon.tree():
                for fd in one.fds():
                    for log in (fd_of_ours for fd_of_ours, target in ours.items() if target == ours[2]):
                        self.assertFalse(same_description(daemon.pid, log, one.pid, fd), f"{one} has {fd}, the master's {log}")
        self.assertEqual(daemon.stop(), 0)
        if ends[0] != ends[1]:
            os.close(ends[1])
        text = os.pread(ends[0], 1 << 16, 0).decode() if kind == "file" else os.read(ends[0], 1 << 16).decode()
        for end in set(ends) - ({ends[1]} if ends[0] != ends[1] else set()):
            os.close(end)
        # What cannot be opened a second time is logged instead.
        expected = {"said", "own"}
        found = {word for word in expected if re.search(rf"^{word}$" if kind != "socket" else rf": {word} ", text, re.M)}
        self.assertEqual(found, expected, text)

    def test_a_worker_that_writes_without_end_is_bounded_and_the_master_answers(self):
        daemon = self.start(listener(workers=1), listener("other", workers=1), log={"target": os.path.join(self.directory, "log"), "format": "text"})
        mine = descriptor_of(daemon.workers("echo")[0].pid, 2)
        junk = b"2026-01-01T00:00:00.000Z bulkheadd[1] error root: forged\n" * 70
        deadline = time.monotonic() + 1.5
        with Control(daemon.control_path, self.bindir) as control:
            while time.monotonic() < deadline:
                try:
                    with socket.socket(fileno=os.dup(mine)) as end:
                        end.sendall(junk, socket.MSG_DONTWAIT)
                except BlockingIOError:
                    begin = time.monotonic()
                    control.call("status")
                    self.assertLess(time.monotonic() - begin, 1)
        os.close(mine)

        def text():
            with open(os.path.join(self.directory, "log")) as file:
                return file.read()
        wait_until(lambda: " lines were not logged" in text(), 5, "the count of the rest")
        self.assertNotRegex(text(), r"(?m)^\S+ bulkheadd\[1\]")
        self.assertLess(text().count("forged"), 1000)
        with Client(daemon.address("other")) as client:
            client.echo()
        wait_until(lambda: client.name in text(), 5, "another worker's line")

    def test_a_full_pipe_behind_it_costs_lines_and_not_the_master(self):
        read_end, write_end = os.pipe()
        daemon = self.start(listener(workers=1), log={"target": "stderr", "format": "text"}, stderr=write_end)
        os.close(write_end)
        worker = daemon.workers()[0].pid
        mine = descriptor_of(worker, 2)
        fcntl.fcntl(mine, fcntl.F_SETFL, 0)
        os.close(mine)
        with Control(daemon.control_path, self.bindir) as control:
            for _ in range(600):
                with Client(daemon.address()) as client:
                    client.echo()
            self.assertIn("result", control.call("status"))
            os.set_blocking(read_end, False)
            text = b""

            def complete():
                nonlocal text
                with Client(daemon.address()) as client:
                    client.echo()
                try:
                    text += os.read(read_end, 1 << 20)
                except BlockingIOError:
                    pass
                return b"the log was full" in text
            wait_until(complete, 5, "the count of what is missing")
        self.assertEqual(daemon.stop(), 0)
        os.close(read_end)


def protect():
    with open("/proc/self/oom_score_adj", "w") as file:
        file.write("-500")


def may_protect():
    try:
        with multiprocessing.get_context("fork").Pool(1) as pool:
            pool.apply(protect)
    except OSError:
        return False
    return True


@unittest.skipUnless(LIBC.syscall(444, None, 0, 1) >= 6, "this kernel has no Landlock scopes")
class Scopes(TestCase):
    """What a connection's process can do to those of other compartments that have the same user."""

    SCRIPT = "read victim; kill -0 $$ && echo own; kill -TERM $victim 2>&1; kill -TERM $PPID 2>&1; echo end"

    def victims(self, daemon):
        other = daemon.workers("other")[0].pid
        return [other, daemon.child_of(self.held).pid]

    def start_with(self, **keys):
        user = {"user": "nobody"} if os.geteuid() == 0 else {}
        daemon = self.start(listener("other", workers=1, **user),
                            listener("run", workers=1, handler={"exec": ["/bin/sh", "-c", self.SCRIPT]}, **user, **keys))
        self.held = Client(daemon.address("other"))
        self.addCleanup(self.held.close)
        self.held.echo()
        return daemon

    def test_no_signal_leaves_it_and_the_worker_still_reaches_in(self):
        daemon = self.start_with()
        workers = daemon.workers()
        for victim in self.victims(daemon):
            with Client(daemon.address("run")) as client:
                client.send(b"%d\n" % victim)
                text = client.rest().decode()
            self.assertTrue(text.startswith("own\n") and text.endswith("end\n"), text)
            self.assertEqual(text.lower().count("not permitted"), 2, text)
        self.held.echo()
        self.assertEqual([one.pid for one in daemon.workers()], [one.pid for one in workers])
        with Client(daemon.address("run")) as client, Control(daemon.control_path, self.bindir) as control:
            connection = wait_until(lambda: next((one for one in control.call("connections")["result"] if one["peer"] == client.name), None),
                                    5, "its connection")
            self.assertIn("result", control.call("kill", id=connection["id"]))
            self.assertEqual(client.rest(), b"")

    def test_none_with_the_sandbox_none(self):
        daemon = self.start_with(sandbox="none", max_restarts=100)
        worker = daemon.workers("run")[0].pid
        with Client(daemon.address("run")) as client:
            client.send(b"%d\n" % worker)
            client.rest()
        wait_until(lambda: [one.pid for one in daemon.workers("run")] not in ([], [worker]), 5, "its successor")


@needs_root
class Messages(TestCase):
    PAUSED = struct.pack("=IIi", 71, 0, 0)

    def test_a_worker_that_sends_without_end_starves_nobody_and_pushes_out_no_event(self):
        daemon = self.start(listener(workers=1), listener("other", workers=1))
        channel = socket.socket(fileno=descriptor_of(daemon.workers("echo")[0].pid, 3))
        sent, deadline = 0, time.monotonic() + 2.5
        with Control(daemon.control_path, self.bindir) as control, channel:
            while time.monotonic() < deadline:
                try:
                    channel.send(self.PAUSED, socket.MSG_DONTWAIT)
                    sent += 1
                except BlockingIOError:
                    begin = time.monotonic()
                    control.call("status")
                    self.assertLess(time.monotonic() - begin, 1)
            events = control.call("events")["result"]["events"]
        self.assertGreater(sent, 2000)
        self.assertIn(("listener_bound", "root/other"), [(one["event"], one["path"]) for one in events])
        paused = [one for one in events if one["event"] == "accept_paused"]
        self.assertLess(len(paused), 500)
        self.assertTrue(daemon.wait_log("events were not published", path="root/echo"))
        with Client(daemon.address("other")) as client:
            client.echo()


@needs_root
class Configuration(TestCase):
    def check(self, path):
        return self.run_program("--check", "-c", path)

    def test_root_obeys_no_file_that_others_may_write_to(self):
        config = os.path.join(self.directory, "a", "main.json")
        os.makedirs(os.path.join(self.directory, "a", "conf.d"))
        children = self.write("a/conf.d/one.json", json.dumps([listener("one")]))
        self.write("a/main.json", json.dumps({**config_of(), "include": os.path.join(self.directory, "a", "conf.d", "*.json")}))
        link = os.path.join(self.directory, "link.json")
        os.symlink(config, link)
        for path in (config, link):
            self.assertEqual(self.check(path)[0], 0, self.check(path))
        places = [(config, 0o644), (children, 0o644), (os.path.dirname(config), 0o755), (os.path.dirname(children), 0o755)]
        for place, mode in places:
            for wrong, owner in ((mode | 0o002, 0), (mode | 0o020, 0), (mode, 65534)):
                os.chmod(place, wrong)
                os.chown(place, owner, 0)
                for path in (config, link):
                    status, _, err = self.check(path)
                    self.assertEqual(status, 78, (place, oct(wrong), owner))
                    self.assertIn(f"others may write to {place}", err)
                    self.assertIn(f"it has mode {wrong:04o} and belongs to uid {owner}", err)
                os.chown(place, 0, 0)
                os.chmod(place, mode)
        os.chmod(os.path.dirname(config), 0o1777)  # as /tmp
        self.assertEqual(self.check(config)[0], 0)
        os.chown(link, 65534, 65534, follow_symlinks=False)
        status, _, err = self.check(link)
        self.assertEqual(status, 78)
        self.assertIn(f"{link} is a link of uid 65534", err)

    def test_nor_does_a_reload(self):
        daemon = self.start()
        os.chmod(daemon.config_path, 0o666)
        with Control(daemon.control_path, self.bindir) as control:
            status, _, err = control.run("reload", "--wait")
            self.assertEqual(status, 2)
            self.assertIn("others may write to", err)
            os.chmod(daemon.config_path, 0o644)
            self.assertEqual(control.run("reload", "--wait")[0], 0)

    @unittest.skipUnless(may_protect(), "this system does not let root protect a process from the OOM killer")
    def test_no_child_inherits_the_masters_protection_from_the_oom_killer(self):
        daemon = self.start(exec_listener(["/bin/cat"], workers=1), listener(workers=1), listener("own", oom_score_adj=-100, user="root", workers=1),
                            listener("free", sandbox="none", workers=1), {"id": "p", "type": "process", "argv": ["/bin/sleep", "60"]}, preexec=protect)
        with Client(daemon.address("run")) as one, Client(daemon.address("echo")) as two, Client(daemon.address("own")) as three, \
                Client(daemon.address("free")) as four:
            for client in (one, two, three, four):
                client.echo()

            def score(pid):
                with open(f"/proc/{pid}/oom_score_adj") as file:
                    return int(file.read())
            self.assertEqual(score(daemon.pid), -500)
            of = {path: {worker.pid for worker in daemon.workers(path)} | {daemon.child_of(client).pid}
                  for path, client in (("run", one), ("echo", two), ("own", three), ("free", four))}
            wanted = dict.fromkeys(of["run"] | of["echo"], 500) | dict.fromkeys(of["own"], -100)
            for child in daemon.tree():
                self.assertEqual(score(child.pid), wanted.get(child.pid, 0), child)


@needs_root
class OwnUser(TestCase):
    """A daemon that is not root's, and what runs below it."""

    def test_children_of_such_a_daemon_may_only_read_from_its_control_socket(self):
        os.chmod(self.directory, 0o777)
        ctl = os.path.join(self.bindir, "bulkheadctl")
        entry = self.write("entry", json.dumps({"id": "new", "type": "process", "argv": ["/bin/sleep", "60"]}))
        socket_path = os.path.join(self.directory, "control.sock")
        script = (f"{ctl} -s {socket_path} tree >/dev/null && echo reads; {ctl} -s {socket_path} add root {entry} 2>&1; "
                  f"(setsid sh -c 'sleep 0.2; {ctl} -s {socket_path} stop root/echo 2>&1'); echo end")

        def become():
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
        quiet = {"ASAN_OPTIONS": "detect_leaks=0"}  # the leak checker would trace, which its sandbox forbids
        config = {**config_of(listener(workers=1), {"id": "run", "type": "listener", "listen": "127.0.0.1:0", "workers": 1, "env": quiet,
                                                     "handler": {"exec": ["/bin/sh", "-c", script]}}),
                  "control": {"socket": socket_path}, "log": {"target": os.path.join(self.directory, "log"), "format": "json"}}
        daemon = self.start(config=config, preexec=become)
        daemon.log_path = os.path.join(self.directory, "log")
        with Client(daemon.address("run")) as client:
            text = client.rest(10).decode()
        self.assertIn("reads\n", text)
        self.assertIn("add: permission denied: a process that the daemon runs may only read", text)
        self.assertIn("stop: permission denied", text)
        outside = subprocess.run([ctl, "-s", socket_path, "stop", "root/echo"], capture_output=True, text=True, preexec_fn=become)
        self.assertEqual(outside.returncode, 0, outside)


class PlainFile(TestCase):
    def test_who_shares_standard_error_does_not_overwrite_the_first_lines(self):
        path = os.path.join(self.directory, "out")
        with open(path, "wb") as shared:  # as `bulkheadd > out 2>&1` makes it: without O_APPEND
            daemon = self.start(log={"target": "stderr", "format": "text"}, stderr=shared)
            with open(path, "rb") as file:
                first = file.read()
            self.assertIn(b"Serving requests", first)
            os.write(shared.fileno(), b"somebody else\n")
            self.assertEqual(daemon.stop(), 0)
            os.write(shared.fileno(), b"after its end\n")
        with open(path, "rb") as file:
            text = file.read()
        self.assertTrue(text.startswith(first), text)
        self.assertIn(b"\nsomebody else\n", text)
        self.assertTrue(text.endswith(b"after its end\n"))


if __name__ == "__main__":
    main()
