"""What --check, bulkheadctl check and a reload say before anything is started, and an address family that the kernel lacks."""

import json
import os
import re
import socket
import subprocess

from harness import ControlledTestCase, TestCase, config_of, exec_listener, free_port, listener, main, needs_root, tool

AS_ROOT = os.geteuid() == 0
NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--")


def process(argv, **keys):
    return {"id": "p", "type": "process", "argv": argv, **keys}


class Check(TestCase):
    def setUp(self):
        super().setUp()
        os.chmod(self.directory, 0o755)

    def check(self, *children, prefix=(), name="c.json", **top):
        config = {**config_of(*children), **top}
        path = self.write(name, json.dumps(config, indent=1))
        done = subprocess.run([*prefix, self.program, "--check", "-c", path], stdin=subprocess.DEVNULL, capture_output=True, text=True)
        return done.returncode, done.stderr

    def refused(self, pointer, words, *children, **top):
        status, errors = self.check(*children, **top)
        self.assertEqual(status, 78, errors)
        self.assertRegex(errors, rf"^{self.directory}/c\.json:\d+:\d+: {pointer}: ")
        self.assertIn(words, errors)
        self.assertEqual(len(errors.splitlines()), 1, errors)

    def program_file(self, name, text, mode=0o755):
        path = self.write(name, text)
        os.chmod(path, mode)
        return path

    def handler(self, path, **keys):
        return exec_listener([path], **({"user": "nobody"} if AS_ROOT else {}), **keys)

    def test_addresses_that_another_program_has(self):
        with socket.socket() as tcp, socket.socket(socket.AF_UNIX) as local, socket.socket() as client:
            tcp.bind(("127.0.0.1", 0))
            tcp.listen()
            port = tcp.getsockname()[1]
            path = os.path.join(self.directory, "x.sock")
            local.bind(path)
            local.listen()
            holder = f"in use by {self.own_name()} (pid {os.getpid()})"
            for address in (f"127.0.0.1:{port}", str(port), f"[::]:{port}", f"unix:{path}"):
                with self.subTest(address):
                    status, errors = self.check(listener(listen=address))
                    self.assertEqual(status, 0, errors)
                    self.assertIn(f"c.json: root/echo: warning: {address} is {holder}\n", errors)
            client.connect(("127.0.0.1", port))
            free = client.getsockname()[1]  # of a connection: in nobody's way
            for address in ("127.0.0.1:0", f"127.0.0.2:{port}", f"127.0.0.1:{free}"):
                self.assertEqual(self.check(listener(listen=address)), (0, ""), address)

    def own_name(self):
        with open("/proc/self/comm") as file:
            return file.read().strip()

    def test_the_ports_of_the_running_daemon_are_its_own(self):
        port = free_port()
        daemon = self.start(listener(listen=f"127.0.0.1:{port}"))
        done = subprocess.run([self.program, "--check", "-c", daemon.config_path], stdin=subprocess.DEVNULL, capture_output=True, text=True)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        done = subprocess.run([self.program, "--check", "-c", daemon.config_path, "-s", "/nonexistent"], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(f"127.0.0.1:{port} is in use by bulkheadd (pid {daemon.pid})", done.stderr)

    def test_programs_that_cannot_be_executed(self):
        first = self.program_file("good", "#!/bin/sh\n")
        for name, text, words in (
                ("crlf", "#!/bin/sh\r\necho\r\n", "its first line ends in a carriage return"),
                ("env_crlf", "#!/usr/bin/env python3\r\n", "its first line ends in a carriage return"),
                ("lost", "#!/usr/bin/pyhton\n", 'its interpreter "/usr/bin/pyhton" cannot be executed: No such file'),
                ("chain", f"#!{first}\n", None),
                ("no_head", "echo hello\n", "neither a program of this system nor a script"),
                ("empty", "", "it is empty"),
                ("bom", "\ufeff#!/bin/sh\n", "byte order mark")):
            path = self.program_file(name, text)
            with self.subTest(name):
                if words is None:
                    self.assertEqual(self.check(self.handler(path)), (0, ""))
                    continue
                self.refused("/supervisor/children/0/handler/exec/0", words, self.handler(path))
                self.refused("/supervisor/children/0/argv/0", words, process([path]))

    def test_a_program_for_another_processor(self):
        with open("/bin/true", "rb") as file:
            image = bytearray(file.read())
        image[18] = 0xB7 if image[18] != 0xB7 else 0x3E  # e_machine
        path = os.path.join(self.directory, "foreign")
        with open(path, "wb") as file:
            file.write(image)
        os.chmod(path, 0o755)
        self.refused("/supervisor/children/0/argv/0", "another kind of processor", process([path]))

    @tool("cc")
    def test_a_library_that_a_program_needs(self):
        def build(name, text, *options):
            path = os.path.join(self.directory, name)
            self.write(name + ".c", text)
            subprocess.run(["cc", "-o", path, path + ".c", *options], check=True)
            return path
        os.makedirs(os.path.join(self.directory, "lib"))
        library = build("lib/libbulkheadtest.so.3", "int answer(void) { return 0; }", "-shared", "-fPIC")
        main_of = "int answer(void); int main(void) { return answer(); }"
        libraries = os.path.dirname(library)
        with_library = ("-L" + libraries, "-l:libbulkheadtest.so.3")
        with_origin = (*with_library, "-Wl,-rpath,$ORIGIN/lib")
        shared = build("shared", main_of, *with_library)
        origin = build("origin", main_of, *with_origin)
        subprocess.run([origin], check=True)
        module = build("module.so", main_of, "-shared", "-fPIC", *with_origin)
        user = {"user": "nobody"} if AS_ROOT else {}
        loads = listener(handler={"module": module}, **user)
        self.assertEqual(self.check(process([origin]), self.handler(origin, id="h"), {**loads, "id": "m"}), (0, ""))
        self.assertEqual(self.check(process([shared], env={"LD_LIBRARY_PATH": libraries})), (0, ""))
        needs = 'it needs the library "libbulkheadtest.so.3", which is in none of '
        where = re.escape(self.directory) + r"/c\.json:\d+:\d+: /supervisor/children/0/"
        system = "/etc/ld.so.cache and the system's directories such as /usr/lib\n"
        status, errors = self.check(process([shared]))
        self.assertEqual(status, 0, errors)
        self.assertRegex(errors, rf'^{where}argv/0: warning: program "{re.escape(shared)}" may not start: {needs}{re.escape(system)}$')
        bare = build("bare.so", main_of, "-shared", "-fPIC", *with_library)
        _, errors = self.check(listener(handler={"module": bare}, env={"LD_LIBRARY_PATH": libraries}, **user))
        self.assertIn(f'module "{bare}" may not be loaded: {needs}{system}', errors)
        os.remove(library)
        for pointer, what, child in (
                ("argv/0", f'program "{origin}" may not start', process([origin])),
                ("handler/exec/0", f'program "{origin}" may not start', self.handler(origin)),
                ("handler/module", f'module "{module}" may not be loaded', loads)):
            with self.subTest(pointer):
                status, errors = self.check(child)
                self.assertEqual(status, 0, errors)
                self.assertRegex(errors, rf"^{where}{pointer}: warning: {re.escape(what)}: {needs}")
                self.assertTrue(errors.endswith(f'"{libraries}", {system}'), errors)
                self.assertEqual(len(errors.splitlines()), 1, errors)

    @needs_root
    def test_what_the_user_cannot_reach(self):
        closed = os.path.join(self.directory, "closed")
        os.mkdir(closed, 0o700)
        inside = self.program_file("closed/run", "#!/bin/sh\n")
        words = f"user nobody may not enter {closed}: it has mode 0700"
        self.refused("/supervisor/children/0/handler/exec/0", words, self.handler(inside))
        self.refused("/supervisor/children/0/argv/0", words, process([inside], user="nobody"))
        self.refused("/supervisor/children/0/rules/0/handler/exec/0", words,
                     listener(user="nobody", rules=[{"from": "10.0.0.0/8", "handler": {"exec": [inside]}}]))
        self.assertEqual(self.check(process([inside])), (0, ""))
        script = self.program_file("script", f"#!{inside}\n")
        self.refused("/supervisor/children/0/handler/exec/0", f'its interpreter "{inside}" cannot be executed: {words}',
                     self.handler(script))
        unreadable = self.program_file("unreadable", "#!/bin/sh\n", 0o711)
        self.refused("/supervisor/children/0/handler/exec/0", "its interpreter cannot read it", self.handler(unreadable))
        private = self.program_file("private", "#!/bin/sh\n", 0o700)
        self.refused("/supervisor/children/0/handler/exec/0", "user nobody may not execute", self.handler(private))
        os.chown(closed, 0, 65534)
        os.chmod(closed, 0o710)
        self.assertEqual(self.check(process([inside], user="nobody", group="nogroup")), (0, ""))
        status, errors = self.check(process(["/bin/true"], user="nobody", chdir="/root"))
        self.assertEqual(status, 0)
        self.assertIn("/chdir: warning: user nobody may not enter /root", errors)

    @needs_root
    @tool("setfacl")
    def test_an_access_control_list_is_believed(self):
        closed = os.path.join(self.directory, "closed")
        os.mkdir(closed, 0o700)
        inside = self.program_file("closed/run", "#!/bin/sh\n")
        done = subprocess.run(["setfacl", "-m", "u:nobody:x", closed], capture_output=True)
        if done.returncode != 0:
            self.skipTest("no access control lists here")
        self.assertEqual(self.check(process([inside], user="nobody")), (0, ""))

    def test_places_of_sockets_log_and_pid_file(self):
        regular = self.write("regular", "")
        listen = "/supervisor/children/0/listen"
        self.refused(listen, '"/no" does not exist', listener(listen="unix:/no/such/s"))
        self.refused(listen, "Not a directory", listener(listen=f"unix:{regular}/s"))
        self.refused(listen, "a regular file is there", listener(listen=f"unix:{regular}"))
        self.refused("/log/target", '"/no" does not exist', log={"target": "/no/such/log"})
        self.refused("/log/target", "Is a directory", log={"target": self.directory})
        self.refused("/daemon/pid_file", '"/no" does not exist', daemon={"pid_file": "/no/such/pid"})
        self.refused("/control/socket", '"/no" does not exist', control={"socket": "/no/such/deep/s"})
        self.refused("/control/socket", "a regular file is there", control={"socket": regular})
        self.refused(listen, "no interface has this address", listener(listen="192.0.2.77:0"))
        self.refused(listen, "no network interface of this name", listener(device="none0"))
        self.assertEqual(self.check(listener(listen=f"unix:{self.directory}/s"), log={"target": f"{self.directory}/log"},
                                    daemon={"pid_file": f"{self.directory}/pid"}, control={"socket": f"{self.directory}/new/s"}),
                         (0, ""))
        self.assertEqual(os.listdir(self.directory).count("log"), 0)

    def test_the_command_line_instead_of_the_file(self):
        path = self.write("c.json", json.dumps({**config_of(listener()), "daemon": {"pid_file": "/no/such/pid"},
                                                "control": {"socket": "/no/such/deep/s"}}))
        status, _, errors = self.run_program("--check", "-c", path, "--pid-file", f"{self.directory}/p", "-s", f"{self.directory}/s")
        self.assertEqual((status, errors), (0, ""))

    @needs_root
    def test_another_user_checks_roots_file(self):
        closed = os.path.join(self.directory, "closed")
        os.mkdir(closed, 0o700)
        inside = self.program_file("closed/run", "#!/bin/sh\n")
        status, errors = self.check(process([inside]), listener(listen=f"unix:{closed}/s", user="nobody"), listener("low", listen="81"),
                                    log={"target": f"{closed}/log"}, daemon={"pid_file": f"{closed}/pid"}, prefix=NOBODY)
        self.assertNotIn("/listen", errors)
        self.assertNotIn("/log", errors)
        self.assertNotIn("/pid_file", errors)
        status, errors = self.check(listener(user="mail"), log={"target": f"{closed}/log"}, prefix=NOBODY)
        self.assertEqual(status, 0, errors)
        self.assertIn("it is checked as root's daemon would read it", errors)

    @needs_root
    def test_what_an_unprivileged_daemon_cannot_have(self):
        path = self.write("own.json", json.dumps(config_of(listener(listen="127.0.0.1:81"), process(["/bin/true"], nice=-5))))
        os.chown(path, 65534, 65534)
        done = subprocess.run([*NOBODY, self.program, "--check", "-c", path], capture_output=True, text=True)
        self.assertEqual(done.returncode, 78)
        self.assertIn("this port needs CAP_NET_BIND_SERVICE", done.stderr)
        self.assertIn("needs CAP_SYS_NICE", done.stderr)

    @needs_root
    def test_root_without_the_capability_to_raise_limits(self):
        prefix = ("prlimit", "--nofile=4096:4096", "setpriv", "--bounding-set=-sys_resource", "--")
        status, errors = self.check(process(["/bin/true"], rlimits={"nofile": 4097}), prefix=prefix)
        self.assertEqual(status, 78, errors)
        self.assertIn("/rlimits/nofile: raising the hard limit, which is 4096 for the daemon, needs CAP_SYS_RESOURCE", errors)

    def test_contradictions_are_warnings(self):
        status, errors = self.check(listener(workers=8, max_connections=2, max_connections_per_source=3))
        self.assertEqual(status, 0)
        self.assertIn("/supervisor/children/0/workers: warning: 8 workers for at most 2 connections", errors)
        self.assertIn("/supervisor/children/0/max_connections_per_source: warning: it has no effect", errors)


class Running(ControlledTestCase):
    def test_check_reload_and_log_say_the_same(self):
        daemon = self.supervise(listener(workers=2, max_connections=1))
        warning = "/supervisor/children/0/workers: warning: 2 workers for at most 1 connection"
        self.assertTrue(daemon.log(warning, path="root", level="warning"))
        status, output, errors = daemon.control.run("check")
        self.assertEqual((status, output), (0, "the configuration is good\n"))
        self.assertIn(warning, errors)
        lost = os.path.join(self.directory, "lost")
        with open(lost, "w") as file:
            file.write("#!/no/such\n")
        os.chmod(lost, 0o755)
        with open(daemon.config_path, "w") as file:
            json.dump(config_of(listener(), exec_listener([lost])), file)
        for command in (["check"], ["reload", "--wait"]):
            status, _, errors = daemon.control.run(*command)
            self.assertEqual(status, 2, errors)
            self.assertIn("/supervisor/children/1/handler/exec/0: cannot execute", errors)


@needs_root
@tool("unshare", "ip", "nsenter")
class WithoutIpv6(TestCase):
    """In a network of its own, in which IPv6 is switched off."""

    OFF = ("unshare", "--net", "sh", "-c",
           'echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6; ip link set lo up; exec "$@"', "sh")

    def serve(self, listen):
        return self.start(listener(listen=listen), prefix=self.OFF)

    def ask(self, daemon, port):
        code = (f"import socket\ns = socket.create_connection(('127.0.0.1', {port}), 5)\ns.sendall(b'hi\\n')\n"
                "print(s.recv(3).decode(), end='')")
        done = subprocess.run(["nsenter", f"--net=/proc/{daemon.pid}/ns/net", "python3", "-c", code], capture_output=True, text=True)
        self.assertEqual(done.stdout, "hi\n", done.stderr)

    def test_the_other_address_serves(self):
        daemon = self.serve(["127.0.0.1:4040", "[::1]:4040"])
        self.ask(daemon, 4040)
        warnings = daemon.log("this system has no IPv6", path="root/echo", level="warning")
        self.assertEqual(len(warnings), 1)
        self.assertIn("[::1]:4040", warnings[0]["message"])
        self.assertEqual([one["listen"] for one in daemon.ready["endpoints"]], ["127.0.0.1:4040"])

    def test_both_families_serve_what_there_is(self):
        self.ask(self.serve("*:4040"), 4040)

    def test_an_address_alone_is_an_error(self):
        path = self.write("c.json", json.dumps(config_of(listener(listen="[::1]:4040"))))
        for arguments, status in ((["--check"], 78), ([], 69)):
            done = subprocess.run([*self.OFF, self.program, "-c", path, *arguments], capture_output=True, text=True,
                                  stdin=subprocess.DEVNULL, timeout=20)
            self.assertEqual(done.returncode, status, done.stderr)

    def test_check_says_that_it_would_be_left_out(self):
        path = self.write("c.json", json.dumps(config_of(listener(listen=["127.0.0.1:4040", "[::1]:4040"]))))
        done = subprocess.run([*self.OFF, self.program, "-c", path, "--check"], capture_output=True, text=True, stdin=subprocess.DEVNULL)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn('/listen/1: warning: cannot listen on "[::1]:4040": this system has no IPv6; it would be left out', done.stderr)


if __name__ == "__main__":
    main()
