"""The verdict of systemd on the unit file, and on the snippets beside it."""

import os
import re
import resource
import signal
import subprocess

from harness import SOURCE, Client, TestCase, exec_listener, listener, main, needs_root, process, tool


EXPOSURE = 42  # tenths, of 100
CAP_SYS_RESOURCE = 24  # capabilities(7)


class Unit(TestCase):
    def unit(self):
        """The unit as installed, with paths of existing programs."""
        with open(os.path.join(SOURCE, "etc", "bulkheadd.service.in")) as file:
            text = file.read()
        return re.sub(r"@CMAKE_INSTALL_FULL_SBINDIR@/(\S+)", lambda found: os.path.join(self.bindir, found.group(1)), text)

    def analyze(self, *arguments):
        done = subprocess.run(["systemd-analyze", *arguments, self.write("bulkheadd.service", self.unit())],
                              capture_output=True, text=True, timeout=60)
        return done.returncode, done.stdout + done.stderr

    @tool("systemd-analyze")
    def test_verify(self):
        status, output = self.analyze("--man=no", "verify")
        self.assertEqual((status, output), (0, ""))

    @tool("systemd-analyze")
    def test_security(self):
        """The remaining exposure is inherent in a daemon that binds, changes users and runs programs: root, with a network."""
        status, output = self.analyze("security", "--offline=yes", "--no-pager", f"--threshold={EXPOSURE}")
        self.measured(exposure=float(re.search(r"Overall exposure level for bulkheadd.service: ([\d.]+)", output).group(1)))
        self.assertEqual(status, 0, output)

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
