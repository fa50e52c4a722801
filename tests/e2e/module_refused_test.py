"""Modules that must not be loaded: each costs the start of its worker, reports the reason, and disturbs no other child."""

import json
import os
import shutil
import signal
import socket
import subprocess
import time

from harness import Canary, Client, ControlledTestCase, config_of, listener, main, module_listener, signal_process, wait_until

# Faults of a constructor, and the reason that is reported for each.
SINS = {
    "starts_thread": "left 1 thread running", "ignores_sigpipe": "changed what SIGPIPE does",
    "handles_sigchld": "changed what SIGCHLD does", "changes_directory": "changed the working directory to /tmp",
    "changes_umask": "changed the umask to 0000", "opens_descriptors": r"left descriptor \d+ open \(/dev/null\)",
    "sets_environment": "set the environment variable LD_PRELOAD", "exits": r"called exit\(3\)",
    "crashes": "was killed by SIGSEGV", "hangs": "took longer than 4 seconds",
    "changes_limit": "changed the resource limit RLIMIT_NOFILE", "blocks_signal": "blocked SIGURG",
    "starts_process": "left a process running", "starts_session": "left a process running", "sets_timer": "left a timer running",
    "changes_locale": "changed the locale to C.UTF-8"}

UNFIT = {
    "no_symbol": r"failed: it is not a handler module: it does not export bulkhead_module\(\)",
    "no_serve": r"failed: it has no serve\(\)", "offers_nothing": "failed: it offers nothing for version 1",
    "of_another_abi": "failed: it is for version 42 of the handler interface, this is version 1"}

# Faults of init(), as options of does_as_told, and the reason that is reported for each.
INITS = {
    "init_refuses": "says: the moon is not right", "init_returns": r"returned 7 from init\(\)",
    "init_throws": "threw an exception: as told", "init_exits": r"called exit\(5\)",
    "init_umask": "changed the umask to 0000", "init_thread": "left 1 thread running",
    "init_forks": "left a process running", "init_forks_session": "left a process running",
    "init_forks_twice": "left a process running"}


class Refused(ControlledTestCase):
    def setUp(self):
        super().setUp()
        self.daemon = self.supervise(listener(), environment=self.without_fault_handlers)

    def add(self, entry):
        """Adds it under the root: (exit status, answer, seconds)."""
        began = time.monotonic()
        status, out, _ = self.daemon.control.run("--json", "add", "root", self.write("add.json", json.dumps(entry)))
        return status, out, time.monotonic() - began

    def refused(self, path, reason, stage="loading", seconds=5.0, **keys):
        before = self.daemon.events.mark()
        name = os.path.basename(path)
        status, out, took = self.add(module_listener(path, name="bad", workers=1, **keys))
        self.assertEqual(status, 1, out)
        self.assertIn("start_failed", out)
        self.assertLess(took, seconds)
        pattern = f"{stage} the handler module: {name} {reason}"
        self.assertTrue(self.daemon.log(pattern, path="root/bad/1", level="warning"),
                        [line["message"] for line in self.daemon.log(path="root/bad/1")])
        event = self.daemon.events.next("child_exited", "root/bad/1", after=before)
        self.assertRegex(event["remark"], pattern)
        wait_until(lambda: len(self.daemon.tree()) == len(self.daemon.workers("echo")) + self.echoing, 5, "nothing left of it")

    def each(self, cases):
        with Canary(self.daemon.address("echo"), 3) as canary:
            self.echoing = 3
            for name, arguments, keys in cases:
                with self.subTest(name):
                    self.refused(*arguments, **keys)
        self.assertEqual(canary.errors, 0)
        self.assertEqual(len(self.daemon.log("^ready", path="root/echo/1")), 1)
        self.measured(refused=len(cases), canary_errors=canary.errors, canary_gap=canary.max_gap)

    def test_a_faulty_constructor_is_refused(self):
        self.each([(sin, (self.module("ctor_" + sin), reason), {}) for sin, reason in SINS.items()])

    def test_an_unsuitable_library_is_refused(self):
        half = os.path.join(self.directory, "half.so")
        shutil.copy(self.module("does_as_told"), half)
        os.truncate(half, 5000)  # the headers promise more
        self.each([(name, (self.module(name), reason), {}) for name, reason in UNFIT.items()] +
                  [("half", (half, ""), {})])

    def test_what_is_no_library_is_refused_before_the_start(self):
        entry = module_listener(self.write("text.so", "no library at all\n"), name="bad")
        status, _, errors = self.daemon.control.run("add", "root", self.write("add.json", json.dumps(entry)))
        self.assertEqual(status, 1)
        self.assertIn("it is no shared library", errors)

    def test_a_faulty_init_is_refused(self):
        path = self.module("does_as_told")
        self.each([(deed, (path, reason, "initialising"), {"options": {deed: True}}) for deed, reason in INITS.items()])

    def test_init_is_limited_by_start_timeout(self):
        self.echoing = 0
        status, out, took = self.add(module_listener(self.module("does_as_told"), name="bad", workers=1,
                                                     options={"init_hangs": 1}, start_timeout="500ms"))
        self.assertEqual((status, "start_failed" in out), (1, True), out)
        self.assertLess(took, 5)
        self.assertTrue(self.daemon.log("was not ready within start_timeout", path="root/bad/1"))

    def test_a_crash_in_init_fails_the_start(self):
        status, out, _ = self.add(module_listener(self.module("does_as_told"), name="bad", workers=1,
                                                  options={"init_crashes": 1}))
        self.assertEqual((status, "start_failed" in out), (1, True), out)
        self.assertTrue(self.daemon.log("killed by SIGSEGV", path="root/bad/1"))


class Strays(ControlledTestCase):
    """What a worker leaves behind that fails while it starts ends with it, and nobody else."""

    ENDS = {"init_refuses": "the moon is not right", "init_crashes": "killed by SIGSEGV",
            "init_hangs": "was not ready within start_timeout", "init_exits": "called exit"}
    FORKS = ("init_forks", "init_forks_session", "init_forks_twice")

    def add(self, name, options, **keys):
        entry = module_listener(self.module("does_as_told"), name=name, workers=1, options=options,
                                listen=f"127.0.0.1:{self.port}", start_timeout="300ms", max_restarts=0, **keys)
        return self.daemon.control.run("--json", "add", "root", self.write("add.json", json.dumps(entry)))

    def bind(self):
        with socket.socket() as one:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            one.bind(("127.0.0.1", self.port))
            one.listen()
            return one.getsockname()[1]

    def check(self, number, options, reason, **keys):
        name = f"bad{number}"
        status, out, _ = self.add(name, options, **keys)
        self.assertEqual((status, "start_failed" in out), (1, True), out)
        self.assertTrue(self.daemon.log(reason, path=f"root/{name}/1"))
        self.assertEqual([one for one in self.daemon.tree() if one.pid not in self.before], [])
        self.bind()

    def test_a_failed_start_leaves_nothing_behind(self):
        self.port = 0
        self.port = self.bind()
        self.daemon = self.supervise(listener(), environment=self.without_fault_handlers)
        users = ["root", "nobody"] if os.geteuid() == 0 else [None]
        cases = [(forks, end, user, ()) for forks in self.FORKS for end in self.ENDS for user in users]
        # Only the worker itself knows a process that has executed a program and closed its sockets.
        cases += [(forks, end, users[-1], ("and_execs",)) for forks in self.FORKS for end in ("init_refuses", "init_exits")]
        # The descriptors of a process of another user may be hidden from the master.
        cases += [("init_forks_twice", end, users[0], ("and_execs", "and_keeps")) for end in ("init_crashes", "init_hangs")]
        with Canary(self.daemon.address("echo"), 3) as canary:
            self.before = {one.pid for one in self.daemon.tree()}
            for number, (forks, end, user, more) in enumerate(cases):
                with self.subTest(forks=forks, end=end, user=user, more=more):
                    self.check(number, dict.fromkeys((forks, end, *more), 1), self.ENDS[end], **({"user": user} if user else {}))
            self.assertEqual(self.add("good", {})[0], 0)
            with Client(("127.0.0.1", self.port)) as client:
                self.assertTrue(client.echo())
        self.assertEqual(canary.errors, 0)
        self.measured(cases=len(cases), canary_gap=canary.max_gap)


class Broken(ControlledTestCase):
    """A module that was good when the daemon started and no longer is."""

    def setUp(self):
        super().setUp()
        self.path = os.path.join(self.directory, "own.so")
        shutil.copy(self.module("does_as_told"), self.path)

    def break_and_kill(self, daemon):
        shutil.copyfile(self.module("ctor_changes_umask"), self.path)
        signal_process(daemon.workers("own")[0].pid, signal.SIGKILL)

    def test_it_uses_up_the_intensity_of_its_listener_only(self):
        own = module_listener(self.path, workers=1, max_restarts=2, restart_delay="none", restart="temporary")
        daemon = self.supervise(listener(), own)
        with Canary(daemon.address("echo"), 3) as canary, Client(daemon.address("own")) as held:
            self.assertTrue(held.echo())
            before = daemon.events.mark()
            self.break_and_kill(daemon)
            daemon.events.next("intensity_exceeded", "root/own", after=before)
            starts = [one for one in daemon.events.of("child_started", after=before) if one["path"] == "root/own/1"]
            self.assertEqual(len(starts), 2)
            for line in daemon.log("own.so changed the umask to 0000", path="root/own/1"):
                self.assertIn("loading the handler module", line["message"])
            self.assertTrue(held.echo())  # connections that it served continue
        self.assertEqual(canary.errors, 0)
        self.assertTrue(daemon.running())

    def test_the_daemon_gives_up_at_the_root_and_names_the_cause(self):
        daemon = self.supervise(module_listener(self.path, workers=1, max_restarts=1, restart_delay="none"), listener(),
                                supervisor={"max_restarts": 1})
        daemon.expected_status = 70
        self.break_and_kill(daemon)
        self.assertEqual(daemon.wait_exit(), 70)
        daemon.wait_log("own.so changed the umask")
        daemon.wait_log("^gave up: ", path="root")

    def test_a_refused_module_ends_the_start_of_the_daemon(self):
        daemon = self.start(module_listener(self.module("ctor_exits"), workers=1), listener(), wait=False)
        daemon.expected_status = 70
        self.assertEqual(daemon.wait_exit(15), 70)
        daemon.wait_log(r"ctor_exits.so called exit\(3\)", path="root/own/1")

    def test_a_missing_module_worker_fails_only_modules(self):
        """Without bulkhead-module-worker a daemon serves everything except modules."""
        folder = os.path.join(self.directory, "bin")
        os.mkdir(folder)
        for name in ("bulkheadd", "bulkhead-worker"):
            shutil.copy(os.path.join(self.bindir, name), folder)
        if os.path.exists("/usr/local/libexec/bulkhead/bulkhead-module-worker"):
            self.skipTest("bulkhead is installed here")
        config = config_of(listener(), module_listener(self.path))
        config["control"] = {"socket": os.path.join(self.directory, "control.sock")}
        done = subprocess.run([os.path.join(folder, "bulkheadd"), "-c", self.write("c.json", json.dumps(config))],
                              capture_output=True, text=True, timeout=20)
        self.assertEqual(done.returncode, 70, done.stderr)
        self.assertIn("root/own/1: cannot start: open bulkhead-module-worker beside", done.stderr)


if __name__ == "__main__":
    main()
