"""Upgrades that cannot be: the program that runs goes on, says why, and everything is as it was."""

import os
import resource
import signal

from harness import Client, Hold, Storm, UpgradeTestCase, free_port, listener, main, needs_root, process, wait_until


def echo(name="echo", **keys):
    return listener(name, **{"max_restarts": 1000, "max_seconds": 60, "listen": f"127.0.0.1:{free_port()}", **keys})


class Broken(UpgradeTestCase):
    def rolled_back(self, daemon, hold, *reason):
        """One of these words is in the reason."""
        before = daemon.control.value("status")
        status, answer, err = self.upgrade(daemon)
        self.assertEqual(status, 2, f"{answer} {err}")
        now = daemon.control.value("status")
        self.assertEqual([now["pid"], now["version"], now["state"]], [daemon.pid, before["version"], "running"])
        self.assertEqual(now["last_upgrade"]["ok"], False)
        told = now["last_upgrade"]["errors"][0]
        self.assertTrue(any(word in told for word in reason), f"{told!r} has none of {reason}")
        self.assertEqual(answer, {"error": told})
        last = [one for one in self.history(daemon) if one["event"].startswith("upgrade_")][-1]
        self.assertEqual((last["event"], last["reason"]), ("upgrade_rolled_back", told))
        self.assertEqual(hold.echo_all(), len(hold))
        with Client(daemon.address()) as client:
            self.assertTrue(client.echo())
        return told

    def supervised(self, *more):
        daemon = self.supervise(echo(), *more)
        daemon.events.close()
        self.upgraded(daemon, self.own)  # what it has open is settled from here on
        return daemon

    def kinds(self, daemon):
        daemon.control.close()
        return sorted(kind.removesuffix(" (deleted)") for kind in process(daemon.pid).fd_kinds().values())


class BeforeItIsExecuted(Broken):
    def cut(self):
        with open(self.own, "rb") as file:
            text = file.read()
        return self.write_bytes("cut", text[:len(text) // 50])

    def write_bytes(self, name, data):
        path = os.path.join(self.directory, name)
        with open(path, "wb") as file:
            file.write(data)
        return path

    def test_programs(self):
        daemon = self.supervised()
        workers = [one.pid for one in daemon.workers()]
        kinds = self.kinds(daemon)
        script = self.write("script", "#!/bin/sh\nexit 1\n")
        empty = self.write("empty", "")
        foreign = self.write_bytes("foreign", b"\x7fELF" + bytes(100))
        cases = (("not executable", lambda: self.install(self.next, mode=0o644), ("Permission denied",)),
                 ("missing", lambda: os.unlink(self.program), ("No such file or directory",)),
                 ("a directory", lambda: os.mkdir(self.program), ("not a regular file",)),
                 ("a link", lambda: (os.rmdir(self.program), os.symlink(self.next, self.program)), ("not a regular file",)),
                 ("empty", lambda: self.install(empty), ("cannot be executed",)),
                 ("of another machine", lambda: self.install(foreign), ("cannot be executed",)),
                 ("cut in the middle", lambda: self.install(self.cut()), ("cannot be executed", "was killed by", "exit status")),
                 ("a script", lambda: self.install(script), ("cannot be executed", "exit status")),
                 ("fails", lambda: self.install("/bin/false"), ("exit status 1",)),
                 ("succeeds at something else", lambda: self.install("/bin/true"), ("does not know how to take over",)),
                 ("says something else", lambda: self.install("/bin/echo"), ("does not know how to take over",)),
                 ("writable for others", lambda: self.install(self.next, mode=0o757), ("others may write to it",)))
        with Hold(daemon.address(), 20) as hold, Storm(daemon.address(), threads=2) as storm:
            for name, break_it, reason in cases:
                with self.subTest(name):
                    break_it()
                    self.rolled_back(daemon, hold, *reason)
            storm.stop()
            self.assertEqual(storm.failed, {})
        self.assertEqual([one.pid for one in daemon.workers()], workers)
        wait_until(lambda: self.kinds(daemon) == kinds, 5, "the descriptors from before")
        self.assertEqual(self.upgraded(daemon, self.next), "next")

    def test_one_that_hangs(self):
        daemon = self.supervised()
        self.install(self.helper("pauses"))
        with Hold(daemon.address(), 5) as hold:
            self.rolled_back(daemon, hold, "did not answer within 5 s")
        wait_until(lambda: not [one for one in daemon.tree() if one.name == "pauses"], 5, "its end")

    def test_one_that_finds_no_worker(self):
        daemon = self.supervised()
        os.unlink(os.path.join(self.installed, "bulkhead-worker"))
        self.install(self.next)
        with Hold(daemon.address(), 5) as hold:
            self.rolled_back(daemon, hold, "bulkhead-worker")

    def test_a_directory_that_others_may_write_to(self):
        daemon = self.supervised()
        os.chmod(self.installed, 0o777)
        self.addCleanup(os.chmod, self.installed, 0o755)
        with Hold(daemon.address(), 5) as hold:
            self.rolled_back(daemon, hold, "others may write to")

    def test_a_stop_meanwhile(self):
        daemon = self.supervised()
        self.install(self.helper("pauses"))
        daemon.send_signal(signal.SIGUSR2)
        wait_until(lambda: [one for one in daemon.tree() if "--dry-run" in one.title], 5, "the dry run")
        self.assertEqual(daemon.stop(), 0)


class AfterItWasExecuted(Broken):
    def test_workers_that_do_not_start(self):
        daemon = self.supervised()
        workers = [one.pid for one in daemon.workers()]
        kinds = self.kinds(daemon)
        self.install("/bin/false", "bulkhead-worker")
        self.install(self.next)
        with Hold(daemon.address(), 20) as hold, Storm(daemon.address(), threads=2) as storm:
            self.rolled_back(daemon, hold, "did not become ready")
            storm.stop()
            self.assertEqual(storm.failed, {})
        self.assertEqual([one.pid for one in daemon.workers()], workers)
        wait_until(lambda: self.kinds(daemon) == kinds, 5, "the descriptors from before")
        # The program before has its own worker program still, although the file is another one.
        os.kill(workers[0], signal.SIGKILL)
        daemon.wait_workers(2)
        self.install(os.path.join(self.bindir, "bulkhead-worker"), "bulkhead-worker")
        self.assertEqual(self.upgraded(daemon, self.next), "next")

    @needs_root
    def test_a_failure_while_it_takes_over(self):
        more = [{"id": f"more{number}", "type": "process", "argv": ["/bin/sleep", "1000"], "ready": "exec"} for number in range(12)]
        daemon = self.supervised(*more)
        self.install(self.next)
        soft, hard = resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE)
        with Hold(daemon.address(), 20) as hold:
            # Room for what there is and for the dry run, but not for a copy of everything.
            open_now = process(daemon.pid).fds()
            limit = [number for number in range(1000) if number not in open_now][20]
            resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, (limit, hard))
            self.rolled_back(daemon, hold, "Too many open files")
            resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, (soft, hard))
        self.assertEqual(self.upgraded(daemon, self.next), "next")


if __name__ == "__main__":
    main()
