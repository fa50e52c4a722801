"""Every signal at every awkward moment: what it does then, what it does as soon as the moment has passed, and that a daemon
can always be stopped, in time, with status 0, leaving nothing.

Daemons that only wait cost nothing, so each row of the table runs its cells at once."""

import json
import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from harness import (Client, Strace, UpgradeTestCase, exec_listener, free_port, listener, main, needs_root,
                     process, signal_process, tool, wait_until)

# What one signal does at that moment. "drains" and "ends" are the graceful and the fast way down, "kills" its end; "then-X"
# is X as soon as the moment has passed; "no" is a line in the log and nothing else.
TABLE = """
                TERM    QUIT    INT    HUP         USR1     USR2           TTIN       TTOU        WINCH
serving         drains  drains  ends   reloads     reopens  upgrades       more       fewer       suspends
starting        drains  drains  ends   then-reloads reopens then-upgrades  then-more  then-fewer  then-suspends
dry_run         drains  drains  ends   then-reloads reopens no             then-more  then-fewer  then-suspends
executed        drains  drains  ends   then-reloads then-reopens then-no   then-more  then-fewer  then-suspends
renewing        drains  drains  ends   then-reloads reopens no             then-more  then-fewer  then-suspends
trial           drains  drains  ends   then-reloads reopens then-upgrades  then-more  then-fewer  then-suspends
hung_start      drains  drains  ends   -           reopens  -              -          -           -
lame_duck       ends    ends    ends   no          reopens  no             no         no          no
draining        ends    ends    ends   no          reopens  no             no         no          no
terminating     kills   kills   kills  no          reopens  no             no         no          no
stopping_tree   kills   kills   kills  no          reopens  no             no         no          no
"""
SIGNS = {  # of what each deed is known by in the log: pattern, path
    "drains": ("^stopping: no new connections", "root"),
    "ends": ("^stopping: ending the connections", "root"),
    "reloads": ("^reloaded", "root"),
    "reopens": ("^opened again", "log"),
    "upgrades": ("^upgraded", "root"),
    "more": ("^is ready", "root/echo/3"),
    "fewer": ("^ended with exit status 0", "root/echo/3"),
    "suspends": ("^suspended: ", "root/echo"),
}
REFUSED = {"HUP": "^not reloaded: the daemon is stopping", "USR2": "^not upgraded: ", "TTIN": "^SIGTTIN is ignored",
           "TTOU": "^SIGTTOU is ignored", "WINCH": "^SIGWINCH is ignored"}
SECONDS = 5.0  # for anything that is to come; none of the daemons below waits that long by itself, unless for a client


def number_of(name):
    return getattr(signal, "SIG" + name)


def table():
    header, *rows = [line.split() for line in TABLE.strip().splitlines()]
    return {row[0]: dict(zip(header, row[1:])) for row in rows}


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
        self.there = set()

    # --- daemons

    def begin(self, *children, wait=True, **daemon):
        with self.starts:
            number = len(self.daemons)
            pid_file = os.path.join(self.directory, f"{number}.pid")
            one = self.start(*children, daemon={"drain_timeout": "60s", "pid_file": pid_file, **daemon}, wait=False, prefix=("setsid",))
        one.pid_file = pid_file
        if wait:
            one.wait_ready()
        return one

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
        """A process child that is ready when we say so, and how we say so. It can be started several times."""
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
        port = free_port()
        return Moment(self.begin(self.echo(port)), self.hold(port))

    def echo(self, port):
        return listener(listen=f"127.0.0.1:{port}", max_restarts=100)

    def at_starting(self):
        port, (slow, open_gate) = free_port(), self.gated("slow")
        daemon = self.begin(self.echo(port), slow, wait=False)
        daemon.wait_log("^started", path="root/slow", seconds=SECONDS)
        client = self.hold(port)

        def pass_():
            open_gate()
            daemon.wait_ready()
        return Moment(daemon, client, pass_)

    def at_dry_run(self):
        port = free_port()
        daemon = self.begin(self.echo(port))
        client = self.hold(port)
        self.meet()
        self.install_once(self.helper("pauses"))
        daemon.send_signal(signal.SIGUSR2)
        check = wait_until(lambda: next((one for one in daemon.tree() if "--dry-run" in one.title), None), SECONDS, "the dry run", every=0.02)
        return Moment(daemon, client, lambda: signal_process(check.pid, signal.SIGKILL))

    def at_executed(self):
        """Held by strace between execve and the first instruction of the new program."""
        port = free_port()
        daemon = self.begin(self.echo(port))
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
        port = free_port()
        daemon = self.begin(self.echo(port))
        client = self.hold(port)
        self.meet()
        self.install_once(self.helper("pauses"), "bulkhead-worker")
        self.install_once(self.next)
        daemon.send_signal(signal.SIGUSR2)
        worker = daemon.wait_log("^started", 3, seconds=SECONDS)[-1]
        return Moment(daemon, client, lambda: signal_process(worker["pid"], signal.SIGKILL))

    def at_trial(self):
        port, (slow, open_gate) = free_port(), self.gated("slow")
        daemon = self.begin(self.echo(port))
        client = self.hold(port)
        with open(daemon.config_path) as file:
            config = json.load(file)
        config["supervisor"]["children"].append(slow)
        with open(daemon.config_path, "w") as file:
            json.dump(config, file)
        daemon.send_signal(signal.SIGHUP)
        daemon.wait_log("^started", path="root/slow", seconds=SECONDS)
        return Moment(daemon, client, open_gate)

    def at_hung_start(self):
        port = free_port()
        self.install_once(self.helper("pauses"), "bulkhead-worker")
        daemon = self.begin(self.echo(port), wait=False)
        daemon.wait_log("^started", path="root/echo/1", seconds=SECONDS)
        return Moment(daemon, self.hold(port, answers=False))

    def at_lame_duck(self):
        port = free_port()
        daemon = self.begin(self.echo(port), lame_duck="60s")
        client = self.hold(port)
        daemon.send_signal(signal.SIGTERM)
        daemon.wait_log("^stopping: newcomers are served", seconds=SECONDS)
        return Moment(daemon, client)

    def at_draining(self):
        moment = self.at_serving()
        moment.daemon.send_signal(signal.SIGTERM)
        moment.daemon.wait_log("^stopping: no new connections", seconds=SECONDS)
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
        port = free_port()
        daemon = self.begin(exec_listener([self.helper("ignores_term")], "echo", listen=f"127.0.0.1:{port}", shutdown="60s"))
        client = self.hold(port, answers=False)
        self.assertEqual(client.receive(6), b"ready\n")
        daemon.send_signal(signal.SIGINT)
        daemon.wait_log("^stopping: ending the connections", seconds=SECONDS)
        return Moment(daemon, client)

    def at_stopping_tree(self):
        asked = os.path.join(self.directory, f"asked{time.monotonic_ns()}")
        stubborn = {"id": "stubborn", "type": "process", "ready": "notify_fd", "shutdown": "60s", "argv": [
            "/bin/sh", "-c", f'trap "echo >{asked}" TERM; echo >&"$NOTIFY_FD"; while :; do sleep 1000 & wait; done']}
        daemon = self.begin(self.echo(free_port()), stubborn)
        daemon.send_signal(signal.SIGTERM)
        wait_until(lambda: os.path.exists(asked), SECONDS, "a process that was asked to end", every=0.02)
        return Moment(daemon, None)

    # --- what is expected

    def came(self, daemon, deed, count=1):
        pattern, path = SIGNS[deed]
        daemon.wait_log(pattern, count, seconds=10, path=path)

    def send(self, moment, name, deed, upgrades):
        """What comes of it at once. Returns what has to come later."""
        daemon = moment.daemon
        count = len(daemon.log(SIGNS[deed][0], path=SIGNS[deed][1])) if deed in SIGNS else 0
        daemon.send_signal(number_of(name))
        if deed == "no":
            daemon.wait_log(REFUSED[name], seconds=SECONDS)
        elif deed in SIGNS:
            self.came(daemon, deed, count + 1)
        elif deed.startswith("then-"):
            later = deed.removeprefix("then-")
            if later == "no":
                return None  # a warning at most; nothing else hangs on it
            # An upgrade has its own third worker for a while.
            others = 1 if upgrades and later in ("more", "fewer") else 0
            return later, len(daemon.log(SIGNS[later][0], path=SIGNS[later][1])) + 1 + others
        return None

    def gone(self, daemon):
        self.assertEqual(daemon.wait_exit(SECONDS), 0, daemon.log_text())
        for path in (daemon.pid_file, os.path.join(daemon.directory, "control.sock")):
            self.assertFalse(os.path.exists(path), path)
        left = [one for one in daemon.seen.values() if one.alive()]
        self.assertEqual(left, [])

    def stopped_by(self, moment, name, deed):
        daemon, client = moment.daemon, moment.client
        daemon.tree()
        daemon.send_signal(number_of(name))
        if deed != "kills":
            self.came(daemon, deed)
        if deed == "drains" and client:
            if client.served:
                self.assertTrue(client.echo(b"still here\n"))
            client.close()  # it is what the drain waits for
        self.gone(daemon)

    def go_through(self, moment, row):
        """All that do not stop it, one after another at one daemon; then TERM."""
        later = [self.send(moment, name, deed, moment.upgrades or row["USR2"] == "then-upgrades") for name, deed in row.items()]
        self.goes_on(moment)
        moment.pass_()
        for deed, count in filter(None, later):
            self.came(moment.daemon, deed, count)
        self.goes_on(moment)

    def goes_on(self, moment):
        if moment.client and moment.client.served:
            self.assertTrue(moment.client.echo(b"not a word lost\n"), moment.daemon.log_text()[-3000:])

    def finish(self, daemon):
        """INT; where something refuses to end, two more of them."""
        for _ in range(3):
            if daemon.running():
                daemon.send_signal(signal.SIGINT)
                time.sleep(0.05)
        self.gone(daemon)


class Signals(Moments):
    def row(self, name):
        row = table()[name]
        stops = {one: row.pop(one) for one in ("TERM", "QUIT", "INT")}
        self.barrier = threading.Barrier(len(stops) + 1, timeout=30)
        self.meet = lambda: self.barrier.wait()
        at = getattr(self, "at_" + name)

        def one(signal_name=None):
            try:
                moment = at()
            except BaseException:
                self.barrier.abort()
                raise
            if moment.client:
                moment.client.served = name not in ("hung_start", "terminating")
            if signal_name:
                return self.stopped_by(moment, signal_name, stops[signal_name])
            self.go_through(moment, row)
            return self.finish(moment.daemon)
        began = time.monotonic()
        with ThreadPoolExecutor(len(stops) + 1) as pool:
            cells = {word: pool.submit(one, word) for word in stops} | {"the others": pool.submit(one)}
        for word, cell in cells.items():
            with self.subTest(moment=name, signal=word):
                cell.result()
        self.measured(signals=len(row) + len(stops), seconds=time.monotonic() - began)


class OnTop(Moments):
    """The same again, and deaths on the way down."""

    def read(self, daemon):
        wait_until(lambda: int(process(daemon.pid).status()["ShdPnd"], 16) == 0, SECONDS, "signals that are read")

    def test_one_more_means_one_more_each_time(self):
        daemon = self.at_serving().daemon
        for number, count in ((signal.SIGTTIN, 2), (signal.SIGTTOU, 3)):
            for _ in range(count):
                daemon.send_signal(number)
                self.read(daemon)
            daemon.wait_workers(4 if number == signal.SIGTTIN else 1)

    def test_twenty_of_each(self):
        moment = self.at_serving()
        for _ in range(20):
            for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
                moment.daemon.send_signal(number)
        self.came(moment.daemon, "upgrades")
        wait_until(lambda: len(moment.daemon.log("^reloaded")) >= 1, SECONDS, "a reload")
        moment.client.served = True
        self.goes_on(moment)
        self.stopped_by(moment, "TERM", "drains")

    def test_a_worker_that_dies_on_the_way_down_does_not_open_the_port_again(self):
        for moment, name in ((self.at_draining(), "TERM"), (self.at_terminating(), "INT")):
            daemon, address = moment.daemon, moment.client.socket.getpeername()
            before = daemon.workers()
            self.assertEqual(len(before), 2)
            for worker in before:
                signal_process(worker.pid, signal.SIGKILL)
            daemon.wait_log("^was killed by SIGKILL", 2)
            self.read(daemon)
            self.assertEqual((daemon.workers(), len(daemon.log("^started"))), ([], 2))
            self.assertRaises(ConnectionRefusedError, Client, address)
            for _ in range(2):
                daemon.send_signal(number_of(name))
                self.read(daemon)
            self.gone(daemon)


def add_rows():
    def make(name):
        def test(self):
            self.row(name)
        return needs_root(tool("strace")(test)) if name == "executed" else test
    for name in table():
        setattr(Signals, f"test_{name}", make(name))


add_rows()

if __name__ == "__main__":
    main()
