"""The command line, the ways in which a start can fail, and the log: its forms, its rotation, readers that disappear."""

import json
import os
import re
import signal
import socket
import time

from harness import Client, Hold, Storm, TestCase, config_of, listener, main, needs_root, signal_process, wait_until

GOOD = '{ "supervisor": { "children": [\n  { "id": "echo", "type": "listener", "listen": "127.0.0.1:0", "handler": "echo" } ] } }\n'


class CommandLine(TestCase):
    def test_version_and_help(self):
        status, output, errors = self.run_program("--version")
        self.assertEqual((status, errors), (0, ""))
        self.assertRegex(output, r"^bulkheadd \d+\.\d+\.\d+\n$")
        status, output, errors = self.run_program("--help")
        self.assertEqual((status, errors), (0, ""))
        for option in ("--config", "--check", "--dump-config", "--ready-fd", "--log-level", "--daemon", "--pid-file", "--version",
                       "--help"):
            self.assertIn(option, output)

    def test_usage_errors(self):
        for arguments in (["--no-such-option"], ["stray"], ["-c"], ["--log-level", "loud"], ["--ready-fd", "x"], ["--ready-fd", "1"],
                          ["--ready-fd", "99"]):
            status, output, errors = self.run_program(*arguments)
            self.assertEqual((status, output), (64, ""), arguments)
            self.assertNotEqual(errors, "", arguments)

    def test_check_and_dump(self):
        good = self.write("good.json", GOOD)
        status, output, errors = self.run_program("-c", good, "--check")
        self.assertEqual((status, errors), (0, ""))
        status, first, errors = self.run_program("-c", good, "--dump-config")
        self.assertEqual((status, errors), (0, ""))
        dumped = json.loads(first)
        self.assertEqual(dumped["supervisor"]["children"][0]["max_connections"], 1024)
        again = self.write("again.json", first)
        self.assertEqual(self.run_program("-c", again, "--dump-config"), (0, first, ""))
        self.assertEqual(self.run_program("-c", again, "--check")[0], 0)

    def test_all_errors_of_a_configuration_are_reported_at_once_with_positions(self):
        bad = self.write("bad.json", '{ "supervisor": { "max_restart": 3, "children": [\n'
                         '  { "id": "echo", "type": "listener", "listen": "127.0.0.1:0", "handler": "echo", "workers": 0 } ] } }\n')
        for arguments in ([], ["--check"]):
            status, output, errors = self.run_program("-c", bad, *arguments)
            self.assertEqual((status, output), (78, ""))
            lines = errors.splitlines()
            self.assertEqual(len(lines), 2, errors)
            self.assertRegex(lines[0], rf"^{re.escape(bad)}:1:\d+: /supervisor/max_restart: .*max_restarts")
            self.assertRegex(lines[1], rf"^{re.escape(bad)}:2:\d+: /supervisor/children/0/workers: ")

    def test_a_missing_file_or_a_directory(self):
        for path, reason in (("/no/such/file.json", "No such file"), (self.directory, "directory")):
            status, output, errors = self.run_program("-c", path)
            self.assertEqual(status, 78)
            self.assertIn(path, errors)
            self.assertRegex(errors.lower(), reason.lower())

    def test_log_level(self):
        log = {"target": os.path.join(self.directory, "0", "log"), "format": "json", "level": "debug"}
        daemon = self.start(log=log, arguments=("--log-level", "error"))
        with Client(daemon.address()) as client:
            self.assertTrue(client.echo())
        self.assertEqual(daemon.stop(), 0)
        self.assertEqual(daemon.log_text(), "")


class Addresses(TestCase):
    def test_a_port_in_use_names_its_holder(self):
        with socket.socket() as holder:
            holder.bind(("127.0.0.1", 0))
            holder.listen()
            port = holder.getsockname()[1]
            daemon = self.start(listener(listen=f"127.0.0.1:{port}"), wait=False)
            daemon.expected_status = 69
            began = time.monotonic()
            self.assertEqual(daemon.wait_exit(6), 69)
            took = time.monotonic() - began
            daemon.ready = None
        said = daemon.log_text() + daemon.stderr_text()
        self.assertIn(f"127.0.0.1:{port}", said)
        self.assertIn(str(os.getpid()), said)
        self.assertGreater(took, 1.5)
        self.assertLess(took, 4.0)
        self.measured(gave_up_after=took)

    def test_a_port_that_becomes_free_is_bound(self):
        with socket.socket() as holder:
            holder.bind(("127.0.0.1", 0))
            holder.listen()
            port = holder.getsockname()[1]
            daemon = self.start(listener(listen=f"127.0.0.1:{port}"), wait=False)
            time.sleep(0.5)
        daemon.wait_ready()
        with Client(("127.0.0.1", port)) as client:
            self.assertTrue(client.echo())

    @needs_root
    def test_no_permission_for_an_address(self):
        with open("/proc/sys/net/ipv4/ip_unprivileged_port_start") as file:
            if int(file.read()) <= 80:
                self.skipTest("here anybody may have port 80")
        os.chmod(self.directory, 0o1777)
        control = {"socket": os.path.join(self.directory, "control.sock")}
        daemon = self.start(config={**config_of(listener(listen="127.0.0.1:80")), "log": {"target": "stderr"},
                                    "control": control},
                            prefix=("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--"), wait=False)
        daemon.expected_status = 77
        self.assertEqual(daemon.wait_exit(6), 77, daemon.stderr_text())
        self.assertIn("127.0.0.1:80", daemon.stderr_text())

    def test_a_stale_unix_socket_is_replaced_and_one_in_use_is_not(self):
        path = os.path.join(self.directory, "s")
        with socket.socket(socket.AF_UNIX) as stale:
            stale.bind(path)
        daemon = self.start(listener(listen=f"unix:{path}"))
        second = self.start(listener(listen=f"unix:{path}"), wait=False)
        second.expected_status = 69
        self.assertEqual(second.wait_exit(6), 69)
        with Client(path) as client:
            self.assertTrue(client.echo())
        self.assertEqual(daemon.stop(), 0)
        self.assertFalse(os.path.exists(path))


class LogForms(TestCase):
    def test_json_lines_name_each_thing_once(self):
        daemon = self.start()
        with Client(daemon.address()) as client:
            self.assertTrue(client.echo())
        daemon.wait_log("^connection [0-9a-f]+ ended")
        for line in daemon.log_text().splitlines():
            names = [name for name, _ in json.loads(line, object_pairs_hook=list)]
            self.assertEqual(len(names), len(set(names)), line)

    def test_text(self):
        daemon = self.start(log={"target": os.path.join(self.directory, "0", "log"), "format": "text"})
        with Client(daemon.address()) as client:
            self.assertTrue(client.echo())
        wait_until(lambda: " ended" in daemon.log_text(), 5, "the end in the log")
        port = daemon.address()[1]
        self.assertRegex(daemon.log_text(), rf"(?m) bulkheadd\[{daemon.pid}\] info root/echo: Serving requests on port {port} ")
        self.assertRegex(daemon.log_text(), rf"(?m) info root/echo: connection [0-9a-f]+ ended .*peer={re.escape(client.name)} pid=\d+ ")

    def test_standard_error_is_the_default(self):
        daemon = self.start(config={"supervisor": {"children": [listener()]}, "log": {}})
        self.assertEqual(daemon.stop(), 0)
        self.assertRegex(daemon.stderr_text(), r"Serving requests on port \d+")

    def test_reopened_after_a_rename(self):
        daemon = self.start()
        old = daemon.log_path + ".1"
        connections, rounds = 0, 10
        with Storm(daemon.address(), threads=2) as storm:
            for number in range(rounds):
                os.rename(daemon.log_path, f"{old}.{number}")
                daemon.send_signal(signal.SIGUSR1)
                wait_until(lambda: os.path.exists(daemon.log_path), 5, "a new file")
                total = storm.total
                wait_until(lambda: storm.total > total + 20, 5, "more connections")
        connections = storm.counts["ok"]
        self.assertEqual(storm.failed, {})
        wait_until(lambda: not daemon.connections(), 5, "every child's end")
        self.assertEqual(daemon.stop(), 0)
        texts = [daemon.log_text()]
        for number in range(rounds):
            with open(f"{old}.{number}") as file:
                texts.append(file.read())
        ends = sum(len(re.findall(r'"message":"connection [0-9a-f]+ ended', text)) for text in texts)
        self.measured(rotations=rounds, connections=connections, end_lines=ends)
        self.assertEqual(ends, connections)


class LogReaders(TestCase):
    """The log goes into a pipe."""

    def piped(self):
        read, write = os.pipe()
        daemon = self.start(config={**config_of(listener(max_restarts=1000)), "log": {"target": "stderr", "format": "json", "level": "debug"}},
                            stderr=write)
        os.close(write)
        return daemon, read

    def fill(self, daemon, count=3000):
        storm = Storm(daemon.address(), count=count, threads=4).wait()
        self.assertEqual(storm.failed, {})

    def test_a_reader_that_does_not_read_blocks_no_process(self):
        daemon, read = self.piped()
        with Hold(daemon.address(), 5) as held:
            self.fill(daemon)
            self.assertEqual(held.echo_all(), 5)
            victim = daemon.workers()[0]
            signal_process(victim.pid, signal.SIGKILL)
            daemon.wait_workers(2, without=[victim], seconds=2)
            self.assertEqual(held.echo_all(), 5)
            text = self.drain(read)
            self.fill(daemon, 20)
            text += self.drain(read, until=b"dropped ")
        lines = text.decode().split("\n")
        for line in lines[:-1]:
            json.loads(line)
        dropped = sum(int(number) for number in re.findall(r"dropped (\d+) lines?", text.decode()))
        self.measured(connections=3020, lines=len(lines) - 1, dropped=dropped)
        self.assertGreater(dropped, 0)
        self.assertEqual(daemon.stop(), 0)
        os.close(read)

    @staticmethod
    def drain(read, until=None):
        os.set_blocking(read, False)
        out, deadline = b"", time.monotonic() + 5
        while time.monotonic() < deadline:
            try:
                out += os.read(read, 1 << 20)
            except BlockingIOError:
                if until is None or until in out:
                    break
                time.sleep(0.005)
        return out

    def test_a_reader_that_exits_kills_no_process(self):
        daemon, read = self.piped()
        workers = daemon.workers()
        with Hold(daemon.address(), 5) as held:
            os.close(read)
            self.fill(daemon, 300)
            daemon.send_signal(signal.SIGUSR1)
            self.fill(daemon, 300)
            self.assertEqual(held.echo_all(), 5)
        self.assertEqual([one.pid for one in daemon.workers()], [one.pid for one in workers])
        self.assertEqual(daemon.stop(), 0)

    def test_the_flags_of_the_callers_pipe_are_unchanged(self):
        daemon, read = self.piped()
        for fd in (2,):
            self.assertEqual(open_flags(daemon.pid, fd) & os.O_NONBLOCK, 0)
        self.assertEqual(daemon.stop(), 0)
        os.close(read)

    def test_hostile_bytes_do_not_get_into_the_log(self):
        daemon = self.start()
        with Client(daemon.address()) as client:
            self.assertTrue(client.echo(b'\x1b[2J"}\r\n2026-01-01 FAKE\xff\xfe\0\n'))
        daemon.wait_log("^connection [0-9a-f]+ ended")
        self.assertFalse(re.search(r"[^\x20-\x7e\n]", daemon.log_text()))
        self.assertNotIn("FAKE", daemon.log_text())


def open_flags(pid, fd):
    with open(f"/proc/{pid}/fdinfo/{fd}") as file:
        return int(next(line.split()[1] for line in file if line.startswith("flags")), 8)


if __name__ == "__main__":
    main()
