"""The child keys, each compared with what the kernel says about the process: for the program of a listener, for a
built-in handler, and for a process child. When a step fails, nothing runs half confined."""

import json
import os
import re
import resource
import shutil
import signal
import subprocess

from harness import (Client, Control, ControlledTestCase, Strace, TestCase, exec_listener, listener, login_variables, main, needs_root, signal_process,
                     tool, wait_until)

CAT = os.path.realpath(shutil.which("cat"))
AS_ROOT = os.geteuid() == 0
LIMITS = {"nofile": 200, "as": "1G", "cpu": "90s", "data": "500M", "stack": "4M", "core": "1M", "fsize": "2M", "nproc": 5000}
PRINTED = {"Max open files": 200, "Max address space": 1 << 30, "Max cpu time": 90, "Max data size": 500 << 20,
           "Max stack size": 4 << 20, "Max core file size": 1 << 20, "Max file size": 2 << 20, "Max processes": 5000}


def limits(pid):
    """{"Max open files": ("200", "200"), …}"""
    with open(f"/proc/{pid}/limits") as file:
        return {row[:25].strip(): tuple(row[25:].split()[:2]) for row in list(file)[1:]}


def read(path):
    with open(path) as file:
        return file.read().strip()


def io_priority(pid):
    return subprocess.run(["ionice", "-p", str(pid)], capture_output=True, text=True, check=True).stdout.strip()


class AsTheKernelSeesThem(TestCase):
    def three(self, **keys):
        """The processes that got the keys: of a program, of a built-in, and a process child."""
        daemon = self.start(exec_listener([CAT], workers=1, **keys), listener("echo", workers=1, **keys),
                            {"id": "process", "type": "process", "argv": ["/bin/sleep", "1000"], "ready": "exec", **keys})
        self.clients = {name: Client(daemon.address(name)) for name in ("run", "echo")}
        for client in self.clients.values():
            self.addCleanup(client.close)
            self.assertTrue(client.echo())
        found = {"process": next(one for one in daemon.tree() if one.title == "/bin/sleep 1000")}
        for one in daemon.connections():
            found["echo" if one.title.startswith("bulkheadd: connection") else "run"] = one
        self.assertEqual(len(found), 3)
        self.daemon = daemon
        return found

    @needs_root
    def test_defaults_without_keys(self):
        """Started with a umask, a directory and limits of its own, which are not inherited where a default exists."""
        def spoil():
            os.umask(0)
            os.chdir("/tmp")
        keys = {"user": "root"} if AS_ROOT else {}
        mine = limits(os.getpid())
        daemon = self.start(exec_listener([CAT], workers=1), listener("echo", workers=1, **keys), preexec=spoil)
        for name in ("run", "echo"):
            with Client(daemon.address(name)) as client:
                self.assertTrue(client.echo())
                one = daemon.connections()[0]
                status = one.status()
                self.assertEqual((status["Umask"], status["NoNewPrivs"]), ("0022", "1"))
                self.assertEqual(one.session, one.pid)
                self.assertEqual(os.readlink(f"/proc/{one.pid}/cwd"), "/")
                self.assertEqual(os.readlink(f"/proc/{one.pid}/root"), "/")
                self.assertEqual(os.getpriority(os.PRIO_PROCESS, one.pid), os.getpriority(os.PRIO_PROCESS, 0))
                found = limits(one.pid)
                self.assertEqual(found.pop("Max core file size"), ("0", "0"))
                self.assertEqual({name: mine[name] for name in found}, found)
            wait_until(lambda: not daemon.connections(), 5, "its end")

    @tool("ionice")
    @needs_root
    def test_directory_priorities_and_limits(self):
        keys = {"umask": "027", "chdir": self.directory, "nice": 5, "ioprio": "best_effort:6", "oom_score_adj": 300,
                "rlimits": LIMITS}
        for name, one in self.three(**keys).items():
            with self.subTest(name):
                self.assertEqual(one.status()["Umask"], "0027")
                self.assertEqual(os.readlink(f"/proc/{one.pid}/cwd"), self.directory)
                self.assertEqual(os.getpriority(os.PRIO_PROCESS, one.pid), 5)
                self.assertEqual(io_priority(one.pid), "best-effort: prio 6")
                self.assertEqual(read(f"/proc/{one.pid}/oom_score_adj"), "300")
                found = limits(one.pid)
                self.assertEqual({name: found[name] for name in PRINTED}, {name: (str(n), str(n)) for name, n in PRINTED.items()})
        # Workers must continue to accept, so the limits and the low priority are not for them.
        for worker in self.daemon.workers():
            self.assertEqual(limits(worker.pid)["Max open files"], limits(os.getpid())["Max open files"])
            self.assertEqual(os.getpriority(os.PRIO_PROCESS, worker.pid), os.getpriority(os.PRIO_PROCESS, 0))

    @needs_root
    def test_identity_cannot_be_regained(self):
        def in_many_groups():
            os.setgroups([4, 27, 42])
        keys = {"user": "nobody", "group": "daemon", "groups": ["mail", "7777"]}
        for name, one in self.three(**keys).items():
            with self.subTest(name):
                status = one.status()
                self.assertEqual(status["Uid"].split(), ["65534"] * 4)
                self.assertEqual(status["Gid"].split(), ["1"] * 4)
                self.assertEqual(status["Groups"].split(), ["8", "7777"])
                for kind in ("Inh", "Prm", "Eff", "Bnd", "Amb"):
                    self.assertEqual(int(status[f"Cap{kind}"], 16), 0, kind)
                self.assertEqual(status["NoNewPrivs"], "1")
        for worker in self.daemon.workers():
            self.assertEqual(worker.status()["Uid"].split(), ["65534"] * 4)
        daemon = self.start(exec_listener([CAT], workers=1, user="nobody", groups=[]), preexec=in_many_groups)
        with Client(daemon.address()) as client:
            self.assertTrue(client.echo())
            self.assertEqual(daemon.connections()[0].status()["Groups"].strip(), "")

    @needs_root
    def test_a_priority_above_the_daemons(self):
        """Steps that need privilege are done before it is given up."""
        for one in self.three(user="nobody", nice=-3).values():
            self.assertEqual(os.getpriority(os.PRIO_PROCESS, one.pid), -3)

    @needs_root
    def test_a_root_directory(self):
        root = os.path.join(self.directory, "root")
        os.makedirs(os.path.join(root, "inside"))
        os.chmod(root, 0o755)
        names = [CAT, os.path.realpath("/bin/sleep")]
        for name in names:
            libraries = subprocess.run(["ldd", name], capture_output=True, text=True, check=True).stdout
            names += [path for path in re.findall(r"(/\S+) \(0x", libraries) if path not in names]
        for name in names:
            os.makedirs(root + os.path.dirname(name), exist_ok=True)
            shutil.copy(os.path.realpath(name), root + name)
        keys = {"user": "nobody", "chroot": root, "chdir": "/inside"}
        daemon = self.start(exec_listener([CAT], workers=1, **keys), listener("echo", workers=1, **keys),
                            {"id": "process", "type": "process", "argv": [os.path.realpath("/bin/sleep"), "1000"], **keys})
        with Client(daemon.address("run")) as run, Client(daemon.address("echo")) as echo:
            self.assertTrue(run.echo() and echo.echo())
            inside = [one for one in daemon.tree()]
            self.assertEqual(len(inside), 5)
            for one in inside:
                self.assertEqual(os.readlink(f"/proc/{one.pid}/root"), root, one)
                self.assertEqual(os.readlink(f"/proc/{one.pid}/cwd"), root + "/inside", one)

    @needs_root
    def test_set_user_id_programs_work_without_a_sandbox_only(self):
        program = os.path.join(self.directory, "setuid")
        shutil.copy(shutil.which("id"), program)
        os.chmod(program, 0o4755)
        for sandbox, uid in (("basic", b"65534\n"), ("none", b"0\n")):
            daemon = self.start(exec_listener([program, "-u"], user="nobody", sandbox=sandbox, workers=1))
            with Client(daemon.address()) as client:
                self.assertEqual(client.rest(), uid, sandbox)

    def test_environment(self):
        keys = {"env": {"PATH": "/mine", "A": "1"}, "pass_env": ["TZ", "NOT_THERE", "GIVEN"],
                "unset_env": ["TZ", "A", "TCPREMOTEIP", "BULKHEAD_GENERATION"]}
        daemon = self.start(exec_listener([shutil.which("env")], **keys), environment={"TZ": "UTC", "GIVEN": "x y", "SECRET": "s"})
        with Client(daemon.address()) as client:
            lines = client.rest().decode().splitlines()
        found = dict(line.split("=", 1) for line in lines)
        self.assertEqual(len(found), len(lines), "no name twice")
        self.assertEqual((found["PATH"], found["GIVEN"]), ("/mine", "x y"))
        self.assertEqual(found["TCPREMOTEPORT"], client.name.rsplit(":", 1)[1])
        for name in ("TZ", "A", "TCPREMOTEIP", "BULKHEAD_GENERATION", "NOT_THERE", "SECRET"):
            self.assertNotIn(name, found)


    @needs_root
    def test_the_users_own_variables(self):
        for keys, wanted in (({}, login_variables("nobody")), ({"env": {"HOME": "/mine"}}, {**login_variables("nobody"), "HOME": "/mine"}),
                             ({"pass_env": ["HOME"]}, {**login_variables("nobody"), "HOME": "/the daemon's"})):
            daemon = self.start(exec_listener([shutil.which("env")], user="nobody", **keys), environment={"HOME": "/the daemon's"})
            with Client(daemon.address()) as client:
                found = dict(line.split("=", 1) for line in client.rest().decode().splitlines())
            self.assertEqual({name: found.get(name) for name in wanted}, wanted)


class FailedSteps(TestCase):
    """The step and its errno in the log; the handler has not run."""

    def marker(self):
        path = os.path.join(self.directory, "ran")
        return path, self.write("handler", f"#!/bin/sh\necho ran >{path}\nexec cat\n", 0o755)

    @needs_root
    @tool("strace")
    def test_a_failed_step_refuses_the_connection(self):
        ran, program = self.marker()
        os.chmod(self.directory, 0o1777)
        keys = {"user": "nobody", "rlimits": {"nofile": 300}, "workers": 1}
        daemon = self.start(exec_listener([program], **keys), listener("echo", **keys))
        for name in ("run", "echo"):
            worker = daemon.workers(name)[0]
            with Strace(worker.pid, "prlimit64", "error=EPERM", follow=True):  # the worker itself no longer calls it
                for _ in range(3):
                    with Client(daemon.address(name)) as client:
                        self.assertEqual(client.rest(), b"")
            line = daemon.wait_log("^refused a connection: .* failed: ", path=f"root/{name}", level="error")[0]
            self.assertIn("setting resource limits", line["message"])
            self.assertEqual(line["errno"], "EPERM")
            self.assertFalse(os.path.exists(ran))
            stats = self.stats(daemon, f"root/{name}")
            self.assertEqual((stats["refused"]["handler_start"], stats["accepted"], stats["active"]), (3, 0, 0))
            with Client(daemon.address(name)) as client:
                self.assertTrue(client.echo())
            self.assertEqual(os.path.exists(ran), name == "run")
            if name == "run":
                os.unlink(ran)
            self.assertEqual([one.pid for one in daemon.workers(name)], [worker.pid])

    @needs_root
    @tool("strace")
    def test_execve_fails_for_a_program_of_a_user_with_too_many_processes(self):
        """Since Linux 3.1 execve(2) fails in this case, not setuid(2)."""
        ran, program = self.marker()
        os.chmod(self.directory, 0o1777)
        daemon = self.start(exec_listener([program], user="nobody", workers=1))
        worker, = daemon.workers()
        with Strace(worker.pid, "execve", "error=EAGAIN", follow=True):
            for _ in range(3):
                with Client(daemon.address()) as client:
                    self.assertEqual(client.rest(), b"")
        line = daemon.wait_log("^refused a connection: .* failed: ", path="root/run", level="error")[0]
        self.assertEqual((line["errno"], "executing" in line["message"]), ("EAGAIN", True))
        self.assertFalse(os.path.exists(ran))
        stats = self.stats(daemon, "root/run")
        self.assertEqual((stats["refused"]["handler_start"], stats["accepted"], stats["active"]), (3, 0, 0))
        with Client(daemon.address()) as client:
            self.assertTrue(client.echo())
        self.assertEqual(os.stat(ran).st_uid, 65534)
        self.assertEqual([one.pid for one in daemon.workers()], [worker.pid])

    @needs_root
    def test_execve_fails_for_a_process_of_a_user_with_too_many_processes(self):
        """root may fork, but a process that has become a user with too many processes may not execute."""
        ran = os.path.join(self.directory, "ran")
        os.chmod(self.directory, 0o1777)
        keys = {"type": "process", "user": "61235", "group": "61235", "ready": "exec", "restart": "temporary"}
        daemon = self.start(*({"id": f"sleeper{number}", "argv": ["/bin/sleep", "1000"], **keys} for number in range(2)),
                            {"id": "third", "argv": ["/usr/bin/touch", ran], **keys}, wait=False,
                            preexec=lambda: resource.setrlimit(resource.RLIMIT_NPROC, (1, 1)))
        daemon.expected_status = 71
        self.assertEqual(daemon.wait_exit(20), 71)
        daemon.wait_log("Resource temporarily unavailable", path="root/third")
        self.assertFalse(os.path.exists(ran))

    @needs_root
    def test_a_used_up_nproc_limit_fails_only_forks_of_the_program(self):
        keys = {"user": "61236", "group": "61236", "workers": 1, "rlimits": {"nproc": 1}}
        daemon = self.start(exec_listener(["/bin/cat", "/proc/self/status"], "shows", **keys),
                            exec_listener(["/bin/sh", "-c", "echo began; (echo forked)"], "forks", **keys))
        with Client(daemon.address("shows")) as client:
            self.assertIn(b"\nUid:\t61236\t61236\t61236\t61236\n", client.rest())
        with Client(daemon.address("forks")) as client:
            self.assertEqual(client.rest(), b"began\n")

    def stats(self, daemon, path):
        socket = os.path.join(daemon.directory, "control.sock")
        with Control(socket, self.bindir) as control:
            rows = control.value("stats")["listeners"]
        return next(row["connections"] for row in rows if row["path"] == path)

    @needs_root
    def test_a_failed_step_of_a_worker_and_of_a_process(self):
        """Their directory is gone when they are started again."""
        inside = os.path.join(self.directory, "root", "inside")
        os.makedirs(inside)
        keys = {"chroot": os.path.dirname(inside), "chdir": "/inside"}
        for child in (listener("echo", workers=1, restart_delay="none", **keys),
                      {"id": "echo", "type": "process", "argv": ["/sleep", "1000"], "ready": "exec", "restart_delay": "none", **keys}):
            os.makedirs(inside, exist_ok=True)
            shutil.copy(self.static_sleeper(), os.path.join(keys["chroot"], "sleep"))
            daemon = self.start(child)
            daemon.expected_status = 70
            one = daemon.tree()[0]
            os.rmdir(inside)
            signal_process(one.pid, signal.SIGKILL)
            self.assertEqual(daemon.wait_exit(20), 70)
            daemon.wait_log("changing directory: No such file or directory")

    def static_sleeper(self):
        source = self.write("sleep.c", "#include <unistd.h>\nint main(void) { for (;;) pause(); }\n")
        program = os.path.join(self.directory, "sleeper")
        if not os.path.exists(program):
            subprocess.run(["cc", "-static", "-o", program, source], check=True)
        return program

    @needs_root
    @tool("strace")
    def test_every_step_that_fails_is_reported(self):
        """Every step that can fail, made to fail: a worker does not start, and says why."""
        steps = {"setgroups": "setting supplementary groups", "setresgid": "setting the group", "setresuid": "setting the user",
                 "ioprio_set": "setting the I/O priority", "chroot": "changing the root directory",
                 "capset": "giving up privileges"}
        for call, words in steps.items():
            with self.subTest(call):
                self.does_not_start(call, "error=EPERM", words)

    @needs_root
    @tool("strace")
    def test_a_switch_without_effect_is_noticed(self):
        """A step that reports success is checked against the state in the kernel."""
        for call, words in {"setgroups": "supplementary groups", "setresgid": "the group", "setresuid": "the user"}.items():
            with self.subTest(call):
                self.does_not_start(call, "retval=0", f"setting {words}")

    def does_not_start(self, call, inject, words):
        config = {"control": {"socket": os.path.join(self.directory, "c")}, "supervisor": {"children": [
            listener("echo", workers=1, user="nobody", groups=["mail", "7777", "4"], ioprio="idle", chroot="/",
                     restart="temporary", sandbox={"keep_capabilities": ["CAP_KILL"]})]}}
        path = self.write("config.json", json.dumps(config))
        done = subprocess.run(["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={call}", "-e", f"inject={call}:{inject}",
                               self.program, "-c", path], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30,
                              env={**os.environ, "ASAN_OPTIONS": "detect_leaks=0"})  # which needs ptrace for itself
        self.assertEqual(done.returncode, 70)
        self.assertIn(f"{words}: Operation not permitted", done.stderr)

    def test_an_impossible_limit_is_refused_before_any_start(self):
        """A hard limit that only root could raise."""
        path = self.write("config.json", '{"supervisor": {"children": [{"id": "a", "type": "listener", "listen": "127.0.0.1:0", '
                          '"handler": "echo", "rlimits": {"nofile": 50}}]}}')
        prefix = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] if AS_ROOT else []
        done = subprocess.run(["prlimit", "--nofile=40:40", *prefix, self.program, "--check", "-c", path],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True)
        self.assertEqual(done.returncode, 78, done.stderr)
        self.assertIn("/supervisor/children/0/rlimits/nofile: only root can raise the hard limit, which is 40", done.stderr)


class KillMode(ControlledTestCase):
    def stray(self, daemon):
        return [one for one in daemon.tree() if one.title == "sleep 4242"]

    def test_kill_mode_signals_the_group_or_only_the_program(self):
        script = self.write("leaves", "#!/bin/sh\nsleep 4242 &\necho left\nread line\n", 0o755)
        for mode in ("group", "process"):
            daemon = self.start(exec_listener([script], workers=1, kill_mode=mode),
                                {"id": "p", "type": "process", "argv": ["/bin/sh", "-c", "sleep 4242 & sleep 4243"],
                                 "kill_mode": mode, "shutdown": "1s"})
            wait_until(lambda: len(self.stray(daemon)) == 1, 5, "the process's stray")
            with Client(daemon.address()) as client:
                self.assertEqual(client.receive(5), b"left\n")
                wait_until(lambda: len(self.stray(daemon)) == 2, 5, "both")
            leader = next(one for one in daemon.tree() if one.title.startswith("/bin/sh -c sleep 4242"))
            signal_process(leader.pid, signal.SIGKILL)
            daemon.wait_log("ended: the client left first", path="root/run", reason="client_gone", status=1)
            daemon.wait_log("^ready", count=2, path="root/p")
            if mode == "group":
                wait_until(lambda: len(self.stray(daemon)) == 1, 5, "only the new process's own")
            else:
                wait_until(lambda: len(self.stray(daemon)) == 3, 5, "those of before, and the new process's own")
                daemon.killed = True  # processes that this mode spares stay; the test ends them
                self.assertEqual(daemon.stop(), 0)


if __name__ == "__main__":
    main()
