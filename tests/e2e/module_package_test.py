"""The package for authors of handler modules: bulkhead as it is installed, its header alone, its CMake package and its
pkg-config file, the sample project built with each of them, and the installed daemon with the sample. Needs the build
directory that the programs are from; the sanitized programs would do as well, but are not what is installed."""

import os
import re
import shlex
import shutil
import subprocess

import harness.case
from harness import SOURCE, Client, TestCase, main, module_listener, tool

SAMPLE = os.path.join(SOURCE, "etc", "examples", "module")


@tool("cmake", "cc", "c++", "pkg-config")
class Package(TestCase):
    def setUp(self):
        super().setUp()
        self.install()

    def call(self, *command, **options):
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, **options)
        self.assertEqual(done.returncode, 0, f"{' '.join(command)}\n{done.stdout}{done.stderr}")
        return done.stdout

    def install(self):
        """As a packager does it; the prefix is inside, so no file may depend on its final place."""
        build = os.path.dirname(self.bindir)
        root = os.path.join(self.directory, "root")
        self.call("cmake", "--install", build, env={**os.environ, "DESTDIR": root})
        with open(os.path.join(build, "CMakeCache.txt")) as file:
            prefix = re.search(r"^CMAKE_INSTALL_PREFIX:PATH=/(.*)$", file.read(), re.M).group(1)
        self.prefix = os.path.join(root, prefix)
        self.pkg_config = {**os.environ, "PKG_CONFIG_PATH": os.path.join(self.prefix, "share", "pkgconfig")}

    def flags(self):
        return shlex.split(self.call("pkg-config", "--cflags", "bulkhead", env=self.pkg_config))

    def with_cmake(self):
        project = os.path.join(self.directory, "project")
        shutil.copytree(SAMPLE, project)
        self.call("cmake", "-G", "Ninja", "-S", project, "-B", project + "/build", f"-DCMAKE_PREFIX_PATH={self.prefix}")
        self.call("cmake", "--build", project + "/build")
        return project + "/build/shout.so"

    def with_pkg_config(self, source=SAMPLE + "/shout.c"):
        out = os.path.join(self.directory, "by_hand.so")
        self.call("cc", "-std=c11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-shared", "-fPIC", *self.flags(),
                  "-o", out, source)
        return out

    def serve(self, module, **options):
        """The installed daemon with this module."""
        harness_bin, harness.case.BIN = harness.case.BIN, os.path.join(self.prefix, "sbin")
        self.addCleanup(setattr, harness.case, "BIN", harness_bin)
        return self.start(module_listener(module, workers=1, **options))

    def test_the_sample_is_built_both_ways_and_serves(self):
        for build in (self.with_cmake, self.with_pkg_config):
            with self.subTest(build.__name__):
                daemon = self.serve(build(), options={"prefix": "> "})
                if os.geteuid() == 0:
                    self.assertEqual(os.readlink(f"/proc/{daemon.workers()[0].pid}/exe"),
                                     os.path.join(self.prefix, "libexec", "bulkhead", "bulkhead-module-worker"))
                with Client(daemon.address()) as client:
                    client.send(b"hello\nthere")
                    self.assertEqual(client.receive(8), b"> HELLO\n")
                    daemon.send_signal(15)
                    self.assertEqual(client.rest(), b"BYE\n")
                self.assertEqual(daemon.wait_exit(), 0)

    def test_the_sample_refuses_options_that_it_does_not_understand(self):
        module = self.with_pkg_config()
        daemon = self.start(module_listener(module, workers=1, options={"prefix": "x" * 64}), wait=False)
        daemon.expected_status = 70
        self.assertEqual(daemon.wait_exit(15), 70)
        daemon.wait_log('by_hand.so says: the option "prefix" has to be a string of less than 64')

    def test_the_example_of_the_manual_works(self):
        with open(os.path.join(SOURCE, "man", "bulkhead_handler.3")) as file:
            example = re.search(r"^\.Sh EXAMPLES.*?^\.Bd [^\n]*\n(.*?)^\.Ed", file.read(), re.M | re.S).group(1)
        daemon = self.serve(self.with_pkg_config(self.write("since.c", example.replace("\\e", "\\"))), options={"a": 1})
        with Client(daemon.address()) as client:
            self.assertRegex(client.rest(), rb"^here since ... ... .. ..:..:.. \d{4}\n$")
        daemon.wait_log(r'^{"a":1}$', level="info")

    def test_the_header_stands_alone(self):
        for compiler, language, standard in (("cc", "c", "c11"), ("cc", "c", "c17"), ("c++", "c++", "c++11"), ("c++", "c++", "c++20")):
            source = self.write("alone." + language, "#include <bulkhead/handler.h>\nint unused_;\n")
            self.call(compiler, f"-std={standard}", "-x", language, "-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Werror",
                      *self.flags(), "-fsyntax-only", source)

    def test_the_version_is_the_daemons(self):
        version = self.call(os.path.join(self.prefix, "sbin", "bulkheadd"), "--version").split()[-1]
        self.assertEqual(self.call("pkg-config", "--modversion", "bulkhead", env=self.pkg_config).strip(), version)


if __name__ == "__main__":
    main()
