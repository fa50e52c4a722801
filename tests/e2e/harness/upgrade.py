"""Upgrades as a package manager makes them: a private copy of the programs, whose daemon is replaced by rename."""

import json
import os
import shutil
import subprocess

from .clients import Client, free_port
from .control import ControlledTestCase
from .waiting import wait_until
from .daemon import listener
from .processes import process
from .waiting import wait_until


def echo_listener(name="echo", **keys):
    """A listener with an explicit intensity: the default would follow the number of workers."""
    return listener(name, **{"max_restarts": 1000, "max_seconds": 60, "listen": f"127.0.0.1:{free_port()}", **keys})


class UpgradeTestCase(ControlledTestCase):
    def setUp(self):
        super().setUp()
        self.installed = os.path.join(self.directory, "bin")
        os.mkdir(self.installed, 0o755)
        for name in ("bulkheadd", "bulkhead-worker", "bulkhead-module-worker"):
            self.install(os.path.join(self.bindir, name), name)

    @property
    def program(self):
        return os.path.join(self.installed, "bulkheadd")

    @property
    def own(self):
        return os.path.join(self.bindir, "bulkheadd")

    @property
    def next(self):
        """The same daemon, with another version."""
        return self.helper("bulkheadd-next")

    def install(self, source, name="bulkheadd", mode=0o755):
        new = os.path.join(self.installed, ".new")
        shutil.copyfile(source, new)
        os.chmod(new, mode)
        os.rename(new, os.path.join(self.installed, name))

    def upgrade(self, daemon):
        """(status, answer or None, standard error)"""
        daemon.control.close()
        status, out, err = daemon.control.run("--json", "upgrade", "--wait")
        return status, json.loads(out) if out else None, err

    def begin_upgrade(self, daemon):
        """`bulkheadctl upgrade --wait`, which is running."""
        upgrade = subprocess.Popen(daemon.control.command("upgrade", "--wait"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(upgrade.communicate)
        return upgrade

    def upgraded(self, daemon, program):
        """Upgrades to this program; returns the version that runs then."""
        self.install(program)
        status, answer, err = self.upgrade(daemon)
        self.assertEqual((status, err), (0, ""), f"{answer} {daemon.log_text()[-3000:]}")
        self.assertEqual(self.status(daemon)["version"], answer["version"])
        return answer["version"]

    def status(self, daemon):
        return daemon.control.call("status")["result"]

    def wait_for_no_client(self, daemon):
        """Waits until no client is connected to the control socket: only the socket itself is left in /proc/net/unix."""
        daemon.control.close()

        def alone():
            with open("/proc/net/unix") as table:
                return sum(line.split()[-1] == daemon.control.path for line in table) == 1
        wait_until(alone, 5, "no client of the control socket")

    def history(self, daemon):
        """All events that the daemon remembers."""
        return daemon.control.call("events")["result"]["events"]

    def rolled_back(self, daemon, hold, *reason):
        """An upgrade that has to fail, with one of these in the reason, and leave everything as it was. Returns the reason."""
        before = self.status(daemon)
        status, answer, err = self.upgrade(daemon)
        self.assertEqual(status, 2, f"{answer} {err} {daemon.log_text()[-3000:]}")
        now = self.status(daemon)
        self.assertEqual([now["pid"], now["version"], now["state"]], [daemon.pid, before["version"], "running"])
        self.assertEqual(now["last_upgrade"]["ok"], False)
        told = now["last_upgrade"]["errors"][0]
        self.assertTrue(any(words in told for words in reason), f"{told!r} has none of {reason}")
        self.assertEqual(answer, {"error": told})
        last = [one for one in self.history(daemon) if one["event"].startswith("upgrade_")][-1]
        self.assertEqual((last["event"], last["reason"]), ("upgrade_rolled_back", told))
        self.assertEqual(hold.echo_all(), len(hold))
        with Client(daemon.address("echo")) as client:
            self.assertTrue(client.echo())
        return told

    def supervised(self, *more, **options):
        """A daemon with the listener echo that has been upgraded once, so that the set of its descriptors is settled."""
        daemon = self.supervise(echo_listener(), *more, **options)
        daemon.events.close()
        self.upgraded(daemon, self.own)
        return daemon

    def kinds(self, daemon):
        """The descriptors of the daemon, for comparisons, once its control clients have disconnected."""
        daemon.control.close()
        wait_until(lambda: not self._clients(daemon), 5, "nobody at the control socket")
        return sorted(kind.removesuffix(" (deleted)") for kind in process(daemon.pid).fd_kinds().values())

    def _clients(self, daemon):
        """Its connected sockets at the control socket."""
        with open("/proc/net/unix") as file:
            connected = {f"socket:[{line[6]}]" for line in map(str.split, file) if line[7:] == [daemon.control.path] and line[5] == "03"}
        return connected & set(process(daemon.pid).fds().values())
