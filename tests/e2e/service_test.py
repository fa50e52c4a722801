"""What systemd would say of the unit file, and of the snippets beside it."""

import os
import re
import subprocess

from harness import SOURCE, TestCase, main, tool


class Unit(TestCase):
    def unit(self):
        """The unit as installed, with programs that are there."""
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
    def test_security_is_assessed(self):
        status, output = self.analyze("security", "--offline=yes", "--no-pager")
        self.assertEqual(status, 0, output)
        exposure = float(re.search(r"Overall exposure level for bulkheadd.service: ([\d.]+)", output).group(1))
        self.measured(exposure=exposure)
        self.assertLess(exposure, 8.5)

    def test_it_says_what_survival_of_the_masters_death_needs(self):
        for line in ("Type=notify", "KillMode=process", "OOMPolicy=continue", "Delegate=yes", "Restart=on-failure",
                     "FileDescriptorStoreMax=1024"):
            self.assertIn(f"\n{line}\n", self.unit())


if __name__ == "__main__":
    main()
