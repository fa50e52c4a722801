"""Limits of the system: a configured value that exceeds them is an error, a default is lowered to fit. The limit
of descriptors, which the daemon raises only for itself. Also a very small share of a CPU."""

import json
import os
import resource
import time

from harness import (Canary, Client, ControlledTestCase, Hold, Storm, UpgradeTestCase, config_of, exec_listener, listener, main,
                     module_listener, needs_root, process)

CAT = os.path.realpath("/bin/cat")
UID = 61_234  # a user without other processes
CGROUPS = "/sys/fs/cgroup"


class RoomTestCase(ControlledTestCase):
    def next_directory(self):
        return os.path.join(self.directory, str(len(self.daemons)))

    def refused(self, most, limit, preexec):
        """One more than the limit allows is refused with 78, and the message names the limit."""
        text = json.dumps(config_of(listener(max_connections=most + 1)), indent=1)
        path = self.write("refused.json", text)
        status, out, err = self.run_program("-c", path, preexec_fn=preexec)
        line = next(number for number, line in enumerate(text.splitlines(), 1) if "max_connections" in line)
        column = text.splitlines()[line - 1].index(str(most + 1)) + 1
        self.assertEqual((status, out), (78, ""))
        self.assertIn(f"{path}:{line}:{column}: /supervisor/children/0/max_connections: expected at most {most}: each is a process, "
                      f"and {limit} (raise it by ", err)
        self.assertEqual(err.count("\n"), 1, err)

    def checked(self, most, preexec):
        """The default according to --check and --dump-config."""
        path = self.write("checked.json", json.dumps(config_of(listener())))
        status, out, err = self.run_program("-c", path, "--check", preexec_fn=preexec)
        self.assertEqual(status, 0, err)
        self.assertIn(f"{path}: root/echo: max_connections 1024 is lowered to {most}: ", err)
        _, out, _ = self.run_program("-c", path, "--dump-config", preexec_fn=preexec)
        self.assertEqual(json.loads(out)["supervisor"]["children"][0]["max_connections"], most)

    def held(self, daemon, most):
        """As many as fit are served, and one more waits until a slot is free."""
        with Hold(daemon.address(), most) as hold:
            self.assertEqual(hold.echo_all(), most)
            with Client(daemon.address()) as late:
                late.send(b"late\n")
                daemon.wait_log(f"^max_connections {most} reached")
                self.assertTrue(late.silent(0.2))
                self.assertEqual(len(daemon.connections()), most)
                hold.clients[0].close()
                self.assertEqual(late.receive(5), b"late\n")
        self.assertEqual(daemon.log("cannot start a process"), [])

    def warnings(self, daemon):
        return [one["message"] for one in daemon.log("is lowered to", level="warning", path="root/echo")]

    def rewrite(self, daemon, **keys):
        with open(daemon.config_path) as file:
            config = json.load(file)
        config["supervisor"]["children"][0].update(keys)
        with open(daemon.config_path, "w") as file:
            json.dump(config, file)

    def too_much_is_not_reloaded(self, daemon, most):
        with Client(daemon.address()) as client:
            self.assertTrue(client.echo())
            self.rewrite(daemon, max_connections=most + 1)
            status, _, err = daemon.control.run("reload", "--wait")
            self.assertEqual(status, 2)
            self.assertIn(f"/supervisor/children/0/max_connections: expected at most {most}: ", err)
            error, = daemon.events.next("reload_rejected", "root")["errors"]
            self.assertIn(error, err)
            self.assertTrue(client.echo())
        self.assertEqual(daemon.control.call("config")["result"]["supervisor"]["children"][0]["max_connections"], most)
        self.assertEqual(daemon.control.value("status")["generation"], 1)


@needs_root
class Users(RoomTestCase):
    def limited(self, processes):
        directory = self.next_directory()

        def become():
            if os.path.isdir(directory):
                os.chmod(directory, 0o777)
            resource.setrlimit(resource.RLIMIT_NPROC, (processes, processes))
            os.setgroups([])
            os.setresgid(UID, UID, UID)
            os.setresuid(UID, UID, UID)
        return become

    def test_the_process_limit_of_a_user(self):
        self.refused(37, "RLIMIT_NPROC is 40", self.limited(40))
        self.checked(37, self.limited(40))
        daemon = self.supervise(listener(), preexec=self.limited(40))
        self.held(daemon, 37)
        self.assertEqual(self.warnings(daemon), ["max_connections 1024 is lowered to 37: each is a process, and RLIMIT_NPROC is 40 "
                                                 "(raise it by ulimit -u, or LimitNPROC= of a systemd unit)"])
        self.too_much_is_not_reloaded(daemon, 37)


@needs_root
class Cgroups(RoomTestCase):
    def setUp(self):
        self.cgroup = None
        self.addCleanup(self.remove)  # after everything else
        super().setUp()

    def make(self, controller):
        """A cgroup of this test's, of the version that the machine has."""
        with open("/proc/self/mountinfo") as mounts:
            v1 = any(f" {CGROUPS}/{controller} " in line for line in mounts)
        self.cgroup = os.path.join(CGROUPS, controller if v1 else "", f"bulkhead-test-{os.getpid()}")
        try:
            if not v1:
                with open(os.path.join(CGROUPS, "cgroup.subtree_control"), "w") as file:
                    file.write(f"+{controller}")
            os.mkdir(self.cgroup)
        except OSError as error:
            self.skipTest(f"no cgroup of the {controller} controller can be made: {error}")
        return v1

    def set(self, name, value):
        with open(os.path.join(self.cgroup, name), "w") as file:
            file.write(str(value))

    def remove(self):
        if self.cgroup is not None and os.path.isdir(self.cgroup):
            os.rmdir(self.cgroup)

    def join(self):
        self.set("cgroup.procs", os.getpid())

    def test_workers_are_not_killed_for_being_slow_on_a_twentieth_of_a_cpu(self):
        v1 = self.make("cpu")
        daemon = self.supervise(listener(), preexec=self.join)
        workers = [one.pid for one in daemon.workers()]
        with Canary(daemon.address(), 3, every=0.2) as canary, Storm(daemon.address(), threads=3) as storm:
            self.set(*(("cpu.cfs_quota_us", 5000) if v1 else ("cpu.max", "5000 100000")))
            time.sleep(6)  # the watchdog allows 4 s, and checks twice
            storm.stop()
        self.set(*(("cpu.cfs_quota_us", -1) if v1 else ("cpu.max", "max 100000")))
        self.measured(**storm.counts, canary_gap=canary.max_gap)
        self.assertEqual((storm.failed, canary.errors), ({}, 0))
        self.assertEqual([one.pid for one in daemon.workers()], workers)
        self.assertEqual(daemon.events.of("watchdog_expired"), [])

    def test_the_process_limit_of_a_cgroup(self):
        self.make("pids")
        self.set("pids.max", 30)
        limit = f"pids.max of {self.cgroup} is"
        self.refused(27, f"{limit} 30", self.join)
        self.checked(27, self.join)
        daemon = self.supervise(listener(), preexec=self.join)
        self.held(daemon, 27)
        first = f"max_connections 1024 is lowered to 27: each is a process, and {limit} 30 (raise it by TasksMax= of a systemd unit)"
        self.assertEqual(self.warnings(daemon), [first])
        self.too_much_is_not_reloaded(daemon, 27)
        # The values in the remark have changed.
        self.rewrite(daemon, max_connections=27)
        self.assertEqual(daemon.control.run("reload", "--wait")[0], 0)
        self.assertEqual(self.warnings(daemon), [first])
        with open(daemon.config_path, "w") as file:
            json.dump({**config_of(listener()), "log": {"target": daemon.log_path, "format": "json", "level": "debug"}}, file)
        self.set("pids.max", 50)
        self.assertEqual(daemon.control.run("reload", "--wait")[0], 0)
        self.assertEqual(self.warnings(daemon)[1:], [first.replace("to 27:", "to 47:").replace(" is 30 ", " is 50 ")])
        with Hold(daemon.address(), 47) as hold:
            self.assertEqual(hold.echo_all(), 47)


def descriptors(pid):
    """The soft and the hard limit."""
    with open(f"/proc/{pid}/limits") as file:
        line = next(line for line in file if line.startswith("Max open files"))
    return tuple(int(word) for word in line.split()[3:5])


def nofile(soft, hard):
    return lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


class Descriptors(ControlledTestCase):
    def programs(self, daemon):
        """The limits of a connection's program, and of a process."""
        with Client(daemon.address("run")) as client:
            self.assertTrue(client.echo())
            run, = self.cats(daemon)
            return {"run": descriptors(run.pid), "keep": descriptors(daemon.control.node("root/keep")["pid"])}

    def cats(self, daemon):
        return [one for one in daemon.connections() if one.name == "cat"]

    def start_limited(self, soft, hard, **keys):
        keep = {"id": "keep", "type": "process", "argv": ["/bin/sleep", "1000"], "ready": "exec"}
        return self.supervise(exec_listener([CAT], workers=1, **keys), keep, preexec=nofile(soft, hard))

    def test_the_daemon_raises_its_limit_and_programs_get_the_original_one(self):
        # With the lowest limit a worker needs more descriptors; its programs still get that limit.
        for soft, hard, worker in ((777, 888, 777), (300, 4000, 4000)):
            daemon = self.start_limited(soft, hard)
            self.assertEqual(descriptors(daemon.pid), (hard, hard))
            self.assertEqual(descriptors(daemon.workers()[0].pid), (worker, hard))
            self.assertEqual(self.programs(daemon), {"run": (soft, hard), "keep": (soft, hard)})
        daemon = self.start_limited(300, 4000, rlimits={"nofile": 100})
        self.assertEqual(self.programs(daemon)["run"], (100, 100))

    def test_many_listeners_need_more_than_the_soft_limit(self):
        daemon = self.supervise(*(listener(f"l{number}", workers=1, max_connections=5) for number in range(40)), preexec=nofile(64, 4000))
        for number in (0, 20, 39):
            with Client(daemon.address(f"l{number}")) as client:
                self.assertTrue(client.echo())
        self.assertGreater(len(process(daemon.pid).fds()), 64)
        path = self.write("many.json", json.dumps(config_of(*(listener(f"l{n}", workers=3) for n in range(10)))))
        status, _, err = self.run_program("-c", path, "--check", preexec_fn=nofile(64, 80))
        self.assertEqual(status, 78)
        self.assertIn(": /supervisor: 10 listeners with 10 addresses and 30 workers, and 0 processes, need 122 descriptors in the daemon, and "
                      "the hard limit of RLIMIT_NOFILE is 80 (raise it by ulimit -n, or LimitNOFILE= of a systemd unit)", err)

    def test_headers_in_progress_need_descriptors(self):
        keys = {"proxy_protocol": "v1", "max_connections": 3000}
        daemon = self.start_limited(1024, 8000, **keys)
        self.assertEqual(descriptors(daemon.workers()[0].pid), (8000, 8000))
        with Client(daemon.address("run")) as client:
            client.send(b"PROXY UNKNOWN\r\n")
            self.assertTrue(client.echo())
            child, = self.cats(daemon)
            self.assertEqual(descriptors(child.pid), (1024, 8000))
        self.assertEqual(daemon.log("PROXY header in progress"), [])
        daemon = self.start_limited(1024, 2000, **keys)
        told, = daemon.log("PROXY header in progress", level="warning", path="root/run")
        self.assertIn("of 3000 connections that may begin in a worker at the same time, 1616 can have their PROXY header in progress: "
                      "each is a descriptor, and RLIMIT_NOFILE is 2000", told["message"])

    def test_modules_get_the_original_limit_too(self):
        daemon = self.supervise(module_listener(self.module("does_as_told"), workers=1), preexec=nofile(300, 4000))
        with Client(daemon.address()) as client:
            self.assertTrue(client.echo())
            child, = daemon.connections()
            self.assertEqual(descriptors(child.pid), (300, 4000))


class Upgrades(UpgradeTestCase):
    def attributes(self, pid):
        """The state that a process keeps over execve(2), and that must be unchanged."""
        status = process(pid).status()
        out = {name: status[name] for name in status if name.startswith(("Umask", "Cap", "NoNewPrivs", "Seccomp", "Sig", "Groups"))}
        out.pop("SigQ")  # how many are pending
        for name in ("limits", "oom_score_adj", "cgroup", "timerslack_ns", "loginuid"):
            try:
                with open(f"/proc/{pid}/{name}") as file:
                    out[name] = file.read()
            except OSError:
                pass  # not in every kernel
        return {**out, "nice": os.getpriority(os.PRIO_PROCESS, pid), "cwd": os.readlink(f"/proc/{pid}/cwd")}

    def test_the_original_limit_is_kept_over_upgrades(self):
        daemon = self.supervise(exec_listener([CAT], workers=1, max_restarts=100), preexec=nofile(500, 4000))
        before = self.attributes(daemon.pid)
        for number in range(3):
            self.upgraded(daemon, self.own if number % 2 else self.next)
            self.assertEqual(descriptors(daemon.pid), (4000, 4000))
            self.assertEqual(self.attributes(daemon.pid), before)
            with Client(daemon.address()) as client:
                self.assertTrue(client.echo())
                child, = daemon.connections()
                self.assertEqual(descriptors(child.pid), (500, 4000))


if __name__ == "__main__":
    main()
