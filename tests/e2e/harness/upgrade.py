"""Upgrades as a package manager makes them: a private copy of the programs, whose daemon is replaced by rename."""

import json
import os
import shutil

from .control import ControlledTestCase


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
        """(status, answer or None, what it complained)"""
        daemon.control.close()
        status, out, err = daemon.control.run("--json", "upgrade", "--wait")
        return status, json.loads(out) if out else None, err

    def upgraded(self, daemon, program):
        """To this program; the version that is running then."""
        self.install(program)
        status, answer, err = self.upgrade(daemon)
        self.assertEqual((status, err), (0, ""), f"{answer} {daemon.log_text()[-3000:]}")
        self.assertEqual(daemon.control.value("status")["version"], answer["version"])
        return answer["version"]

    def history(self, daemon):
        """All events that the daemon remembers."""
        status, out, err = daemon.control.run("--json", "events")
        self.assertEqual((status, err), (0, ""))
        return [json.loads(line) for line in out.splitlines()]
