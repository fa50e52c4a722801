"""Sockets that the daemon is started with: by name from a service manager, by number from any other parent."""

import contextlib
import json
import os
import socket
import sys

from harness import Client, ControlledTestCase, exec_listener, free_port, listener, main, needs_root, process, tool, wait_until
from harness.listening import listening_on

SHELL = "/bin/sh"


def listening(address=("127.0.0.1", 0), backlog=128):
    sock = socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET)
    sock.bind(address)
    sock.listen(backlog)
    return sock


class ActivationCase(ControlledTestCase):
    def setUp(self):
        super().setUp()
        self.sockets = contextlib.ExitStack()
        self.addCleanup(self.sockets.close)  # before the daemon's ports are checked

    def listening(self, *arguments):
        return self.sockets.enter_context(listening(*arguments))

    def passing(self, *sockets, names=None, first=3, env=None):
        """Options of start(): `sockets` from descriptor `first` on, with the variables of sd_listen_fds(3)."""
        variables = {"LISTEN_FDS": str(len(sockets)), "LISTEN_PID": "PID"} if first == 3 else {}
        if names is not None:
            variables["LISTEN_FDNAMES"] = ":".join(names)
        variables.update(env or {})
        spec = {"fds": {first + i: sock.fileno() for i, sock in enumerate(sockets)}, "env": variables}
        return {"prefix": (sys.executable, self.helper("passes_sockets"), json.dumps(spec)),
                "pass_fds": tuple(dict.fromkeys(spec["fds"].values()))}

    def refused(self, listen, **options):
        """The error of a daemon that exits 78."""
        daemon = self.start(listener(listen=listen), wait=False, **options)
        daemon.expected_status = 78
        self.assertEqual(daemon.wait_exit(8), 78, daemon.log_text())
        return [line["message"] for line in daemon.log(level="error")]

    def warnings(self, daemon):
        return [line["message"] for line in daemon.log(level="warning")]


class ByName(ActivationCase):
    def test_each_name_goes_to_its_listener_and_all_of_one_name_to_the_same(self):
        path = os.path.join(self.directory, "s")
        sockets = [self.listening(), self.listening(("127.0.0.2", 0)), self.listening(path), self.listening()]
        daemon = self.supervise(listener("web", listen=["systemd:web", "127.0.0.3:0"]), listener("app", listen="systemd:app.socket"),
                                **self.passing(*sockets, names=["web", "app.socket", "web", "web"]))
        told = [(one["path"], one["listen"], one["address"]) for one in daemon.endpoints()]
        port = [sock.getsockname()[1] for sock in sockets]
        self.assertEqual([one for one in told if one[1].startswith("systemd:")],
                         [("root/app", "systemd:app.socket", f"127.0.0.2:{port[1]}"), ("root/web", "systemd:web", f"127.0.0.1:{port[0]}"),
                          ("root/web", "systemd:web", f"unix:{path}"), ("root/web", "systemd:web", f"127.0.0.1:{port[3]}")])
        for sock in sockets:
            with Client(sock.getsockname()) as client:
                self.assertTrue(client.echo())
        self.assertEqual(daemon.log(f"^Serving requests on port {port[1]}$")[0]["path"], "root/app")
        self.assertEqual(self.warnings(daemon), [])
        self.assertEqual(daemon.stop(), 0)
        self.assertTrue(os.path.exists(path))  # not ours to remove
        daemon.ready = None

    def test_descriptors_without_names_are_unknown(self):
        daemon = self.start(listener(listen="systemd:unknown"), **self.passing(self.listening(), self.listening()))
        self.assertEqual(len(daemon.endpoints()), 2)

    @needs_root
    def test_no_child_inherits_the_variables(self):
        variables = ("LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES")
        out = os.path.join(self.directory, "environment")
        script = f"env > {out}.new; mv {out}.new {out}; exec sleep 1000"
        daemon = self.start({"id": "p", "type": "process", "argv": [SHELL, "-c", script], "pass_env": ["PATH", *variables]},
                            exec_listener([self.helper("shows_socket")], listen="systemd:web"),
                            **self.passing(self.listening(), names=["web"]))
        with Client(daemon.address()) as client:
            self.assertEqual([name for name in json.loads(client.rest())["env"] if name in variables], [])
        wait_until(lambda: os.path.exists(out), 5, "the environment of the process")
        with open(out) as file:
            self.assertFalse([line for line in file if line.startswith("LISTEN_")])
        for worker in daemon.workers():
            with open(f"/proc/{worker.pid}/environ") as file:
                self.assertNotIn("LISTEN_", file.read())

    def test_socket_options_are_as_configured(self):
        daemon = self.start(exec_listener([self.helper("shows_socket")], listen="systemd:web", keepalive={"probes": 3}, nodelay=True),
                            **self.passing(self.listening(), names=["web"]))
        with Client(daemon.address()) as client:
            facts = json.loads(client.rest())
        self.assertEqual((facts["nodelay"], facts["keepalive"], facts["probes"]), (True, True, 3))

    def test_an_unusable_descriptor_is_reported_once_and_closed(self):
        stack = self.sockets
        datagram = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        datagram.bind(("127.0.0.1", 0))
        bound = stack.enter_context(socket.socket())
        bound.bind(("127.0.0.1", 0))
        seqpacket = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET))
        seqpacket.bind("")
        seqpacket.listen()
        one, other = socket.socketpair()
        stack.enter_context(one), stack.enter_context(other)
        file = stack.enter_context(open(self.write("file", "")))
        good, extra = self.listening(), self.listening()
        names = ["web", "web", "web", "web", "web", "file", "web", "extra"]
        daemon = self.start(listener(listen="systemd:web"), **self.passing(
            datagram, bound, seqpacket, one, good, file, good, extra, names=names, env={"LISTEN_FDS": "9"}))
        self.assertEqual([one["address"] for one in daemon.endpoints()], ["127.0.0.1:%d" % good.getsockname()[1]])
        self.assertEqual(self.warnings(daemon), [
            'descriptor 3 of LISTEN_FDS, "web", is not a TCP or Unix stream socket: ignored',
            'descriptor 4 of LISTEN_FDS, "web", is not listening: ignored',
            'descriptor 5 of LISTEN_FDS, "web", is not a TCP or Unix stream socket: ignored',
            'descriptor 6 of LISTEN_FDS, "web", is not listening: ignored',
            'descriptor 8 of LISTEN_FDS, "file", is not a socket: ignored',
            'descriptor 9 of LISTEN_FDS, "web", is the same socket as descriptor 7: ignored',
            'descriptor 11 of LISTEN_FDS, "unknown", is not open: ignored',
            'LISTEN_FDNAMES has 8 names for 9 descriptors',
            'descriptor 10 of LISTEN_FDS, "extra", listens on 127.0.0.1:%d but no listener uses it: closed' % extra.getsockname()[1]])
        inodes = {f"socket:[{os.fstat(sock.fileno()).st_ino}]" for sock in (datagram, bound, seqpacket, one, extra)}
        self.assertEqual(inodes & set(process(daemon.pid).fds().values()), set())

    def test_a_name_that_was_not_passed_is_an_error(self):
        passed = [self.listening(), self.listening()]
        rows = [({}, "LISTEN_FDS is not set"),
                (self.passing(*passed, names=["http", "https"]), "these were passed: http, https"),
                (self.passing(*passed, names=["http", "http"]), "these were passed: http"),
                (self.passing(*passed, env={"LISTEN_PID": "1"}), "LISTEN_FDS is for process 1, this is PID: ignored"),
                (self.passing(*passed, env={"LISTEN_FDS": "two"}), 'LISTEN_FDS is "two", not a number from 0 to 4096: ignored')]
        for options, why in rows:
            said = self.refused("systemd:web", **options)
            pid = str(self.daemons[-1].pid)
            self.assertEqual(said, [f'systemd:web: no listening socket named "web" was passed; {why.replace("PID", pid)}'])

    def test_a_wrong_listen_pid_means_no_descriptors(self):
        passed = self.listening()
        daemon = self.start(listener(), **self.passing(passed, names=["web"], env={"LISTEN_PID": "1"}))
        self.assertIn(f"LISTEN_FDS is for process 1, this is {daemon.pid}: ignored", self.warnings(daemon))

    def test_a_crash_loses_no_queued_client(self):
        """The holder keeps the socket: 100 clients connect while no daemon runs, and the next daemon serves them all."""
        passed = self.listening()
        options = self.passing(passed, names=["web"])
        first = self.start(listener(listen="systemd:web"), **options)
        with Client(first.address()) as client:
            self.assertTrue(client.echo())
        first.kill_master()
        wait_until(lambda: not [one for one in first.seen.values() if one.alive() and "worker" in one.title], 5, "workers that have ended")
        queued = [self.sockets.enter_context(Client(passed.getsockname())) for _ in range(100)]
        for number, client in enumerate(queued):
            client.send(b"%03d\n" % number)
        self.start(listener(listen="systemd:web"), **options)
        served = sum(client.receive(4) == b"%03d\n" % number for number, client in enumerate(queued))
        self.measured(served=served)
        self.assertEqual(served, 100)

    def test_the_socket_is_left_unchanged(self):
        """After the stop its holder's clients queue, without the filter that our own sockets get."""
        passed = self.listening()
        options = self.passing(passed, names=["web"])
        first = self.start(listener(listen="systemd:web"), **options)
        self.assertEqual(first.stop(), 0)
        with Client(passed.getsockname(), timeout=2) as queued:
            queued.send(b"queued\n")
            first.ready = None
            self.start(listener(listen="systemd:web"), **options)
            self.assertEqual(queued.receive(7), b"queued\n")

    def test_stop_and_start_of_its_listener(self):
        passed = self.listening()
        daemon = self.supervise(listener(listen="systemd:web"), listener("other"), **self.passing(passed, names=["web"]))
        self.assertEqual(daemon.control.run("stop", "root/echo")[0], 0)
        with Client(passed.getsockname()) as client:
            client.send(b"waits\n")
            self.assertEqual(daemon.control.run("start", "root/echo")[0], 0)
            self.assertEqual(client.receive(6), b"waits\n")
        status, _, said = daemon.control.run("add", "root", "-", text=json.dumps(listener("twice", listen="systemd:web")))
        self.assertEqual(status, 1)
        self.assertIn("another listener has this socket", said)

    def test_an_upgrade_and_a_reload_do_not_take_the_socket_twice(self):
        passed = self.listening()
        daemon = self.supervise(listener(listen="systemd:web"), **self.passing(passed, names=["web"]))
        inode = f"socket:[{os.fstat(passed.fileno()).st_ino}]"

        def copies():
            return list(process(daemon.pid).fds().values()).count(inode)
        before = copies()
        with Client(passed.getsockname()) as held:
            self.assertTrue(held.echo())
            for command in (("upgrade", "--wait"), ("reload", "--wait"), ("upgrade", "--wait"), ("stop", "root/echo"), ("start", "root/echo")):
                if command[0] == "stop":
                    held.close()
                self.assertEqual(daemon.control.run(*command)[::2], (0, ""), command)
                daemon.control.close()
            with Client(passed.getsockname()) as client:
                self.assertTrue(client.echo())
        with open(f"/proc/{daemon.pid}/environ", "rb") as file:
            self.assertNotIn(b"LISTEN_FDS", file.read())
        self.assertEqual(copies(), before)
        self.assertEqual(self.warnings(daemon), [])
        self.assertEqual(daemon.stop(), 0)
        daemon.ready = None

    @tool("systemd-socket-activate")
    def test_systemd_s_own_activation(self):
        port = free_port()
        daemon = self.start(listener(listen="systemd:web"), wait=False,
                            prefix=("systemd-socket-activate", f"--listen=127.0.0.1:{port}", "--fdname=web", "--", self.helper("passes_sockets"),
                                    '{"fds": {}}'))
        wait_until(lambda: listening_on(port), 10, "the port")
        with Client(("127.0.0.1", port), timeout=15) as first, Client(("127.0.0.1", port)) as second:
            self.assertTrue(first.echo())
            self.assertTrue(second.echo())
        daemon.wait_log(f"^Serving requests on port {port}$", path="root/echo")
        self.assertEqual(self.warnings(daemon), [])


class ByNumber(ActivationCase):
    def test_tcp_and_unix(self):
        path = os.path.join(self.directory, "s")
        sockets = [self.listening(), self.listening(path)]
        daemon = self.start(listener(listen=["fd:20", "fd:21"]), **self.passing(*sockets, first=20))
        self.assertEqual([one["listen"] for one in daemon.endpoints()], ["fd:20", "fd:21"])
        for sock in sockets:
            with Client(sock.getsockname()) as client:
                self.assertTrue(client.echo())
        self.assertEqual(daemon.stop(), 0)
        daemon.ready = None

    def test_standard_input(self):
        """As s6-tcpserver-socketbinder hands it over."""
        passed = self.listening()
        daemon = self.start(listener(listen="fd:0"), stdin=passed)
        with Client(passed.getsockname()) as client:
            self.assertTrue(client.echo())
        self.assertEqual(os.readlink(f"/proc/{daemon.pid}/fd/0"), "/dev/null")
        port = passed.getsockname()[1]
        self.sockets.close()
        self.assertEqual(daemon.stop(), 0)
        self.assertFalse(listening_on(port))

    def test_the_last_copy_closes_the_port_at_the_stop(self):
        passed = self.listening()
        port = passed.getsockname()[1]
        daemon = self.supervise(listener(listen="fd:20"), daemon={"drain_timeout": "20s"}, **self.passing(passed, first=20))
        self.sockets.close()
        with Client(("127.0.0.1", port)) as held:
            self.assertTrue(held.echo())
            daemon.send_signal(15)
            wait_until(lambda: not listening_on(port), 5, "a port that nobody listens on")
            self.assertTrue(held.echo())
        self.assertEqual(daemon.wait_exit(), 0)

    def test_a_number_that_is_not_a_suitable_socket_is_an_error(self):
        """Above all not one of the daemon's own, such as the control socket, which does listen."""
        passed = self.listening()
        for number in (3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 999):
            self.assertEqual(self.refused(f"fd:{number}"),
                             [f"fd:{number}: descriptor {number} is not a listening stream socket that was passed"])
        self.assertEqual(self.refused("fd:20", **self.passing(passed, first=21)),
                         ["fd:20: descriptor 20 is not a listening stream socket that was passed; these were passed: fd:21"])

    def test_one_socket_by_name_and_by_number(self):
        self.assertEqual(self.refused(["systemd:web", "fd:3"], **self.passing(self.listening(), names=["web"])),
                         ["fd:3: another listener has this socket"])


if __name__ == "__main__":
    main()
