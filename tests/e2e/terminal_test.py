"""Signals that a terminal's driver sends too: with a terminal they come from the driver, without one from an operator."""

import fcntl
import os
import signal
import struct
import termios

from harness import Client, Hold, TestCase, main, process, wait_until


def pending(pid):
    """The signals that the process has not read yet, as a set of numbers (proc(5), ShdPnd)."""
    mask = int(process(pid).status()["ShdPnd"], 16)
    return {number for number in range(1, 32) if mask >> (number - 1) & 1}


class Terminal(TestCase):
    """With a terminal, TTIN, TTOU and WINCH are its driver's; the keys and the hang-up reach only the master."""

    def start_at_a_terminal(self):
        self.terminal, side = os.openpty()
        self.addCleanup(self.close_terminal)

        def take_it():
            os.setsid()
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        daemon = self.start(stdin=side, preexec=take_it)
        os.close(side)
        return daemon

    def close_terminal(self):
        if self.terminal is not None:
            os.close(self.terminal)
        self.terminal = None

    def all_read(self, daemon, seconds=5):
        wait_until(lambda: not pending(daemon.pid), seconds, "signals that are read")
        count = len(daemon.log("^reopened"))
        daemon.send_signal(signal.SIGUSR1)  # a later signal: once it is carried out, the earlier ones have had their effect
        daemon.wait_log("^reopened", count + 1)

    def test_signals_of_the_terminal_driver_are_ignored(self):
        daemon = self.start_at_a_terminal()
        before = [one.pid for one in daemon.workers()]
        for number in (signal.SIGTTIN, signal.SIGTTOU, signal.SIGTTIN):
            daemon.send_signal(number)
        fcntl.ioctl(self.terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 132, 0, 0))  # WINCH, from the driver
        self.all_read(daemon)
        self.assertEqual([one.pid for one in daemon.workers()], before)
        self.assertEqual(daemon.log("^suspended"), [])
        with Client(daemon.address()) as client:
            self.assertTrue(client.echo())

    def test_a_hang_up_reloads_and_detaches_the_terminal(self):
        daemon = self.start_at_a_terminal()
        with Client(daemon.address()) as client:
            self.assertTrue(client.echo())
            self.close_terminal()
            daemon.wait_log("^reloaded")
            daemon.send_signal(signal.SIGTTIN)  # comes from an operator again
            daemon.wait_workers(3)
            self.assertTrue(client.echo())

    def test_ctrl_c_reaches_only_the_master(self):
        daemon = self.start_at_a_terminal()
        with Hold(daemon.address(), 5) as hold:
            self.assertEqual(hold.echo_all(), 5)
            os.write(self.terminal, b"\x03")
            daemon.wait_log("^ending the remaining connections")
            self.assertEqual([client.rest() for client in hold.clients], [b""] * 5)
        self.assertEqual(daemon.wait_exit(5), 0)
        self.assertEqual(daemon.log("killed by SIGINT"), [])


class OperatorSignals(TestCase):
    def test_winch_suspends_and_ttin_ttou_scale(self):
        daemon = self.start(preexec=os.setsid)
        daemon.send_signal(signal.SIGTTIN)
        daemon.wait_workers(3)
        daemon.send_signal(signal.SIGTTOU)
        daemon.wait_workers(2)
        daemon.send_signal(signal.SIGWINCH)
        daemon.wait_log("suspended: new clients wait", path="root/echo")


if __name__ == "__main__":
    main()
