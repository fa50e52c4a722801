"""bulkheadctl as a person and a script use it: several nodes, patterns, waiting, signals, and what its answers say."""

import fcntl
import json
import os
import re
import select
import signal
import socket
import struct
import subprocess
import termios
import threading

from harness import (SOURCE, Client, Control, ControlledTestCase, Hold, config_of, exec_listener, free_port, listener, main,
                     needs_root, wait_until)

GATED = "while [ ! -e \"$0\" ]; do sleep 0.02; done; "


def program(name, script="exec sleep 1000", *arguments, **keys):
    return {"id": name, "type": "process", "argv": ["/bin/sh", "-c", script, *arguments], "ready": "exec", **keys}


class CtlCase(ControlledTestCase):
    def ok(self, daemon, *arguments, **options):
        status, out, err = daemon.control.run(*arguments, **options)
        self.assertEqual((status, err), (0, ""), arguments)
        return out

    def fails(self, daemon, status, *arguments, **options):
        """What it says on standard error; nothing on standard output."""
        done, out, err = daemon.control.run(*arguments, **options)
        self.assertEqual((done, out), (status, ""), err)
        for line in err.splitlines():
            self.assertTrue(line.startswith("bulkheadctl: "), err)
        return err

    def ask(self, daemon, *arguments):
        return subprocess.Popen(daemon.control.command(*arguments), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True)

    def answer(self, asker):
        out, err = asker.communicate(timeout=20)
        return asker.returncode, out, err


class Answers(CtlCase):
    def test_reload_and_upgrade_wait_for_their_result_unless_told_not_to(self):
        daemon = self.supervise(listener())
        with open(daemon.config_path) as file:
            good = file.read()
        with open(daemon.config_path, "w") as file:
            file.write("{")
        self.assertIn(f"{daemon.config_path}:1:2:", self.fails(daemon, 2, "reload"))
        self.assertIn(f"{daemon.config_path}:1:2:", self.fails(daemon, 2, "reload", "--wait"))
        mark = daemon.events.mark()
        self.assertEqual(self.ok(daemon, "reload", "--no-wait"), "The reload has begun.\n")
        daemon.events.next("reload_rejected", "root", after=mark)
        with open(daemon.config_path, "w") as file:
            file.write(good)
        self.assertEqual(self.ok(daemon, "reload"), "Nothing changes.\n")
        self.assertRegex(self.ok(daemon, "upgrade"), r"^Upgraded from \S+ to \S+\.\n$")
        self.assertEqual(self.ok(daemon, "upgrade", "--no-wait"), "The upgrade has begun.\n")
        wait_until(lambda: len(daemon.log("^upgraded")) == 2 or daemon.control.call("status"), 10, "the second upgrade")

    def test_a_failed_start_gives_the_reason(self):
        broken = program("job", "exit 3", ready="notify_fd", restart="temporary")
        missing = {"id": "gone", "type": "process", "argv": ["/bin/sh"], "chdir": "/", "ready": "exec"}
        daemon = self.supervise(program("keeper"), program("late", "[ -e \"$0\" ] || exit 7; echo >&3; exec sleep 1000",
                                                           self.write("flag", ""), ready="notify_fd"))
        os.unlink(os.path.join(self.directory, "flag"))
        for verb in ("restart", "start"):
            err = self.fails(daemon, 1, verb, "late")
            self.assertIn("root/late: start_failed", err)
            self.assertIn("exited with status 7", err)
        err = self.fails(daemon, 1, "add", "root", "-", text=json.dumps(broken))
        self.assertIn("exited with status 3", err)
        script = self.write("vanishing", "#!/bin/sh\nexit 0\n", 0o755)
        missing["argv"] = [script]
        os.unlink(script)
        err = self.fails(daemon, 1, "add", "root", "-", text=json.dumps(missing))
        self.assertIn("No such file or directory", err)

    def test_a_wrong_path_gets_the_nearest_one_from_every_verb(self):
        daemon = self.supervise(program("database"), listener())
        for verb in ("stop", "start", "restart", "delete", "explain", "is-running", "tree", "connections"):
            self.assertEqual(self.fails(daemon, 1, verb, "databse"),
                             "bulkheadctl: there is no node root/databse; did you mean root/database?\n", verb)
        for arguments in (["wait", "databse", "running"], ["signal", "databse", "HUP"]):
            self.assertIn("did you mean root/database?", self.fails(daemon, 1, *arguments))
        for verb in ("suspend", "resume", "drain"):
            self.assertIn("did you mean root/echo?", self.fails(daemon, 1, verb, "ecko"))

    def test_the_configuration_has_its_absolute_path(self):
        path = self.write("relative.json", json.dumps({**config_of(listener()),
                                                       "control": {"socket": os.path.join(self.directory, "c.sock")}}))
        daemon = subprocess.Popen([self.program, "-c", "relative.json"], cwd=self.directory, stdin=subprocess.DEVNULL,
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            control = Control(os.path.join(self.directory, "c.sock"), self.bindir)
            wait_until(lambda: os.path.exists(control.path) and control.run("status")[0] == 0, 10, "the daemon")
            self.assertIn(f"The configuration file is {path}.\n", control.run("status")[1])
            self.assertEqual(control.value("status")["config"], path)
        finally:
            daemon.terminate()
            daemon.wait(10)

    def test_a_child_file_may_end_in_a_comment(self):
        daemon = self.supervise(listener())
        for number, end in enumerate((" // the end", "\n// the end", "\n/* the end */", "\n// the end\n")):
            child = self.write("child.json", json.dumps(program(f"c{number}")) + end)
            self.assertEqual(self.ok(daemon, "add", "root", child), "root has a new child\n")

    def test_a_tree_without_addresses_has_no_empty_place(self):
        daemon = self.supervise(listener(), listener("other"))
        with Client(daemon.address("echo")) as client:
            self.assertTrue(client.echo())
            draining = self.ask(daemon, "drain", "--wait", "echo")
            self.wait_state(daemon, "root/echo", "running")
            wait_until(lambda: "draining" in self.ok(daemon, "tree"), 5, "the drain")
            text = self.ok(daemon, "tree")
            self.assertRegex(text, r"listener( \S+)?, ending: draining,( uid \d+,)? 1 connection,")
            self.assertNotRegex(text, r" ,|1 connections|listener +,")
        self.assertEqual(self.answer(draining)[:2], (0, "root/echo has drained\n"))
        self.assertNotRegex(self.ok(daemon, "tree"), r" ,|1 connections|listener +,")
        self.assertEqual(self.ok(daemon, "drain", "other"), "root/other is draining\n")

    def test_a_number_of_one_is_singular(self):
        one = {"id": "one", "type": "supervisor", "max_restarts": 1, "max_seconds": 60, "children": [program("a"), listener(workers=1)]}
        daemon = self.supervise(one)
        self.ok(daemon, "scale", "one/echo", "2")
        said = self.ok(daemon, "tree") + self.ok(daemon, "diff")
        self.assertIn("0 of 1 restart in 60 s", said)
        self.assertIn("has 2 workers instead of 1", said)


class Sockets(CtlCase):
    """Where bulkheadctl looks for its daemon."""

    def ctl(self, *arguments, user=None, **environment):
        prefix = ("setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", "--") if user else ()
        done = subprocess.run([*prefix, os.path.join(self.bindir, "bulkheadctl"), *arguments], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=20, env={"PATH": os.environ["PATH"], **environment})
        return done.returncode, done.stdout, done.stderr

    def test_the_environment_names_it_and_the_option_overrides_that(self):
        daemon = self.supervise(listener())
        path = daemon.control.path
        self.assertIn(f"(pid {daemon.pid})", self.ctl("status", BULKHEAD_SOCKET=path)[1])
        self.assertIn(f"(pid {daemon.pid})", self.ctl("-s", path, "status", BULKHEAD_SOCKET="/nowhere")[1])
        self.assertEqual(self.ctl("status", BULKHEAD_SOCKET="/nowhere"),
                         (3, "", "bulkheadctl: cannot connect to /nowhere: No such file or directory\n"))

    @needs_root
    def test_a_user_gets_both_default_places_tried_and_told(self):
        os.chmod(self.directory, 0o755)
        status, out, err = self.ctl("status", user=65534, XDG_RUNTIME_DIR=self.directory)
        lines = err.splitlines()
        self.assertEqual((status, out, len(lines)), (3, "", 2), err)
        self.assertEqual(lines[0], f"bulkheadctl: cannot connect to {self.directory}/bulkhead/control.sock: No such file or directory")
        self.assertRegex(lines[1], r"^bulkheadctl: cannot connect to /run/bulkhead/control\.sock: .+")

    @needs_root
    def test_a_socket_of_another_user_is_not_used(self):
        folder = os.path.join(self.directory, "bulkhead")
        os.mkdir(folder)
        path = os.path.join(folder, "control.sock")
        with socket.socket(socket.AF_UNIX) as trap:
            def become_another():
                os.setgid(65533)
                os.setuid(65533)
            os.chmod(folder, 0o777)
            trap.close()
            code = ("import socket,sys\ns=socket.socket(socket.AF_UNIX)\ns.bind(sys.argv[1])\ns.listen()\n"
                    "import os\nos.chmod(sys.argv[1],0o777)\nprint('ready',flush=True)\nsys.stdin.read()")
            other = subprocess.Popen(["/usr/bin/python3", "-c", code, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                     preexec_fn=become_another, text=True)
            try:
                self.assertEqual(other.stdout.readline(), "ready\n")
                status, _, err = self.ctl("status", user=65534, XDG_RUNTIME_DIR=self.directory)
                self.assertEqual(status, 3)
                self.assertIn(f"cannot use {path}: it belongs to another user\n", err)
            finally:
                other.communicate()

    def test_errors_of_usage_name_the_program_and_the_nearest_word(self):
        for arguments, said in ((["tre"], 'no command "tre"; did you mean "tree"?'),
                                (["events", "--sinse", "1"], 'events: no option "--sinse"; did you mean "--since"?'),
                                (["is-runing", "a"], 'no command "is-runing"; did you mean "is-running"?'),
                                (["status", "extra"], 'status: unexpected argument "extra"'),
                                ([], "a command is missing; --help lists the commands")):
            self.assertEqual(self.ctl(*arguments), (64, "", f"bulkheadctl: {said}\n"))
        status, out, err = self.run_program("--chek")
        self.assertEqual((status, out, err), (64, "", 'bulkheadd: no option "--chek"; did you mean "--check"?\n'))
        self.assertTrue(self.run_program("stray")[2].startswith("bulkheadd: "))


class Several(CtlCase):
    def test_each_node_of_a_pattern_is_answered(self):
        daemon = self.supervise(program("web1"), program("web2"), program("db"), listener("webs"))
        pids = {name: daemon.control.node(f"root/{name}")["pid"] for name in ("web1", "web2", "db")}
        self.assertEqual(self.ok(daemon, "restart", "web*"), "".join(f"root/{name} has been restarted\n"
                                                                    for name in ("web1", "web2", "webs")))
        for name, pid in pids.items():
            self.assertEqual(daemon.control.node(f"root/{name}")["pid"] == pid, name == "db", name)
        self.assertEqual(self.ok(daemon, "suspend", "root/*"), "root/webs no longer accepts connections\n")
        self.assertEqual(self.ok(daemon, "resume", "w*"), "root/webs accepts connections again\n")
        self.assertEqual(self.ok(daemon, "stop", "web1", "root/db"), "root/web1 has been stopped\nroot/db has been stopped\n")
        status, out, err = daemon.control.run("start", "web[12]", "db")
        self.assertEqual((status, out), (1, "root/web1 has been started\nroot/db has been started\n"))
        self.assertEqual(err, "bulkheadctl: root/web2: running\n")
        self.assertEqual(self.fails(daemon, 1, "stop", "nobody*"), "bulkheadctl: no node matches root/nobody*\n")
        status, out, err = daemon.control.run("stop", "nobody*", "databse", "db")
        self.assertEqual((status, out, err.count("\n")), (1, "root/db has been stopped\n", 2))

    def test_the_answers_are_one_array_in_json(self):
        daemon = self.supervise(program("a"), program("b"))
        self.assertEqual(daemon.control.value("stop", "a", "x*", "c"),
                         [{"path": "root/a", "ok": True}, {"path": "root/x*", "error": "not_found"},
                          {"path": "root/c", "error": "not_found"}])
        self.assertEqual(daemon.control.value("start", "a"), {"ok": True})
        self.assertEqual([one["path"] for one in daemon.control.value("tree", "root/*")], ["root/a", "root/b"])
        self.assertEqual([one["path"] for one in daemon.control.value("explain", "a", "b")], ["root/a", "root/b"])

    def test_several_listeners_drain_at_the_same_time(self):
        daemon = self.supervise(listener("one"), listener("two"))
        with Client(daemon.address("one")) as one, Client(daemon.address("two")) as two:
            self.assertTrue(one.echo() and two.echo())
            asker = self.ask(daemon, "drain", "--wait", "*")
            for path in ("root/one", "root/two"):
                daemon.events.next("drain_started", path)
        self.assertEqual(self.answer(asker), (0, "root/one has drained\nroot/two has drained\n", ""))

    def test_tree_and_connections_of_one_path(self):
        web = {"id": "web", "type": "supervisor", "children": [listener("a", workers=1), listener("b", workers=1)]}
        daemon = self.supervise(web, listener("c", workers=1), program("db"))
        self.assertEqual(daemon.control.value("tree", "web/a")["path"], "root/web/a")
        self.assertEqual([line.split()[-5 if "worker" in line else 0] for line in self.ok(daemon, "tree", "db").splitlines()[1:]], ["db"])
        clients = {name: Client(daemon.address(name)) for name in ("a", "b", "c")}
        try:
            for client in clients.values():
                self.assertTrue(client.echo())

            def peers(*paths):
                return sorted(one["peer"] for one in daemon.control.value("connections", *paths))
            names = {name: client.name for name, client in clients.items()}
            self.assertEqual(peers("web"), sorted([names["a"], names["b"]]))
            self.assertEqual(peers("web/a"), [names["a"]])
            self.assertEqual(peers("web/a/1"), [names["a"]])
            self.assertEqual(peers("web/b", "c"), sorted([names["b"], names["c"]]))
            self.assertEqual(peers("*/b"), [names["b"]])
            self.assertEqual(peers("db"), [])
            self.assertEqual(self.ok(daemon, "connections", "web/b", "c").count("\n"), 3)
        finally:
            for client in clients.values():
                client.close()

    def test_the_last_events(self):
        daemon = self.supervise(listener())
        every = self.ok(daemon, "events").splitlines()
        self.assertEqual(self.ok(daemon, "events", "-n", "2").splitlines(), every[-2:])
        self.assertEqual(self.ok(daemon, "events", "-n", "0"), "")
        follower = self.ask(daemon, "--json", "events", "-n", "1", "-f")
        self.assertEqual(json.loads(follower.stdout.readline())["seq"], len(every))
        self.ok(daemon, "suspend", "echo")
        self.assertEqual(json.loads(follower.stdout.readline())["event"], "listener_suspended")
        follower.terminate()
        follower.communicate()


class Signals(CtlCase):
    def test_a_process_gets_a_signal(self):
        heard = os.path.join(self.directory, "heard")
        script = "trap 'echo usr1 >>\"$0\"' USR1; trap 'echo hup >>\"$0\"' HUP; echo >&3; while :; do sleep 0.02; done"
        daemon = self.supervise(program("db", script, heard, ready="notify_fd"), listener(workers=1))

        def count():
            with open(heard) as file:
                return len(file.readlines())
        for number, name in enumerate(("USR1", "SIGUSR1", "hup", str(int(signal.SIGHUP))), 1):
            self.assertEqual(self.ok(daemon, "signal", "db", name), "root/db has been signalled\n")
            wait_until(lambda n=number: os.path.exists(heard) and count() == n, 5, name)
        err = self.fails(daemon, 64, "signal", "db", "TREM")
        self.assertIn('did you mean "TERM"?', err)
        self.assertIn("root/echo is not a process but a listener", self.fails(daemon, 1, "signal", "echo", "HUP"))
        self.assertIn("root/echo/1 is not a process but a worker", self.fails(daemon, 1, "signal", "echo/1", "HUP"))
        self.ok(daemon, "stop", "db")
        self.assertEqual(self.fails(daemon, 1, "signal", "db", "HUP"), "bulkheadctl: root/db is not running\n")
        self.assertEqual(daemon.control.value("signal", "db", "HUP"), {"error": "not_running"})

    def test_real_time_signals(self):
        heard = os.path.join(self.directory, "heard")
        script = f"trap 'echo heard >>\"$0\"' {signal.SIGRTMIN + 3}; echo >&3; while :; do sleep 0.02; done"
        daemon = self.supervise(program("db", script, heard, ready="notify_fd"))

        def count():
            with open(heard) as file:
                return len(file.readlines())
        for number, name in enumerate(("RTMIN+3", "sigrtmin+3", "RTMAX-27", str(signal.SIGRTMIN + 3)), 1):
            self.assertEqual(self.ok(daemon, "signal", "db", name), "root/db has been signalled\n")
            wait_until(lambda n=number: os.path.exists(heard) and count() == n, 5, name)
        for name in ("RTMIN+31", "RTMIN-1", "32"):
            self.fails(daemon, 64, "signal", "db", name)
        self.ok(daemon, "signal", "db", "RTMAX")
        self.assertEqual(daemon.events.next("child_exited", "root/db")["reason"]["signal"], "SIGRTMAX")

    def test_an_end_by_such_a_signal_is_an_end_like_any_other(self):
        daemon = self.supervise(program("db"), program("other"))
        mark = daemon.events.mark()
        self.assertEqual(self.ok(daemon, "signal", "d?", "KILL"), "root/db has been signalled\n")
        self.assertFalse(daemon.events.next("child_exited", "root/db", after=mark)["asked"])
        daemon.events.next("child_ready", "root/db", after=mark)

    def test_connections_end_by_their_client(self):
        daemon = self.supervise(listener("one"), listener("two"))
        with Client(daemon.address("one")) as one, Client(daemon.address("one")) as same, Client(daemon.address("two")) as two:
            for client in (one, same, two):
                self.assertTrue(client.echo())
            self.assertEqual(self.ok(daemon, "kill", "--peer", one.name), "1 connection has been signalled\n")
            self.assertEqual(one.rest(), b"")
            self.assertTrue(same.echo() and two.echo())
            self.assertIn("no connection of 192.0.2.0/24", self.fails(daemon, 1, "kill", "--peer", "192.0.2.0/24"))
            wait_until(lambda: daemon.control.value("stats")["totals"]["active"] == 2, 5, "the end")
            self.assertEqual(daemon.control.value("kill", "--peer", "127.0.0.0/8", "KILL"),
                             {"ok": True, "signalled": 2, "message": "2 connections have been signalled"})
            self.assertEqual((same.rest(), two.rest()), (b"", b""))

    def test_many_connections_are_signalled_in_turns(self):
        daemon = self.supervise(listener(max_connections=400))
        with Hold(daemon.address(), 300) as hold:
            self.assertEqual(hold.echo_all(), 300)
            self.assertEqual(self.ok(daemon, "kill", "--peer", "127.0.0.1"), "300 connections have been signalled\n")
            self.assertEqual([client.rest() for client in hold.clients], [b""] * 300)


class Waiting(CtlCase):
    def test_a_node_that_is_there_already(self):
        daemon = self.supervise(program("db"))
        self.assertEqual(self.ok(daemon, "wait", "db", "running"), "root/db is running\n")
        self.assertEqual(daemon.control.value("wait", "db", "running"), {"ok": True})
        self.assertEqual(self.ok(daemon, "is-running", "db"), "")
        self.assertEqual(daemon.control.value("is-running", "db"), {"running": True, "state": "running"})
        self.ok(daemon, "stop", "db")
        self.assertEqual(daemon.control.run("is-running", "db"), (1, "", ""))
        self.assertEqual(self.ok(daemon, "wait", "db", "stopped"), "root/db is stopped\n")

    def test_what_an_operator_starts_is_waited_for(self):
        daemon = self.supervise(program("db"), program("other"))
        self.ok(daemon, "stop", "db")
        asker = self.ask(daemon, "wait", "db", "running", "-t", "20s")
        other = self.ask(daemon, "wait", "other", "stopped")
        wait_until(lambda: len(daemon_clients(daemon)) >= 4, 5, "both wait")
        self.ok(daemon, "start", "db")
        self.assertEqual(self.answer(asker), (0, "root/db is running\n", ""))
        self.ok(daemon, "stop", "other")
        self.assertEqual(self.answer(other), (0, "root/other is stopped\n", ""))

    def test_a_state_that_is_only_passed_through_counts(self):
        daemon = self.supervise(program("db"))
        asker = self.ask(daemon, "wait", "db", "stopping", "-t", "20s")
        wait_until(lambda: len(daemon_clients(daemon)) >= 3, 5, "it waits")
        self.ok(daemon, "restart", "db")
        self.assertEqual(self.answer(asker)[0], 0)

    def test_a_time_limit(self):
        daemon = self.supervise(program("db"))
        self.assertEqual(self.fails(daemon, 1, "wait", "db", "stopped", "-t", "50ms"),
                         "bulkheadctl: root/db was not stopped within 50ms; it is running\n")
        self.assertEqual(daemon.control.value("wait", "db", "stopped", "-t", "0"), {"error": "timeout"})

    def test_a_state_that_cannot_come_is_given_up(self):
        flag = self.write("flag", "")
        daemon = self.supervise(program("job", GATED.replace("! -e", "-e") + "exit 78", flag, permanent_failure_exit=[78]),
                                program("once", "exit 0", restart="transient"), program("gone"))
        askers = [self.ask(daemon, "wait", "job", "waiting"), self.ask(daemon, "wait", "gone", "waiting")]
        wait_until(lambda: len(daemon_clients(daemon)) >= 4, 5, "both wait")
        os.unlink(flag)
        self.assertEqual(self.answer(askers[0])[::2], (1, "bulkheadctl: root/job is failed, and does not become waiting by itself\n"))
        self.assertIn("does not become running by itself", self.fails(daemon, 1, "wait", "once", "running"))
        self.ok(daemon, "stop", "gone")
        self.ok(daemon, "delete", "gone")
        status, _, err = self.answer(askers[1])
        self.assertEqual(status, 1)
        self.assertTrue(err.startswith("bulkheadctl: there is no node root/gone"), err)

    def test_an_upgrade_and_the_end_of_the_daemon(self):
        daemon = self.supervise(program("db"), listener())
        asker = self.ask(daemon, "wait", "db", "stopped")
        wait_until(lambda: len(daemon_clients(daemon)) >= 3, 5, "it waits")
        self.ok(daemon, "upgrade")
        self.ok(daemon, "stop", "db")
        self.assertEqual(self.answer(asker), (0, "root/db is stopped\n", ""))
        asker = self.ask(daemon, "wait", "echo", "failed")
        wait_until(lambda: len(daemon_clients(daemon)) >= 2, 5, "it waits")
        self.ok(daemon, "shutdown")
        self.assertEqual(self.answer(asker)[0], 3)
        daemon.wait_exit()


class Confirm(CtlCase):
    """As an operator uses it who edits the port through which he is logged in."""

    UNDONE = "not confirmed in time; the configuration before is in effect again"

    def rewrite(self, daemon, *children):
        with open(daemon.config_path) as file:
            config = json.load(file)
        config["supervisor"]["children"] = list(children)
        with open(daemon.config_path, "w") as file:
            json.dump(config, file)

    def wait_for_return(self, daemon, returns=1):
        def are_back(events):
            names = [one["event"] for one in events]
            return names.count("reload_expired") == returns and "reload_done" in names[names.index("reload_expired"):]

        daemon.events.wait(are_back, what="the return")

    def test_a_port_that_nobody_confirms_moves_back(self):
        daemon = self.supervise(listener(listen=f"127.0.0.1:{free_port()}"))
        address = daemon.address()
        moved = "127.0.0.1", free_port()
        with Client(address) as logged_in:
            self.assertTrue(logged_in.echo())
            self.rewrite(daemon, listener(listen=f"{moved[0]}:{moved[1]}"))
            out = self.ok(daemon, "reload", "--confirm", "1s")
            self.assertRegex(out, r"The configuration before comes back in 1 s unless `bulkheadctl confirm` follows\.\n$")
            daemon.events.next("reload_unconfirmed", "root")
            with Client(moved) as new_login:
                self.assertTrue(new_login.echo())
            self.wait_for_return(daemon)
            with Client(address) as again:
                self.assertTrue(again.echo())
            with self.assertRaises(ConnectionRefusedError):
                socket.create_connection(moved, timeout=5).close()
            self.assertTrue(logged_in.echo())
        self.assertIn(self.UNDONE, self.ok(daemon, "status"))
        self.assertIn("What is in effect is the configuration before a reload that was not confirmed.\n", self.ok(daemon, "diff"))
        self.assertEqual(self.fails(daemon, 1, "confirm"), "bulkheadctl: no reload waits to be confirmed\n")
        daemon.wait_log("^the reload was not confirmed in time")
        daemon.wait_log("^the configuration before is in effect again")
        self.assertIn("Reloaded:\n", self.ok(daemon, "reload"))
        self.assertNotIn("before a reload", self.ok(daemon, "diff"))

    def test_the_client_that_asked_may_be_gone(self):
        daemon = self.supervise(listener(listen=f"127.0.0.1:{free_port()}"))
        address = daemon.address()
        self.rewrite(daemon, listener(listen=f"127.0.0.1:{free_port()}"))
        asker = self.ask(daemon, "reload", "--confirm", "1s")
        daemon.events.next("reload_started", "root")
        asker.kill()
        asker.communicate()
        self.wait_for_return(daemon)
        with Client(address) as again:
            self.assertTrue(again.echo())

    def test_a_confirmed_reload_stays(self):
        daemon = self.supervise(program("db"))
        self.rewrite(daemon, program("db"), program("web"))
        told = json.loads(self.ok(daemon, "--json", "reload", "--confirm", "60"))
        self.assertGreater(told["confirm_seconds"], 50)
        self.assertGreater(daemon.control.value("status")["unconfirmed"]["remaining_seconds"], 50)
        self.assertGreater(daemon.control.value("tree")["unconfirmed"]["remaining_seconds"], 50)
        comes_back = r"The configuration before comes back in (1 min 0|\d+) s unless `bulkheadctl confirm` follows\.\n"
        self.assertRegex(self.ok(daemon, "status"), comes_back)
        self.assertRegex(self.ok(daemon, "diff"), "^Nothing changes\\.\n" + comes_back)
        self.assertRegex(self.ok(daemon, "tree"), r"root .*, goes back in (1 min 0|\d+) s unless confirmed\n")
        self.assertEqual(self.ok(daemon, "confirm"), "the configuration is kept\n")
        self.assertNotIn("unconfirmed", daemon.control.value("status"))
        self.assertNotIn("unless confirmed", self.ok(daemon, "tree"))
        self.assertEqual(self.ok(daemon, "is-running", "web"), "")
        daemon.events.next("reload_confirmed", "root")

    def test_a_time_out_of_range_and_a_reset_are_refused(self):
        daemon = self.supervise(program("db"))
        for time in "10ms", "25h":
            self.assertEqual(self.fails(daemon, 2, "reload", "--confirm", time),
                             "bulkheadctl: the time to confirm a reload is 1s to 24h\n")
        self.assertIn("--reset cannot be taken back", self.fails(daemon, 2, "reload", "--confirm", "60s", "--reset"))
        self.assertEqual(self.ok(daemon, "reload", "--confirm", "60s"), "Nothing changes.\n")
        self.fails(daemon, 1, "confirm")

    def test_a_hangup_confirms_nothing(self):
        daemon = self.supervise(program("db"))
        self.rewrite(daemon, program("web"))
        self.ok(daemon, "reload", "--confirm", "2s")
        mark = daemon.events.mark()
        os.kill(daemon.pid, signal.SIGHUP)
        daemon.events.next("reload_done", "root", after=mark)
        self.wait_for_return(daemon)
        self.assertTrue(daemon.control.node("root/db"))

    def test_the_time_survives_an_upgrade(self):
        daemon = self.supervise(program("db"))
        self.rewrite(daemon, program("web"))
        self.ok(daemon, "reload", "--confirm", "2s")
        self.ok(daemon, "upgrade")
        self.assertIn("unconfirmed", daemon.control.value("status"))
        wait_until(lambda: "went_back" in daemon.control.value("status")["last_reload"], 10, "the return")
        self.assertTrue(daemon.control.node("root/db"))
        self.assertIn(self.UNDONE, self.ok(daemon, "status"))
        self.assertIn("was not confirmed", self.ok(daemon, "diff"))

    def test_it_comes_back_with_the_variables_that_it_had(self):
        variables = os.path.join(self.directory, "variables")
        with open(variables, "w") as file:
            file.write("WHO=old\n")
        told = os.path.join(self.directory, "told")
        old = program("db", f'echo "$WHO" >> {told}; exec sleep 1000', env_file=variables)
        daemon = self.supervise(old)
        with open(variables, "w") as file:
            file.write("WHO=new\n")
        self.rewrite(daemon, dict(old, nice=1))
        self.ok(daemon, "reload", "--confirm", "2s")
        self.ok(daemon, "upgrade")
        wait_until(lambda: "went_back" in daemon.control.value("status")["last_reload"], 10, "the return")
        with open(told) as file:
            self.assertEqual(file.read().split(), ["old", "new", "old"])

    def test_a_stop_says_that_nothing_was_confirmed(self):
        daemon = self.supervise(program("db"))
        self.rewrite(daemon, program("web"))
        self.ok(daemon, "reload", "--confirm", "60s")
        self.ok(daemon, "shutdown")
        self.assertEqual(daemon.wait_exit(), 0)
        self.assertTrue(daemon.log("^stopping before the reload was confirmed"))


class AtTerminal:
    """bulkheadctl whose standard error is a terminal, and whose output goes to a pipe."""

    def __init__(self, daemon, *arguments, term="xterm"):
        ours, theirs = os.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 200, 0, 0))
        self._terminal, self._shown, self._news = ours, "", threading.Condition()
        self._process = subprocess.Popen(daemon.control.command(*arguments), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                         stderr=theirs, text=True, env=dict(os.environ, TERM=term))
        os.close(theirs)
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self):
        while True:
            try:
                part = os.read(self._terminal, 4096)
            except OSError:  # nobody has it open any longer
                return
            with self._news:
                self._shown += part.decode()
                self._news.notify_all()

    def wait_line(self, pattern):
        with self._news:
            if not self._news.wait_for(lambda: re.search("\r\x1b\\[K" + pattern + "(\r|$)", self._shown), 10):
                raise AssertionError(f"{pattern!r} is not in {self._shown!r}")

    def end(self):
        """Status, output, and all that was shown."""
        out, _ = self._process.communicate(timeout=20)
        self._thread.join(10)
        os.close(self._terminal)
        return self._process.returncode, out, self._shown


class ProgressLines(CtlCase):
    CLEARED = "\r\x1b[K"

    def finish(self, terminal, out):
        status, told, shown = terminal.end()
        self.assertEqual((status, told), (0, out))
        self.assertTrue(shown.endswith(self.CLEARED), shown)

    def test_a_drain_shows_its_connections_and_its_time(self):
        daemon = self.supervise(listener(), daemon={"drain_timeout": "30s"})
        with Client(daemon.address()) as client:
            self.assertTrue(client.echo())
            terminal = AtTerminal(daemon, "drain", "--wait", "echo")
            terminal.wait_line(r"drain: draining root/echo: 1 connection left, (30|29|28) s until it is ended")
            terminal.wait_line(r"drain: draining root/echo: 1 connection left, (28|27) s until it is ended")
        self.finish(terminal, "root/echo has drained\n")

    def test_a_restart_and_a_stop_show_when_the_process_is_killed(self):
        flag = self.write("flag", "")
        script = "trap '[ -e \"$0\" ] || exit 0' TERM; while :; do sleep 0.05; done"
        daemon = self.supervise(program("db", script, flag, shutdown="60s"), program("slow", script, flag, shutdown="infinity"))
        terminals = [AtTerminal(daemon, "restart", "db"), AtTerminal(daemon, "stop", "slow")]
        terminals[0].wait_line(r"restart: stopping root/db, (1 min 0|5\d) s until it is killed")
        terminals[1].wait_line(r"stop: stopping root/slow")
        os.unlink(flag)
        for path in "root/db", "root/slow":
            os.kill(daemon.control.node(path)["pid"], signal.SIGTERM)
        self.finish(terminals[0], "root/db has been restarted\n")
        self.finish(terminals[1], "root/slow has been stopped\n")

    def test_a_reload_and_the_upgrade_that_waits_for_it_show_what_is_starting(self):
        gate = os.path.join(self.directory, "gate")
        daemon = self.supervise(listener())
        with open(daemon.config_path) as file:
            config = json.load(file)
        config["supervisor"]["children"].append(
            program("db", GATED + "echo >&3; exec sleep 1000", gate, ready="notify_fd", start_timeout="60s"))
        with open(daemon.config_path, "w") as file:
            json.dump(config, file)
        reload = AtTerminal(daemon, "reload")
        reload.wait_line("reload: starting root/db")
        upgrade = AtTerminal(daemon, "upgrade")
        upgrade.wait_line("upgrade: starting root/db")
        self.write("gate", "")
        self.finish(reload, "Reloaded:\n  root/db is added\n")
        status, out, shown = upgrade.end()
        self.assertEqual(status, 0)
        self.assertRegex(out, "^Upgraded from")
        self.assertTrue(shown.endswith(self.CLEARED), shown)

    def test_a_shutdown_is_watched_to_its_end(self):
        daemon = self.supervise(listener(), daemon={"drain_timeout": "30s"})
        with Client(daemon.address()) as client:
            self.assertTrue(client.echo())
            terminal = AtTerminal(daemon, "shutdown", "--wait")
            terminal.wait_line(r"shutdown: draining root/echo: 1 connection left, (30|29|28) s until it is ended")
        self.finish(terminal, "the daemon has stopped\n")
        self.assertEqual(daemon.wait_exit(), 0)

    def test_a_shutdown_that_waits_answers_when_the_daemon_is_gone(self):
        script = "trap 'sleep 0.3; exit 0' TERM; while :; do sleep 0.05; done"
        daemon = self.supervise(program("db", script))
        pid = daemon.control.node("root/db")["pid"]
        self.assertEqual(daemon.control.value("shutdown", "--wait"), {"ok": True})
        self.assertFalse(os.path.exists(f"/proc/{pid}"))
        self.assertEqual(daemon.wait_exit(), 0)

    def test_nothing_is_shown_on_a_dumb_terminal_or_a_pipe(self):
        daemon = self.supervise(listener())
        with Client(daemon.address()) as client:
            self.assertTrue(client.echo())
            dumb = AtTerminal(daemon, "drain", "--wait", "echo", term="dumb")
            shown = AtTerminal(daemon, "drain", "--wait", "echo")
            piped = self.ask(daemon, "drain", "--wait", "echo")
            shown.wait_line("drain: draining root/echo: 1 connection left.*")
        out = "root/echo has drained\n"
        self.finish(shown, out)
        self.assertEqual(dumb.end(), (0, out, ""))
        self.assertEqual(self.answer(piped), (0, out, ""))


class Examples(CtlCase):
    """The EXAMPLES of the manual, as they are typed, one after another on one daemon."""

    CONNECTION = "2f00000003"

    def setUp(self):
        super().setUp()
        with open(os.path.join(SOURCE, "man", "bulkheadctl.8")) as file:
            page = file.read()
        section = page.split(".Sh EXAMPLES\n")[1].split(".Sh ")[0]
        blocks = re.findall(r"\.Bd -literal -offset indent\n(.*?)\.Ed", section, re.S)
        self.lines = [line for block in blocks for line in block.splitlines()]
        job = program("job")
        self.write("job.json", json.dumps(job))
        self.write("scenario.json", json.dumps({"name": "one crash", "events": [{"exit": "root/redis", "reason": "crash"}]}))
        self.daemon = self.supervise(
            {"id": "web", "type": "supervisor", "strategy": "rest_for_one", "children": [
                program("cache"),
                listener("echo", proxy_protocol="v1", workers=1, listen=f"127.0.0.1:{free_port()}"),
                exec_listener(["/bin/sh", "-c", "read line; kill -KILL $$"], "fails", proxy_protocol="v1", penalties={"mode": "enforce", "crash": "1h"})]},
            program("db", "trap : HUP; while :; do sleep 0.05; done"), program("redis"))
        self.environment = dict(os.environ, BULKHEAD_SOCKET=self.daemon.control.path,
                                PATH=f"{self.bindir}:{os.environ['PATH']}")
        self.clients = []

    def tearDown(self):
        for client in self.clients:
            client.close()
        super().tearDown()

    def visit(self, name):
        client = Client(self.daemon.address(name))
        self.clients.append(client)
        client.send(b"PROXY TCP4 192.0.2.7 192.0.2.1 4711 80\r\nhello\n")
        return client

    def serve(self):
        self.assertEqual(self.visit("echo").receive(6), b"hello\n")

    def edit(self):
        with open(self.daemon.config_path) as file:
            config = json.load(file)
        redis = config["supervisor"]["children"][-1]
        redis["nice"] = redis.get("nice", 0) + 1
        with open(self.daemon.config_path, "w") as file:
            json.dump(config, file)

    def penalise(self):
        if not self.daemon.control.call("penalties")["result"]:
            self.visit("fails").rest()
        wait_until(lambda: self.daemon.control.call("penalties")["result"], 5, "a penalty")

    # What the text before an example presupposes, by its beginning.
    BEFORE = {"bulkheadctl connections": serve, "bulkheadctl check": edit, "bulkheadctl reload --confirm": edit,
              "bulkheadctl kill --peer": serve, "bulkheadctl penalties": penalise}

    def typed(self, line):
        words = line.replace("/etc/bulkhead/bulkhead.json", self.daemon.config_path)
        if self.CONNECTION in words:
            words = words.replace(self.CONNECTION, self.daemon.control.call("connections")["result"][0]["id"])
        return subprocess.Popen(["/bin/sh", "-c", "exec " + words], cwd=self.directory, env=self.environment,
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def follow(self, line):
        follower = self.typed(line)

        def prints():
            self.ok(self.daemon, "suspend", "root/web/echo")
            self.ok(self.daemon, "resume", "root/web/echo")
            return select.select([follower.stdout], [], [], 0.1)[0]

        wait_until(prints, 5, "an event")
        follower.terminate()
        _, err = follower.communicate(timeout=10)
        return err

    def test_every_example_of_the_manual_works_as_typed(self):
        self.assertGreater(len(self.lines), 30)
        for line in self.lines:
            with self.subTest(line):
                for beginning, prepare in self.BEFORE.items():
                    if line.startswith(beginning):
                        prepare(self)
                if "-f" in line.split():
                    self.assertEqual(self.follow(line), "")
                    continue
                example = self.typed(line)
                out, err = example.communicate(timeout=20)
                self.assertEqual((example.returncode, err), (0, ""), out)
                if "is-running" not in line:
                    self.assertTrue(out)
        self.assertEqual(self.daemon.wait_exit(), 0)


class Simulate(CtlCase):
    def ctl(self, *arguments, text=""):
        done = subprocess.run([os.path.join(self.bindir, "bulkheadctl"), *arguments], input=text, capture_output=True, text=True,
                              timeout=20, env={"PATH": os.environ["PATH"]})
        return done.returncode, done.stdout, done.stderr

    def test_two_crashes_and_their_delays(self):
        config = self.write("c.json", json.dumps(config_of(program("redis"), max_restarts=2, max_seconds=10)))
        status, out, err = self.ctl("simulate", "--config", config, "--crash", "root/redis@0s", "--crash", "redis@1s", "--crash", "redis@1100ms")
        self.assertEqual((status, err), (0, ""))
        lines = [line.strip() for line in out.splitlines()]
        self.assertEqual(lines[:5], ["0.000 s  root: starting.", "0.000 s  root/redis: running.", "0.000 s  root/redis: crashed.",
                                     "0.000 s  root/redis: restarting at once; restart 1 within its supervisor's max_seconds.",
                                     "0.000 s  root/redis: running."])
        self.assertRegex(lines[6], r"^1\.000 s  root/redis: restarting in \d\.\d{3} s; restart 2 within its supervisor's max_seconds\.$")
        self.assertEqual(lines[7], "1.100 s  root/redis: cannot crash, because it is waiting.")
        self.assertEqual(lines[-1], "In the end everything is running.")
        told = json.loads(self.ctl("--json", "simulate", "--config", config, "--crash", "redis")[1])
        self.assertEqual((told["root"], told["timeline"][2]["reason"]), ("running", "crash"))
        self.assertEqual(self.ctl("simulate", "--config", config, "--crash", "redi")[::2],
                         (1, "bulkheadctl: there is no node root/redi; did you mean root/redis?\n"))
        self.assertEqual(self.ctl("simulate", "--crash", "redis")[0], 64)

    def test_jobs_manual_and_disabled_children_of_a_configuration(self):
        job = {key: value for key, value in program("job", oneshot=True).items() if key != "ready"}
        config = self.write("c.json", json.dumps(config_of(job, program("app"), program("m", start="manual"),
                                                           program("off", enabled=False), strategy="one_for_all")))
        status, out, err = self.ctl("simulate", "--config", config, "--crash", "root/app@1s", "--crash", "root/m")
        self.assertEqual((status, err), (0, ""))
        self.assertEqual(out.count("root/job: exited (normal).\n"), 2)
        self.assertIn("root/m: cannot crash, because it is stopped.\n", out)
        self.assertNotIn("root/off", out)

    def test_the_scenario_of_the_manual_runs_as_printed(self):
        page = subprocess.run(["sed", "-n", "/^.Sh SCENARIOS/,/^.Ed/p", os.path.join(SOURCE, "man", "bulkheadctl.8")],
                              capture_output=True, text=True, check=True).stdout
        scenario = page.split(".Bd -literal -offset indent\n")[1].split(".Ed")[0].replace("\\(dq", '"')
        status, out, err = self.ctl("simulate", "-", text=scenario)
        self.assertEqual((status, err), (0, ""))
        self.assertTrue(out.startswith("Scenario too many crashes\nStart:\n      0.000 s  root: starting.\n"), out)
        self.assertIn("root/web: giving up: root/web/cache exceeded max_restarts (1) within max_seconds (10).\n", out)
        self.assertTrue(out.endswith("In the end root/web/app is stopped, and everything else is running.\n"), out)
        filled = json.loads(self.ctl("--json", "simulate", "-", text=scenario)[1])
        self.assertEqual(len(filled["expect"]), 5)


def daemon_clients(daemon):
    """The control connections that the daemon serves: its descriptors of the control socket besides the listening one."""
    with open("/proc/net/unix") as file:
        of_socket = {line.split()[6] for line in file if line.rstrip().endswith(daemon.control.path)}
    links = [os.readlink(f"/proc/{daemon.pid}/fd/{fd}") for fd in os.listdir(f"/proc/{daemon.pid}/fd")]
    return [link for link in links if link.startswith("socket:[") and link[8:-1] in of_socket][1:]


class Documentation(CtlCase):
    def test_the_connection_ids_of_the_documentation_can_occur(self):
        """An id is (use, listener, slot) in one number, and uses begin with 1."""
        found = []
        for name in ("README.md", "man/bulkheadctl.8", "man/bulkheadd.8", "worker/connection_title.h", "worker/ipc/connection_output.h"):
            with open(os.path.join(SOURCE, name)) as file:
                found += re.findall(r"(?:bulkheadd: connection |bulkheadctl kill |connection=|connection == ..\(dq)([0-9a-f]+)\b", file.read())
        self.assertGreaterEqual(len(found), 6)
        for one in found:
            self.assertGreater(int(one, 16) >> 32, 0, one)


if __name__ == "__main__":
    main()
