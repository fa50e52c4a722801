"""Impossible upgrades: the running program continues, reports the reason, and everything is as it was."""

import os
import signal

from harness import Hold, Storm, UpgradeTestCase, echo_listener, main, module_listener, process, wait_until


class Broken(UpgradeTestCase):
    def cut(self):
        with open(self.own, "rb") as file:
            text = file.read()
        return self.write_bytes("cut", text[:len(text) // 50])

    def without_library(self):
        with open(self.next, "rb") as file:
            return self.write_bytes("without", file.read().replace(b"libuv.so.1\0", b"libuv.so.9\0"))

    def write_bytes(self, name, data):
        path = os.path.join(self.directory, name)
        with open(path, "wb") as file:
            file.write(data)
        return path

    def test_broken_programs_are_refused(self):
        daemon = self.supervised()
        workers = [one.pid for one in daemon.workers()]
        kinds = self.kinds(daemon)
        script = self.write("script", "#!/bin/sh\nexit 1\n")
        empty = self.write("empty", "")
        foreign = self.write_bytes("foreign", b"\x7fELF" + bytes(100))
        cases = (("not executable", lambda: self.install(self.next, mode=0o644), ("Permission denied",)),
                 ("missing", lambda: os.unlink(self.program), ("No such file or directory",)),
                 ("a directory", lambda: os.mkdir(self.program), ("not a regular file",)),
                 ("a link to nothing", lambda: (os.rmdir(self.program), os.symlink("gone", self.program)), ("No such file or directory",)),
                 ("a link to itself", lambda: (os.unlink(self.program), os.symlink("bulkheadd", self.program)), ("Too many levels of symbolic links",)),
                 ("a link to a directory", lambda: (os.unlink(self.program), os.symlink("/", self.program)), ("not a regular file",)),
                 ("empty", lambda: self.install(empty), ("cannot be executed",)),
                 ("of another machine", lambda: self.install(foreign), ("cannot be executed",)),
                 ("cut in the middle", lambda: self.install(self.cut()), ("cannot be executed", "killed by", "exited with status")),
                 ("without a library", lambda: self.install(self.without_library()), ("libuv.so.9: cannot open",)),
                 ("a script", lambda: self.install(script), ("cannot be executed", "exited with status")),
                 ("fails", lambda: self.install("/bin/false"), ("exited with status 1",)),
                 ("succeeds at something else", lambda: self.install("/bin/true"), ("cannot take over from another program",)),
                 ("says something else", lambda: self.install("/bin/echo"), ("cannot take over from another program",)),
                 ("writable for others", lambda: self.install(self.next, mode=0o757), ("others may write to ",)))
        with Hold(daemon.address(), 20) as hold, Storm(daemon.address(), threads=2, pause=0.005) as storm:
            for name, break_it, reason in cases:
                with self.subTest(name):
                    break_it()
                    self.rolled_back(daemon, hold, *reason)
            storm.stop()
            self.assertEqual(storm.failed, {})
        self.assertEqual([one.pid for one in daemon.workers()], workers)
        wait_until(lambda: self.kinds(daemon) == kinds, 5, "the descriptors from before")
        self.assertEqual(self.upgraded(daemon, self.next), "next")

    def test_a_program_that_hangs_is_refused(self):
        daemon = self.supervised()
        self.install(self.helper("pauses"))
        with Hold(daemon.address(), 5) as hold:
            self.rolled_back(daemon, hold, "did not answer within 5 s")
        wait_until(lambda: not [one for one in daemon.tree() if one.name == "pauses"], 5, "its end")

    def test_a_program_that_finds_no_worker_is_refused(self):
        daemon = self.supervised()
        os.unlink(os.path.join(self.installed, "bulkhead-worker"))
        self.install(self.next)
        with Hold(daemon.address(), 5) as hold:
            self.rolled_back(daemon, hold, "bulkhead-worker")

    def test_a_program_whose_workers_do_not_start(self):
        daemon = self.supervised()
        workers = [one.pid for one in daemon.workers()]
        kinds = self.kinds(daemon)
        self.install(self.next)
        for worker, reason in (("/bin/false", "its worker program, for root/echo: exited with status 1"),
                               ("/bin/sleep", "its worker program, for root/echo: exited with status 1"),
                               (self.helper("pauses"), "its worker program, for root/echo: was not ready within 4 s")):
            with self.subTest(worker), Hold(daemon.address(), 20) as hold, Storm(daemon.address(), threads=2, pause=0.005) as storm:
                self.install(worker, "bulkhead-worker")
                self.rolled_back(daemon, hold, reason)
                storm.stop()
                self.assertEqual(storm.failed, {})
        self.assertEqual([one.pid for one in daemon.workers()], workers)
        wait_until(lambda: self.kinds(daemon) == kinds, 5, "the descriptors from before")
        # The program that continues still has its own worker program, although the file has been replaced.
        os.kill(workers[0], signal.SIGKILL)
        daemon.wait_workers(2)
        self.install(os.path.join(self.bindir, "bulkhead-worker"), "bulkhead-worker")
        self.assertEqual(self.upgraded(daemon, self.next), "next")

    def test_a_module_that_can_no_longer_be_loaded(self):
        module = os.path.join(self.installed, "own.so")
        self.install(self.module("does_as_told"), "own.so", 0o755)
        daemon = self.supervised(module_listener(module))
        self.install(self.module("of_another_abi"), "own.so", 0o755)
        self.install(self.next)
        with Hold(daemon.address("echo"), 5) as hold:
            self.rolled_back(daemon, hold, "its worker program, for root/own: failed while loading")
        self.install(self.module("does_as_told"), "own.so", 0o755)
        self.assertEqual(self.upgraded(daemon, self.next), "next")

    def test_a_module_that_forks_in_its_init_by_now(self):
        module = os.path.join(self.installed, "own.so")
        self.install(self.module("does_as_told"), "own.so", 0o755)
        daemon = self.supervised(module_listener(module))
        before = {one.pid for one in daemon.tree()}
        self.install(self.module("forks_in_init"), "own.so", 0o755)
        self.install(self.next)
        with Hold(daemon.address("echo"), 5) as hold:
            self.rolled_back(daemon, hold, "its worker program, for root/own: ")
            wait_until(lambda: len(daemon.tree()) == len(before) + len(hold), 5, "nothing left of the trial")

    def test_states_and_workers_of_other_versions(self):
        self.install(self.helper("bulkheadd-breaks"))
        daemon = self.supervise(echo_listener())
        with Hold(daemon.address(), 5) as hold:
            for what, reason in (("format", "the state has format 2, and this program reads up to 1"),
                                 ("workers", "the workers use protocol version 9, and this program uses version ")):
                with self.subTest(what):
                    self.write("bin/breaks", f"writes {what}\n")
                    self.install(self.own)
                    self.rolled_back(daemon, hold, reason)
            self.write("bin/breaks", "")
            self.install(self.helper("speaks_otherwise"), "bulkhead-worker")
            self.rolled_back(daemon, hold, "its worker program, for root/echo: sent another protocol version")
            self.install(os.path.join(self.bindir, "bulkhead-worker"), "bulkhead-worker")
            self.upgraded(daemon, self.own)
            self.assertEqual(hold.echo_all(), 5)

    def test_a_directory_that_others_may_write_to(self):
        daemon = self.supervised()
        os.chmod(self.installed, 0o777)
        self.addCleanup(os.chmod, self.installed, 0o755)
        with Hold(daemon.address(), 5) as hold:
            self.rolled_back(daemon, hold, "others may write to")

    def test_a_stop_during_the_dry_run(self):
        daemon = self.supervised()
        self.install(self.helper("pauses"))
        daemon.send_signal(signal.SIGUSR2)
        wait_until(lambda: [one for one in daemon.tree() if "--dry-run" in one.title], 5, "the dry run")
        self.assertEqual(daemon.stop(), 0)


if __name__ == "__main__":
    main()
