"""The descriptor store: with a service manager that keeps sockets, not even a SIGKILL of the master costs a client."""

import json
import os
import select
import signal
import socket
import sys
import time

from harness import Client, ControlledTestCase, Hold, connect, free_port, listener, main, wait_until


class Manager:
    """As much of systemd as the protocol needs: NOTIFY_SOCKET with FDSTORE in, LISTEN_FDS out."""

    def __init__(self, directory):
        self.path = os.path.join(directory, "notify")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        os.chmod(self.path, 0o666)
        self.store = {}

    def listen(self, condition, seconds=10.0, what="news"):
        deadline = time.monotonic() + seconds
        while not condition():
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.socket], [], [], left)[0]:
                raise AssertionError(f"{what}: not within {seconds:g} s; stored: {sorted(self.store)}")
            text, fds, _, _ = socket.recv_fds(self.socket, 4096, 8)
            news = dict(line.split("=", 1) for line in text.decode().splitlines())
            if "FDSTORE" in news and fds:
                known = self.store.setdefault(news["FDNAME"], fds[0])
                for fd in fds:
                    if fd != known:
                        os.close(fd)
            if "FDSTOREREMOVE" in news and news["FDNAME"] in self.store:
                os.close(self.store.pop(news["FDNAME"]))

    def environment(self):
        return {**os.environ, "NOTIFY_SOCKET": self.path}

    def close(self):
        for fd in self.store.values():
            os.close(fd)
        self.store.clear()
        self.socket.close()


class Store(ControlledTestCase):
    def setUp(self):
        super().setUp()
        self.manager = Manager(self.directory)
        self.addCleanup(self.manager.close)

    def begin(self, *children, stored=None):
        daemon = self.start(*children, environment=self.manager.environment())
        if stored is not None:
            self.manager.listen(lambda: len(self.manager.store) == stored, what=f"{stored} sockets")
        return daemon

    def begin_again(self, *children):
        """With what is in the store, as systemd starts a service again."""
        names = list(self.manager.store)
        spec = {"fds": {3 + i: self.manager.store[name] for i, name in enumerate(names)},
                "env": {"LISTEN_FDS": str(len(names)), "LISTEN_PID": "PID", "LISTEN_FDNAMES": ":".join(names)}}
        return self.start(*children, environment=self.manager.environment(), pass_fds=tuple(self.manager.store.values()),
                          prefix=(sys.executable, self.helper("passes_sockets"), json.dumps(spec)))

    def echo(self, name="echo", **keys):
        return listener(name, **{"listen": f"127.0.0.1:{free_port()}", **keys})

    def test_whoever_connects_while_the_master_is_down_is_served(self):
        path = os.path.join(self.directory, "own.sock")
        children = (self.echo(), self.echo("v6", listen=f"[::1]:{free_port()}"), self.echo("unix", listen=f"unix:{path}"))
        first = self.begin(*children, stored=3)
        addresses = [first.address("echo"), first.address("v6"), path]
        with Hold(addresses[0], 10) as hold:
            self.assertEqual(hold.echo_all(), 10)
            workers = first.workers()
            first.kill_master()
            self.assertEqual(hold.echo_all(), 10)
            wait_until(lambda: all(listening == 0 for listening in map(self.accepting, workers)), 5, "no old worker accepts")
            clients = [Client(address, timeout=10) for address in addresses for _ in range(30)]
            for number, client in enumerate(clients):
                client.send(b"while you were out %d\n" % number)
            second = self.begin_again(*children)
            for number, client in enumerate(clients):
                line = b"while you were out %d\n" % number
                self.assertEqual(client.receive(len(line)), line)
                client.close()
            self.assertEqual(hold.echo_all(), 10)
            self.assertEqual([one["address"] for one in second.endpoints()], [one["address"] for one in first.endpoints()])
            self.assertEqual(second.log(level="warning"), [])
        self.manager.listen(lambda: len(self.manager.store) == 3)
        self.measured(queued=len(clients), served=len(clients), held=10)
        self.assertEqual(second.stop(), 0)
        self.manager.listen(lambda: not self.manager.store, what="an empty store")
        self.assertFalse(os.path.exists(path))

    def accepting(self, worker):
        """How many listening sockets the process still has."""
        try:
            targets = [os.readlink(f"/proc/{worker.pid}/fd/{fd}") for fd in os.listdir(f"/proc/{worker.pid}/fd")]
        except OSError:
            return 0
        stored = {os.readlink(f"/proc/self/fd/{fd}") for fd in self.manager.store.values()}
        return len(stored & set(targets))

    def test_what_no_listener_has_any_more_leaves_the_store(self):
        stays, goes = self.echo(), self.echo("goes")
        first = self.begin(stays, goes, stored=2)
        address = first.address("goes")
        first.kill_master()
        second = self.begin_again(stays)
        self.manager.listen(lambda: len(self.manager.store) == 1, what="one socket less")
        self.assertRaises(ConnectionRefusedError, connect, address)
        with Client(second.address("echo")) as client:
            self.assertTrue(client.echo())
        self.assertEqual(len(second.log("no listener has it: closed", level="warning")), 1)

    def test_reloads_and_stops(self):
        one, other = self.echo(), self.echo("other")
        daemon = self.supervise(one, environment=self.manager.environment())
        self.manager.listen(lambda: len(self.manager.store) == 1)
        with open(daemon.config_path) as file:
            config = json.load(file)
        for children, count in (([one, other], 2), ([other], 1)):
            config["supervisor"]["children"] = children
            with open(daemon.config_path, "w") as file:
                json.dump(config, file)
            self.assertEqual(daemon.control.run("reload", "--wait")[0], 0)
            self.manager.listen(lambda: len(self.manager.store) == count, what=f"{count} stored")
        self.assertEqual(daemon.control.run("stop", "root/other")[0], 0)
        self.manager.listen(lambda: not self.manager.store, what="none stored")
        daemon.ready = None

    def test_upgrades_leave_it_as_it_is(self):
        daemon = self.supervise(self.echo(), environment=self.manager.environment())
        self.manager.listen(lambda: len(self.manager.store) == 1)
        before = {name: os.fstat(fd).st_ino for name, fd in self.manager.store.items()}
        status, _, err = daemon.control.run("upgrade", "--wait")
        self.assertEqual((status, err), (0, ""))
        daemon.send_signal(signal.SIGTERM)
        self.assertEqual({name: os.fstat(fd).st_ino for name, fd in self.manager.store.items()}, before)
        self.assertEqual(daemon.wait_exit(), 0)
        self.manager.listen(lambda: not self.manager.store, what="an empty store")


if __name__ == "__main__":
    main()
