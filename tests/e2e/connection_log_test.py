"""The JSON log has every line of a connection under its id, regardless of which process wrote it."""

import json
import os
import signal

from harness import AdmissionTestCase, Client, exec_listener, main, signal_process

HANDLER = """#!/bin/sh
trap "$1" TERM
while read word rest; do
  case $word in
    say) echo "$rest" >&2; echo said;;
    exit) exit "$rest";;
    crash) kill -SEGV $$;;
  esac
done
"""
KEYS = {"workers": 1, "max_restarts": 1000, "restart_delay": "none"}


class Story(AdmissionTestCase):
    def setUp(self):
        super().setUp()
        program = self.write("handler", HANDLER, 0o755)
        target = os.path.join(self.directory, "0", "log")
        self.daemon = self.supervise(
            exec_listener([program, "-"], "run", deny=["127.0.9.9"], **KEYS),
            exec_listener([program, ""], "short", max_lifetime="300ms", shutdown="300ms", **KEYS),
            log={"target": target, "format": "json", "connections": ["start", "end"]})

    def select(self, **fields):
        """As jq 'select(.NAME == VALUE)' does."""
        lines = [json.loads(line) for line in self.daemon.log_text().splitlines()]
        return [line for line in lines if all(line.get(name) == value for name, value in fields.items())]

    def open(self, name="run"):
        client = Client(self.daemon.address(name))
        self.addCleanup(client.close)
        client.send(b"say hello from it\n")
        self.assertEqual(client.receive(5), b"said\n")
        return client

    def end(self, client, words=b""):
        client.send(words)
        self.assertEqual(client.rest(), b"")

    def story(self, client, *events):
        """The lines of one connection; checks that they have these events, in this order."""
        last = self.daemon.wait_log("", event=events[-1], peer=client.name)[-1]
        lines = self.select(connection=last["connection"])
        self.assertEqual([line["event"] for line in lines], list(events))
        self.assertEqual({line["peer"] for line in lines}, {client.name})
        self.assertEqual({type(line["pid"]) for line in lines}, {int})
        self.assertEqual(lines[1]["message"], "hello from it")
        for line in lines[2:]:
            if line["event"] != "handler_output":
                self.assertIsInstance(line["age_seconds"], float)
        return lines

    def test_a_normal_end(self):
        client = self.open()
        listed, = self.daemon.control.value("connections")
        self.end(client, b"exit 0\n")
        lines = self.story(client, "connection_started", "handler_output", "connection_ended")
        self.assertEqual((lines[0]["connection"], lines[0]["pid"]), (listed["id"], listed["pid"]))
        self.assertEqual(lines[2]["status"], 0)

    def test_a_crash(self):
        client = self.open()
        self.end(client, b"crash\n")
        crash = self.story(client, "connection_started", "handler_output", "connection_crashed")[-1]
        self.assertEqual((crash["signal"], type(crash["core"])), ("SIGSEGV", bool))

    def test_a_connection_killed_after_max_lifetime(self):
        client = self.open("short")
        self.end(client)
        lines = self.story(client, "connection_started", "handler_output", "connection_overdue", "connection_overdue",
                           "connection_ended")
        self.assertEqual([line.get("reason") for line in lines[2:]], ["timeout"] * 3)
        self.assertEqual(lines[-1]["signal"], "SIGKILL")

    def test_a_connection_whose_worker_was_killed(self):
        client = self.open()
        self.daemon.wait_log("", event="connection_started")  # the worker writes it when its child is already there
        workers = self.daemon.workers("run")
        signal_process(workers[0].pid, signal.SIGKILL)
        self.daemon.wait_workers(1, without=workers, name="run")
        client.send(b"say and again\n")
        self.daemon.wait_log("^and again$")  # from the next worker: the end will come from the master
        self.assertEqual(client.receive(5), b"said\n")
        self.end(client, b"exit 3\n")
        lines = self.story(client, "connection_started", "handler_output", "handler_output", "connection_crashed")
        self.assertEqual((lines[2]["message"], lines[3]["status"]), ("and again", 3))
        self.assertEqual({lines[0]["program_pid"], lines[3]["program_pid"]}, {workers[0].pid, self.daemon.pid})

    def test_a_refused_connection_has_a_peer_instead(self):
        with Client(self.daemon.address("run"), source=("127.0.9.9", 0)) as client:
            self.assertEqual(client.rest(), b"")
            self.daemon.wait_log("", event="connection_refused", reason="denied")
            refused, = self.select(event="connection_refused")
            self.assertEqual((refused["peer"], "connection" in refused), (client.name, False))


if __name__ == "__main__":
    main()
