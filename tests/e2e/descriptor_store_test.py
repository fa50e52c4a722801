"""The descriptor store: with a service manager that keeps sockets, not even a SIGKILL of the master costs a client."""

import json
import os
import signal

from harness import Client, ControlledTestCase, Hold, Manager, connect, free_port, listener, main, wait_until


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
        """Starts the daemon with the sockets in the store, as systemd restarts a service."""
        return self.start(*children, **self.manager.with_store(self.helper("passes_sockets")))

    def echo(self, name="echo", **keys):
        return listener(name, **{"listen": f"127.0.0.1:{free_port()}", **keys})

    def test_clients_that_connect_while_the_master_is_down_are_served(self):
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
        """The number of listening sockets that the process still has."""
        try:
            targets = [os.readlink(f"/proc/{worker.pid}/fd/{fd}") for fd in os.listdir(f"/proc/{worker.pid}/fd")]
        except OSError:
            return 0
        stored = {os.readlink(f"/proc/self/fd/{fd}") for fd in self.manager.store.values()}
        return len(stored & set(targets))

    def test_sockets_without_listener_leave_the_store(self):
        stays, goes = self.echo(), self.echo("goes")
        first = self.begin(stays, goes, stored=2)
        address = first.address("goes")
        first.kill_master()
        second = self.begin_again(stays)
        self.manager.listen(lambda: len(self.manager.store) == 1, what="one socket less")
        self.assertRaises(ConnectionRefusedError, connect, address)
        with Client(second.address("echo")) as client:
            self.assertTrue(client.echo())
        self.assertEqual(len(second.log("no listener uses it: closed", level="warning")), 1)

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

    def test_upgrades_leave_the_store_unchanged(self):
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
