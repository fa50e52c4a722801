"""Upgrades in which one system call after another fails, once: whichever program continues then, its state is complete."""

import os

from harness import Hold, Strace, UpgradeTestCase, main, needs_root, process, tool, wait_until

# Calls that must make an upgrade fail, in the order in which it makes them.
FAULTS = (("openat", "EMFILE", 1, "Too many open files"),  # the program's file
          ("memfd_create", "ENFILE", 1, "Too many open files in system"),  # the state for the dry run
          ("pipe2", "EMFILE", 1, "Too many open files"),  # its answer, its complaints, the report of its start
          ("pipe2", "EMFILE", 2, "Too many open files"),
          ("pipe2", "EMFILE", 3, "Too many open files"),
          ("clone,fork,vfork,clone3", "EAGAIN", 1, "Resource temporarily unavailable"),
          ("memfd_create", "EMFILE", 2, "Too many open files"),  # the state for what is executed
          ("execveat", "ENOMEM", 1, "Cannot allocate memory"),
          ("execveat", "ENOEXEC", 1, "Exec format error"))
# Calls that every upgrade makes often, in an order that does not matter: before the other program is executed, or after it
# as well. None of them is a call that is made there before main(), by the dynamic loader or a sanitizer, which no
# program could help.
COUNTED = {"fstat,newfstatat": (1, 3, 8), "write": (1, 2, 3, 4), "fcntl": (1, 8, 34, 2, 3, 5, 13, 21), "getsockopt": (1, 8, 34, 2, 3, 5, 13, 21)}


class Faults(UpgradeTestCase):
    @tool("strace")
    @needs_root
    def test_each_system_call_fails_once(self):
        daemon = self.supervised()
        kinds, mask = self.kinds(daemon), process(daemon.pid).status()["SigBlk"]
        outcomes = {True: 0, False: 0}

        def whole(hold):
            self.assertEqual(hold.echo_all(), len(hold))
            wait_until(lambda: self.kinds(daemon) == kinds, 5, "the descriptors from before")
            self.assertEqual(process(daemon.pid).status()["SigBlk"], mask)
            for fd in process(daemon.pid).fds():
                self.assertTrue(fd <= 2 or process(daemon.pid).fd_flags(fd) & os.O_CLOEXEC, fd)
        with Hold(daemon.address(), 20) as hold:
            self.install(self.next)
            for calls, error, number, reason in FAULTS:
                with self.subTest(calls, number=number, error=error):
                    with Strace(daemon.pid, calls, f"error={error}:when={number}") as trace:
                        self.rolled_back(daemon, hold, reason)
                    self.assertEqual(trace.injected(), 1, trace.text)
                    whole(hold)
            for calls, numbers in COUNTED.items():
                for number in numbers[:3] if self.sanitized else numbers:
                    with self.subTest(calls, number=number):
                        with Strace(daemon.pid, calls, f"error=EIO:when={number}"):
                            status, answer, err = self.upgrade(daemon)
                        self.assertIn(status, (0, 2), f"{answer} {err}")
                        now = self.status(daemon)
                        self.assertEqual((now["pid"], now["state"]), (daemon.pid, "running"))
                        outcomes[status == 0] += 1
                        whole(hold)
            self.assertEqual(self.upgraded(daemon, self.next), "next")
            whole(hold)
        self.assertEqual(daemon.log(level="error", path="root/echo"), [])
        self.measured(faults=len(FAULTS), counted=sum(outcomes.values()), upgraded=outcomes[True], rolled_back=outcomes[False])


if __name__ == "__main__":
    main()
