"""After a master has been killed: what its processes left is ended before the next master starts its first child, and
the connections that go on are reported. The file by which it knows is not trusted."""

import os
import signal
import stat

from harness import Client, ControlledTestCase, config_of, free_port, listener, main, process, signal_process, wait_until
from harness.daemon import listening_on


def shell(name, script, **keys):
    return {"id": name, "type": "process", "argv": ["/bin/sh", "-c", script], "shutdown": "5s", **keys}


class FormerLifeTestCase(ControlledTestCase):
    def live(self, *children):
        """A daemon with the control socket that all of them have."""
        config = config_of(*children)
        config["control"] = {"socket": os.path.join(self.directory, "control.sock")}
        daemon = self.start(config=config)
        self.runs = config["control"]["socket"] + ".runs"
        return daemon

    def server(self):
        """Behind a start script, so that the death of the master does not end it; its port."""
        port = free_port()
        return port, shell("server", f"{self.helper('slow_to_stop')} {port} 0.3 & wait")

    def text(self):
        with open(self.runs) as file:
            return file.read()

    def killed(self, *children, ports=(), armed=None):
        daemon = self.live(*children)
        if armed:
            daemon.wait_log("^armed$", path=armed)
        for port in ports:
            wait_until(lambda port=port: listening_on(port), 5, "a server")
        daemon.kill_master()
        return daemon


class Left(FormerLifeTestCase):
    def test_a_server_behind_a_start_script_is_ended_before_the_next_one_starts(self):
        port, child = self.server()
        first = self.killed(child, ports=[port])
        self.assertTrue(listening_on(port))
        second = self.live(child)
        wait_until(lambda: listening_on(port) and second.log("^serving$", path="root/server"), 5, "the next server")
        self.assertEqual(second.log("Address already in use"), [])
        self.assertEqual(len(second.log("^ending processes that the previous daemon left running$", path="root/server")), 1)
        self.assertEqual(len([one for one in first.left_over() if one.state != "Z"]), 0)

    def test_what_is_deaf_is_killed(self):
        script = 'trap "" TERM; sleep 1000 & trap - TERM; echo armed; exec sleep 1000'
        self.killed(shell("deaf", script, shutdown="400ms"), armed="root/deaf")
        second = self.live(shell("deaf", script, shutdown="400ms"))
        self.assertEqual(len(second.log("^killed processes that the previous daemon left running$", path="root/deaf")), 1)

    def test_connections_of_an_earlier_life_are_reported(self):
        echo = listener(listen=f"127.0.0.1:{free_port()}")
        first = self.live(echo)
        with Client(first.address()) as one, Client(first.address()) as other:
            one.echo(b"1\n")
            other.echo(b"2\n")
            wait_until(lambda: self.text().count("worker ") == 2, 5, "both workers in the file")
            first.kill_master()
            second = self.live(echo)
            lines = second.log("^connections of the previous daemon's workers continue")
            self.assertEqual([line["connections"] for line in lines], [2])
            one.echo(b"3\n")
            other.echo(b"4\n")

    def test_an_orderly_end_leaves_no_file(self):
        daemon = self.live(shell("job", "exec sleep 1000"))
        status = os.stat(self.runs)
        self.assertEqual((stat.S_IMODE(status.st_mode), status.st_uid), (0o600, os.geteuid()))
        self.assertEqual(daemon.stop(), 0)
        self.assertFalse(os.path.exists(self.runs))


class Distrust(FormerLifeTestCase):
    """A process of somebody else stands where the file says that one of ours is."""

    def next_life(self, change):
        """Starts a stranger in a group of its own, and a daemon that finds a file which change(text, pid) made."""
        stranger = os.fork()
        if stranger == 0:
            os.setsid()
            os.execv("/bin/sleep", ["sleep", "1000"])
        self.addCleanup(os.waitpid, stranger, 0)
        self.addCleanup(signal_process, stranger, signal.SIGKILL)
        wait_until(lambda: process(stranger).name == "sleep", 5, "the stranger")
        self.killed(shell("job", "exec sleep 1000"))
        change(self.text(), process(stranger))
        daemon = self.live(shell("job", "exec sleep 1000"))
        self.assertTrue(process(stranger).alive())
        return daemon

    def write(self, text, mode=0o600):
        with open(self.runs, "w") as file:
            file.write(text)
        os.chmod(self.runs, mode)

    def with_stranger(self, text, stranger, start=None):
        head = text.splitlines()[0]
        return f"{head}\ngroup {stranger.pid} {start or stranger.starttime} 0 9 root/job\n"

    def test_another_start_time(self):
        self.next_life(lambda text, one: self.write(self.with_stranger(text, one, one.starttime - 1)))

    def test_another_boot(self):
        def change(text, one):
            words = self.with_stranger(text, one).split(" ")
            words[2] = "00000000-0000-0000-0000-000000000000"
            self.write(" ".join(words))
        self.next_life(change)

    def test_a_file_that_others_may_write_to(self):
        daemon = self.next_life(lambda text, one: self.write(self.with_stranger(text, one), 0o622))
        self.assertEqual(len(daemon.log("^ignored the record of earlier runs: .*not ours alone", path="root")), 1)

    def test_a_link(self):
        def change(text, one):
            target = os.path.join(self.directory, "elsewhere")
            self.write(self.with_stranger(text, one))
            os.rename(self.runs, target)
            os.symlink(target, self.runs)
        daemon = self.next_life(change)
        self.assertEqual(len(daemon.log("^ignored the record of earlier runs: ", path="root")), 1)
        self.assertTrue(os.path.exists(os.path.join(self.directory, "elsewhere")))
        self.assertFalse(os.path.islink(self.runs))

    def test_garbage(self):
        self.next_life(lambda text, one: self.write(self.with_stranger(text, one) + "group -1 1 0 9 root/job\n"))


if __name__ == "__main__":
    main()
