"""Reload: only what has changed is touched, and a file that cannot be applied touches nothing."""

import json
import os
import pathlib
import signal
import socket
import time

from harness import Client, Hold, ReloadTestCase, Storm, free_port, main, needs_mounts, needs_root, process, signal_process, sleeper, tool, wait_until
from harness import steady as listener


class Changes(ReloadTestCase):
    def test_an_unchanged_file_changes_nothing(self):
        daemon = self.supervise(listener())
        workers = [one.pid for one in daemon.workers()]
        self.assertEqual(self.reload(daemon), {"ok": True, "changes": [], "needs_restart": []})
        self.assertEqual([one.pid for one in daemon.workers()], workers)
        self.assertEqual(daemon.control.value("status")["generation"], 1)
        daemon.events.mark()
        self.assertEqual([one["event"] for one in daemon.events.of("reload_started", "reload_done")], ["reload_started", "reload_done"])

    def test_another_handler_gets_new_workers_and_connections_continue(self):
        daemon = self.supervise(listener(listen=f"127.0.0.1:{free_port()}"))
        before = daemon.workers()
        with Hold(daemon.address(), 20) as hold, Storm(daemon.address()) as storm:
            self.assertEqual(hold.echo_all(), 20)
            changed = listener(listen=daemon.endpoints()[0]["listen"], shutdown="6s")
            self.rewrite(daemon, changed)
            self.assertEqual(self.changes(self.reload(daemon)), [("new_workers", "root/echo", "shutdown")])
            now = daemon.wait_workers(2, without=before)
            self.assertEqual(hold.echo_all(), 20)
            storm.stop()
            self.assertEqual(storm.failed, {})
            workers = daemon.control.node("root/echo")["workers"]
            self.assertEqual([one["generation"] for one in workers], [2, 2])
            held = [one for one in daemon.control.value("connections") if one["generation"] == 1]
            self.assertEqual(len(held), 20)
            self.assertEqual(len(now), 2)
            daemon.events.mark()
            adopted = [one for one in daemon.events.of("children_adopted") if one["path"] == "root/echo"]
            self.assertGreaterEqual(sum(one["count"] for one in adopted), 20)
        self.assertEqual(daemon.control.node("root")["restarts_in_window"], 0)

    def test_connections_keep_their_handler_and_its_name(self):
        daemon = self.supervise(listener(listen=f"127.0.0.1:{free_port()}"))
        with Hold(daemon.address(), 3) as hold:
            self.assertEqual(hold.echo_all(), 3)
            self.rewrite(daemon, listener(listen=daemon.endpoints()[0]["listen"], handler="chargen"))
            self.assertEqual(self.changes(self.reload(daemon)), [("new_workers", "root/echo", "handler")])
            with Client(daemon.address()) as client:
                self.assertEqual(client.receive(3), b' !"')
                found = sorted((one["generation"], one["handler"]) for one in daemon.control.value("connections"))
            self.assertEqual(found, [(1, "echo")] * 3 + [(2, "chargen")])
            self.assertEqual(hold.echo_all(), 3)

    def test_limits_and_the_number_of_workers_change_in_place(self):
        daemon = self.supervise(listener(max_connections=3))
        with Hold(daemon.address(), 3) as hold:
            self.assertEqual(hold.echo_all(), 3)
            waiting = Client(daemon.address())
            self.addCleanup(waiting.close)
            waiting.send(b"me too\n")
            self.rewrite(daemon, listener(max_connections=5, workers=3))
            self.assertEqual(self.changes(self.reload(daemon)), [("new_workers", "root/echo", "workers", "max_connections")])
            self.assertEqual(waiting.receive(7), b"me too\n")
            first = {one.pid for one in daemon.wait_workers(3)}
            self.rewrite(daemon, listener(max_connections=2, workers=1))
            self.assertEqual(self.changes(self.reload(daemon)), [("in_place", "root/echo", "workers", "max_connections")])
            self.assertLess({one.pid for one in daemon.wait_workers(1)}, first)
            self.assertEqual(hold.echo_all(), 3)

    def test_listeners_and_processes_are_added_and_removed(self):
        sleeper = {"id": "sleeper", "type": "process", "argv": ["/bin/sleep", "1000"], "ready": "exec"}
        daemon = self.supervise(listener(), sleeper)
        port = free_port()
        self.rewrite(daemon, sleeper, listener("second", listen=f"127.0.0.1:{port}"))
        answer = self.reload(daemon)
        self.assertEqual(self.changes(answer), [("removed", "root/echo"), ("added", "root/second")])
        with Client(("127.0.0.1", port)) as client:
            self.assertTrue(client.echo(b"here I am\n"))
        wait_until(lambda: len(daemon.control.node("root")["children"]) == 2, 5, "the first listener's end")
        pid = daemon.control.node("root/sleeper")["pid"]
        self.rewrite(daemon, {**sleeper, "argv": ["/bin/sleep", "2000"]}, listener("second", listen=f"127.0.0.1:{port}"))
        self.assertEqual(self.changes(self.reload(daemon)), [("restarted", "root/sleeper", "argv")])
        self.assertIn("2000", process(daemon.control.node("root/sleeper")["pid"]).title)
        self.assertNotEqual(daemon.control.node("root/sleeper")["pid"], pid)

    def test_a_child_becomes_one_of_another_type(self):
        address = f"127.0.0.1:{free_port()}"
        process_child = {"id": "it", "type": "process", "argv": ["/bin/sleep", "1000"], "ready": "exec"}
        listener_child = listener("it", listen=address)
        supervisor_child = {"id": "it", "type": "supervisor", "children": [listener("echo", listen=address)]}
        daemon = self.supervise(listener(), process_child)
        for child in (listener_child, supervisor_child, process_child, supervisor_child, listener_child, process_child):
            self.rewrite(daemon, listener(), child)
            self.assertEqual(self.changes(self.reload(daemon))[0][:2], ("replaced", "root/it"))
            self.assertEqual(daemon.control.node("root/it")["type"], child["type"])
            if child["type"] != "process":
                with Client(("127.0.0.1", int(address.split(":")[1]))) as client:
                    self.assertTrue(client.echo())

    def test_a_new_address_leaves_the_others_open(self):
        ports = [free_port() for _ in range(3)]
        addresses = [f"127.0.0.1:{port}" for port in ports]
        daemon = self.supervise(listener(listen=addresses[:2]))
        with Hold(("127.0.0.1", ports[0]), 5) as hold, Storm(("127.0.0.1", ports[1])) as storm:
            self.assertEqual(hold.echo_all(), 5)
            self.rewrite(daemon, listener(listen=addresses[1:]))
            self.assertEqual(self.changes(self.reload(daemon)), [("new_workers", "root/echo", "listen")])
            with Client(("127.0.0.1", ports[2])) as client:
                self.assertTrue(client.echo(b"new address\n"))
            self.assertRaises(ConnectionRefusedError, Client, ("127.0.0.1", ports[0]))
            storm.stop()
            self.assertEqual(storm.failed, {})
            self.assertEqual(hold.echo_all(), 5)

    def test_a_new_order_applies_to_the_next_restart(self):
        daemon = self.supervise(sleeper("a"), sleeper("b"), sleeper("c"), supervisor={"strategy": "rest_for_one"})
        def pids():
            return {one["id"]: one["pid"] for one in daemon.control.node("root")["children"]}
        before = pids()
        self.rewrite(daemon, sleeper("c"), sleeper("a"), sleeper("b"))
        self.assertEqual(daemon.control.run("diff")[1], "A reload would do this:\n  root gets its children in another order\n")
        self.assertEqual(self.changes(self.reload(daemon)), [("reordered", "root")])
        self.assertEqual(list(pids().items()), [(name, before[name]) for name in "cab"])
        mark = daemon.events.mark()
        signal_process(before["a"], signal.SIGKILL)
        daemon.events.next("child_ready", "root/b", after=mark)
        self.assertEqual({name for name, pid in pids().items() if pid == before[name]}, {"c"})
        before = pids()
        self.rewrite(daemon, sleeper("c"), sleeper("x"), sleeper("a"), sleeper("b"))
        self.assertEqual(self.changes(self.reload(daemon)), [("added", "root/x")])
        self.assertEqual("".join(pids()), "cxab")
        self.assertEqual({name: pid for name, pid in pids().items() if name != "x"}, before)

    def test_a_stopped_child_starts_as_the_new_file_says(self):
        def group(seconds, *more):
            return {"id": "group", "type": "supervisor", "children": [sleeper("job", seconds), *more]}
        address = f"127.0.0.1:{free_port()}"
        daemon = self.supervise(group(1000), listener("echo", listen=address))
        for path in "root/group", "root/echo":
            self.assertEqual(daemon.control.run("stop", path)[0], 0)
        self.rewrite(daemon, group(2000, sleeper("more")), listener("echo", listen=address, handler="chargen"))
        self.assertEqual(self.changes(self.reload(daemon)), [
            ("in_place", "root/group/job", "argv"), ("added", "root/group/more"), ("in_place", "root/echo", "handler")])
        self.assertEqual(daemon.control.node("root/group")["state"], "stopped")
        self.assertRaises(ConnectionRefusedError, Client, daemon.address())
        for path in "root/group", "root/echo":
            self.assertEqual(daemon.control.run("start", path)[0], 0)
        self.assertIn("2000", self.title(daemon, "root/group/job"))
        self.assertEqual(daemon.control.node("root/group/more")["state"], "running")
        with Client(daemon.address()) as client:
            self.assertEqual(client.receive(3), b' !"')

    def test_processes_get_their_reload_signal(self):
        """Every reload that succeeds signals the processes that stay."""
        told = pathlib.Path(self.write("told", ""))
        script = (f"import os, signal\nsignal.signal(signal.SIGHUP, lambda *_: print('again', os.getpid(), "
                  f"file=open({str(told)!r}, 'a')))\nos.write(3, b'\\n')\nwhile True: signal.pause()\n")
        def reader(name, **keys):
            return {"id": name, "type": "process", "argv": ["/usr/bin/python3", "-SEc", script], "ready": "notify_fd",
                    "reload_signal": "HUP", **keys}
        daemon = self.supervise(reader("stays"), reader("changes"), sleeper("deaf"))
        pid = {name: daemon.control.node(f"root/{name}")["pid"] for name in ("stays", "changes", "deaf")}
        def lines(count):
            return wait_until(lambda: len(text := told.read_text().splitlines()) == count and sorted(text), 5, "the signal")
        self.reload(daemon)
        self.assertEqual(lines(2), sorted(f"again {pid[name]}" for name in ("stays", "changes")))
        self.rewrite(daemon, {"id": "stays"})
        self.refused(daemon)
        self.rewrite(daemon, reader("stays"), reader("changes", umask="077"), reader("new"), sleeper("deaf"))
        self.reload(daemon)
        self.assertEqual(lines(3).count(f"again {pid['stays']}"), 2)
        self.assertEqual(daemon.control.node("root/deaf")["pid"], pid["deaf"])
        self.assertEqual({one["writer"] for one in daemon.log("sending its reload signal")}, {daemon.pid})

    def test_max_unavailable_workers_are_replaced_at_a_time(self):
        def echo(**keys):
            return listener(workers=4, max_unavailable="50%", **keys)
        daemon = self.supervise(echo())
        old = [one.pid for one in daemon.workers()]
        with Storm(daemon.address(), threads=1) as storm:
            mark = daemon.events.mark()
            self.rewrite(daemon, echo(shutdown="6s"))
            self.reload(daemon)
            storm.stop()
            self.assertEqual(storm.failed, {})
        daemon.events.mark()
        names = {"child_started": "+", "child_ready": "!", "child_exited": "-"}
        told = [names[one["event"]] + one["path"][-1] for one in daemon.events.of(*names, after=mark)]
        # Both workers of a batch are started before either is ready; either may be ready first.
        self.assertEqual(sorted(told[:4]), ["!5", "!6", "+5", "+6"])
        self.assertEqual(told[:2], ["+5", "+6"])
        steps = [one for one in told if one[0] != "!"]
        self.assertEqual([sorted(steps[i:i + 2]) for i in range(0, len(steps), 2)],  # either of two may end first
                         [["+5", "+6"], ["-1", "-2"], ["+1", "+2"], ["-3", "-4"], ["+3", "+4"], ["-5", "-6"]])
        for first, second in ("12", "34"):
            self.assertLess(told.index(f"+{second}"), min(told.index(f"!{first}"), told.index(f"!{second}")))
        self.assertEqual([one["id"] for one in daemon.control.node("root/echo")["workers"]], ["1", "2", "3", "4"])
        self.assertEqual(set(old) & {one.pid for one in daemon.workers()}, set())
        self.rewrite(daemon, listener(workers=4, max_unavailable=1, shutdown="6s"))
        self.assertEqual(self.changes(self.reload(daemon)), [("in_place", "root/echo", "max_unavailable")])

    def test_intensity_and_strategy_change_in_place(self):
        daemon = self.supervise(listener())
        self.rewrite(daemon, supervisor={"strategy": "rest_for_one", "max_restarts": 77})
        self.assertEqual(self.changes(self.reload(daemon)), [("in_place", "root", "strategy", "max_restarts")])
        root = daemon.control.node("root")
        self.assertEqual((root["strategy"], root["max_restarts"]), ("rest_for_one", 77))

    def test_the_log_changes_for_existing_workers(self):
        daemon = self.supervise(listener())
        workers = [one.pid for one in daemon.workers()]
        self.rewrite(daemon, log={"connections": ["start", "end"], "level": "info"})
        self.assertEqual(self.changes(self.reload(daemon)), [("in_place", "log", "level", "connections")])
        daemon.wait_log("^reopened")
        debug = len(daemon.log(level="debug"))
        with Client(daemon.address()) as client:
            self.assertTrue(client.echo())
            self.assertIn(daemon.wait_log("^connection .* started$")[0]["writer"], workers)
        daemon.control.run("restart", "root/echo")
        self.assertEqual(len(daemon.log(level="debug")), debug)
        self.rewrite(daemon, log={"format": "text"})
        self.reload(daemon)
        with Client(daemon.address()) as client:
            self.assertTrue(client.echo())
        wait_until(lambda: "root/echo: connection " in daemon.log_text(), 5, "a line of text by a worker")

    def test_command_line_options_still_override_the_file(self):
        daemon = self.supervise(listener(), log={"target": "stderr", "format": "json"}, arguments=["--log-level", "error"])
        self.rewrite(daemon, listener(shutdown="9s"))
        self.reload(daemon)
        daemon.send_signal(signal.SIGUSR1)
        daemon.control.run("restart", "root/echo")
        self.assertEqual(daemon.stderr_text(), "")

    def test_stop_settings_of_a_process_change_while_it_runs(self):
        sleeper = {"id": "sleeper", "type": "process", "argv": ["/bin/sleep", "1000"], "ready": "exec"}
        daemon = self.supervise(sleeper)
        pid = daemon.control.node("root/sleeper")["pid"]
        self.rewrite(daemon, {**sleeper, "stop_signal": "INT"})
        self.assertEqual(self.changes(self.reload(daemon)), [("in_place", "root/sleeper", "stop_signal")])
        self.assertEqual(daemon.control.node("root/sleeper")["pid"], pid)
        daemon.control.run("stop", "root/sleeper")
        daemon.events.next("child_stopping", "root/sleeper", how="SIGINT")
        daemon.events.next("child_exited", "root/sleeper", reason={"type": "signal", "signal": "SIGINT", "core": False})

    def test_hup_reloads_and_opens_the_log_again(self):
        daemon = self.supervise(listener())
        os.rename(daemon.log_path, daemon.log_path + ".1")
        self.rewrite(daemon, listener(workers=3))
        daemon.send_signal(signal.SIGHUP)
        daemon.wait_workers(3)
        daemon.wait_log("^reloaded")


class Refused(ReloadTestCase):
    def unchanged(self, daemon, workers):
        self.assertEqual([one.pid for one in daemon.workers()], workers)
        self.assertEqual(daemon.control.value("status")["generation"], 1)
        with Client(daemon.address()) as client:
            self.assertTrue(client.echo(b"as ever\n"))

    def test_a_broken_file_is_refused(self):
        daemon = self.supervise(listener())
        workers = [one.pid for one in daemon.workers()]
        for text in ("", "{", '{"supervisor":{"children":[]}}', '{"supervisor":{"childen":[]}}'):
            with self.subTest(text):
                with open(daemon.config_path, "w") as file:
                    file.write(text)
                self.assertIn(daemon.config_path, self.refused(daemon))
                self.unchanged(daemon, workers)
        os.unlink(daemon.config_path)
        self.assertIn("No such file", self.refused(daemon))
        self.unchanged(daemon, workers)

    def test_a_port_that_cannot_be_bound_undoes_the_reload(self):
        daemon = self.supervise(listener())
        workers = [one.pid for one in daemon.workers()]
        with socket.socket() as busy:
            busy.bind(("127.0.0.1", 0))
            busy.listen()
            taken = f"127.0.0.1:{busy.getsockname()[1]}"
            good = free_port()
            self.rewrite(daemon, listener(shutdown="9s"), listener("good", listen=f"127.0.0.1:{good}"), listener("bad", listen=taken))
            self.assertIn(f"{taken}: Address already in use", self.refused(daemon))
        self.assertRaises(ConnectionRefusedError, Client, ("127.0.0.1", good))
        self.unchanged(daemon, workers)
        self.assertEqual(len(daemon.control.node("root")["children"]), 1)

    def test_a_child_that_an_operator_added_is_not_added_again(self):
        daemon = self.supervise(listener())
        added = sleeper("second")
        self.assertEqual(daemon.control.value("add", "root", self.write("child.json", json.dumps(added))), {"ok": True})
        self.rewrite(daemon, listener(), added)
        self.assertIn("root/second still exists", self.refused(daemon))
        self.assertEqual(daemon.control.node("root/second")["state"], "running")

    def test_a_listener_that_drains_is_supervised_although_its_entry_is_gone(self):
        second = listener("second", listen=f"127.0.0.1:{free_port()}")
        daemon = self.supervise(listener(), second)
        with Client(daemon.address("second")) as client:
            self.assertTrue(client.echo())
            self.rewrite(daemon, listener())
            self.reload(daemon)
            for worker in daemon.workers("second"):  # its entry is no longer in the daemon's configuration
                signal_process(worker.pid, signal.SIGKILL)
            self.assertTrue(client.echo())
        wait_until(lambda: len(daemon.control.node("root")["children"]) == 1, 5, "the end of what was removed")
        self.rewrite(daemon, listener(), second)
        self.reload(daemon)
        with Client(daemon.address("second")) as client:
            self.assertTrue(client.echo())

    def test_diff_and_check_change_nothing(self):
        daemon = self.supervise(listener())
        workers = [one.pid for one in daemon.workers()]
        self.rewrite(daemon, listener(workers=3), listener("more", listen=f"127.0.0.1:{free_port()}"))
        status, text, _ = daemon.control.run("diff")
        self.assertEqual(status, 0)
        self.assertEqual(text, "A reload would do this:\n  root/echo changes in place (workers)\n  root/more is added\n")
        self.assertEqual(daemon.control.run("check", daemon.config_path)[0], 0)
        with open(daemon.config_path) as file:
            other = json.load(file)
        other["supervisor"]["children"] = [listener(handler="discard"), sleeper("job")]
        other.setdefault("daemon", {})["pid_file"] = "/run/other.pid"
        status, text, _ = daemon.control.run("diff", self.write("other.json", json.dumps(other)))
        self.assertEqual((status, text), (0, "A reload would do this:\n  root/echo gets new workers (handler)\n"
                                             "  root/job is added\nOnly a restart of the daemon changes /daemon/pid_file.\n"))
        bad = self.write("bad.json", "{}")
        status, _, errors = daemon.control.run("check", bad)
        self.assertEqual(status, 2)
        self.assertIn(f"{bad}:1:1", errors)
        for wrong, told in (bad, f"{bad}:1:1"), ("missing.json", "missing.json"):
            status, _, errors = daemon.control.run("diff", wrong)
            self.assertEqual(status, 2)
            self.assertIn(told, errors)
        self.unchanged(daemon, workers)
        self.assertIsNone(daemon.control.value("status")["last_reload"]["time"])
        self.assertNotIn("reload", daemon.control.run("status")[1])


class Storms(ReloadTestCase):
    def test_many_reloads_in_a_row_under_load(self):
        port = free_port()
        address = f"127.0.0.1:{port}"
        rounds, held = (20, 100) if self.sanitized else (50, 300)
        daemon = self.supervise(listener(listen=address, restart_delay="none"))
        with Hold(("127.0.0.1", port), held) as hold, Storm(("127.0.0.1", port)) as storm:
            self.assertEqual(hold.echo_all(), held)
            for number in range(rounds):
                self.rewrite(daemon, listener(listen=address, restart_delay="none", shutdown=f"{number + 10}s"))
                self.assertEqual(len(self.reload(daemon)["changes"]), 1)
                if number % 5 == 0:
                    signal_process(daemon.workers()[0].pid, signal.SIGKILL)
            storm.stop()
            # A worker that is killed takes along the one connection that it had accepted and not handed over yet.
            self.assertLessEqual(set(storm.failed), {"reset", "eof"})
            self.assertLessEqual(sum(storm.failed.values()), rounds // 5)
            self.assertEqual(hold.echo_all(), held)
            self.assertEqual(len(daemon.wait_workers(2)), 2)
            # The last of the storm's children ends, and is reaped, a moment after its client has left.
            counts = wait_until(lambda: (c := daemon.control.node("root/echo")["connections"])["active"] == held and c, 5, "the rest")
            self.assertEqual(counts["accepted"], counts["active"] + counts["completed"])
        self.measured(reloads=rounds, kills=rounds // 5, held=held, ok=storm.counts["ok"], failed=sum(storm.failed.values()))

    def test_ten_reloads_a_second(self):
        """Lasts a few seconds; a minute with BULKHEAD_LONG=1."""
        seconds = 60 if os.environ.get("BULKHEAD_LONG") == "1" else 4
        address = f"127.0.0.1:{free_port()}"

        def echo(number):
            return listener(listen=address, shutdown=f"{number + 10}s", max_connections=500 + number % 2)
        daemon = self.supervise(echo(0))
        with Hold(daemon.address(), 50) as hold, Storm(daemon.address(), threads=1) as storm:
            self.assertEqual(hold.echo_all(), 50)
            master = process(daemon.pid)
            self.rewrite(daemon, echo(1))
            self.reload(daemon)
            before, most, number, memory = len(master.fds()), 0, 1, master.kilobytes()
            began = time.monotonic()
            while time.monotonic() < began + seconds:
                number += 1
                self.rewrite(daemon, echo(number))
                daemon.send_signal(signal.SIGHUP)
                most = max(most, len(daemon.workers()))
                time.sleep(max(0.0, began + (number - 1) / 10 - time.monotonic()))  # the rate, not an event
            self.reload(daemon)
            storm.stop()
            self.assertEqual(storm.failed, {})
            self.assertEqual(hold.echo_all(), 50)
            found = daemon.control.value("config")["supervisor"]["children"][0]
            self.assertEqual((found["shutdown"], found["max_connections"]), (f"{number + 10}s", 500 + number % 2))
            wait_until(lambda: len(daemon.workers()) == 2, 5, "two workers again")
            wait_until(lambda: len(master.fds()) <= before, 5, f"no more than {before} descriptors")
            generation = daemon.control.value("status")["generation"]
            self.assertEqual({one["generation"] for one in daemon.control.node("root/echo")["workers"]}, {generation})
            self.assertEqual(daemon.control.node("root")["restarts_in_window"], 0)
            grown = master.kilobytes() - memory
        self.assertLessEqual(most, 2 * 2 + 1)
        self.measured(asked=number, generations=generation, ok=storm.counts["ok"], failed=0, most_workers=most, grown_kb=grown)
        if not self.sanitized:
            self.assertLess(grown, 8 << 10)  # for the most part, the events that it remembers

    def test_hups_faster_than_reloads_are_merged(self):
        daemon = self.supervise(listener())
        for number in range(100):
            self.rewrite(daemon, listener(shutdown=f"{number + 10}s"))
            daemon.send_signal(signal.SIGHUP)
        self.reload(daemon)
        config = daemon.control.value("config")
        self.assertEqual(config["supervisor"]["children"][0]["shutdown"], "109s")
        self.assertEqual(len(daemon.wait_workers(2)), 2)


@needs_root
@needs_mounts
@tool("unshare")
class Accounts(ReloadTestCase):
    """Users and groups are looked up at each reload; what a name stands for is a part of the configuration."""

    def begin(self, *children):
        self.groups = os.path.join(self.directory, "group")
        with open("/etc/group") as file:
            self.original = file.read()
        self.members("")
        script = f'mount --bind {self.groups} /etc/group && exec "$0" "$@"'
        return self.supervise(*children, prefix=("unshare", "--mount", "/bin/sh", "-c", script))

    def members(self, names, gid=4711):
        with open(self.groups, "w") as file:  # the same file: the daemon has it mounted
            file.write(f"{self.original.rstrip()}\ntested:x:{gid}:{names}\n")

    @staticmethod
    def groups_of(pid):
        return set(process(pid).status()["Groups"].split())

    def worker_groups(self, daemon):
        return [self.groups_of(one["pid"]) for one in daemon.control.node("root/echo")["workers"]]

    def test_groups_that_come_and_go(self):
        daemon = self.begin(listener(user="nobody"), sleeper("db", user="nobody"), sleeper("other"))
        self.assertEqual(self.changes(self.reload(daemon)), [])
        other = daemon.control.node("root/other")["pid"]
        for names in ("nobody", ""):
            self.members(names)
            self.assertEqual(self.changes(self.reload(daemon)), [("new_workers", "root/echo", "user"), ("restarted", "root/db", "user")])
            self.assertEqual(self.changes(self.reload(daemon)), [])
            self.assertEqual(["4711" in one for one in self.worker_groups(daemon)], 2 * [bool(names)])
            self.assertEqual("4711" in self.groups_of(daemon.control.node("root/db")["pid"]), bool(names))
            signal_process(daemon.workers()[0].pid, signal.SIGKILL)
            daemon.wait_workers(2)
            self.assertEqual(daemon.control.run("restart", "root/db")[0], 0)
            self.assertEqual(["4711" in one for one in self.worker_groups(daemon)], 2 * [bool(names)])
            self.assertEqual("4711" in self.groups_of(daemon.control.node("root/db")["pid"]), bool(names))
        self.assertEqual(daemon.control.node("root/other")["pid"], other)

    def test_an_upgrade_looks_nothing_up(self):
        daemon = self.begin(listener(), sleeper("db", user="nobody"))
        self.members("nobody")
        self.assertEqual(daemon.control.run("upgrade", "--wait")[0], 0)
        self.assertEqual(daemon.control.run("restart", "root/db")[0], 0)
        self.assertNotIn("4711", self.groups_of(daemon.control.node("root/db")["pid"]))
        self.assertEqual(self.changes(self.reload(daemon)), [("restarted", "root/db", "user")])
        self.assertIn("4711", self.groups_of(daemon.control.node("root/db")["pid"]))

    def test_another_number(self):
        daemon = self.begin(listener(), sleeper("db", group="tested"))
        self.members("", gid=4712)
        self.assertEqual(self.changes(self.reload(daemon)), [("restarted", "root/db", "user")])
        self.assertIn("4712", process(daemon.control.node("root/db")["pid"]).status()["Gid"])


if __name__ == "__main__":
    main()
