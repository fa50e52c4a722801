"""The files that `cmake --install` installs, and the verdict of the tools of a Debian system."""

import json
import os
import re
import stat
import subprocess

from harness import TestCase, main, needs_root, tool

FILES = {  # below the prefix, and what each must have in it
    "sbin/bulkheadd": None,
    "sbin/bulkheadctl": None,
    "libexec/bulkhead/bulkhead-worker": None,
    "libexec/bulkhead/bulkhead-module-worker": None,
    "include/bulkhead/handler.h": "bulkhead_handler",
    "lib/systemd/system/bulkheadd.service": "ExecStart={prefix}/sbin/bulkheadd\n",
    "lib/systemd/system/bulkheadd-unprivileged.service": "ExecStart={prefix}/sbin/bulkheadd -c",
    "lib/systemd/system/bulkheadd-unprivileged.socket": "ListenStream=",
    "lib/sysusers.d/bulkhead.conf": "g bulkhead ",
    "lib/tmpfiles.d/bulkhead.conf": "d /run/bulkhead ",
    "share/bulkhead/bulkhead.schema.json": '"$schema"',
    "share/cmake/bulkhead/bulkheadConfig.cmake": "bulkhead::",
    "share/pkgconfig/bulkhead.pc": "Name: bulkhead",
    "share/man/man3/bulkhead_handler.3": ".Dt BULKHEAD_HANDLER 3",
    "share/man/man5/bulkhead.json.5": ".Dt BULKHEAD.JSON 5",
    "share/man/man8/bulkheadctl.8": ".Dt BULKHEADCTL 8",
    "share/man/man8/bulkheadd.8": ".Dt BULKHEADD 8",
}


@tool("cmake")
class Install(TestCase):
    def setUp(self):
        super().setUp()
        build = os.path.dirname(self.bindir)
        self.root = os.path.join(self.directory, "root")
        done = subprocess.run(["cmake", "--install", build], env={**os.environ, "DESTDIR": self.root}, capture_output=True, text=True,
                              timeout=120)
        self.assertEqual(done.returncode, 0, done.stderr)
        with open(os.path.join(build, "CMakeCache.txt")) as file:
            cache = dict(re.findall(r"^(CMAKE_INSTALL_\w+):\w+=(.*)$", file.read(), re.M))
        self.prefix = cache["CMAKE_INSTALL_PREFIX"]
        # GNUInstallDirs: of /usr it is /etc.
        self.sysconfdir = "/etc" if self.prefix == "/usr" else cache.get("CMAKE_INSTALL_SYSCONFDIR") or "etc"

    def path(self, name):
        return self.root + os.path.join(self.prefix, name)

    def call(self, *command):
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 0, f"{' '.join(command)}\n{done.stdout}{done.stderr}")
        return done.stdout + done.stderr

    def test_every_file_is_in_its_place(self):
        for name, words in FILES.items():
            with self.subTest(name):
                mode = os.lstat(self.path(name)).st_mode
                self.assertTrue(stat.S_ISREG(mode))
                is_program = name.startswith(("sbin/", "libexec/"))
                self.assertEqual(bool(mode & 0o111), is_program, oct(mode))
                self.assertFalse(mode & 0o022, oct(mode))
                if words:
                    with open(self.path(name)) as file:
                        self.assertIn(words.format(prefix=self.prefix), file.read())
        # The daemon finds its worker and its schema is one.
        self.assertRegex(self.call(self.path("sbin/bulkheadd"), "--version"), r"^bulkheadd \d+\.\d+")
        with open(self.path("share/bulkhead/bulkhead.schema.json")) as file:
            self.assertEqual(json.load(file)["type"], "object")

    def test_the_configuration_is_installed_and_an_existing_one_is_kept(self):
        found = self.root + os.path.join(self.prefix, self.sysconfdir, "bulkhead", "bulkhead.json")
        self.call(self.path("sbin/bulkheadd"), "-c", found, "--check")
        with open(found, "w") as file:
            file.write("mine")
        self.call("env", f"DESTDIR={self.root}", "cmake", "--install", os.path.dirname(self.bindir))
        with open(found) as file:
            self.assertEqual(file.read(), "mine")

    def test_another_prefix_gets_everything_and_its_program_reads_its_configuration(self):
        """As a user who may write nowhere else would, without DESTDIR."""
        prefix = os.path.join(self.directory, "mine")
        before = set(os.listdir("/"))
        self.call("cmake", "--install", os.path.dirname(self.bindir), "--prefix", prefix)
        found = {os.path.relpath(os.path.join(folder, name), prefix) for folder, _, names in os.walk(prefix) for name in names}
        self.assertLessEqual({*FILES, "etc/bulkhead/bulkhead.json", "etc/bulkhead/unprivileged.json"}, found)
        self.assertEqual(set(os.listdir("/")), before)
        with open(os.path.join(prefix, "lib/systemd/system/bulkheadd.service")) as file:
            self.assertIn(f"ExecStart={prefix}/sbin/bulkheadd\n", file.read())
        written = subprocess.run(["find", self.prefix, "-newer", prefix, "-path", "*bulkhead*"], capture_output=True, text=True)
        self.assertEqual(written.stdout, "")
        self.assertIn(f"{prefix}/etc/bulkhead/bulkhead.json: the configuration is good",
                      self.call(os.path.join(prefix, "sbin/bulkheadd"), "-t"))

    @tool("systemd-sysusers")
    def test_the_group(self):
        output = self.call("systemd-sysusers", "--dry-run", self.path("lib/sysusers.d/bulkhead.conf"))
        known = subprocess.run(["getent", "group", "bulkhead"], capture_output=True).returncode == 0
        self.assertTrue(known or "bulkhead" in output, output)

    @tool("systemd-tmpfiles")
    @needs_root
    def test_the_directory(self):
        below = os.path.join(self.directory, "system")
        os.makedirs(os.path.join(below, "run"))
        self.call("systemd-tmpfiles", f"--root={below}", "--create", self.path("lib/tmpfiles.d/bulkhead.conf"))
        found = os.stat(os.path.join(below, "run", "bulkhead"))
        self.assertEqual(stat.filemode(found.st_mode), "drwxr-xr-x")


if __name__ == "__main__":
    main()
