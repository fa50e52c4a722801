"""Every signal at every awkward moment: its effect then, its effect as soon as the moment has passed, and that a daemon
can always be stopped, in time, with status 0, leaving nothing.

Daemons that only wait cost nothing, so each row of the table runs its cells at once."""

import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from harness import SECONDS, Client, Moments, main, needs_root, process, signal_process, tool, wait_until

# The effect of one signal at that moment. "drains" and "ends" are the graceful and the fast way down, "kills" its end; "then-X"
# is X as soon as the moment has passed; "no" is a line in the log and nothing else.
TABLE = """
                TERM    QUIT    INT    HUP         USR1     USR2           TTIN       TTOU        WINCH
serving         drains  drains  ends   reloads     reopens  upgrades       more       fewer       suspends
starting        drains  drains  ends   then-reloads reopens then-upgrades  then-more  then-fewer  then-suspends
dry_run         drains  drains  ends   then-reloads reopens no             then-more  then-fewer  then-suspends
executed        drains  drains  ends   then-reloads then-reopens then-no   then-more  then-fewer  then-suspends
renewing        drains  drains  ends   then-reloads reopens no             then-more  then-fewer  then-suspends
trial           drains  drains  ends   then-reloads reopens then-upgrades  then-more  then-fewer  then-suspends
trial_worker    drains  drains  ends   then-reloads reopens then-upgrades  then-more  then-fewer  then-suspends
hung_start      drains  drains  ends   -           reopens  -              -          -           -
lame_duck       ends    ends    ends   no          reopens  no             no         no          no
closing         ends    ends    ends   no          reopens  no             no         no          no
draining        ends    ends    ends   no          reopens  no             no         no          no
terminating     kills   kills   kills  no          reopens  no             no         no          no
stopping_tree   kills   kills   kills  no          reopens  no             no         no          no
"""
SIGNS = {  # how each deed is recognised in the log: pattern, path
    "drains": ("^shutting down: existing connections", "root"),
    "ends": ("^ending the remaining connections", "root"),
    "reloads": ("^reloaded", "root"),
    "reopens": ("^reopened", "log"),
    "upgrades": ("^upgraded", "root"),
    "more": ("^ready", "root/echo/3"),
    "fewer": ("^exited with status 0", "root/echo/3"),
    "suspends": ("^suspended: ", "root/echo"),
}
REFUSED = {"HUP": "^not reloaded: the daemon is stopping", "USR2": "^not upgraded: ", "TTIN": "^SIGTTIN ignored",
           "TTOU": "^SIGTTOU ignored", "WINCH": "^SIGWINCH ignored"}


def number_of(name):
    return getattr(signal, "SIG" + name)


def table():
    header, *rows = [line.split() for line in TABLE.strip().splitlines()]
    return {row[0]: dict(zip(header, row[1:])) for row in rows}


class Table(Moments):
    # --- what is expected

    def came(self, daemon, deed, count=1):
        pattern, path = SIGNS[deed]
        daemon.wait_log(pattern, count, seconds=10, path=path)

    def send(self, moment, name, deed, upgrades):
        """Checks the immediate effect. Returns the effect that must come later."""
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
                return None  # a warning at most; nothing else depends on it
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
            client.close()  # the drain waits for it
        self.gone(daemon)

    def go_through(self, moment, row):
        """Sends all signals that do not stop it, one after another to one daemon; then TERM."""
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
        """Sends INT; where something refuses to end, two more of them."""
        for _ in range(3):
            if daemon.running():
                daemon.send_signal(signal.SIGINT)
                time.sleep(0.05)
        self.gone(daemon)


class Signals(Table):
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


class OnTop(Table):
    """The same signal again, and deaths during the stop."""

    def read(self, daemon):
        wait_until(lambda: int(process(daemon.pid).status()["ShdPnd"], 16) == 0, SECONDS, "signals that are read")

    def test_one_more_means_one_more_each_time(self):
        daemon = self.at_serving().daemon
        for number, count in ((signal.SIGTTIN, 2), (signal.SIGTTOU, 3)):
            for _ in range(count):
                daemon.send_signal(number)
                self.read(daemon)
            daemon.wait_workers(4 if number == signal.SIGTTIN else 1)

    def test_twenty_signals_of_each_kind_upgrade_and_reload_and_the_daemon_still_stops(self):
        moment = self.at_serving()
        for _ in range(20):
            for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
                moment.daemon.send_signal(number)
        self.came(moment.daemon, "upgrades")
        wait_until(lambda: len(moment.daemon.log("^reloaded")) >= 1, SECONDS, "a reload")
        moment.client.served = True
        self.goes_on(moment)
        self.stopped_by(moment, "TERM", "drains")

    def test_a_worker_that_dies_during_the_stop_does_not_open_the_port_again(self):
        for moment, name in ((self.at_draining(), "TERM"), (self.at_terminating(), "INT")):
            daemon, address = moment.daemon, moment.client.socket.getpeername()
            before = daemon.workers()
            self.assertEqual(len(before), 2)
            for worker in before:
                signal_process(worker.pid, signal.SIGKILL)
            daemon.wait_log("^killed by SIGKILL", 2)
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
