"""Daemons at awkward moments, which last until the test lets them pass. Safe to be called from several threads."""

import json
import os
import signal
import threading
import time

from .clients import Client, free_port
from .daemon import exec_listener, listener
from .faults import Strace
from .processes import signal_process
from .upgrade import UpgradeTestCase
from .waiting import wait_until

SECONDS = 5.0  # for any event; none of the daemons below waits that long by itself, except for a client


class Moment:
    """One daemon at that moment, with a client that stays. `pass_` lets the moment pass, where it does not by itself."""

    def __init__(self, daemon, client, pass_=lambda: None, upgrades=False):
        self.daemon = daemon
        self.upgrades = upgrades
        self.client = client
        self.pass_ = pass_


class Moments(UpgradeTestCase):
    def setUp(self):
        super().setUp()
        self.starts = threading.Lock()
        self.ports = []
        self.there = set()

    def meet(self):
        """Called before the installed programs are replaced: others that start here may still need them."""

    # --- daemons

    def begin(self, *children, wait=True, environment=None, **daemon):
        with self.starts:
            number = len(self.daemons)
            pid_file = os.path.join(self.directory, f"{number}.pid")
            one = self.start(*children, daemon={"drain_timeout": "60s", "pid_file": pid_file, **daemon}, wait=False, prefix=("setsid",),
                             environment=environment)
        one.pid_file = pid_file
        if wait:
            one.wait_ready()
        return one

    def port(self):
        """A number that no other moment of this test has been given."""
        with self.starts:
            self.ports.append(next(one for one in iter(free_port, None) if one not in self.ports))
            return self.ports[-1]

    def hold(self, port, answers=True):
        client = wait_until(lambda: self.try_to_connect(port), SECONDS, "a port", every=0.02)
        self.addCleanup(client.close)
        if answers:
            self.assertTrue(client.echo())
        return client

    def try_to_connect(self, port):
        try:
            return Client(("127.0.0.1", port), timeout=10)
        except ConnectionRefusedError:
            return None

    def gated(self, name):
        """A process child that is ready on request, and a function that requests it. It can be started several times."""
        gate = os.path.join(self.directory, f"gate{time.monotonic_ns()}")
        os.mkfifo(gate)
        holder = os.open(gate, os.O_RDWR | os.O_CLOEXEC)
        self.addCleanup(os.close, holder)
        argv = ["/bin/sh", "-c", f'read line <{gate}; echo >&"$NOTIFY_FD"; exec sleep 1000']
        return ({"id": name, "type": "process", "ready": "notify_fd", "start_timeout": "60s", "argv": argv},
                lambda: os.write(holder, b"now\n"))

    def install_once(self, source, name="bulkheadd"):
        with self.starts:
            if (source, name) not in self.there:
                self.install(source, name)
            self.there.add((source, name))

    # --- moments

    def at_serving(self):
        port = self.port()
        return Moment(self.begin(self.echo(port)), self.hold(port))

    def echo(self, port):
        return listener(listen=f"127.0.0.1:{port}", max_restarts=100)

    def at_starting(self):
        port, (slow, open_gate) = self.port(), self.gated("slow")
        daemon = self.begin(self.echo(port), slow, wait=False)
        daemon.wait_log("^started", path="root/slow", seconds=SECONDS)
        client = self.hold(port)

        def pass_():
            open_gate()
            daemon.wait_ready()
        return Moment(daemon, client, pass_)

    def at_dry_run(self):
        port = self.port()
        daemon = self.begin(self.echo(port))
        client = self.hold(port)
        self.meet()
        self.install_once(self.helper("pauses"))
        daemon.send_signal(signal.SIGUSR2)
        check = wait_until(lambda: next((one for one in daemon.tree() if "--dry-run" in one.title), None), SECONDS, "the dry run", every=0.02)
        return Moment(daemon, client, lambda: signal_process(check.pid, signal.SIGKILL))

    def at_executed(self):
        """Held by strace between execve and the first instruction of the new program."""
        port = self.port()
        # The leak check does not work under strace.
        daemon = self.begin(self.echo(port), environment={**os.environ, "ASAN_OPTIONS": "detect_leaks=0"})
        client = self.hold(port)
        self.meet()
        self.install_once(self.next)
        before = os.stat(f"/proc/{daemon.pid}/exe").st_ino
        strace = Strace(daemon.pid, "execveat", "delay_exit=300000")
        strace.__enter__()
        self.addCleanup(strace.__exit__)
        daemon.send_signal(signal.SIGUSR2)
        wait_until(lambda: os.stat(f"/proc/{daemon.pid}/exe").st_ino != before, SECONDS, "the execve", every=0.01)
        return Moment(daemon, client, upgrades=True)

    def at_renewing(self):
        port = self.port()
        daemon = self.begin(self.echo(port))
        client = self.hold(port)
        self.meet()
        gate = self.write(f"bin/closed.{daemon.pid}", "")
        self.install_once(os.path.join(self.bindir, "bulkhead-worker"), "bulkhead-worker.real")
        self.install_once(self.helper("waits_at_gate"), "bulkhead-worker")
        self.install_once(self.next)
        daemon.send_signal(signal.SIGUSR2)
        daemon.wait_log("^started", 3, seconds=SECONDS)
        return Moment(daemon, client, lambda: os.unlink(gate), upgrades=True)

    def rewrite(self, daemon, change):
        """The daemon's file with other children; returns what writes it back."""
        with open(daemon.config_path) as file:
            text = file.read()
        config = json.loads(text)
        change(config["supervisor"]["children"])

        def write(content):
            with open(daemon.config_path, "w") as file:
                file.write(content)
        write(json.dumps(config))
        return lambda: write(text)

    def at_trial(self):
        port, (slow, open_gate) = self.port(), self.gated("slow")
        daemon = self.begin(self.echo(port))
        client = self.hold(port)
        self.rewrite(daemon, lambda children: children.append(slow))
        daemon.send_signal(signal.SIGHUP)
        daemon.wait_log("^started", path="root/slow", seconds=SECONDS)
        return Moment(daemon, client, open_gate)

    def at_trial_worker(self):
        """The first worker of a new generation does not become ready."""
        port = self.port()
        daemon = self.begin(self.echo(port))
        client = self.hold(port)
        hangs = {"handler": {"module": self.module("does_as_told"), "options": {"init_hangs": 1}}, "start_timeout": "60s",
                 **({"user": "root"} if os.geteuid() == 0 else {})}
        undo = self.rewrite(daemon, lambda children: children[0].update(hangs))
        daemon.send_signal(signal.SIGHUP)
        worker = daemon.wait_log("^started", path="root/echo/3", seconds=SECONDS)[0]

        def pass_():
            undo()
            signal_process(worker["pid"], signal.SIGKILL)
        return Moment(daemon, client, pass_)

    def at_hung_start(self):
        port = self.port()
        self.install_once(self.helper("pauses"), "bulkhead-worker")
        daemon = self.begin(self.echo(port), wait=False)
        daemon.wait_log("^started", path="root/echo/1", seconds=SECONDS)
        return Moment(daemon, self.hold(port, answers=False))

    def at_lame_duck(self):
        port = self.port()
        daemon = self.begin(self.echo(port), lame_duck="60s")
        client = self.hold(port)
        daemon.send_signal(signal.SIGTERM)
        daemon.wait_log("^lame duck: still accepting", seconds=SECONDS)
        return Moment(daemon, client)

    def at_closing(self):
        """Lasts 50 ms; then the next moment follows, where the same holds."""
        moment = self.at_serving()
        moment.daemon.send_signal(signal.SIGQUIT)
        moment.daemon.wait_log("^shutting down: existing connections", seconds=SECONDS)
        return moment

    def at_draining(self):
        moment = self.at_closing()
        wait_until(lambda: not self.try_to_connect_and_close(moment.client), SECONDS, "a port that refuses", every=0.02)
        return moment

    def try_to_connect_and_close(self, client):
        try:
            Client(client.socket.getpeername(), timeout=0.2).close()
            return True
        except TimeoutError:  # dropped while handshakes are let through
            return True
        except OSError:
            return False

    def at_terminating(self):
        port = self.port()
        daemon = self.begin(exec_listener([self.helper("ignores_term")], "echo", listen=f"127.0.0.1:{port}", shutdown="60s"))
        client = self.hold(port, answers=False)
        self.assertEqual(client.receive(6), b"ready\n")
        daemon.send_signal(signal.SIGINT)
        daemon.wait_log("^ending the remaining connections", seconds=SECONDS)
        return Moment(daemon, client)

    def at_stopping_tree(self):
        asked = os.path.join(self.directory, f"asked{time.monotonic_ns()}")
        stubborn = {"id": "stubborn", "type": "process", "ready": "notify_fd", "shutdown": "60s", "argv": [
            "/bin/sh", "-c", f'trap "echo >{asked}" TERM; echo >&"$NOTIFY_FD"; while :; do sleep 1000 & wait; done']}
        daemon = self.begin(self.echo(self.port()), stubborn)
        daemon.send_signal(signal.SIGTERM)
        wait_until(lambda: os.path.exists(asked), SECONDS, "a process that was asked to end", every=0.02)
        return Moment(daemon, None)
