"""Upgrade in place: another program goes on as the same process, with every connection, child, count and event."""

import json
import os
import signal
import subprocess
import threading

from harness import (Client, Hold, Storm, UpgradeTestCase, exec_listener, free_port, listener, main, process, signal_process,
                     wait_until)


def echo(name="echo", **keys):
    """Its intensity is given: the default would follow the number of workers."""
    return listener(name, **{"max_restarts": 1000, "max_seconds": 60, "listen": f"127.0.0.1:{free_port()}", **keys})


def sleeper(name="sleeper", **keys):
    return {"id": name, "type": "process", "argv": ["/bin/sleep", "1000"], "ready": "exec", **keys}


class WhatGoesOn(UpgradeTestCase):
    def test_connections_counts_events_and_processes(self):
        rounds, held = (4, 100) if self.sanitized else (20, 300)
        daemon = self.supervise(echo(), sleeper())
        child = daemon.control.node("root/sleeper")["pid"]
        before = daemon.control.value("status")
        with Hold(daemon.address(), held) as hold, Storm(daemon.address(), threads=2) as storm:
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

    def test_under_kills(self):
        rounds = 3 if self.sanitized else 10
        daemon = self.supervise(echo(workers=3, restart_delay="none"))
        stop = threading.Event()
        kills = []

        def kill():
            while not stop.wait(0.05):
                victims = daemon.workers()
                if victims and signal_process(victims[len(kills) % len(victims)].pid, signal.SIGKILL):
                    kills.append(victims[0])
        with Hold(daemon.address(), 50) as hold, Storm(daemon.address(), threads=2) as storm:
            self.assertEqual(hold.echo_all(), 50)
            killer = threading.Thread(target=kill)
            killer.start()
            try:
                for number in range(rounds):
                    self.install(self.own if number % 2 else self.next)
                    status, answer, err = self.upgrade(daemon)
                    # One of the new workers may be the one that is killed before it is ready: then the other program goes on.
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

    def test_what_operators_have_done(self):
        daemon = self.supervise(echo(), echo("other"), sleeper(), sleeper("stopped"))
        control = daemon.control
        added = self.write("added.json", json.dumps(echo("added", workers=1)))
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
        status, out, err = control.run("--json", "reload", "--wait")
        self.assertEqual((status, err), (0, ""))

    def test_the_restart_window(self):
        team = {"id": "team", "type": "supervisor", "max_restarts": 2, "max_seconds": 600, "restart": "temporary",
                "children": [sleeper(restart_delay="none")]}
        daemon = self.supervise(echo(), team)
        for count in (1, 2):
            pid = daemon.control.node("root/team/sleeper")["pid"]
            signal_process(pid, signal.SIGKILL)
            wait_until(lambda: (n := daemon.control.node("root/team/sleeper")) and n["state"] == "running" and n["pid"] != pid, 5, "a restart")
        self.upgraded(daemon, self.next)
        self.assertEqual(daemon.control.node("root/team")["restarts_in_window"], 2)
        self.assertEqual(daemon.control.node("root/team/sleeper")["restarts"], 2)
        signal_process(daemon.control.node("root/team/sleeper")["pid"], signal.SIGKILL)
        wait_until(lambda: any(one["event"] == "intensity_exceeded" for one in self.history(daemon)), 5, "the end of its patience")

    def test_what_processes_say(self):
        fifo = os.path.join(self.directory, "fifo")
        os.mkfifo(fifo)
        script = f"while IFS= read -r word; do printf '%s' \"$word\"; : > {fifo}.$word; done <> {fifo}"
        daemon = self.supervise(echo(), sleeper("talks", argv=["/bin/sh", "-c", script]))

        def say(word):
            with open(fifo, "w") as file:
                file.write(word + "\n")
            wait_until(lambda: os.path.exists(f"{fifo}.{word}"), 5, word)
        say("half-of-it-")
        self.upgraded(daemon, self.next)
        say("and-the-rest")
        signal_process(daemon.control.node("root/talks")["pid"], signal.SIGKILL)
        daemon.wait_log("^half-of-it-and-the-rest$", path="root/talks", stream="stdout")
        daemon.wait_log("was killed by SIGKILL", path="root/talks")


class WhatStaysTheSame(UpgradeTestCase):
    def attributes(self, daemon):
        with open(f"/proc/{daemon.pid}/limits") as limits, open(f"/proc/{daemon.pid}/oom_score_adj") as score:
            status = process(daemon.pid).status()
            kept = {key: status[key] for key in ("Umask", "CapEff", "CapBnd", "NoNewPrivs", "SigBlk", "SigIgn", "SigCgt", "Groups")}
            return limits.read(), score.read(), kept, os.readlink(f"/proc/{daemon.pid}/cwd"), process(daemon.pid).title

    def test_attributes_descriptors_and_environment(self):
        rounds = 3 if self.sanitized else 20
        daemon = self.supervise(exec_listener(["/usr/bin/env"], pass_env=["PATH", "TESTED"]), sleeper(),
                                environment={**os.environ, "TESTED": "yes"})

        def variables():
            with Client(daemon.address("run")) as client:
                lines = client.rest().decode().splitlines()
            return {line for line in lines if not line.startswith(("TCPREMOTEPORT=", "REMOTE_PORT=", "BULKHEAD_CONN_ID="))}
        self.upgraded(daemon, self.next)
        daemon.events.close()
        attributes, environment = self.attributes(daemon), variables()
        kinds = sorted(process(daemon.pid).fd_kinds().values())
        self.assertIn("TESTED=yes", environment)
        for number in range(rounds):
            self.upgraded(daemon, self.own if number % 2 else self.next)
        self.assertEqual(self.attributes(daemon), attributes)
        self.assertEqual(variables(), environment)
        daemon.control.close()
        wait_until(lambda: sorted(process(daemon.pid).fd_kinds().values()) == kinds, 5, "the descriptors from before")
        signal_process(daemon.workers()[0].pid, signal.SIGKILL)  # a subreaper as ever
        daemon.wait_workers(2)

    def test_files_of_the_daemon(self):
        path = os.path.join(self.directory, "own.sock")
        pid_file = os.path.join(self.directory, "pid")
        daemon = self.supervise(echo(listen=f"unix:{path}"), daemon={"pid_file": pid_file})
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


class Signals(UpgradeTestCase):
    def happened(self, daemon, name, count=1):
        wait_until(lambda: len([one for one in self.history(daemon) if one["event"] == name]) >= count, 15, f"{count} {name}")

    def test_usr2_upgrades(self):
        daemon = self.supervise(echo())
        self.install(self.next)
        daemon.send_signal(signal.SIGUSR2)
        self.happened(daemon, "upgrade_done")
        self.assertEqual(daemon.control.value("status")["version"], "next")

    def test_others_on_the_way(self):
        daemon = self.supervise(echo(), sleeper())
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
        daemon = self.supervise(echo())
        runs = [subprocess.Popen(daemon.control.command("upgrade", "--wait"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
                for _ in range(5)]
        ends = [(*one.communicate(timeout=30), one.returncode) for one in runs]
        self.assertIn(0, [status for _, _, status in ends])
        for out, err, status in ends:
            self.assertTrue(status == 0 or (status, err) == (2, "bulkheadctl: an upgrade is under way\n")
                            or (status, err) == (3, "bulkheadctl: the daemon closed the connection without an answer\n"), (status, out, err))

    def test_reloads_wait(self):
        daemon = self.supervise(echo())
        self.install(self.next)
        first = subprocess.Popen(daemon.control.command("upgrade", "--wait"), stdout=subprocess.DEVNULL)
        status, _, err = daemon.control.run("reload", "--wait")
        self.assertIn((status, err), ((0, ""), (3, "bulkheadctl: the daemon closed the connection without an answer\n")))
        self.assertEqual(first.wait(30), 0)


if __name__ == "__main__":
    main()
