"""What a program has for itself (`private`), and the preset `strict`: asked by programs that try it, with real ends of connections."""

import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import unittest

from harness import Client, ControlledTestCase, exec_listener, main, needs_root, signal_process, wait_until
from sandbox_test import ABI, PYTHON, Probing

SPACES = ("tmp", "pids", "ipc", "devices", "network")


def can_unshare():
    return os.geteuid() == 0 and subprocess.run(["unshare", "--user", "--mount", "--pid", "--fork", "true"], capture_output=True).returncode == 0


needs_spaces = unittest.skipUnless(can_unshare(), "this system has no user namespaces")


class Space(ControlledTestCase, Probing):
    def shell(self, sandbox, name="run", **keys):
        keys.setdefault("user", "nobody")
        return exec_listener(["/bin/sh"], name, "inetd", sandbox=sandbox, workers=1, **keys)

    def inside(self, sandbox, name="run", **keys):
        keys.setdefault("user", "nobody")
        return self.interpreter(sandbox, name, **keys)


@needs_spaces
class Private(Space):
    def test_each_is_its_own(self):
        daemon = self.start(*(self.inside({"private": [name]}, name) for name in SPACES), self.inside("basic", "free"))
        names = {"tmp": "mnt", "pids": "pid", "ipc": "ipc", "devices": "mnt", "network": "net"}
        for space, name in names.items():
            code = f"import os; print(os.readlink('/proc/self/ns/{name}'))"
            self.assertNotEqual(*(self.run_in(daemon, one, code) for one in (space, "free")), space)

    def test_tmp(self):
        daemon = self.start(self.inside({"private": ["tmp"]}))
        code = ("import os\nfor d in ('/tmp', '/var/tmp'):\n  print(os.listdir(d)); open(d + '/file', 'w').write('x')\n"
                "s = os.statvfs('/tmp'); print(s.f_blocks * s.f_frsize >> 20, oct(os.stat('/tmp').st_mode))\n"
                "os.mkdir('/tmp/a'); os.rename('/tmp/file', '/tmp/a/file'); print('moved')\n")
        for _ in range(2):
            self.assertEqual(self.run_in(daemon, "run", code).split("\n"), ["[]", "[]", "64 0o41777", "moved"])
        self.assertFalse(os.path.exists("/tmp/file"))

    def test_devices(self):
        daemon = self.start(self.inside({"private": ["devices"]}))
        code = ("import os\nprint(*sorted(os.listdir('/dev')))\nopen('/dev/null', 'w').write('x'); print(len(open('/dev/urandom', 'rb').read(3)), os.listdir('/dev/shm'))\n"
                "open('/dev/shm/x', 'w').write('y')\nfor p in ('/dev/x', '/dev/null2'):\n  try: open(p, 'w'); print('made')\n  except OSError as e: print(e.errno)\n")
        self.assertEqual(self.run_in(daemon, "run", code).split("\n"),
                         ["fd full null random shm stderr stdin stdout urandom zero", "3 []", "30", "30"])

    def test_network(self):
        daemon = self.start(self.inside({"private": ["network"]}))
        code = ("import socket\nprint(socket.if_nameindex())\ntry: socket.create_connection(('127.0.0.1', %d)); print('made')\n"
                "except OSError as e: print(e.errno)\n" % daemon.address("run")[1])
        self.assertEqual(self.run_in(daemon, "run", code).split("\n"), ["[(1, 'lo')]", "101"])

    def test_no_capability_is_left_not_even_to_root(self):
        code = "print(*[l.split()[1] for l in open('/proc/self/status') if l.startswith(('CapPrm', 'CapEff', 'CapInh', 'CapAmb'))])"
        daemon = self.start(*(self.inside({"private": list(spaces)}, user + spaces[0], user=user)
                              for user in ("nobody", "root") for spaces in (("tmp",), ("pids", "tmp"))))
        for user in ("nobody", "root"):
            for space in ("tmp", "pids"):
                self.assertEqual(set(self.run_in(daemon, user + space, code).split()), {"0" * 16}, (user, space))
        for name in ("nobodytmp", "nobodypids"):
            worker = next(one.pid for one in daemon.workers() if f" {name}/" in one.title)
            with open(f"/proc/{worker}/status") as status:
                held = next(line.split()[1] for line in status if line.startswith("CapEff"))
            self.assertEqual(int(held, 16), 1 << 21 | 1 << 8)
            self.assertNotEqual(os.readlink(f"/proc/{worker}/ns/user"), os.readlink("/proc/self/ns/user"))

    def test_numbers(self):
        daemon = self.start(self.inside({"private": ["pids"]}))
        code = "import os; print(os.getpid(), os.getppid(), os.getpgrp(), *sorted(int(p) for p in os.listdir('/proc') if p.isdigit()))"
        self.assertEqual(self.run_in(daemon, "run", code), "2 1 2 1 2")

    def test_ends_are_exact(self):
        daemon = self.start(self.shell({"private": ["pids"]}))
        for code, words in (("exit 3", {"status": 3}), ("kill -SEGV $$", {"signal": "SIGSEGV"}), ("kill -KILL $$", {"signal": "SIGKILL"}), ("exit 0", {})):
            with Client(daemon.address("run"), timeout=15) as client:
                client.send(code.encode() + b"\n")
                client.rest()
                line = daemon.wait_log(r"", peer=client.name)[-1]
            for key, value in words.items():
                self.assertEqual(line.get(key), value, line)

    def test_a_stray_ends_with_its_connection(self):
        daemon = self.start(self.shell({"private": ["pids"]}))
        with Client(daemon.address("run"), timeout=15) as client:
            client.send(b"setsid sh -c 'sleep 7654321 & exec sleep 7654321' </dev/null >/dev/null 2>&1 & echo; exit 0\n")
            client.rest()
        wait_until(lambda: not self.running("7654321"), 5, "the strays end")

    @staticmethod
    def running(word):
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/cmdline", "rb") as file:
                    if word.encode() in file.read().split(b"\0"):
                        found.append(int(pid))
            except OSError:
                pass
        return found

    def test_signals_are_handed_on_and_a_kill_ends_all(self):
        daemon = self.start(self.shell({"private": ["pids"]}))
        with Client(daemon.address("run"), timeout=15) as client:
            client.send(b"trap 'echo told; exit 4' TERM; sleep 8765432 & echo ready; wait\n")
            self.assertEqual(self.line(client), b"ready\n")
            child = daemon.child_of(client)
            signal_process(child.pid, signal.SIGTERM)
            self.assertEqual(self.line(client), b"told\n")
            client.rest()
            self.assertEqual(daemon.wait_log(r"", peer=client.name)[-1].get("status"), 4)
        with Client(daemon.address("run"), timeout=15) as client:
            client.send(b"trap '' TERM; sleep 8765432 & echo ready; wait\n")
            self.assertEqual(self.line(client), b"ready\n")
            os.kill(daemon.child_of(client).pid, signal.SIGKILL)
            client.rest()
            self.assertEqual(daemon.wait_log(r"", peer=client.name)[-1].get("signal"), "SIGKILL")
        wait_until(lambda: not self.running("8765432"), 5, "all of it ends")

    def test_a_connection_survives_its_worker(self):
        daemon = self.start(self.shell({"private": ["pids", "tmp"]}))
        with Client(daemon.address("run"), timeout=15) as client:
            client.send(b"echo ready\n")
            self.assertEqual(self.line(client), b"ready\n")
            before = daemon.workers()
            signal_process(before[0].pid, signal.SIGKILL)
            daemon.wait_workers(1, without=before)
            client.send(b"echo still; exit 5\n")
            self.assertEqual(self.line(client), b"still\n")
            client.rest()
            self.assertEqual(daemon.wait_log(r"exit", peer=client.name)[-1].get("status"), 5)

    def test_a_process(self):
        code = "import os; print('facts', os.getpid(), os.getuid(), os.listdir('/tmp'), flush=True); os.kill(os.getpid(), 11)"
        daemon = self.start({"id": "app", "type": "process", "argv": [PYTHON, "-c", code], "user": "nobody", "sandbox": "strict", "restart": "temporary"})
        daemon.wait_log(r"facts 2 65534 \[\]")
        daemon.wait_log(r"SIGSEGV", path="root/app")

    def test_an_errand_for_built_ins(self):
        path = os.path.join(self.directory, "c.json")
        with open(path, "w") as file:
            json.dump({"supervisor": {"children": [{"id": "echo", "type": "listener", "listen": "127.0.0.1:0", "handler": "echo", "sandbox": {"private": ["tmp"]}}]}}, file)
        status, _, errors = self.run_program("--check", "-c", path)
        self.assertEqual(status, 78)
        self.assertIn("/sandbox/private", errors)


# A name, and a statement that raises where it is forbidden.
ATTEMPTS = {
    "signal another connection": "os.kill(OTHER, 0)",
    "signal the worker": "os.kill(WORKER, 0)",
    "trace another connection": "call(101, 16, OTHER, 0, 0)",
    "an abstract socket": "socket.socket(socket.AF_UNIX).connect('\\0' + ABSTRACT)",
    "read /etc/shadow": "open('/etc/shadow')",
    "write /etc": "open('/etc/bulkhead-probe', 'w')",
    "the system's /tmp": "open(MARK)",
    "processes of the system": "open(f'/proc/{OTHER}/cmdline')",
    "read /root": "os.listdir('/root')",
    "read /var": "os.listdir('/var/lib')",
    "read /sys": "os.listdir('/sys')",
    "mount": "call(165, b'none', b'/mnt', b'tmpfs', 0, 0)",
    "umount": "call(166, b'/proc', 0)",
    "setns": "call(308, -1, 0)",
    "bpf": "call(321, 0, 0, 0)",
    "keyctl": "call(250, 0, -3, 0)",
    "TCP to loopback": "socket.create_connection(('127.0.0.1', PORT))",
    "a TCP socket": "socket.socket()",
    "a raw socket": "socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)",
    "a packet socket": "socket.socket(socket.AF_PACKET, socket.SOCK_RAW)",
    "mknod": "call(133, b'/tmp/node', 0o20666, 0x103)",
    "chroot": "call(161, b'/tmp')",
    "setuid 0": "call(105, 0)",
    "setgid 0": "call(106, 0)",
    "load a module": "call(175, 0, 0, 0)",
    "io_uring": "call(425, 1, ctypes.create_string_buffer(120))",
    "userfaultfd": "call(323, 1)",
    "personality": "call(135, 0x40000)",
    "clone3": "expect(38, 435, 0, 0)",
    "reboot": "call(169, 0, 0, 0, 0)",
    "set the clock": "call(227, 0, 0)",
    "swapoff": "call(168, b'/x')",
    "perf": "call(298, 0, 0, -1, -1, 0)",
    "limits of another": "call(302, OTHER, 7, 0, ctypes.create_string_buffer(16))",
    "write to /usr": "open('/usr/bulkhead-probe', 'w')",
    "become more important": "os.nice(-5)",
    "unshare": "call(272, 0x10000000)",  # the last: it gives capabilities
}
STRICT_ALONE = {"the system's /tmp", "processes of the system", "read /var", "read /sys", "unshare", "TCP to loopback", "a TCP socket",
                "io_uring", "personality", "clone3"}
PREPARED = """
import ctypes, os, socket
libc = ctypes.CDLL(None, use_errno=True)
def call(number, *a):
    r = libc.syscall(ctypes.c_long(number), *[ctypes.c_long(x) if isinstance(x, int) else x for x in a])
    if r < 0: raise OSError(ctypes.get_errno(), '')
def expect(error, number, *a):
    try: call(number, *a)
    except OSError as e:
        if e.errno == error: raise
"""


@needs_spaces
class Strict(Space):
    def probe(self, daemon, name):
        """Which attempts are forbidden in a connection of this listener."""
        code = PREPARED + self.facts + "\nfor name, what in " + repr(ATTEMPTS) + ".items():\n  try: exec(what)\n  except Exception: print(name)\n"
        return set(self.run_in(daemon, name, code).split("\n"))

    @unittest.skipUnless(os.uname().machine == "x86_64" and ABI >= 6, "numbers of x86-64, and scopes")
    def test_the_matrix(self):
        mark = "/tmp/bulkhead-mark-%d" % os.getpid()
        self.addCleanup(lambda: os.path.exists(mark) and os.unlink(mark))
        with open(mark, "w"):
            os.chmod(mark, 0o666)
        daemon = self.start(self.inside("strict", "strict"), self.inside("basic", "basic"), self.inside("none", "none"), self.shell("basic", "other"))
        abstract = "bulkhead-probe-%d" % os.getpid()
        with socket.socket(socket.AF_UNIX) as listening, Client(daemon.address("other"), timeout=15) as other, socket.create_server(("127.0.0.1", 0)) as port:
            listening.bind("\0" + abstract)
            listening.listen()
            other.send(b"echo $$\n")
            victim = int(self.line(other))
            worker = next(one.pid for one in daemon.workers() if " other/" in one.title)
            self.facts = f"OTHER, WORKER, ABSTRACT, MARK, PORT = {victim}, {worker}, {abstract!r}, {mark!r}, {port.getsockname()[1]}"
            found = {name: self.probe(daemon, name) for name in ("strict", "basic", "none")}
        self.assertEqual(found["strict"], set(ATTEMPTS))
        self.assertEqual(set(ATTEMPTS) - found["basic"], STRICT_ALONE)
        self.assertLessEqual(found["none"], found["basic"])
        self.assertLessEqual({"signal another connection", "signal the worker", "an abstract socket"}, set(ATTEMPTS) - found["none"])

    def test_real_programs(self):
        programs = {"python": [PYTHON, "-c", "import sys\nfor line in sys.stdin: sys.stdout.write(line); sys.stdout.flush()"],
                    "cat": ["/bin/cat"], "perl": ["/usr/bin/perl", "-e", "$|=1; print while <STDIN>"],
                    "node": ["/usr/bin/node", "-e", "process.stdin.pipe(process.stdout)"]}
        programs = {name: argv for name, argv in programs.items() if os.path.exists(argv[0])}
        daemon = self.start(*(exec_listener(argv, name, "inetd", sandbox="strict", user="nobody", workers=1) for name, argv in programs.items()))
        for name in programs:
            with Client(daemon.address(name), timeout=20) as client:
                self.assertTrue(client.echo(), name)

    @unittest.skipUnless(shutil.which("git"), "needs git")
    def test_git(self):
        base = tempfile.mkdtemp(dir="/opt")  # not below /tmp, which is private
        self.addCleanup(shutil.rmtree, base)
        place = os.path.join(base, "r.git")
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "check": True}
        subprocess.run(["git", "init", "--bare", "-q", place], **quiet)
        work = os.path.join(base, "w")
        subprocess.run(["git", "clone", "-q", place, work], **quiet)
        subprocess.run(["git", "-C", work, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "--allow-empty", "-m", "one"], **quiet)
        subprocess.run(["git", "-C", work, "push", "-q", "origin", "HEAD"], **quiet)
        os.chmod(base, 0o755)
        daemon = self.start(exec_listener(["/usr/bin/git", "daemon", "--inetd", "--export-all", "--base-path=" + base], "git", "inetd", user="nobody", workers=1,
                                          env={"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*"},
                                          sandbox={"preset": "strict", "paths": {"read": [base]}}))
        address, port = daemon.address("git")
        out = subprocess.run(["git", "ls-remote", f"git://{address}:{port}/r.git"], capture_output=True, text=True, timeout=20)
        self.assertIn("refs/heads/", out.stdout, out.stderr)


if __name__ == "__main__":
    main()
