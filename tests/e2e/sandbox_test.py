"""What the key `sandbox` forbids, asked by programs that try it: system calls by every way there is, files, ports, capabilities."""

import ctypes
import json
import os
import socket
import unittest

from harness import Client, TestCase, exec_listener, listener, main, needs_root

ABI = max(ctypes.CDLL(None).syscall(444, None, 0, 1), 0)  # landlock_create_ruleset(2), for its version
PYTHON = "/usr/bin/python3"  # every user reaches it
NEW = unittest.skipUnless

# Each attempt runs in a process of its own; its end says whether the call was allowed: killed by SIGSYS, or not.
PROBER = r"""
import ctypes, json, mmap, os, signal, sys
libc = ctypes.CDLL(None, use_errno=True)
def attempt(number, *arguments):
    pid = os.fork()
    if pid == 0:
        libc.syscall(ctypes.c_long(number), *[ctypes.c_long(one) for one in arguments])
        os._exit(0)
    status = os.waitpid(pid, 0)[1]
    return os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGSYS
def by_interrupt(number):
    # mov eax, number; xor ebx, ebx; xor ecx, ecx; xor edx, edx; int 0x80; ret
    code = b"\xb8" + number.to_bytes(4, "little") + b"\x31\xdb\x31\xc9\x31\xd2\xcd\x80\xc3"
    pid = os.fork()
    if pid == 0:
        page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
        page.write(code)
        ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))()
        os._exit(0)
    status = os.waitpid(pid, 0)[1]
    return os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGSYS
for line in sys.stdin:
    way, number, *arguments = json.loads(line)
    print(json.dumps(by_interrupt(number) if way == "interrupt" else attempt(number, *arguments)), flush=True)
"""

# Numbers of x86-64, with arguments that do nothing where the call is allowed.
FORBIDDEN = {
    "ptrace": [101, -1], "syslog": [103, -1], "vhangup": [153], "modify a mount": [442, -1, 0, 0, 0, 0], "pivot_root": [155, 0, 0],
    "adjtimex": [159, 0], "acct": [163, -1], "settimeofday": [164, -1, -1], "mount": [165, 0, 0, 0, 0, 0], "umount2": [166, 0, -1],
    "swapon": [167, 0, -1], "swapoff": [168, 0], "reboot": [169, 0, 0, 0, 0], "sethostname": [170, 0, -1], "setdomainname": [171, 0, -1],
    "iopl": [172, 9], "ioperm": [173, -1, 0, 0], "init_module": [175, 0, 0, 0], "delete_module": [176, 0, 0], "quotactl": [179, -1, 0, 0, 0],
    "lookup_dcookie": [212, 0, 0, 0], "clock_settime": [227, -1, 0], "kexec_load": [246, 0, 0, 0, -1], "add_key": [248, 0, 0, 0, 0, 0],
    "request_key": [249, 0, 0, 0, 0], "keyctl": [250, -1], "perf_event_open": [298, 0, 0, 0, 0, 0], "fanotify_init": [300, -1, 0],
    "prlimit of another": [302, 1, 7, 0, 0], "open_by_handle_at": [304, -1, 0, 0], "clock_adjtime": [305, -1, 0], "setns": [308, -1, 0],
    "process_vm_readv": [310, -1, 0, 0, 0, 0, 0], "process_vm_writev": [311, -1, 0, 0, 0, 0, 0], "kcmp": [312, -1, -1, 0, 0, 0],
    "finit_module": [313, -1, 0, 0], "kexec_file_load": [320, -1, -1, 0, 0, -1], "bpf": [321, -1, 0, 0], "userfaultfd": [323, -1],
    "open_tree": [428, -1, 0, 0], "move_mount": [429, -1, 0, -1, 0, 0], "fsopen": [430, 0, -1], "fsconfig": [431, -1, 0, 0, 0, 0],
    "fsmount": [432, -1, 0, 0], "fspick": [433, -1, 0, 0], "pidfd_getfd": [438, -1, 0, 0], "process_madvise": [440, -1, 0, 0, 0, 0]}
ALLOWED = {"read": [0, -1, 0, 0], "getpid": [39], "socket": [41, 1, 1, 0], "clone3": [435, 0, 0], "unshare": [272, 0], "chroot": [161, 0],
           "prlimit of itself": [302, 0, 7, 0, 0], "setuid": [105, -1], "sched_setaffinity": [203, 0, 0, 0], "mlockall": [151, 0],
           "io_uring_setup": [425, 0, 0], "memfd_create": [319, 0, -1], "personality": [135, 0xFFFFFFFF], "unknown": [999]}
BY_INTERRUPT = {"ptrace": 26, "mount": 21, "reboot": 88, "init_module": 128, "bpf": 357, "keyctl": 288}
X32 = 0x40000000


class Probing(TestCase):
    def prober(self, sandbox, name="run", **keys):
        return exec_listener([PYTHON, "-c", PROBER], name, sandbox=sandbox, workers=1, **keys)

    def ask(self, client, *words):
        client.send(json.dumps(words).encode() + b"\n")
        return json.loads(self.line(client))

    @staticmethod
    def line(client):
        line = b""
        while not line.endswith(b"\n"):
            line += client.receive(1)
        return line

    def run_in(self, daemon, name, code):
        """What this Python code prints in a connection of that listener of interpreters."""
        with Client(daemon.address(name), timeout=15) as client:
            client.send(code.encode())
            client.half_close()
            return client.rest().decode().strip()

    def interpreter(self, sandbox, name="run", **keys):
        return exec_listener([PYTHON, "-"], name, "inetd", sandbox=sandbox, workers=1, **keys)


@unittest.skipUnless(os.uname().machine == "x86_64", "numbers of x86-64")
class SystemCalls(Probing):
    def test_what_no_server_calls_is_forbidden_and_nothing_else(self):
        daemon = self.start(self.prober({"system_calls": {"then": "kill"}}))
        with Client(daemon.address("run"), timeout=15) as client:
            answers = {name: self.ask(client, "call", *call) for name, call in {**FORBIDDEN, **ALLOWED}.items()}
        self.assertEqual(answers, {**dict.fromkeys(FORBIDDEN, True), **dict.fromkeys(ALLOWED, False)})

    def test_nor_by_another_way(self):
        daemon = self.start(self.prober({"system_calls": {"then": "kill", "deny": ["socket"]}}))
        with Client(daemon.address("run"), timeout=15) as client:
            for name, number in {**BY_INTERRUPT, "socket": 359}.items():
                self.assertTrue(self.ask(client, "interrupt", number), name)
            self.assertFalse(self.ask(client, "interrupt", 20), "getpid")
        daemon = self.start(self.interpreter("basic"))
        code = f"import ctypes, os; c = ctypes.CDLL(None, use_errno=True); print(c.syscall({X32 | 165}, 0, 0, 0, 0, 0), ctypes.get_errno())"
        self.assertEqual(self.run_in(daemon, "run", code), "-1 38")

    def test_lists_can_be_changed(self):
        daemon = self.start(self.prober({"system_calls": {"then": "kill", "allow": ["ptrace"], "deny": ["personality"]}}))
        with Client(daemon.address("run"), timeout=15) as client:
            self.assertFalse(self.ask(client, "call", *FORBIDDEN["ptrace"]))
            self.assertTrue(self.ask(client, "call", *ALLOWED["personality"]))
            self.assertTrue(self.ask(client, "call", *FORBIDDEN["mount"]))

    def test_by_default_it_is_an_error_and_not_the_end(self):
        daemon = self.start(self.interpreter("basic"), self.interpreter("none", "free"))
        code = "import ctypes; c = ctypes.CDLL(None, use_errno=True); print(c.ptrace(99, 0, 0, 0), ctypes.get_errno())"
        self.assertEqual(self.run_in(daemon, "run", code), "-1 1")
        self.assertNotEqual(self.run_in(daemon, "free", code), "-1 1")

    def test_threads_processes_and_sockets_under_server(self):
        daemon = self.start(self.interpreter({"system_calls": "server"}),
                            listener("echo", sandbox={"system_calls": "server", "network": "none", "paths": {}}))
        code = ("import threading, subprocess, socket\n"
                "t = threading.Thread(target=lambda: print('thread', flush=True)); t.start(); t.join()\n"
                "print(subprocess.run(['id', '-u'], capture_output=True, text=True).stdout.strip() != '')\n"
                "print(socket.create_server(('127.0.0.1', 0)) is not None)\n")
        self.assertEqual(self.run_in(daemon, "run", code).split(), ["thread", "True", "True"])
        with Client(daemon.address("echo")) as client:
            self.assertTrue(client.echo())

    def test_a_process(self):
        code = "import ctypes, time; c = ctypes.CDLL(None, use_errno=True); print(c.ptrace(99, 0, 0, 0), ctypes.get_errno(), flush=True); time.sleep(99)"
        daemon = self.start({"id": "app", "type": "process", "argv": [PYTHON, "-c", code]})
        daemon.wait_log(r"-1 1\b")


class Memory(Probing):
    def test_memory_is_not_executed_after_it_was_written(self):
        daemon = self.start(self.interpreter({"write_execute": False}), self.interpreter("basic", "free"))
        code = "import mmap\ntry: mmap.mmap(-1, 4096, prot=7); print('made')\nexcept OSError as e: print(e.errno)\n"
        self.assertEqual(self.run_in(daemon, "run", code), "1")
        self.assertEqual(self.run_in(daemon, "free", code), "made")


class Network(Probing):
    CODE = ("import socket\nfor family in (socket.AF_INET, socket.AF_INET6, socket.AF_NETLINK, socket.AF_UNIX):\n"
            "  try: socket.socket(family, socket.SOCK_DGRAM); print('made')\n  except OSError as e: print(e.errno)\n")

    def test_none(self):
        daemon = self.start(self.interpreter({"network": "none"}))
        self.assertEqual(self.run_in(daemon, "run", self.CODE).split(), ["97", "97", "97", "made"])

    @NEW(ABI >= 4, "needs Landlock ABI 4")
    def test_ports(self):
        with socket.create_server(("127.0.0.1", 0)) as open_port, socket.create_server(("127.0.0.1", 0)) as shut:
            ports = [one.getsockname()[1] for one in (open_port, shut)]
            daemon = self.start(self.interpreter({"network": {"connect": ports[:1]}}))
            code = (f"import socket\nfor port in {ports}:\n  try: socket.create_connection(('127.0.0.1', port)); print('made')\n"
                    "  except OSError as e: print(e.errno)\n"
                    "try: socket.create_server(('127.0.0.1', 0)); print('made')\nexcept OSError as e: print(e.errno)\n")
            self.assertEqual(self.run_in(daemon, "run", code).split(), ["made", "13", "13"])


@NEW(ABI >= 1, "needs Landlock")
class Files(Probing):
    def test_only_these_paths(self):
        places = {name: os.path.join(self.directory, name) for name in ("read", "write", "none")}
        for place in places.values():
            os.makedirs(place + "/inner")
            open(place + "/file", "w").close()
        system = [path for path in ("/usr", "/bin", "/lib", "/lib64", "/etc") if os.path.exists(path)]
        paths = {"read": [places["read"]], "write": [places["write"]], "execute": system}
        daemon = self.start(self.interpreter({"paths": paths}), self.interpreter({"paths": {**paths, "else": "read"}}, "else"))
        code = (f"import os\nfor place in {list(places.values())}:\n  for how in ('r', 'w'):\n"
                "    try: open(place + '/file', how); print('made')\n    except OSError as e: print(e.errno)\n"
                f"os.rename('{places['write']}/file', '{places['write']}/inner/file'); print('moved')\n"
                "open('/dev/null', 'w'); print('null')\n")
        self.assertEqual(self.run_in(daemon, "run", code).split(), ["made", "13", "made", "made", "13", "13", "moved", "null"])
        self.assertEqual(self.run_in(daemon, "else", f"open('{places['none']}/file'); print('made')"), "made")

    @NEW(ABI >= 6, "needs Landlock ABI 6")
    def test_a_program_with_walls_of_its_own_can_rename_between_directories(self):
        os.makedirs(os.path.join(self.directory, "a"))
        os.makedirs(os.path.join(self.directory, "b"))
        daemon = self.start(self.interpreter("basic"))
        code = (f"import ctypes, os, struct\nc = ctypes.CDLL(None, use_errno=True)\nattributes = struct.pack('QQQ', 0x2000, 0, 0)\n"
                "rules = c.syscall(444, attributes, 24, 0)\nroot = os.open('/', os.O_PATH)\n"
                "print(c.syscall(445, rules, 1, struct.pack('=Qi', 0x2000, root), 0), c.syscall(446, rules, 0))\n"
                f"open('{self.directory}/a/file', 'w').close(); os.rename('{self.directory}/a/file', '{self.directory}/b/file'); print('moved')\n")
        self.assertEqual(self.run_in(daemon, "run", code).split(), ["0", "0", "moved"])


@needs_root
class Privileges(Probing):
    FACTS = "print(*[line.split()[1] for line in open('/proc/self/status') if line.split(':')[0] in ('CapEff', 'CapBnd', 'NoNewPrivs', 'Seccomp')])"

    def test_capabilities_that_stay(self):
        daemon = self.start(self.interpreter({"keep_capabilities": ["CAP_NET_RAW", "CAP_SYS_TIME"]}, user="nobody"))
        effective, bounding, no_new, _ = self.run_in(daemon, "run", self.FACTS).split()
        self.assertEqual([int(effective, 16), int(bounding, 16), no_new], [1 << 13 | 1 << 25] * 2 + ["1"])

    def test_the_presets(self):
        daemon = self.start(self.interpreter("basic", "basic", user="nobody"), self.interpreter("none", "none", user="nobody"),
                            self.interpreter({"new_privileges": True}, "gains", user="nobody"))
        self.assertEqual(self.run_in(daemon, "basic", self.FACTS).split()[::2], ["0000000000000000", "1"])
        self.assertEqual(self.run_in(daemon, "basic", self.FACTS).split()[3], "2")
        for name in ("none", "gains"):
            self.assertEqual(self.run_in(daemon, name, self.FACTS).split()[2:], ["0", "0"])

    @NEW(ABI >= 6, "needs Landlock ABI 6")
    def test_around_what_the_scope_is(self):
        daemon = self.start(*(self.interpreter({"scope": scope}, scope, user="nobody") for scope in ("connection", "listener", "off")),
                            daemon={"drain_timeout": "0s"})
        found = {}
        for name in ("connection", "listener", "off"):
            with Client(daemon.address(name)) as other:
                other.send(b"import os, signal\nprint(os.getpid(), flush=True)\nsignal.pause()\n")
                other.half_close()
                pid = int(self.line(other))
                worker = next(one.pid for one in daemon.workers() if f" {name}/" in one.title)
                code = f"import os\nfor pid in ({pid}, {worker}):\n  try: os.kill(pid, 0); print('reached')\n  except OSError as e: print(e.errno)\n"
                found[name] = self.run_in(daemon, name, code)
        self.assertEqual(found, {"connection": "1\n1", "listener": "reached\nreached", "off": "reached\nreached"})


class Check(Probing):
    def check(self, sandbox):
        path = os.path.join(self.directory, "c.json")
        with open(path, "w") as file:
            json.dump({"supervisor": {"children": [listener("echo", sandbox=sandbox)]}}, file)
        status, _, errors = self.run_program("--check", "-c", path)
        return status, errors

    def test_errors_name_the_place_and_the_nearest_name(self):
        for sandbox, words in (({"system_calls": {"allow": ["ptrac"]}}, 'did you mean "ptrace"?'),
                               ({"new_privileges": True, "network": "none"}, 'needs "new_privileges": false'),
                               ({"paths": {"read": ["etc"]}}, "an absolute path"),
                               ({"network": {"connect": [70000]}}, "a port from 0 to 65535"),
                               ({"preset": "strong"}, '"basic", "none" or "strict"'),
                               ({"keep_capabilities": ["CAP_NET_RAWS"]}, "CAP_NET_RAW")):
            status, errors = self.check(sandbox)
            self.assertEqual(status, 78, sandbox)
            self.assertIn(words, errors)
            self.assertIn("/supervisor/children/0/sandbox", errors)

    def test_what_is_in_effect_is_shown_whole(self):
        path = os.path.join(self.directory, "c.json")
        with open(path, "w") as file:
            json.dump({"supervisor": {"children": [listener("echo")]}}, file)
        _, output, _ = self.run_program("--dump-config", "-c", path)
        shown = json.loads(output)["supervisor"]["children"][0]["sandbox"]
        self.assertEqual(shown, {"preset": "basic", "new_privileges": False, "keep_capabilities": [], "scope": "connection",
                                 "system_calls": "common", "network": "host", "private": [], "write_execute": True})


if __name__ == "__main__":
    main()
