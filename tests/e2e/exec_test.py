"""Programs as handlers: what they inherit, what they must not inherit, how they fail, what they leave behind."""

import os
import shutil
import signal
import time

from harness import (SOURCE, Client, ControlledTestCase, Hold, TestCase, exec_listener, login_variables, main, process, signal_process,
                     wait_until)

CAT = os.path.realpath(shutil.which("cat"))
ENV = shutil.which("env")


def variables(text):
    return dict(line.split("=", 1) for line in text.decode().splitlines())


class Environment(TestCase):
    """Golden: exactly these variables and no others, with any environment of the daemon."""

    families = ("PROTO", "TCPREMOTEIP", "TCPREMOTEPORT", "TCPREMOTEHOST", "TCPREMOTEINFO", "TCPLOCALIP", "TCPLOCALPORT",
                "TCPLOCALHOST", "TCPCONNNUM", "TCPORIGDSTIP", "TCP6REMOTEIP", "TCP6REMOTEHOST", "TCP6INTERFACE", "IPCREMOTEEUID",
                "IPCREMOTEPATH", "IPCLOCALPATH", "UNIXREMOTEEUID", "UNIXREMOTEPID", "REMOTE_ADDR", "REMOTE_HOST", "REMOTE_PORT",
                "REMOTE_USER", "SSL_PROTOCOL", "SSL_PEER_CERT_CN", "SSLCTLFD", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES",
                "NOTIFY_SOCKET", "WATCHDOG_USEC", "BULKHEAD_CONN_ID", "BULKHEAD_LISTENER", "BULKHEAD_STRESS", "BULKHEAD_DEADLINE")
    hostile = {**{name: "0" for name in families}, "PATH": "/usr/bin:/bin", "TZ": "UTC", "LANG": "C", "SECRET_TOKEN": "s3cret",
               "HOME": "/root", "LD_LIBRARY_PATH": "/x"}

    def ask(self, **keys):
        daemon = self.start(exec_listener([ENV], **keys), environment=self.hostile)
        with Client(daemon.address()) as client:
            return variables(client.rest()), client, daemon

    def common(self, env):
        self.assertRegex(env["BULKHEAD_CONN_ID"], r"^[0-9a-f]+$")
        return {"PATH": "/usr/bin:/bin", "TZ": "UTC", "LANG": "C", "BULKHEAD_CONN_ID": env["BULKHEAD_CONN_ID"],
                "BULKHEAD_LISTENER": "root/run", "BULKHEAD_GENERATION": "1", "BULKHEAD_STRESS": "0",
                **login_variables()}

    def check_ipv4(self, env, client, daemon):
        host, port = client.name.rsplit(":", 1)
        self.assertEqual(env, {
            "PROTO": "TCP", "TCPREMOTEIP": host, "TCPREMOTEPORT": port, "TCPLOCALIP": "127.0.0.1",
            "TCPLOCALPORT": str(daemon.address()[1]), "REMOTE_ADDR": host, "REMOTE_HOST": host, "REMOTE_PORT": port,
            **self.common(env)})

    def test_ipv4(self):
        for style in (None, "ucspi", "inetd"):
            self.check_ipv4(*self.ask(style=style))

    def test_an_ipv4_client_of_a_dual_stack_socket(self):
        if not os.path.exists("/proc/net/if_inet6"):
            self.skipTest("no IPv6 here")
        daemon = self.start(exec_listener([ENV], listen="[::]:0"), environment=self.hostile)
        with Client(("127.0.0.1", daemon.address()[1])) as client:
            self.check_ipv4(variables(client.rest()), client, daemon)

    def test_the_local_address_of_a_wildcard_socket(self):
        daemon = self.start(exec_listener([ENV], listen="0.0.0.0:0"), environment=self.hostile)
        with Client(("127.0.0.5", daemon.address()[1])) as client:
            self.assertEqual(variables(client.rest())["TCPLOCALIP"], "127.0.0.5")

    def test_ipv6(self):
        if not os.path.exists("/proc/net/if_inet6"):
            self.skipTest("no IPv6 here")
        env, client, daemon = self.ask(listen="[::1]:0")
        port, local = client.name.rsplit(":", 1)[1], str(daemon.address()[1])
        self.assertEqual(env, {
            "PROTO": "TCP", "TCPREMOTEIP": "::1", "TCPREMOTEPORT": port, "TCPLOCALIP": "::1", "TCPLOCALPORT": local,
            "TCP6REMOTEIP": "::1", "TCP6REMOTEPORT": port, "TCP6LOCALIP": "::1", "TCP6LOCALPORT": local,
            "REMOTE_ADDR": "::1", "REMOTE_HOST": "::1", "REMOTE_PORT": port, **self.common(env)})

    def test_unix(self):
        path = os.path.join(self.directory, "s")
        env, _, daemon = self.ask(listen=f"unix:{path}")
        uid, gid = str(os.geteuid()), str(os.getegid())
        self.assertIn(env["UNIXLOCALPID"], [str(one.pid) for one in daemon.workers()])
        expected = {
            "PROTO": "IPC", "IPCREMOTEEUID": uid, "IPCREMOTEEGID": gid, "IPCREMOTEPATH": "", "IPCLOCALPATH": path,
            "UNIXREMOTEEUID": uid, "UNIXREMOTEEGID": gid, "UNIXREMOTEPID": str(os.getpid()), "UNIXREMOTEPATH": "",
            "UNIXLOCALUID": uid, "UNIXLOCALGID": gid, "UNIXLOCALPID": env["UNIXLOCALPID"], "UNIXLOCALPATH": path}
        self.assertEqual(env, {**expected, **self.common(env)})
        for name, told in ((os.path.join(self.directory, "mine"), None), ("\0abstract\0and odd", "@abstract@and odd")):
            with Client(path, source=name) as client:
                env = variables(client.rest())
            told = told or name
            expected["UNIXLOCALPID"] = env["UNIXLOCALPID"]
            self.assertEqual(env, {**expected, "IPCREMOTEPATH": told, "UNIXREMOTEPATH": told, "REMOTE_ADDR": told,
                                   **self.common(env)})

    def test_stress_is_set_when_four_fifths_are_in_use(self):
        program = self.write("handler", "#!/bin/sh\necho $BULKHEAD_STRESS\nexec cat\n", 0o755)
        daemon = self.start(exec_listener([program], max_connections=10))
        told, clients = [], []
        for _ in range(10):
            clients.append(Client(daemon.address()))
            self.addCleanup(clients[-1].close)
            told.append(clients[-1].receive(2))
        self.assertEqual(told, [b"0\n"] * 8 + [b"1\n"] * 2)

    def test_max_lifetime_is_given(self):
        for lifetime, told in (("90s", b"90\n"), ("1500ms", b"2\n"), ("infinity", b"\n")):
            daemon = self.start(exec_listener(["/bin/sh", "-c", "echo $BULKHEAD_DEADLINE"], max_lifetime=lifetime),
                                environment={**os.environ, "BULKHEAD_DEADLINE": "spoofed"})
            with Client(daemon.address()) as client:
                self.assertEqual(client.rest(), told, lifetime)

    def test_the_number_of_connections_of_the_source_is_given(self):
        program = self.write("handler", "#!/bin/sh\necho ${TCPCONNNUM-none}\nexec cat\n", 0o755)
        for keys, expected in ({"max_connections_per_source": 10}, [b"0\n", b"1\n", b"2\n", b"0\n"]), ({}, [b"none\n"] * 4):
            daemon = self.start(exec_listener([program], **keys))
            told = []
            for source in ("127.0.0.2", "127.0.0.2", "127.0.0.2", "127.0.0.3"):
                client = Client(daemon.address(), source=(source, 0))
                self.addCleanup(client.close)
                told.append(client.receive(len(expected[0])))
            self.assertEqual(told, expected)

    def test_the_manual_names_every_variable(self):
        with open(os.path.join(SOURCE, "man", "bulkhead.json.5")) as file:
            named = {name for line in file if line.startswith(".It Ev ") for name in line[7:].replace(",", "").split()}
        for keys in ({"style": "listen_fds", "listen": "[::1]:0"}, {"listen": f"unix:{self.directory}/s"}):
            argv = [os.path.realpath("/bin/sh"), "-c", "env >&3"] if keys.get("style") else [ENV]
            daemon = self.start(exec_listener(argv, **keys), environment=self.hostile)
            with Client(daemon.address()) as client:
                env = variables(client.rest())
            self.assertEqual(set(env) - named, {"PATH", "TZ", "LANG", "PWD", *login_variables()} & set(env))

    def test_each_connection_has_its_own_id(self):
        daemon = self.start(exec_listener([ENV]))
        ids = set()
        for _ in range(50):
            with Client(daemon.address()) as client:
                ids.add(variables(client.rest())["BULKHEAD_CONN_ID"])
        self.assertEqual(len(ids), 50)


class Surroundings(TestCase):
    """Seen from outside, in /proc of a handler that waits."""

    def handler(self, daemon):
        self.client = Client(daemon.address())
        self.addCleanup(self.client.close)
        self.assertTrue(self.client.echo())
        found = daemon.connections()
        self.assertEqual(len(found), 1)
        return found[0]

    def check(self, child):
        status = child.status()
        for field in ("SigBlk", "SigIgn", "SigCgt"):
            self.assertEqual(int(status[field], 16), 0, field)
        self.assertEqual(status["Umask"], "0022")
        self.assertEqual((child.pgrp, child.session), (child.pid, child.pid))
        self.assertEqual(os.readlink(f"/proc/{child.pid}/cwd"), "/")
        for fd in (0, 1):
            self.assertEqual(child.fd_flags(fd) & os.O_NONBLOCK, 0, f"descriptor {fd} must block")

    def test_signals_umask_session_and_descriptors_after_an_ordinary_start(self):
        daemon = self.start(exec_listener([CAT]))
        child = self.handler(daemon)
        self.check(child)
        self.assertEqual(child.fd_flags(2) & os.O_NONBLOCK, 0)

    def test_under_nohup(self):
        self.check(self.handler(self.start(exec_listener([CAT]), prefix=("nohup",))))

    def test_with_signals_ignored_and_blocked_by_the_caller(self):
        def spoil():
            for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE, signal.SIGUSR1):
                signal.signal(number, signal.SIG_IGN)
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGCHLD, signal.SIGHUP, signal.SIGINT, signal.SIGRTMIN})
            os.umask(0o077)
        daemon = self.start(exec_listener([CAT]), preexec=spoil)
        child = self.handler(daemon)
        self.check(child)
        self.client.half_close()
        self.assertEqual(self.client.rest(), b"")
        self.assertEqual(daemon.wait_log("ended", pid=child.pid)[0]["status"], 0)
        self.assertEqual(daemon.stop(), 0)

    def test_limits_of_descriptors_are_those_of_the_start(self):
        child = self.handler(self.start(exec_listener([CAT]), prefix=("prlimit", "--nofile=777:888")))
        with open(f"/proc/{child.pid}/limits") as file:
            self.assertRegex(file.read(), r"Max open files\s+777\s+888\s")


class Failures(TestCase):
    def refused(self, daemon, count=5):
        """Each client sees an end, and soon."""
        slowest = 0.0
        for _ in range(count):
            began = time.monotonic()
            with Client(daemon.address()) as client:
                self.assertEqual(client.rest(), b"")
            slowest = max(slowest, time.monotonic() - began)
        return slowest

    def break_it(self, spoil):
        program = self.write("handler", "#!/bin/sh\nexec cat\n", 0o755)
        daemon = self.start(exec_listener([program]))
        with Client(daemon.address()) as client:
            self.assertTrue(client.echo())
        wait_until(lambda: not daemon.connections(), 5, "the first connection's end")
        workers = daemon.workers()
        spoil(program)
        slowest = self.refused(daemon, 30)
        self.assertLess(slowest, 0.2)
        self.assertEqual([one.pid for one in daemon.workers()], [one.pid for one in workers])
        wait_until(lambda: len(daemon.tree()) == len(workers), 1, "nothing but the workers")
        lines = daemon.log("^refused a connection: .* failed: ", path="root/run", level="error")
        seconds = {line["time"][:19] for line in lines}
        self.assertGreaterEqual(len(lines), 1)
        self.assertLessEqual(len(lines), len(workers) * (len(seconds) + 1))
        self.measured(refused=30, slowest=slowest, log_lines=len(lines), message=repr(lines[0]["message"]))
        return daemon, lines[0]

    def test_the_program_was_removed(self):
        daemon, line = self.break_it(os.unlink)
        self.assertEqual(line["errno"], "ENOENT")

    def test_its_interpreter_is_missing(self):
        daemon, line = self.break_it(lambda path: self.write("handler", "#!/no/such/interpreter\n", 0o755))
        self.assertEqual(line["errno"], "ENOENT")

    def test_it_is_no_longer_executable(self):
        daemon, line = self.break_it(lambda path: os.chmod(path, 0o644))
        self.assertEqual(line["errno"], "EACCES")

    def test_it_has_become_a_directory(self):
        def spoil(path):
            os.unlink(path)
            os.mkdir(path)
        daemon, line = self.break_it(spoil)
        self.assertEqual(line["errno"], "EACCES")

    def test_its_format_is_unknown_to_the_kernel(self):
        daemon, line = self.break_it(lambda path: self.write("handler", "neither binary nor script\n", 0o755))
        self.assertEqual(line["errno"], "ENOEXEC")

    def test_it_is_being_written(self):
        program = os.path.join(self.directory, "copy")
        shutil.copy(CAT, program)
        daemon = self.start(exec_listener([program]))
        with open(program, "r+b"):
            self.assertLess(self.refused(daemon), 0.2)
            self.assertEqual(daemon.wait_log("^refused a connection: .* failed: ")[0]["errno"], "ETXTBSY")
        with Client(daemon.address()) as client:
            self.assertTrue(client.echo())

    def test_slots_of_refused_connections_are_free_again(self):
        program = self.write("handler", "#!/bin/sh\nexec cat\n", 0o755)
        daemon = self.start(exec_listener([program], max_connections=5))
        os.chmod(program, 0o644)
        self.refused(daemon, 20)
        os.chmod(program, 0o755)
        with Hold(daemon.address(), 5) as held:
            self.assertEqual(held.echo_all(), 5)

    def test_a_missing_program_is_reported_before_any_start(self):
        directory = os.path.join(self.directory, "d")
        os.mkdir(directory)
        plain = self.write("plain", "text\n")
        for program in ("/no/such/program", directory, plain):
            config = self.write("config.json", '{"supervisor": {"children": [{"id": "a", "type": "listener", "listen": '
                                '"127.0.0.1:0", "user": "root", "handler": {"exec": ["%s"]}}]}}' % program)
            status, _, errors = self.run_program("-c", config)
            self.assertEqual(status, 78, errors)
            self.assertIn("/supervisor/children/0/handler/exec/0", errors)
            self.assertIn(program, errors)


class Crashes(TestCase):
    def test_one_line_with_listener_peer_pid_age_and_signal(self):
        daemon = self.start(exec_listener([self.helper("crashes")]))
        with Client(daemon.address()) as client:
            self.assertRegex(client.rest(), rb"^\d+\n$")
            line = daemon.wait_log("crashed", peer=client.name)[0]
        self.assertEqual((line["path"], line["signal"], line["level"]), ("root/run", "SIGSEGV", "warning"))
        self.assertGreater(line["pid"], 1)
        self.assertGreaterEqual(line["age_seconds"], 0.0)
        self.assertEqual(len(daemon.wait_log("crashed", count=1)), 1)

    def test_an_exit_status_is_logged(self):
        program = self.write("fails", "#!/bin/sh\nexit 42\n", 0o755)
        daemon = self.start(exec_listener([program]))
        with Client(daemon.address()) as client:
            self.assertEqual(client.rest(), b"")
            line = daemon.wait_log("exit status 42", peer=client.name)[0]
        self.assertEqual(line["status"], 42)


class NormalExits(ControlledTestCase):
    def test_a_listed_status_is_no_crash_for_worker_and_master(self):
        daemon = self.supervise(exec_listener([self.helper("behaves_as_told")], workers=1, max_restarts=100,
                                              normal_exit=[0, 255], penalties={"mode": "enforce"}))
        clients = [Client(daemon.address()) for _ in range(5)]
        for client in clients:
            self.addCleanup(client.close)
            self.assertTrue(client.echo())

        def end(client, status):
            client.send(b"exit %d\n" % status)
            self.assertEqual(client.rest(), b"")
        end(clients[0], 255)
        worker, = daemon.workers()
        signal_process(worker.pid, signal.SIGKILL)
        daemon.wait_workers(1, without=[worker])
        for client, status in zip(clients[1:], (255, 0, 254, 255)):
            end(client, status)
        ended = wait_until(lambda: (now := daemon.control.node("root/run")["connections"])["completed"] == 5 and now, 5, "all ended")
        self.assertEqual((ended["accepted"], ended["crashed"], ended["active"]), (5, 1, 0))
        self.assertEqual(daemon.control.value("penalties"), [])
        crash, = daemon.log("^connection .* ended|crashed|exit status", level="warning")
        self.assertEqual(crash["status"], 254)
        daemon.events.mark()
        self.assertEqual(len(daemon.events.of("connection_crashed")), 1)


class LeftBehind(TestCase):
    def strays(self, daemon):
        workers = [one.pid for one in daemon.workers()]
        return [one for one in daemon.tree() if one.pid not in workers and one.state != "Z"]

    def test_the_rest_of_the_group_is_ended(self):
        """Processes that end on request do not hold the slot any longer."""
        daemon = self.start(exec_listener([self.helper("leaves_background")], shutdown="10s", max_connections=1))
        began = time.monotonic()
        for _ in range(10):
            with Client(daemon.address()) as client:
                self.assertEqual(client.receive(5), b"left\n")
        wait_until(lambda: not self.strays(daemon), 2, "no stray")
        took = time.monotonic() - began
        self.assertLess(took, 3.0)
        self.measured(one_after_another=10, took=took)

    def test_the_rest_of_the_group_is_killed_if_it_ignores_term(self):
        daemon = self.start(exec_listener([self.helper("leaves_stubborn")], shutdown="2s", max_connections=3))
        began = time.monotonic()
        for _ in range(3):
            with Client(daemon.address()) as client:
                self.assertEqual(client.receive(5), b"left\n")
        stray = self.strays(daemon)
        self.assertTrue(stray)
        wait_until(lambda: not self.strays(daemon), 6, "no stray")
        took = time.monotonic() - began
        self.assertGreater(took, 1.9)
        # They were counted until their end; now the slots are free again.
        with Client(daemon.address()) as client:
            self.assertEqual(client.receive(5), b"left\n")
        self.measured(strays=len(stray), gone_after=took)

    def test_the_rest_of_the_group_is_ended_after_the_worker_died(self):
        daemon = self.start(exec_listener([self.helper("leaves_stubborn")], shutdown="500ms", workers=1))
        with Client(daemon.address()) as client:
            self.assertEqual(client.receive(5), b"left\n")
        worker = daemon.workers()[0]
        os.kill(worker.pid, signal.SIGKILL)
        wait_until(lambda: not self.strays(daemon), 4, "no stray")

    def test_the_children_of_handlers_are_reaped(self):
        daemon = self.start(exec_listener([self.helper("forks_twenty")]))
        for _ in range(10):
            with Client(daemon.address()) as client:
                self.assertEqual(client.receive(5), b"done\n")
        wait_until(lambda: not self.strays(daemon) and not daemon.zombies(), 5, "all reaped")


def asleep(child):
    """Seen twice in a row without having used the processor in between."""
    first = process(child.pid)
    time.sleep(0.05)
    second = process(child.pid)
    return first.state == second.state == "S" and first.cpu_ticks == second.cpu_ticks


class Sockets(TestCase):
    def test_a_slow_client_does_not_make_cat_fail(self):
        data = b"0123456789abcdef" * (1 << 21)  # more than the kernel holds between the two
        path = self.write("data", data.decode())
        daemon = self.start(exec_listener([CAT, path]))
        with Client(daemon.address(), 20) as client:
            child = wait_until(daemon.connections, 5, "the handler")[0]
            wait_until(lambda: asleep(child), 5, "a full socket")
            self.assertTrue(client.rest() == data)
        self.assertEqual(daemon.wait_log("ended", pid=child.pid)[0]["status"], 0)

    def test_standard_error_goes_to_the_log_or_to_the_client(self):
        program = self.write("complains", "#!/bin/sh\necho out; echo err >&2\n", 0o755)
        daemon = self.start(exec_listener([program], style="inetd"))
        with Client(daemon.address()) as client:
            self.assertEqual(client.rest(), b"out\nerr\n")
        daemon = self.start(exec_listener([program], style="ucspi"))
        with Client(daemon.address()) as client:
            self.assertEqual(client.rest(), b"out\n")
            daemon.wait_log("^err$", path="root/run", stream="stderr", peer=client.name)


if __name__ == "__main__":
    main()
