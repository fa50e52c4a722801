"""Life as a Unix daemon: leaving the terminal, the pid file, the service manager, the system's logs, the slow stop, workers
that hang, and being process 1."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import threading
import time
import unittest

from harness import (Client, Control, Hold, TestCase, children_of, config_of, descendants, exec_listener, listener, main, needs_mounts, needs_root, process, signal_process,
                     tool, wait_until)

ROOT = os.geteuid() == 0


def datagrams(path):
    receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    receiver.bind(path)
    receiver.settimeout(10)
    return receiver


class Detached(TestCase):
    def setUp(self):
        super().setUp()
        self.pid_file = os.path.join(self.directory, "pid")

    def configure(self, *children, log=None, **daemon):
        config = config_of(*children, daemon={"pid_file": self.pid_file, **daemon}, log=log or {"target": os.path.join(self.directory, "log")})
        config["control"] = {"socket": os.path.join(self.directory, "control.sock")}
        return self.write("bulkhead.json", json.dumps(config))

    def detach(self, path, *arguments):
        """The result in the invoking shell; its pipes must be closed again, or this would not return."""
        done = subprocess.run([self.program, "-d", "-c", path, *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=15, cwd=self.directory)
        return done.returncode, done.stdout, done.stderr

    def pid(self):
        with open(self.pid_file) as file:
            return int(file.read())

    def stop(self, pid):
        signal_process(pid, signal.SIGTERM)
        wait_until(lambda: process(pid) is None or process(pid).state == "Z", 10, "the daemon's end")

    def test_the_shell_returns_when_all_listeners_serve(self):
        port = self.free_port()
        self.assertEqual(self.detach(self.configure(listener(listen=f"127.0.0.1:{port}"))), (0, "", ""))
        pid = self.pid()
        with Client(("127.0.0.1", port)) as client:
            self.assertTrue(client.echo(b"served at once\n"))
        self.assertNotIn(os.getsid(pid), (os.getsid(0), pid), "its own session, and not its leader")
        self.assertEqual(os.readlink(f"/proc/{pid}/cwd"), "/")
        self.assertEqual([os.readlink(f"/proc/{pid}/fd/{fd}") for fd in range(3)], ["/dev/null"] * 3)
        with open(f"/proc/{pid}/status") as file:
            self.assertIn("Umask:\t0022", file.read())
        self.stop(pid)
        self.assertFalse(os.path.exists(self.pid_file))

    def test_a_reload_finds_its_file_from_another_directory(self):
        self.configure(listener())
        self.assertEqual(self.detach("bulkhead.json"), (0, "", ""))
        control = Control(os.path.join(self.directory, "control.sock"), self.bindir)
        self.assertEqual(control.run("reload", "--wait"), (0, "Nothing changes.\n", ""))
        self.stop(self.pid())

    def free_port(self):
        with socket.socket() as one:
            one.bind(("127.0.0.1", 0))
            return one.getsockname()[1]

    def test_a_failed_start_is_reported_to_the_shell(self):
        with socket.socket() as busy:
            busy.bind(("127.0.0.1", 0))
            busy.listen()
            port = busy.getsockname()[1]
            status, _, errors = self.detach(self.configure(listener(listen=f"127.0.0.1:{port}")))
            self.assertEqual(status, 69, errors)
            self.assertIn(f"127.0.0.1:{port}: Address already in use", errors)
        self.assertEqual(self.detach(self.write("bad.json", "{}"))[0], 78)
        status, _, errors = self.detach(self.configure(log={"target": "stderr"}))
        self.assertEqual(status, 78)
        self.assertIn("/log/target", errors)
        status, _, errors = self.detach(self.configure({"id": "bad", "type": "process", "argv": ["/bin/false"], "ready": "notify_fd"}))
        self.assertEqual(status, 70, errors)
        # The shell has its answer before the daemon has gone.
        wait_until(lambda: all(one.state == "Z" for one in descendants(os.getpid())), 10, "the end of what could not start")
        self.assertFalse(os.path.exists(self.pid_file))

    def test_a_second_instance_names_the_running_one(self):
        path = self.configure()
        self.assertEqual(self.detach(path)[0], 0)
        pid = self.pid()
        status, _, errors = self.detach(path)
        self.assertEqual(status, 73)
        self.assertIn(f"pid {pid}", errors)
        self.assertEqual(self.pid(), pid)
        self.stop(pid)
        wait_until(lambda: all(one.state == "Z" for one in descendants(os.getpid())), 10, "the end of the second")


class PidFile(TestCase):
    def start_with(self, path, **options):
        return self.start(daemon={"pid_file": path}, **options)

    def test_stale_content_never_prevents_a_start(self):
        path = os.path.join(self.directory, "pid")
        for content in ("1\n", f"{os.getpid()}\n", "99999999\n", "", "abc\n", "-1\n"):
            with self.subTest(content):
                self.write("pid", content)
                daemon = self.start_with(path)
                with open(path) as file:
                    self.assertEqual(file.read(), f"{daemon.pid}\n")
                self.assertEqual(daemon.stop(), 0)
                self.assertFalse(os.path.exists(path))

    def test_one_of_two_daemons_starts_and_the_other_changes_nothing(self):
        path = os.path.join(self.directory, "pid")
        stop, empty = threading.Event(), []

        def look():
            while not stop.wait(0.0005):
                with contextlib.suppress(FileNotFoundError), open(path) as file:
                    if not file.read().endswith("\n"):
                        empty.append(path)
        reader = threading.Thread(target=look, daemon=True)
        reader.start()
        self.addCleanup(stop.set)
        for _ in range(5):
            both = [self.start_with(path, wait=False) for _ in range(2)]
            loser = wait_until(lambda: next((one for one in both if not one.running()), None), 10, "the loser's end")
            loser.expected_status = 73
            winner = both[1 - both.index(loser)]
            winner.wait_ready()
            self.assertEqual(loser.popen.returncode, 73)
            with open(path) as file:
                self.assertEqual(file.read(), f"{winner.pid}\n")
            self.assertEqual(winner.stop(), 0)
        stop.set()
        reader.join()
        self.assertEqual(empty, [], "somebody reads it in the middle")

    def test_the_pid_file_is_removed_only_by_its_owner(self):
        path = os.path.join(self.directory, "pid")
        daemon = self.start_with(path)
        os.unlink(path)
        self.write("pid", "somebody else's\n")
        self.assertEqual(daemon.stop(), 0)
        with open(path) as file:
            self.assertEqual(file.read(), "somebody else's\n")

    def refused(self, path, reason):
        daemon = self.start_with(path, wait=False)
        daemon.expected_status = 77
        self.assertEqual(daemon.wait_exit(), 77)
        daemon.wait_log(reason)

    @unittest.skipUnless(ROOT, "needs another user")
    def test_a_file_of_another_user_is_refused(self):
        victim = self.write("victim", "precious\n")
        for name, mode in (("sticky", 0o1777), ("open", 0o777)):
            directory = os.path.join(self.directory, name)
            os.mkdir(directory)
            os.chmod(directory, mode)
            made = {"symlink": lambda path: os.symlink(victim, path), "hardlink": lambda path: os.link(victim, path),
                    "fifo": os.mkfifo, "directory": os.mkdir, "file": lambda path: os.close(os.open(path, os.O_CREAT))}
            for kind, make in made.items():
                with self.subTest(directory=name, kind=kind):
                    path = os.path.join(directory, kind)
                    make(path)
                    os.chown(path, 1000, 1000, follow_symlinks=False)
                    self.refused(path, "pid file")
                    with open(victim) as file:
                        self.assertEqual(file.read(), "precious\n")


class ServiceManager(TestCase):
    def start_under(self, **environment):
        path = os.path.join(self.directory, "notify")
        manager = datagrams(path)
        self.addCleanup(manager.close)
        options = {key: environment.pop(key) for key in list(environment) if key.islower()}
        return manager, self.start(environment={**os.environ, "NOTIFY_SOCKET": path, **environment}, **options)

    def next(self, manager, wanted):
        """The first message that has this line; those before it are read too."""
        while True:
            message = manager.recv(4096).decode()
            if any(re.fullmatch(wanted, line) for line in message.splitlines()):
                return message

    def test_ready_status_and_stopping(self):
        manager, daemon = self.start_under()
        self.assertIn(f"MAINPID={daemon.pid}", self.next(manager, "READY=1").splitlines())
        self.next(manager, "STATUS=running: 0 connections, 0 ended so far")
        with Client(daemon.address()) as client:
            self.assertTrue(client.echo(b"one\n"))
            self.next(manager, "STATUS=running: 1 connection, 0 ended so far")
            daemon.send_signal(signal.SIGTERM)
            self.next(manager, "STOPPING=1")
            self.next(manager, "EXTEND_TIMEOUT_USEC=\\d+")
        self.assertEqual(daemon.wait_exit(), 0)

    def test_ready_is_sent_only_after_all_workers_are_ready(self):
        gate = os.path.join(self.directory, "gate")
        os.mkfifo(gate)
        holder = os.open(gate, os.O_RDWR | os.O_CLOEXEC)
        self.addCleanup(os.close, holder)
        slow = {"id": "slow", "type": "process", "ready": "notify_fd",
                "argv": ["/bin/sh", "-c", f'read line <{gate}; echo >&"$NOTIFY_FD"; exec sleep 1000']}
        path = os.path.join(self.directory, "notify")
        manager = datagrams(path)
        self.addCleanup(manager.close)
        daemon = self.start(slow, environment={**os.environ, "NOTIFY_SOCKET": path}, wait=False)
        daemon.wait_log("started", path="root/slow")
        manager.setblocking(False)
        self.assertRaises(BlockingIOError, manager.recv, 4096)
        manager.settimeout(10)
        os.write(holder, b"\n")
        daemon.wait_ready()
        self.next(manager, "READY=1")

    def test_the_watchdog_is_fed(self):
        manager, _ = self.start_under(WATCHDOG_USEC="200000")
        for _ in range(3):
            self.next(manager, "WATCHDOG=1")

    @needs_root
    def test_children_cannot_notify_for_the_daemon(self):
        names = []
        manager, daemon = self.start_under()
        for one in [process(daemon.pid), *daemon.workers()]:
            with open(f"/proc/{one.pid}/environ", "rb") as file:
                names.append(b"NOTIFY_SOCKET" in file.read())
        self.assertFalse(any(names[1:]), names)


@unittest.skipUnless(ROOT, "only root may stand in for the system's log")
class SystemLog(TestCase):
    def stand_in(self, path):
        if os.path.exists(path):
            self.skipTest(f"{path} is somebody else's")
        os.makedirs(os.path.dirname(path), exist_ok=True)
        receiver = datagrams(path)
        os.chmod(path, 0o666)
        self.addCleanup(os.unlink, path)
        self.addCleanup(receiver.close)
        return receiver

    def crash_a_connection(self, log):
        daemon = self.start(listener("web"), log=log, environment=self.without_fault_handlers)
        client = Client(daemon.address())
        self.addCleanup(client.close)
        self.assertTrue(client.echo(b"hello\n"))
        victim = daemon.child_of(client)
        signal_process(victim.pid, signal.SIGKILL)
        return daemon, victim

    def test_syslog(self):
        receiver = self.stand_in("/dev/log")
        daemon, victim = self.crash_a_connection({"target": "syslog", "facility": "local3", "identity": "front"})
        lines = []
        while not any("killed by SIGKILL" in line for line in lines):
            lines.append(receiver.recv(8192).decode())
        self.assertRegex(lines[0], rf"^<{19 * 8 + 6}>front\[{daemon.pid}\]: (root|control)")
        self.assertRegex(lines[-1], rf"^<{19 * 8 + 4}>front\[\d+\]: root/web: connection \S+ crashed: killed by SIGKILL.* pid={victim.pid}")

    def test_journald(self):
        receiver = self.stand_in("/run/systemd/journal/socket")
        daemon, victim = self.crash_a_connection({"target": "journald"})
        while True:
            fields = dict(line.split("=", 1) for line in receiver.recv(8192).decode().splitlines())
            if "killed by SIGKILL" in fields["MESSAGE"]:
                break
        self.assertEqual((fields["PRIORITY"], fields["SYSLOG_IDENTIFIER"], fields["BULKHEAD_PATH"], fields["BULKHEAD_PID"]),
                         ("4", "bulkheadd", "root/web", str(victim.pid)))


class SlowStop(TestCase):
    def test_a_lame_duck_serves_new_clients(self):
        daemon = self.start(daemon={"lame_duck": "1s"})
        daemon.send_signal(signal.SIGTERM)
        daemon.wait_log("still accepting connections")
        with Client(daemon.address()) as client:
            self.assertTrue(client.echo(b"still\n"))
        self.assertEqual(daemon.wait_exit(), 0)

    def test_a_second_term_ends_the_lame_duck(self):
        daemon = self.start(daemon={"lame_duck": "1h", "drain_timeout": "1h"})
        with Client(daemon.address()) as client:
            self.assertTrue(client.echo(b"one\n"))
            daemon.send_signal(signal.SIGTERM)
            daemon.wait_log("still accepting connections")
            daemon.send_signal(signal.SIGTERM)
            self.assertEqual(client.rest(), b"")
        self.assertEqual(daemon.wait_exit(), 0)

    def test_connections_are_ended_one_after_another(self):
        daemon = self.start(daemon={"drain_timeout": "100ms", "close_spread": "1s"})
        with Hold(daemon.address(), 20) as hold:
            self.assertEqual(hold.echo_all(), 20)
            ends = []

            def wait_for_end(client):
                client.rest()
                ends.append(time.monotonic())
            waiting = [threading.Thread(target=wait_for_end, args=(client,)) for client in hold.clients]
            for thread in waiting:
                thread.start()
            daemon.send_signal(signal.SIGTERM)
            for thread in waiting:
                thread.join(10)
            self.assertEqual(len(ends), 20)
            ends.sort()
            self.assertGreater(ends[-2] - ends[1], 0.5, "they all ended at once")
        self.assertEqual(daemon.wait_exit(), 0)


class Hung(TestCase):
    def test_a_worker_whose_loop_hangs_is_replaced_and_its_connections_continue(self):
        daemon = self.start(supervisor={"max_restarts": 10})
        with Hold(daemon.address(), 20) as hold:
            self.assertEqual(hold.echo_all(), 20)
            victim = daemon.workers()[0]
            signal_process(victim.pid, signal.SIGSTOP)
            daemon.wait_log("does not answer: killed", pid=victim.pid, seconds=12)
            daemon.wait_workers(2, without=[victim])
            self.assertEqual(hold.echo_all(), 20)
            with Client(daemon.address()) as another:
                self.assertTrue(another.echo(b"new\n"))


@unittest.skipUnless(ROOT, "only root may make a PID namespace")
@needs_mounts
@tool("unshare")
class ProcessOne(TestCase):
    """As a container's first process: unknown children are reaped and otherwise left alone."""

    STRANGER = """
trap 'echo signalled >>{report}' TERM HUP INT QUIT USR1 CONT
echo here >>{report}
read line <{gate}
echo unharmed >>{report}
"""

    def setUp(self):
        super().setUp()
        self.gates = {}
        for name in ("stranger", "end"):
            self.gates[name] = os.path.join(self.directory, name)
            os.mkfifo(self.gates[name])
        self.report = os.path.join(self.directory, "report")
        self.stranger = self.write("stranger.sh", self.STRANGER.format(report=self.report, gate=self.gates["stranger"]))

    def open_gate(self, name):
        with open(self.gates[name], "w") as out:
            out.write("now\n")

    def told(self):
        try:
            with open(self.report) as file:
                return file.read().split()
        except FileNotFoundError:
            return []

    def begin(self, *children, **options):
        daemon = self.start(*children, prefix=("unshare", "--pid", "--fork", "--mount-proc"), **options)
        self.assertEqual(daemon.ready["pid"], 1)
        daemon.pid = daemon.popen.pid  # for the harness: unshare waits for it and exits with its status
        self.first = children_of(daemon.pid)[0]
        return daemon

    def test_unknown_children_are_reaped_and_ignored(self):
        """A handler's orphan, forked twice, in a session of its own, and a process child's, in its group's stead."""
        leaves = exec_listener(["/bin/sh", "-c", f"(setsid sh {self.stranger} </dev/null >/dev/null 2>&1 &); read line; echo bye"], "leaves")
        orphans = {"id": "orphans", "type": "process", "restart": "temporary", "argv": [
            "/bin/sh", "-c", "for i in $(seq 100); do (setsid sleep 0.05 &) ; done; exit 0"]}
        daemon = self.begin(leaves, orphans, listener())
        with Client(daemon.address("echo")) as other, Client(daemon.address("leaves")) as client:
            self.assertTrue(other.echo(b"from process 1\n"))
            wait_until(lambda: self.told() == ["here"], 5, "the stranger")
            stranger = wait_until(lambda: next((one for one in children_of(self.first.pid) if "stranger.sh" in one.title), None), 5, "its adoption")
            client.send(b"end\n")
            self.assertEqual(client.rest(), b"bye\n")
            daemon.wait_log("^connection .* ended", path="root/leaves")
            self.assertTrue(stranger.alive(), "it outlives the connection")
            self.open_gate("stranger")
            wait_until(lambda: self.told()[-1:] == ["unharmed"] and process(stranger.pid) is None, 5, "its own end, reaped")
            wait_until(lambda: not [one for one in daemon.tree() if one.state == "Z" or one.title.startswith("sleep")], 5, "no orphan")
            self.assertEqual(self.told(), ["here", "unharmed"])
            self.assertTrue(other.echo(b"still\n"))
        inside = {entry["pid"] for entry in daemon.log("^ready")} | {entry["pid"] for entry in daemon.log("^started") if "pid" in entry}
        ended = {entry["pid"] for entry in daemon.log(r"^(exited with|killed by)")}
        self.assertLessEqual(ended, inside, "not a word of strangers")
        self.assertEqual(daemon.log("^restarting"), [])
        signal_process(self.first.pid, signal.SIGTERM)
        self.assertEqual(daemon.wait_exit(), 0)

    def test_term_from_inside_and_outside_the_namespace(self):
        ends = {"id": "ends", "type": "process", "argv": ["/bin/sh", "-c", f"read line <{self.gates['end']}; kill -TERM 1; exec sleep 1000"]}
        daemon = self.begin(ends, listener())
        self.open_gate("end")
        self.assertEqual(daemon.wait_exit(), 0)
        daemon = self.begin(listener())
        with Client(daemon.address()) as client:
            self.assertTrue(client.echo())
            signal_process(self.first.pid, signal.SIGTERM)
            daemon.wait_log("^shutting down: existing connections")
            self.assertTrue(client.echo(b"to the end\n"))
        self.assertEqual(daemon.wait_exit(), 0)

    def test_it_upgrades_and_is_still_process_1(self):
        daemon = self.begin(listener())
        control = Control(daemon.control_path, self.bindir)
        with Client(daemon.address()) as client:
            self.assertTrue(client.echo())
            self.assertEqual(control.run("upgrade", "--wait")[::2], (0, ""))
            self.assertTrue(client.echo(b"the same process\n"))
        self.assertTrue(self.first.alive())
        self.assertEqual(control.value("status")["pid"], 1)
        signal_process(self.first.pid, signal.SIGTERM)
        self.assertEqual(daemon.wait_exit(), 0)

    def test_a_root_that_gives_up_drains_and_has_its_exit_status(self):
        fails = {"id": "fails", "type": "process", "ready": "exec", "argv": ["/bin/sh", "-c", f"read line <{self.gates['end']}; exit 3"]}
        daemon = self.begin(fails, listener(), supervisor={"max_restarts": 0, "on_give_up": "leave"})
        daemon.expected_status = 70
        with Client(daemon.address()) as client:
            self.assertTrue(client.echo())
            self.open_gate("end")
            daemon.wait_log("^shutting down: existing connections continue until they end$", path="root")
            self.assertTrue(client.echo(b"to the end\n"))
        self.assertEqual(daemon.wait_exit(), 70)


if __name__ == "__main__":
    main()
