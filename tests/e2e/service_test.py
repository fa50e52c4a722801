"""The verdict of systemd on the units, and on the snippets beside them."""

import os
import re
import resource
import signal
import subprocess

from harness import SOURCE, Client, TestCase, exec_listener, listener, main, needs_root, process, tool


EXPOSURE = {"bulkheadd": 48, "hardened": 33, "bulkheadd-unprivileged": 12}  # tenths, of 100
CAP_SYS_RESOURCE = 24  # capabilities(7)


class Unit(TestCase):
    def unit(self, name="bulkheadd", ending="service.in"):
        """The unit as installed, with paths of existing programs."""
        with open(os.path.join(SOURCE, "etc", f"{name}.{ending}")) as file:
            text = file.read().replace("@CMAKE_INSTALL_FULL_SYSCONFDIR@", "/etc")
        return re.sub(r"@CMAKE_INSTALL_FULL_SBINDIR@/(\S+)", lambda found: os.path.join(self.bindir, found.group(1)), text)

    def hardened(self):
        with open(os.path.join(SOURCE, "etc", "hardened.conf")) as file:
            drop_in = file.read().partition("[Service]")[2]
        return self.unit().replace("[Install]", drop_in + "\n[Install]")

    def analyze(self, *arguments, unit, name="bulkheadd.service"):
        done = subprocess.run(["systemd-analyze", *arguments, self.write(name, unit)], capture_output=True, text=True, timeout=60)
        return done.returncode, done.stdout + done.stderr

    @tool("systemd-analyze")
    def test_verify(self):
        self.write("bulkheadd-unprivileged.socket", self.unit("bulkheadd-unprivileged", "socket.in"))
        for name, unit in (("bulkheadd", self.unit()), ("bulkheadd", self.hardened()),
                           ("bulkheadd-unprivileged", self.unit("bulkheadd-unprivileged"))):
            status, output = self.analyze("--man=no", "verify", unit=unit, name=name + ".service")
            self.assertEqual((status, output), (0, ""))

    @tool("systemd-analyze")
    def test_security(self):
        """The remaining exposure is inherent in a daemon that binds, changes users and runs programs: root, with a network."""
        units = {"bulkheadd": self.unit(), "hardened": self.hardened(), "bulkheadd-unprivileged": self.unit("bulkheadd-unprivileged")}
        for name, unit in units.items():
            status, output = self.analyze("security", "--offline=yes", "--no-pager", f"--threshold={EXPOSURE[name]}", unit=unit)
            self.measured(unit=name, exposure=float(re.search(r"Overall exposure level for \S+: ([\d.]+)", output).group(1)))
            self.assertEqual(status, 0, output)

    @tool("systemd-analyze")
    def test_however_often_the_master_is_killed_it_comes_back_and_a_bad_file_is_not_tried_again(self):
        for unit in (self.unit(), self.unit("bulkheadd-unprivileged")):
            self.assertRegex(unit, r"(?m)^StartLimitIntervalSec=0$")
            self.assertRegex(unit, r"(?m)^RestartPreventExitStatus=.*\b78\b")
            self.assertNotIn("ExecStartPre", unit)  # systemd judges its status by other rules

    def effective(self, pid):
        return int(process(pid).status()["CapEff"], 16)

    @needs_root
    @tool("setpriv")
    def test_its_capabilities_are_sufficient(self):
        """Enough for all handlers and addresses; at the end the daemon signals children of other users."""
        kept = re.findall(r"CAP_(\w+)", " ".join(re.findall(r"^CapabilityBoundingSet=(.*)$", self.unit(), re.M)))
        bounding = ",".join(["-all", *("+" + name.lower() for name in kept)])
        path = os.path.join(self.directory, "socket")
        keys = {"user": "nobody", "group": "daemon", "groups": ["mail"], "nice": -5, "ioprio": "realtime:4"}
        mine = self.effective(os.getpid())
        if mine & 1 << CAP_SYS_RESOURCE:
            keys |= {"oom_score_adj": -600, "rlimits": {"nofile": resource.getrlimit(resource.RLIMIT_NOFILE)[1] + 1}}
        daemon = self.start(listener("echo", listen=["127.0.0.1:0", f"unix:{path}"], owner="nobody", device="lo", workers=1,
                                     chroot=self.directory, **keys),
                            listener("low", listen="127.0.0.5:997", workers=1),
                            exec_listener([os.path.realpath("/bin/cat")], "cat", workers=1, **keys),
                            prefix=("setpriv", f"--bounding-set={bounding}"))
        self.assertLess(self.effective(daemon.pid), mine)
        self.assertLessEqual(self.effective(daemon.pid).bit_count(), len(kept))
        clients = [Client(daemon.address("echo", 0)), Client(path), Client(daemon.address("low")), Client(daemon.address("cat"))]
        for client in clients:
            self.addCleanup(client.close)
            self.assertTrue(client.echo())
        self.assertEqual(os.stat(path).st_gid, 1)
        daemon.send_signal(signal.SIGINT)
        self.assertEqual([client.rest() for client in clients], [b""] * len(clients))
        self.assertEqual(daemon.wait_exit(), 0)

    def test_the_unit_states_the_settings_for_surviving_the_masters_death(self):
        for line in ("Type=notify", "KillMode=process", "OOMPolicy=continue", "Delegate=yes", "Restart=on-failure",
                     "FileDescriptorStoreMax=1024"):
            self.assertIn(f"\n{line}\n", self.unit())


if __name__ == "__main__":
    main()
