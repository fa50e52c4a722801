"""bulkheadctl logs: the last lines of each node, kept by the daemon; and the last words of a child that does not start."""

import json
import os
import re
import subprocess

from harness import Client, ControlledTestCase, TestCase, exec_listener, listener, main, wait_until


def shell(name, script, **keys):
    return {"id": name, "type": "process", "argv": ["/bin/sh", "-c", script], "ready": "exec", **keys}


def sleeper(name, **keys):
    return shell(name, f"echo {name} sleeps; exec sleep 1000", **keys)


def handler(script, name="run", **keys):
    return exec_listener(["/bin/sh", "-c", script], name=name, workers=1, **keys)


class Follower:
    """`bulkheadctl --json logs -f`, one object a line."""

    def __init__(self, test, daemon, *arguments):
        self.child = subprocess.Popen(daemon.control.command("--json", "logs", "-f", *arguments), stdout=subprocess.PIPE,
                                      stderr=subprocess.PIPE, text=True)
        test.addCleanup(self.end)

    def end(self):
        self.child.kill()
        self.child.communicate()

    def next(self, **fields):
        for line in self.child.stdout:
            one = json.loads(line)
            if all(value in str(one.get(key, "")) for key, value in fields.items()):
                return one
        raise AssertionError(f"the lines have ended: {self.child.stderr.read()}")


class LogsTestCase(ControlledTestCase):
    @property
    def log_path(self):
        return os.path.join(self.directory, "log")

    def lines(self, daemon, *arguments):
        return [one["line"] for one in daemon.control.value("logs", *arguments)["lines"]]

    def text(self, daemon, *arguments):
        status, out, err = daemon.control.run("logs", *arguments)
        self.assertEqual((status, err), (0, ""))
        return out

    def wait_line(self, daemon, path, words):
        return wait_until(lambda: [line for line in self.lines(daemon, path) if words in line], 10, f"{words} in the lines of {path}")


class Kept(LogsTestCase):
    def test_of_a_process_what_it_wrote_and_what_the_daemon_says_about_it(self):
        daemon = self.supervise(shell("app", "printf 'to out\\n'; printf 'b\\033ad\\n' >&2; exec sleep 1000"), sleeper("other"),
                                log={"target": self.log_path, "format": "text"})
        self.wait_line(daemon, "app", "b\\x1bad")
        out = self.text(daemon, "app")
        with open(self.log_path) as log:
            logged = [line for line in log.read().splitlines() if " root/app: " in line]
        self.assertEqual(out.splitlines(), logged, "as they are logged")
        self.assertIn("root/app: to out stream=stdout", out)
        self.assertIn("root/app: ready", out)
        self.assertNotIn("other", out)
        self.assertEqual(self.text(daemon, "-n", "1", "root/app").splitlines(), logged[-1:])

    def test_of_a_listener_its_workers_its_connections_and_its_handlers(self):
        daemon = self.supervise(handler("echo words of a handler >&2; exec cat"), log={"target": self.log_path, "format": "json"})
        with Client(daemon.address()) as client:
            said = self.wait_line(daemon, "run", "words of a handler")
            self.assertEqual(json.loads(said[0])["peer"], client.name)
            client.echo()
        ended = self.wait_line(daemon, "run", "connection_ended")
        self.assertEqual(json.loads(ended[0])["connection"], json.loads(said[0])["connection"])
        self.assertTrue([line for line in self.lines(daemon, "run") if "Serving requests" in line])
        self.assertTrue([line for line in self.lines(daemon, "run/1") if "words of a handler" in line])

    def test_of_a_supervisor_and_of_all_that_is_below_it_in_order(self):
        group = {"id": "group", "type": "supervisor", "children": [sleeper("one"), sleeper("two")]}
        daemon = self.supervise(group, sleeper("three"))
        self.wait_line(daemon, "group", "two sleeps")
        paths = {one["path"] for one in daemon.control.value("logs", "group")["lines"]}
        self.assertEqual(paths, {"root/group/one", "root/group/two"})
        seqs = [one["seq"] for one in daemon.control.value("logs", "root")["lines"]]
        self.assertEqual(seqs, sorted(seqs))
        both = daemon.control.value("logs", "-n", "1", "group/*")
        self.assertEqual([one["path"] for one in both], ["root/group/one", "root/group/two"])

    def test_a_node_that_is_not_there(self):
        daemon = self.supervise(sleeper("app"))
        status, out, err = daemon.control.run("logs", "ap")
        self.assertEqual((status, out), (1, ""))
        self.assertIn("did you mean root/app?", err)

    def test_a_file_of_its_own_is_named(self):
        path = os.path.join(self.directory, "app.out")
        daemon = self.supervise(shell("app", "echo to the file; echo to the log >&2; exec sleep 1000", stdout=path))
        self.wait_line(daemon, "app", "to the log")
        out = self.text(daemon, "app")
        self.assertIn(f"root/app writes its stdout to {path}", out)
        self.assertNotIn("to the file", out)

    def test_one_that_floods_erases_only_its_own_lines(self):
        flood = "i=0; while [ $i -lt 40000 ]; do echo line $i of a flood; i=$((i+1)); done; echo done; exec sleep 1000"
        daemon = self.supervise(sleeper("quiet"), shell("flood", flood))
        self.wait_line(daemon, "flood", '"done"')
        lines = self.lines(daemon, "flood")
        self.assertLessEqual(sum(map(len, lines)), 64 << 10)
        self.assertGreater(sum(map(len, lines)), 32 << 10)
        self.assertTrue([line for line in self.lines(daemon, "quiet") if "quiet sleeps" in line])

    def test_a_reload_keeps_them_and_so_does_a_removal(self):
        daemon = self.supervise(sleeper("app"), sleeper("goes"))
        self.wait_line(daemon, "goes", "goes sleeps")
        with open(daemon.config_path) as file:
            config = json.load(file)
        config["supervisor"]["children"].pop()
        with open(daemon.config_path, "w") as file:
            json.dump(config, file)
        self.assertEqual(daemon.control.run("reload")[0], 0)
        self.assertTrue(self.wait_line(daemon, "app", "app sleeps"))
        wait_until(lambda: daemon.control.node("root/goes") is None, 10, "root/goes is gone")
        self.assertTrue(self.wait_line(daemon, "goes", "goes sleeps"))


class Journal(TestCase):
    def start_with(self, form, is_ours=True):
        path = self.write("journal", "")
        status = os.stat(path)
        stream = f"{status.st_dev}:{status.st_ino if is_ours else status.st_ino + 1}"
        speaker = shell("app", "echo spoken; exec sleep 1000")
        with open(path, "ab") as file:
            daemon = self.start(listener(), speaker, log={"target": "stderr", "format": form}, stderr=file,
                                environment={**os.environ, "JOURNAL_STREAM": stream})
        with Client(daemon.address()) as client:
            self.assertTrue(client.echo())
        return wait_until(lambda: self.lines_with(path, "ended", "spoken"), 5, "the lines")

    def lines_with(self, path, *words):
        with open(path) as file:
            lines = file.read().splitlines()
        return lines if all(any(word in line for line in lines) for word in words) else None

    def test_lines_of_the_master_of_a_worker_and_of_a_process_have_their_priorities(self):
        lines = self.start_with("text")
        for line in lines:
            self.assertRegex(line, r"^<[3-7]>\S+: ")
        for pattern in (r"^<6>root/echo: .*ended", r"^<6>root/app: .*spoken"):
            self.assertTrue(any(re.match(pattern, line) for line in lines), (pattern, lines))

    def test_without_the_journal_and_in_json_nothing_changes(self):
        for form, is_ours, begins in (("text", False, r"^\d{4}-"), ("json", True, r"^\{")):
            for line in self.start_with(form, is_ours):
                self.assertRegex(line, begins)


class Followed(LogsTestCase):
    def test_new_lines_as_they_come(self):
        daemon = self.supervise(handler("cat >&2", name="echo"))
        follower = Follower(self, daemon, "echo")
        follower.next(line="Serving requests")  # it follows from now on
        with Client(daemon.address()) as client:
            for word in ("first", "second"):
                client.send(word.encode() + b"\n")
                self.assertEqual(follower.next(line=f"{word}")["path"], "root/echo/1")
        follower.next(line="ended")

    def test_one_that_does_not_read_delays_nobody_and_learns_how_much_it_has_missed(self):
        flood = "read go; i=0; while [ $i -lt 60000 ]; do echo line $i of a long and boring flood; i=$((i+1)); done; echo done; exec sleep 1000"
        fifo = os.path.join(self.directory, "fifo")
        os.mkfifo(fifo)
        daemon = self.supervise(shell("flood", f"exec < {fifo}; {flood}"))
        follower = Follower(self, daemon, "flood")
        follower.next(line='"ready"')  # it follows from now on
        with open(fifo, "w") as go:
            go.write("go\n")
        wait_until(lambda: '"done"' in self.lines(daemon, "-n", "1", "flood")[-1], 30, "the flood is over")
        self.assertGreater(self.missed_of(follower), 0)
        follower.next(line='"done"')

    def missed_of(self, follower):
        for line in follower.child.stdout:
            if missed := json.loads(line).get("missed"):
                return missed
        return 0


class LastWords(LogsTestCase):
    FAILING = "echo out of luck; echo cannot open the database >&2; exit 3"

    def failing(self, name="db", **keys):
        return shell(name, self.FAILING, ready="notify_fd", restart="temporary", **keys)

    def check(self, answer, path):
        """(status, stdout, stderr) of bulkheadctl."""
        status, out, err = answer
        self.assertNotEqual(status, 0, out)
        self.assertRegex(err, f"{path} \\(pid \\d+\\): exited with status 3 before it was ready")
        self.assertIn('"cannot open the database"', err)
        self.assertIn('"out of luck"', err)

    def test_of_add(self):
        daemon = self.supervise(sleeper("app"))
        child = self.write("child.json", json.dumps(self.failing()))
        self.check(daemon.control.run("add", "root", child), "root/db")
        status, out, err = daemon.control.run("--json", "add", "root", child)
        self.assertEqual((status, json.loads(out)), (1, {"error": "start_failed"}))
        for words in ("exited with status 3 before it was ready", '"cannot open the database"', '"out of luck"'):
            self.assertIn(words, err)

    def test_of_restart(self):
        flag = self.write("good", "")
        script = f"if [ -e {flag} ]; then echo >&3; exec sleep 1000; fi; {self.FAILING}"
        daemon = self.supervise(shell("db", script, ready="notify_fd"), sleeper("app"))
        os.unlink(flag)
        self.check(daemon.control.run("restart", "db"), "root/db")

    def test_of_start(self):
        daemon = self.supervise(shell("db", self.FAILING, ready="notify_fd", start="manual"), sleeper("app"))
        self.check(daemon.control.run("start", "db"), "root/db")

    def test_of_reload(self):
        daemon = self.supervise(sleeper("app"))
        with open(daemon.config_path) as file:
            config = json.load(file)
        config["supervisor"]["children"].append(self.failing())
        with open(daemon.config_path, "w") as file:
            json.dump(config, file)
        self.check(daemon.control.run("reload"), "root/db")
        self.assertIn("cannot open the database", " ".join(daemon.control.value("status")["last_reload"]["errors"]))

    def test_of_a_program_that_cannot_be_executed_the_stage(self):
        program = self.write("program", "#!/bin/sh\nexec sleep 1000\n", 0o755)
        daemon = self.supervise({"id": "db", "type": "process", "argv": [program], "ready": "exec"}, sleeper("app"))
        os.unlink(program)
        status, _, err = daemon.control.run("restart", "db")
        self.assertEqual(status, 1)
        self.assertRegex(err, r"root/db \(pid \d+\): .*it failed while executing.*: No such file or directory")


if __name__ == "__main__":
    main()
