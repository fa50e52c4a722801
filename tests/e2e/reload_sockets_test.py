"""Addresses that go from one listener to another in one reload keep their sockets, with the clients in the queue."""

import os
import stat

from harness import Client, Hold, ReloadTestCase, Storm, free_port, main, process, steady, wait_until


def fails():
    return {"id": "fails", "type": "process", "argv": ["/bin/false"], "ready": "notify_fd"}


class Sockets(ReloadTestCase):
    def held(self, daemon):
        daemon.control.node("root")  # the connection that it stays on counts too
        return len(process(daemon.pid).fds())

    def waiting(self, daemon, name, path):
        """A client in the queue: its listener does not accept."""
        self.assertEqual(daemon.control.run("suspend", path)[0], 0)
        client = Client(daemon.address(name))
        self.addCleanup(client.close)
        client.send(b"still here\n")
        return client

    def test_a_listener_gets_another_name(self):
        address = f"127.0.0.1:{free_port()}"
        daemon = self.supervise(steady("old", listen=address, workers=1))
        with Hold(daemon.address(), 10) as hold, Storm(daemon.address(), threads=1) as storm:
            self.assertEqual(hold.echo_all(), 10)
            self.rewrite(daemon, steady("new", listen=address, workers=1))
            self.assertEqual(self.changes(self.reload(daemon)), [("removed", "root/old"), ("added", "root/new")])
            storm.stop()
            self.assertEqual(storm.failed, {})
            self.assertEqual(hold.echo_all(), 10)
        wait_until(lambda: daemon.control.node("root/old") is None, 5, "the end of the old name")
        queued = self.waiting(daemon, "old", "root/new")
        before = self.held(daemon)
        self.rewrite(daemon, steady("third", listen=address, workers=1))
        self.reload(daemon)
        self.assertEqual(queued.receive(11), b"still here\n")
        queued.close()
        wait_until(lambda: daemon.control.node("root/new") is None, 5, "the end of the second name")
        wait_until(lambda: self.held(daemon) <= before, 5, "no descriptor more")
        with Client(daemon.address()) as client:
            self.assertTrue(client.echo())

    def test_two_listeners_swap_their_addresses(self):
        one, two = (f"127.0.0.1:{free_port()}" for _ in range(2))
        daemon = self.supervise(steady("a", listen=one), steady("b", listen=two))
        before = self.held(daemon)
        with Storm(daemon.address("a"), threads=1) as first, Storm(daemon.address("b"), threads=1) as second:
            queued = self.waiting(daemon, "a", "root/a")
            self.rewrite(daemon, steady("a", listen=two), steady("b", listen=one))
            self.assertEqual(self.changes(self.reload(daemon)), [("new_workers", "root/a", "listen"), ("new_workers", "root/b", "listen")])
            self.assertEqual(daemon.control.run("resume", "root/a")[0], 0)
            self.assertEqual(queued.receive(11), b"still here\n")
            first.stop(), second.stop()
            self.assertEqual((first.failed, second.failed), ({}, {}))
        queued.close()
        for name, address in (("a", two), ("b", one)):
            self.assertEqual([one["address"] for one in daemon.control.node(f"root/{name}")["endpoints"]], [address])
        wait_until(lambda: self.held(daemon) <= before, 5, "no descriptor more")

    def test_a_lent_socket_is_returned(self):
        port, path = free_port(), os.path.join(self.directory, "socket")
        daemon = self.supervise(steady("a", listen=f"127.0.0.1:{port}"), steady("u", listen=f"unix:{path}", mode="0600"))
        before = self.held(daemon)
        def mode():
            return stat.S_IMODE(os.stat(path).st_mode)
        inode = os.stat(path).st_ino
        with Storm(("127.0.0.1", port), threads=1) as storm:
            self.rewrite(daemon, steady("b", listen=f"127.0.0.1:{port}"), steady("v", listen=f"unix:{path}", mode="0666"), fails())
            self.assertIn("root/fails did not start", self.refused(daemon))
            storm.stop()
            self.assertEqual(storm.failed, {})
        self.assertEqual((mode(), os.stat(path).st_ino), (0o600, inode))
        self.assertEqual([one["id"] for one in daemon.control.node("root")["children"]], ["a", "u"])
        wait_until(lambda: self.held(daemon) <= before, 5, "no descriptor more")
        self.rewrite(daemon, steady("b", listen=f"127.0.0.1:{port}"), steady("v", listen=f"unix:{path}", mode="0666"))
        self.reload(daemon)
        wait_until(lambda: len(daemon.control.node("root")["children"]) == 2, 5, "the end of the old names")
        self.assertEqual((mode(), os.stat(path).st_ino), (0o666, inode))
        for address in ("127.0.0.1", port), path:
            with Client(address) as client:
                self.assertTrue(client.echo())

    def test_a_listener_that_keeps_an_address_does_not_lend_it(self):
        daemon = self.supervise(steady("a"))
        with Client(daemon.address("a")) as client:
            self.assertTrue(client.echo())
        address = daemon.address("a")
        more = steady("more", listen=f"127.0.0.1:{free_port()}")
        self.rewrite(daemon, steady("a", handler="chargen"), more, steady("zero"))
        self.reload(daemon)
        endpoints = {one["id"]: one["endpoints"][0]["address"] for one in daemon.control.node("root")["children"]}
        self.assertEqual(endpoints["a"], f"127.0.0.1:{address[1]}")
        self.assertNotEqual(endpoints["zero"], endpoints["a"])


if __name__ == "__main__":
    main()
