"""Upgrade in place: another program continues as the same process, with every connection, child, count and event."""

import json
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import threading
import time

from harness import (Client, Hold, Manager, Storm, UpgradeTestCase, echo_listener, exec_listener, free_port, main, module_listener,
                     needs_root, process, signal_process, wait_until)


def sleeper(name="sleeper", **keys):
    return {"id": name, "type": "process", "argv": ["/bin/sleep", "1000"], "ready": "exec", **keys}


class Continuity(UpgradeTestCase):
    def test_connections_counts_events_and_processes_continue(self):
        rounds, held = (4, 100) if self.sanitized else (20, 300)
        daemon = self.supervise(echo_listener(), sleeper())
        child = daemon.control.node("root/sleeper")["pid"]
        before = daemon.control.value("status")
        with Hold(daemon.address(), held) as hold, Storm(daemon.address(), threads=2, pause=0.002) as storm:
            self.assertEqual(hold.echo_all(), held)
            for number in range(rounds):
                workers = daemon.workers()
                self.assertEqual(self.upgraded(daemon, self.own if number % 2 else self.next), before["version"] if number % 2 else "next")
                daemon.wait_workers(2, without=workers)
                self.assertEqual(hold.echo_all(), held)
            storm.stop()
            self.assertEqual(storm.failed, {})
            now = daemon.control.value("status")
            self.assertEqual([now[key] for key in ("pid", "generation", "state")], [daemon.pid, 1, "running"])
            self.assertGreater(now["uptime_seconds"], before["uptime_seconds"])
            self.assertEqual(now["last_upgrade"]["ok"], True)
            self.assertEqual(daemon.control.node("root/sleeper")["pid"], child)
            self.assertEqual(daemon.control.node("root/sleeper")["restarts"], 0)
            counts = wait_until(lambda: (c := daemon.control.node("root/echo")["connections"])["active"] == held and c, 5, "the rest")
            self.assertEqual(counts["adopted"], held)
            self.assertEqual(counts["completed"], storm.counts["ok"])
            self.assertEqual(counts["accepted"], counts["active"] + counts["completed"])
            self.assertEqual(counts["crashed"], 0)
        events = self.history(daemon)
        self.assertEqual([one["seq"] for one in events], list(range(1, len(events) + 1)))
        done = [one["event"] for one in events if one["event"].startswith("upgrade_")]
        self.assertEqual(done, ["upgrade_started", "upgrade_done"] * rounds)
        self.measured(upgrades=rounds, ok=storm.counts["ok"], failed=sum(storm.failed.values()), slowest=storm.slowest)

    def test_queued_clients_are_served(self):
        daemon = self.supervise(echo_listener(backlog=256))
        port = daemon.address()[1]

        def listening():
            with open("/proc/net/tcp") as file:
                return [line[9] for line in map(str.split, file) if line[1].endswith(f":{port:04X}") and line[3] == "0A"]
        before, workers = listening(), daemon.workers()
        for worker in workers:
            signal_process(worker.pid, signal.SIGSTOP)
        with Hold(daemon.address(), 100) as hold:
            self.install(self.next)
            upgrade = self.begin_upgrade(daemon)
            self.assertEqual(hold.echo_all(), 100)
            for worker in workers:
                signal_process(worker.pid, signal.SIGCONT)
            self.assertEqual(upgrade.wait(20), 0)
            self.assertEqual(hold.echo_all(), 100)
        self.assertEqual(listening(), before)

    def test_an_upgrade_while_workers_are_killed(self):
        rounds = 3 if self.sanitized else 10
        daemon = self.supervise(echo_listener(workers=3, restart_delay="none"))
        stop = threading.Event()
        kills = []

        def kill():
            while not stop.wait(0.05):
                victims = daemon.workers()
                if victims and signal_process(victims[len(kills) % len(victims)].pid, signal.SIGKILL):
                    kills.append(victims[0])
        with Hold(daemon.address(), 50) as hold, Storm(daemon.address(), threads=2, pause=0.002) as storm:
            self.assertEqual(hold.echo_all(), 50)
            killer = threading.Thread(target=kill)
            killer.start()
            try:
                for number in range(rounds):
                    self.install(self.own if number % 2 else self.next)
                    status, answer, err = self.upgrade(daemon)
                    # One of the new workers may be the one that is killed before it is ready: then the other program continues.
                    self.assertTrue(status == 0 or "did not become ready" in err + str(answer), f"{status} {answer} {err}")
            finally:
                stop.set()
                killer.join()
            storm.stop()
            # A worker that is killed takes along the one connection that it had accepted and not handed over yet.
            self.assertLessEqual(set(storm.failed), {"reset", "eof"})
            self.assertLessEqual(sum(storm.failed.values()), len(kills))
            self.assertEqual(hold.echo_all(), 50)
            daemon.wait_workers(3)
            wait_until(lambda: daemon.control.node("root/echo")["connections"]["active"] == 50, 5, "the rest")
        wait_until(lambda: not daemon.zombies(), 5, "no zombie")
        self.measured(upgrades=rounds, kills=len(kills), ok=storm.counts["ok"], failed=sum(storm.failed.values()))

    def test_changes_by_operators_are_kept(self):
        daemon = self.supervise(echo_listener(), echo_listener("other"), sleeper(), sleeper("stopped"))
        control = daemon.control
        added = self.write("added.json", json.dumps(echo_listener("added", workers=1)))
        for command in (("scale", "root/echo", "4"), ("suspend", "root/other"), ("stop", "root/stopped"), ("add", "root", added),
                        ("delete", "root/stopped")):
            self.assertEqual(control.run(*command)[0], 0, command)
        address = control.node("root/added")["endpoints"][0]["address"]
        host, port = address.split(":")
        with Client((host, int(port))) as client:
            self.assertTrue(client.echo())
            before = control.node("root")
            self.upgraded(daemon, self.next)
            after = control.node("root")
            self.assertEqual([one["id"] for one in after["children"]], [one["id"] for one in before["children"]])
            self.assertEqual(len(control.node("root/echo")["workers"]), 4)
            self.assertEqual(control.node("root/added")["endpoints"][0]["address"], address)
            self.assertTrue(client.echo())
        with Client(daemon.address("other")) as waiting:
            waiting.send(b"later\n")
            self.assertTrue(waiting.silent(0.2))
            self.assertEqual(control.run("resume", "root/other")[0], 0)
            self.assertEqual(waiting.receive(6), b"later\n")
        said = [one["event"] for one in self.history(daemon) if one["path"] == "root/other" and one["event"].startswith("listener_")]
        self.assertEqual(said, ["listener_bound", "listener_suspended", "listener_resumed"])
        status, out, err = control.run("--json", "reload", "--wait")
        self.assertEqual((status, err), (0, ""))

    def test_the_restart_window_continues(self):
        team = {"id": "team", "type": "supervisor", "max_restarts": 2, "max_seconds": 600, "restart": "temporary",
                "children": [sleeper(restart_delay="none")]}
        daemon = self.supervise(echo_listener(), team)
        for count in (1, 2):
            pid = daemon.control.node("root/team/sleeper")["pid"]
            signal_process(pid, signal.SIGKILL)
            wait_until(lambda: (n := daemon.control.node("root/team/sleeper")) and n["state"] == "running" and n["pid"] != pid, 5, "a restart")
        self.upgraded(daemon, self.next)
        self.assertEqual(daemon.control.node("root/team")["restarts_in_window"], 2)
        self.assertEqual(daemon.control.node("root/team/sleeper")["restarts"], 2)
        signal_process(daemon.control.node("root/team/sleeper")["pid"], signal.SIGKILL)
        wait_until(lambda: any(one["event"] == "intensity_exceeded" for one in self.history(daemon)), 5, "the end of its patience")

    def test_an_incomplete_output_line_continues(self):
        fifo = os.path.join(self.directory, "fifo")
        os.mkfifo(fifo)
        script = f"while IFS= read -r word; do printf '%s' \"$word\"; : > {fifo}.$word; done <> {fifo}"
        daemon = self.supervise(echo_listener(), sleeper("talks", argv=["/bin/sh", "-c", script]))

        def say(word):
            with open(fifo, "w") as file:
                file.write(word + "\n")
            wait_until(lambda: os.path.exists(f"{fifo}.{word}"), 5, word)
        say("half-of-it-")
        self.upgraded(daemon, self.next)
        say("and-the-rest")
        signal_process(daemon.control.node("root/talks")["pid"], signal.SIGKILL)
        daemon.wait_log("^half-of-it-and-the-rest$", path="root/talks", stream="stdout")
        daemon.wait_log("killed by SIGKILL", path="root/talks")


class Large(UpgradeTestCase):
    def test_a_configuration_that_is_larger_than_any_file(self):
        """As that of 1,000 listeners is."""
        for part in range(3):
            self.write(f"part{part}.json", json.dumps([sleeper(f"part{part}", env={f"V{number}": 100_000 * "x" for number in range(4)})]))
        config = {"include": os.path.join(self.directory, "part*.json"), "supervisor": {"children": [echo_listener()]}}
        daemon = self.supervise(config=config)
        effective = subprocess.run([self.own, "-c", daemon.config_path, "--dump-config"], capture_output=True, check=True).stdout
        self.assertGreater(len(effective), 1 << 20)
        self.assertEqual(self.upgraded(daemon, self.next), "next")


class Unchanged(UpgradeTestCase):
    def attributes(self, daemon):
        def text(name):
            with open(f"/proc/{daemon.pid}/{name}") as file:
                return file.read()
        status = process(daemon.pid).status()
        kept = {key: status[key] for key in ("Umask", "CapEff", "CapBnd", "NoNewPrivs", "Seccomp", "SigBlk", "SigIgn", "SigCgt", "Groups")}
        kept |= {name: text(name) for name in ("limits", "oom_score_adj", "cgroup")}
        kept |= {"nice": os.getpriority(os.PRIO_PROCESS, daemon.pid), "cwd": os.readlink(f"/proc/{daemon.pid}/cwd"), "title": process(daemon.pid).title}
        # The sizes of the arguments, to the number of a descriptor, and of the environment, as execve got them.
        starts = [int(field) for field in text("stat").rpartition(")")[2].split()[45:49]]
        return kept, (starts[1] - starts[0]) // 8, starts[3] - starts[2]

    @staticmethod
    def unusual():
        os.umask(0o027)
        os.nice(2)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        with open("/proc/self/oom_score_adj", "w") as score:
            score.write("123")

    def test_attributes_descriptors_and_environment_are_the_same(self):
        rounds = 3 if self.sanitized else 20
        daemon = self.supervise(exec_listener(["/usr/bin/env"], pass_env=["PATH", "TESTED"]), sleeper(),
                                environment={**os.environ, "TESTED": "yes"}, preexec=Unchanged.unusual)

        def variables():
            with Client(daemon.address("run")) as client:
                lines = client.rest().decode().splitlines()
            return {line for line in lines if not line.startswith(("TCPREMOTEPORT=", "REMOTE_PORT=", "BULKHEAD_CONN_ID="))}
        self.upgraded(daemon, self.next)
        daemon.events.close()
        attributes, environment = self.attributes(daemon), variables()
        kept = attributes[0]
        self.assertEqual([kept[key].strip() for key in ("Umask", "oom_score_adj")] + [kept["nice"]], ["0027", "123", min(19, os.getpriority(os.PRIO_PROCESS, 0) + 2)])
        self.wait_for_no_client(daemon)
        kinds = sorted(process(daemon.pid).fd_kinds().values())
        self.assertIn("TESTED=yes", environment)
        for number in range(rounds):
            self.upgraded(daemon, self.own if number % 2 else self.next)
        self.assertEqual(self.attributes(daemon), attributes)
        self.assertEqual(variables(), environment)
        daemon.control.close()
        wait_until(lambda: sorted(process(daemon.pid).fd_kinds().values()) == kinds, 5, "the descriptors from before")
        self.assertEqual(self.attributes(daemon)[0], kept)
        signal_process(daemon.workers()[0].pid, signal.SIGKILL)  # still a subreaper
        daemon.wait_workers(2)

    def test_files_of_the_daemon_are_kept(self):
        path = os.path.join(self.directory, "own.sock")
        pid_file = os.path.join(self.directory, "pid")
        daemon = self.supervise(echo_listener(listen=f"unix:{path}"), daemon={"pid_file": pid_file})
        inode = os.stat(path).st_ino
        with Client(path) as client:
            self.assertTrue(client.echo())
            self.upgraded(daemon, self.next)
            self.assertTrue(client.echo())
        with Client(path) as client:
            self.assertTrue(client.echo())
        self.assertEqual(os.stat(path).st_ino, inode)
        with open(pid_file) as file:
            self.assertEqual(int(file.read()), daemon.pid)
        status, _, _ = self.run_program("-c", daemon.config_path)
        self.assertEqual(status, 73)
        self.assertEqual(daemon.stop(), 0)
        for left in (path, pid_file, daemon.control.path):
            self.assertFalse(os.path.exists(left), left)


class SocketsOfOthers(UpgradeTestCase):
    def test_modules_and_inherited_sockets_are_kept(self):
        sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
        for one in sockets:
            self.addCleanup(one.close)
        spec = {"fds": {3 + number: one.fileno() for number, one in enumerate(sockets)},
                "env": {"LISTEN_FDS": "1", "LISTEN_PID": "PID", "LISTEN_FDNAMES": "web"}}
        daemon = self.supervise(module_listener(self.module("does_as_told"), listen=f"127.0.0.1:{free_port()}"),
                                echo_listener("named", listen="systemd:web"), echo_listener("numbered", listen="fd:4"),
                                prefix=(sys.executable, self.helper("passes_sockets"), json.dumps(spec)), pass_fds=tuple(spec["fds"].values()))
        daemon.ready["endpoints"] = daemon.endpoints("own")  # the others are not the daemon's to close
        addresses = [one.getsockname() for one in sockets]

        def state(client):
            client.send(b"facts\n")
            text = b""
            while not text.endswith(b"\nend\n"):
                text += client.receive(1)
            return re.search(rb"^state (.*)$", text, re.M).group(1)
        with Client(daemon.address("own")) as told, Client(addresses[0]) as named, Client(addresses[1]) as numbered:
            before = state(told)
            self.assertTrue(named.echo() and numbered.echo())
            for program in (self.next, self.own, self.next):
                workers = daemon.workers()
                self.upgraded(daemon, program)
                daemon.wait_workers(6, without=workers)
                self.assertEqual(state(told), before)
                for address, client in zip(addresses, (named, numbered)):
                    self.assertTrue(client.echo())
                    with Client(address) as new_client:
                        self.assertTrue(new_client.echo())
                with Client(daemon.address("own")) as new_client:
                    self.assertEqual(state(new_client), before)
        status, out, err = daemon.control.run("reload", "--wait")
        self.assertEqual((status, err), (0, ""), out)
        self.assertEqual([line["message"] for line in daemon.log(level="warning", path="root")], [])

    def test_the_service_manager_is_notified(self):
        manager = Manager(self.directory)
        self.addCleanup(manager.close)
        daemon = self.supervise(echo_listener(), environment=manager.environment())
        manager.listen(lambda: manager.store and any("READY" in one for one in manager.news), what="ready and a stored socket")

        def told(deed):
            """Checks RELOADING and READY of one deed, in their order."""
            del manager.news[:]
            began = time.monotonic_ns() // 1000
            deed()
            manager.listen(lambda: any("READY" in one for one in manager.news), what="READY")
            self.assertEqual(daemon.control.run("status")[0], 0)
            words = [one for one in manager.news if one.keys() & {"RELOADING", "READY", "STOPPING"}]
            self.assertEqual([list(one) for one in words], [["RELOADING", "MONOTONIC_USEC"], ["READY", "MAINPID"]])
            self.assertTrue(began <= int(words[0]["MONOTONIC_USEC"]) <= time.monotonic_ns() // 1000)
            self.assertEqual(words[1]["MAINPID"], str(daemon.pid))
        stored = {name: os.fstat(fd).st_ino for name, fd in manager.store.items()}
        told(lambda: self.assertEqual(daemon.control.run("reload", "--wait")[0], 0))
        told(lambda: self.upgraded(daemon, self.next))
        self.assertEqual({name: os.fstat(fd).st_ino for name, fd in manager.store.items()}, stored)
        self.install(self.helper("bulkheadd-breaks"))
        self.write("bin/breaks", "begin ABRT\n")
        told(lambda: self.assertEqual(self.upgrade(daemon)[0], 2))
        self.install("/bin/false")
        del manager.news[:]
        self.assertEqual(self.upgrade(daemon)[0], 2)
        daemon.send_signal(signal.SIGTERM)
        manager.listen(lambda: any("STOPPING" in one for one in manager.news), what="STOPPING")
        self.assertFalse([one for one in manager.news if "RELOADING" in one or "READY" in one])


class Links(UpgradeTestCase):
    """A package that keeps each version in a directory of its own, and a link to the one that counts."""

    def setUp(self):
        super().setUp()
        self.versions = {"v1": self.own, "v2": self.next}
        for version, program in self.versions.items():
            self.installed = os.path.join(self.directory, version)
            os.mkdir(self.installed, 0o755)
            for name in ("bulkheadd", "bulkhead-worker"):
                self.install(os.path.join(self.bindir, name), name)
            self.install(program)
        self.installed = os.path.join(self.directory, "current")
        self.lead_to("v1")

    def lead_to(self, version):
        os.symlink(version, self.installed + ".new")
        os.rename(self.installed + ".new", self.installed)

    def upgraded_to(self, daemon, version):
        self.lead_to(version)
        status, answer, err = self.upgrade(daemon)
        self.assertEqual((status, err), (0, ""), answer)
        self.assertEqual(os.readlink(f"/proc/{daemon.pid}/exe"), os.path.join(self.directory, version, "bulkheadd"))
        self.assertEqual(self.status(daemon)["version"] == "next", version == "v2")

    def test_there_and_back(self):
        daemon = self.supervise(echo_listener())
        with Hold(daemon.address(), 5) as hold:
            for version in ("v2", "v1", "v2"):
                self.upgraded_to(daemon, version)
                self.assertEqual(hold.echo_all(), 5)

    def test_found_in_path(self):
        environment = {**os.environ, "PATH": f"{self.installed}:{os.environ['PATH']}"}
        daemon = self.supervise(echo_listener(), environment=environment, prefix=("/bin/sh", "-c", 'cd / && exec bulkheadd "$@"'))
        self.upgraded_to(daemon, "v2")

    @needs_root
    def test_a_link_of_somebody_else(self):
        daemon = self.supervise(echo_listener())
        self.lead_to("v2")
        os.lchown(self.installed, 65534, 65534)
        with Hold(daemon.address(), 5) as hold:
            self.rolled_back(daemon, hold, f"{self.installed} is a link of uid 65534")


class Signals(UpgradeTestCase):
    def happened(self, daemon, name, count=1):
        wait_until(lambda: len([one for one in self.history(daemon) if one["event"] == name]) >= count, 15, f"{count} {name}")

    def test_usr2_upgrades(self):
        daemon = self.supervise(echo_listener())
        self.install(self.next)
        daemon.send_signal(signal.SIGUSR2)
        self.happened(daemon, "upgrade_done")
        self.assertEqual(daemon.control.value("status")["version"], "next")

    def test_signals_during_an_upgrade_take_effect_afterwards(self):
        daemon = self.supervise(echo_listener(), sleeper())
        self.install(self.next)
        for number in (signal.SIGUSR2, signal.SIGHUP, signal.SIGUSR2, signal.SIGUSR1, signal.SIGCHLD, signal.SIGHUP):
            daemon.send_signal(number)
        self.happened(daemon, "upgrade_done")
        self.happened(daemon, "reload_done")
        with Client(daemon.address()) as client:
            self.assertTrue(client.echo())
        daemon.send_signal(signal.SIGUSR2)
        self.assertEqual(daemon.stop(), 0)

    def test_one_at_a_time(self):
        daemon = self.supervise(echo_listener())
        runs = [subprocess.Popen(daemon.control.command("upgrade", "--wait"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
                for _ in range(5)]
        ends = [(*one.communicate(timeout=30), one.returncode) for one in runs]
        self.assertIn(0, [status for _, _, status in ends])
        for out, err, status in ends:
            self.assertTrue(status == 0 or (status, err) == (2, "bulkheadctl: an upgrade is under way\n")
                            or (status, err) == (3, "bulkheadctl: the daemon closed the connection without an answer\n"), (status, out, err))

    def test_none_begins_before_the_daemon_is_ready(self):
        """With and without --wait the request is refused at once, with the reason."""
        daemon = self.supervise({**sleeper(), "ready": "notify_fd"}, wait=False)
        wait_until(lambda: daemon.control.run("status")[0] == 0, 5, "an answer")
        for arguments in ((), ("--wait",)):
            status, out, err = daemon.control.run("upgrade", *arguments)
            self.assertEqual((status, out), (2, ""))
            self.assertIn("the daemon is still starting", err)
        self.assertEqual(len(daemon.log("^not upgraded: the daemon is still starting$", path="root")), 2)

    def test_reloads_wait_for_the_upgrade(self):
        daemon = self.supervise(echo_listener())
        self.install(self.next)
        first = subprocess.Popen(daemon.control.command("upgrade", "--wait"), stdout=subprocess.DEVNULL)
        status, _, err = daemon.control.run("reload", "--wait")
        self.assertIn((status, err), ((0, ""), (3, "bulkheadctl: the daemon closed the connection without an answer\n")))
        self.assertEqual(first.wait(30), 0)


if __name__ == "__main__":
    main()
