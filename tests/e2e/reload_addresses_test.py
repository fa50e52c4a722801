"""A listener whose address changes to one that the kernel does not allow beside it, because both have the same port: nothing is refused,
and nothing that waits in a queue is lost. Sockets of somebody else are left alone."""

import errno
import os
import socket
import unittest

from harness import Client, Hold, ReloadTestCase, Storm, free_port, main, needs_root, steady, wait_until

needs_ipv6 = unittest.skipUnless(os.path.exists("/proc/net/if_inet6"), "no IPv6 here")
AS_NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--")
V4, ANY4, V6, ANY6 = "127.0.0.1", "0.0.0.0", "[::1]", "[::]"
ONLY6 = "[::] only"


def keys(port, address):
    host, *only = address.split()
    return {"listen": f"{host}:{port}", **({"ipv6only": True} if only else {})}


def greedy_socket(address, uid=0):
    """Listens there as a program does that shares its port with others of its user; an errno if it cannot."""
    sock = socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    if os.geteuid() != uid:
        os.fchown(sock.fileno(), uid, -1)
    try:
        sock.bind(address)
        sock.listen()
    except OSError as error:
        sock.close()
        return error.errno
    return sock


class Addresses(ReloadTestCase):
    def endpoints(self, daemon, path="root/a"):
        return [one["address"] for one in daemon.control.node(path)["endpoints"]]

    def let_nobody_write(self):
        os.chmod(self.directory, 0o777)
        self.addCleanup(os.umask, os.umask(0))

    def one_way(self, daemon, to, port, address, **more):
        """Every client of `to` is served while root/a moves there, those that wait in its queue too."""
        self.assertEqual(daemon.control.run("suspend", "root/a")[0], 0)
        queued = [Client(to) for _ in range(5)]
        for client in queued:
            self.addCleanup(client.close)
            client.send(b"still here\n")
        self.rewrite(daemon, steady("a", **keys(port, address), **more))
        self.assertEqual([change[:2] for change in self.changes(self.reload(daemon))], [("new_workers", "root/a")])
        self.assertEqual(daemon.control.run("resume", "root/a")[0], 0)
        for client in queued:
            self.assertEqual(client.receive(11), b"still here\n")
            client.close()
        self.assertEqual(self.endpoints(daemon), [f"{address.split()[0]}:{port}"])

    def all_ways(self, to, first, *others, **options):
        port = free_port()
        daemon = self.supervise(steady("a", **keys(port, first)), **options)
        with Hold((to, port), 5) as hold, Storm((to, port), threads=1) as storm:
            for address in others:
                with self.subTest(to=address):
                    self.one_way(daemon, (to, port), port, address)
            storm.stop()
            self.assertEqual(storm.failed, {})
            self.assertEqual(hold.echo_all(), 5)
        return daemon, port

    def test_any_ipv4_address_to_any_other(self):
        self.all_ways("127.0.0.1", V4, ANY4, V4)

    @needs_ipv6
    def test_ipv4_and_both_families(self):
        daemon, port = self.all_ways("127.0.0.1", V4, ANY6, ANY4, ANY6, V4)
        self.assertEqual(greedy_socket(("127.0.0.1", port)), errno.EADDRINUSE)

    @needs_ipv6
    def test_ipv6_alone_and_both_families(self):
        self.all_ways("::1", V6, ANY6, ONLY6, ANY6, V6, ONLY6, V6)

    @needs_root
    def test_one_interface_and_all(self):
        port = free_port()
        daemon = self.supervise(steady("a", listen=f"127.0.0.1:{port}"))
        with Storm(("127.0.0.1", port), threads=1) as storm:
            self.one_way(daemon, ("127.0.0.1", port), port, V4, device="lo")
            self.one_way(daemon, ("127.0.0.1", port), port, V4)
            storm.stop()
            self.assertEqual(storm.failed, {})

    @needs_ipv6
    @needs_root
    def test_without_privileges(self):
        self.let_nobody_write()
        self.all_ways("127.0.0.1", V4, ANY6, V4, prefix=AS_NOBODY)

    def test_the_same_address_in_other_words_keeps_its_socket(self):
        port = free_port()
        daemon = self.supervise(steady("a", listen=f"{port}"))
        self.one_way(daemon, ("127.0.0.1", port), port, ANY4)
        daemon = self.supervise(steady("a"))
        port = daemon.address()[1]
        for address in f"127.0.0.1:{port}", "127.0.0.1:0":
            self.rewrite(daemon, steady("a", listen=address))
            self.reload(daemon)
            self.assertEqual(self.endpoints(daemon), [f"127.0.0.1:{port}"])

    def test_twice_port_0_stays_two_sockets(self):
        daemon = self.supervise(steady("a", listen=["127.0.0.1:0", "127.0.0.1:0"]))
        before = self.endpoints(daemon)
        self.assertEqual(len(set(before)), 2)
        self.rewrite(daemon, steady("a", listen=["127.0.0.1:0", "127.0.0.1:0"], handler="discard"))
        self.reload(daemon)
        self.assertEqual(self.endpoints(daemon), before)

    @needs_ipv6
    def test_from_one_listener_to_another(self):
        one, two = free_port(), free_port()
        daemon = self.supervise(steady("a", listen=f"127.0.0.1:{one}"), steady("b", listen=f"127.0.0.1:{two}"))
        with Storm(("127.0.0.1", one), threads=1) as first, Storm(("127.0.0.1", two), threads=1) as second:
            self.rewrite(daemon, steady("a", listen=f"[::]:{two}"), steady("b", listen=f"0.0.0.0:{one}"))
            self.reload(daemon)
            self.rewrite(daemon, steady("c", listen=f"[::]:{one}"), steady("a", listen=f"127.0.0.1:{two}"))
            self.reload(daemon)
            first.stop(), second.stop()
            self.assertEqual((first.failed, second.failed), ({}, {}))
        self.assertEqual(self.endpoints(daemon, "root/c"), [f"[::]:{one}"])

    @needs_ipv6
    def test_undone_when_the_reload_fails(self):
        port = free_port()
        daemon = self.supervise(steady("a", listen=f"127.0.0.1:{port}"))
        fails = {"id": "fails", "type": "process", "argv": ["/bin/false"], "ready": "notify_fd"}
        with Hold(("127.0.0.1", port), 5) as hold, Storm(("127.0.0.1", port), threads=1) as storm:
            self.rewrite(daemon, steady("a", listen=f"[::]:{port}"), fails)
            self.assertIn("root/fails did not start", self.refused(daemon))
            self.rewrite(daemon, steady("b", listen=f"[::]:{port}"), fails)
            self.assertIn("root/fails did not start", self.refused(daemon))
            storm.stop()
            self.assertEqual((storm.failed, hold.echo_all()), ({}, 5))
        self.assertEqual(self.endpoints(daemon), [f"127.0.0.1:{port}"])
        with self.assertRaises(ConnectionRefusedError):
            Client(("::1", port))

    def somebody_else(self, uid, **options):
        for theirs, wanted in (("127.0.0.9", ANY4), ("127.0.0.9", ANY6), ("::1", ANY6)):
            port = free_port()
            daemon = self.supervise(steady("a", listen=f"127.0.0.1:{port}"), **options)
            with greedy_socket((theirs, port), uid):
                self.rewrite(daemon, steady("a", listen=f"{wanted}:{port}"))
                self.assertIn(f"bind {wanted}:{port}: Address already in use", self.refused(daemon))
                self.assertEqual(self.endpoints(daemon), [f"127.0.0.1:{port}"])
                with Client(("127.0.0.1", port)) as client:
                    self.assertTrue(client.echo())
            self.reload(daemon)

    @needs_ipv6
    def test_a_socket_of_somebody_else_is_left_alone(self):
        self.somebody_else(os.geteuid())

    @needs_ipv6
    @needs_root
    def test_a_socket_of_somebody_else_is_left_alone_without_privileges(self):
        self.let_nobody_write()
        self.somebody_else(65534, prefix=AS_NOBODY)

    @needs_ipv6
    @needs_root
    def test_nobody_else_gets_in_later(self):
        """The flag that the move needs would let in every process of the same user."""
        for first, then in ((V4, ANY6), (ANY6, V4), (V4, ANY4), (ANY4, ANY6)):
            port = free_port()
            daemon = self.supervise(steady("a", **keys(port, first)))
            self.one_way(daemon, ("127.0.0.1", port), port, then)
            for theirs in "127.0.0.1", "0.0.0.0", "::":
                self.assertEqual(greedy_socket((theirs, port)), errno.EADDRINUSE, (first, then, theirs))


if __name__ == "__main__":
    main()
