"""Listening sockets that are shut down, or lose their file, while the daemon serves: each listens again, and nobody else notices."""

import ctypes
import os
import signal
import socket
import time

from harness import Canary, Client, ControlledTestCase, connect, free_port, listener, main, needs_root, process, wait_until

SYS_PIDFD_OPEN, SYS_PIDFD_GETFD = 434, 438
LIBC = ctypes.CDLL(None, use_errno=True)


def sockets_of(pid):
    """Copies of the listening sockets of a worker."""
    pidfd = LIBC.syscall(SYS_PIDFD_OPEN, pid, 0)
    out = []
    for number in sorted(n for n, what in process(pid).fds().items() if what.startswith("socket:")):
        fd = LIBC.syscall(SYS_PIDFD_GETFD, pidfd, number, 0)
        one = socket.socket(fileno=fd) if fd >= 0 else None
        if one is not None and one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            out.append(one)
        elif one is not None:
            one.close()
    os.close(pidfd)
    return out


class LostCase(ControlledTestCase):
    def shut_down(self, daemon, name="echo", how=socket.SHUT_RD, count=1):
        """As any worker can: all processes that have the socket lose it."""
        sockets = sockets_of(daemon.workers(name)[0].pid)
        self.assertEqual(len(sockets), count)
        for one in sockets:
            one.shutdown(how)
            try:
                one.shutdown(how)  # of one that does not listen any more: kept for what it will accept
            except OSError:
                pass
            one.close()

    def serves(self, address, seconds=3.0):
        def there():
            try:
                with Client(address) as client:
                    client.echo()
                    return True
            except (OSError, AssertionError):
                return False
        wait_until(there, seconds, f"service at {address}", every=0.02)

    def same_workers(self, daemon, before):
        self.assertEqual([one.pid for one in daemon.workers()], [one.pid for one in before])
        self.assertEqual(daemon.control.node("root")["restarts_in_window"], 0)


class LostSockets(LostCase):
    def ways(self):
        name = f"@bulkhead-lost-{os.getpid()}"
        ways = [(["127.0.0.1:0"], 1), ([f"127.0.0.1:{free_port()}"], 1), (["0.0.0.0:0"], 1),
                ([f"unix:{self.directory}/s"], 1), ([f"unix:{name}"], 1),
                (["127.0.0.1:0", f"unix:{self.directory}/t", f"unix:{name}2"], 3)]
        if os.path.exists("/proc/net/if_inet6"):
            ways += [(["[::1]:0"], 1), (["[::]:0"], 1)]
        return ways

    @needs_root
    def test_each_kind_listens_again(self):
        ways = self.ways()

        def at(i, k):
            address = daemon.address(f"l{i}", index=k)
            return address.replace("@", "\0") if isinstance(address, str) else address
        daemon = self.supervise(listener("still"), *(listener(f"l{i}", listen=listen) for i, (listen, _) in enumerate(ways)))
        with Canary(daemon.address("still"), 3) as canary:
            for i, (listen, count) in enumerate(ways):
                for how in (socket.SHUT_RD, socket.SHUT_RDWR):
                    with self.subTest(listen, how=how):
                        before, held = daemon.workers(), [Client(at(i, k)) for k in range(count)]
                        for client in held:
                            client.echo()
                        self.shut_down(daemon, f"l{i}", how, count)
                        for k in range(count):
                            self.serves(at(i, k))
                            held[k].echo()
                            held[k].close()
                        self.same_workers(daemon, before)
        self.assertEqual(canary.errors, 0)
        self.assertEqual([one for one in daemon.workers() if one.cpu_ticks > 100], [])

    @needs_root
    def test_without_spinning(self):
        daemon = self.supervise(listener(listen=f"unix:{self.directory}/s", workers=1))
        worker, = daemon.workers()
        busy = socket.socket(socket.AF_UNIX)  # nothing can be bound at the path meanwhile
        os.rename(f"{self.directory}/s", f"{self.directory}/moved")
        busy.bind(f"{self.directory}/s")
        busy.listen(5)
        self.shut_down(daemon)
        daemon.wait_log("cannot be bound again: .*in use", path="root/echo")
        node = daemon.control.node("root/echo")
        self.assertEqual(node["endpoints"][0]["state"], "waiting")
        before = process(worker.pid).cpu_ticks
        time.sleep(1.0)  # the measurement itself
        self.assertLess(process(worker.pid).cpu_ticks - before, 5)
        busy.close()
        os.unlink(f"{self.directory}/s")
        self.assertEqual(daemon.control.run("reload")[0], 0)  # it would look again after seconds
        self.serves(daemon.address())
        self.same_workers(daemon, [worker])

    @needs_root
    def test_suspended_and_without_workers(self):
        daemon = self.supervise(listener(workers=1))
        self.assertIn("result", daemon.control.call("suspend", path="root/echo"))
        self.shut_down(daemon)
        queued = wait_until(lambda: self.queue(daemon), 3, "a queue")
        self.assertIn("result", daemon.control.call("resume", path="root/echo"))
        queued.sendall(b"x\n")
        self.assertEqual(queued.recv(10), b"x\n")
        queued.close()

    def queue(self, daemon):
        try:
            return connect(daemon.address())
        except OSError:
            return None

    @needs_root
    def test_drain_of_a_dead_socket(self):
        daemon = self.supervise(listener("a"), listener("b", listen=f"unix:{self.directory}/s"))
        for name in "ab":
            for one in sockets_of(daemon.workers(name)[0].pid):
                one.shutdown(socket.SHUT_RDWR)
                one.close()
            self.assertIn("result", daemon.control.call("stop", path=f"root/{name}"))
            self.assertIn("result", daemon.control.call("start", path=f"root/{name}"))
            self.serves(self.now(daemon, name))

    def now(self, daemon, name):
        text = daemon.control.node(f"root/{name}")["endpoints"][0]["address"]
        return text[5:] if text.startswith("unix:") else (text.rsplit(":", 1)[0], int(text.rsplit(":", 1)[1]))

    @needs_root
    def test_again_and_again(self):
        daemon = self.supervise(listener(workers=2))
        before = daemon.workers()
        for _ in range(5):
            self.shut_down(daemon)
            self.serves(daemon.address())
        self.same_workers(daemon, before)

    @needs_root
    def test_abstract_name_that_somebody_still_holds(self):
        name = f"bulkhead-held-{os.getpid()}"
        daemon = self.supervise(listener(listen=f"unix:@{name}"))
        stray, = sockets_of(daemon.workers()[0].pid)
        stray.shutdown(socket.SHUT_RDWR)
        daemon.wait_log("cannot be bound again: .*in use", path="root/echo")
        self.wait_state(daemon, "root/echo", "waiting")
        stray.close()
        self.serves("\0" + name)
        self.wait_state(daemon, "root/echo", "running")

    @needs_root
    def test_inherited(self):
        ours = [socket.create_server(("127.0.0.1", 0)), socket.create_server(("::1", 0), family=socket.AF_INET6),
                socket.socket(socket.AF_UNIX)]
        ours[2].bind(f"{self.directory}/ours")
        ours[2].listen(5)
        daemon = self.supervise(*(listener(f"l{one.fileno()}", listen=f"fd:{one.fileno()}") for one in ours),
                                pass_fds=[one.fileno() for one in ours])
        for one in ours[:2]:
            self.shut_down(daemon, f"l{one.fileno()}")
            self.serves(one.getsockname()[:2])
        self.shut_down(daemon, f"l{ours[2].fileno()}", socket.SHUT_RDWR)
        daemon.wait_log("only the process that passed it can bind it again")
        self.wait_state(daemon, f"root/l{ours[2].fileno()}", "waiting")
        for one in ours:
            one.close()
        os.unlink(f"{self.directory}/ours")


class LostFiles(LostCase):
    def test_a_listener_gets_its_path_back(self):
        path = f"{self.directory}/s"
        daemon = self.supervise(listener(listen=f"unix:{path}", mode="0640"))
        before, mode = daemon.workers(), os.stat(path).st_mode
        with Client(path) as held:
            held.echo()
            os.unlink(path)
            self.serves(path)
            held.echo()
        self.assertEqual(os.stat(path).st_mode, mode)
        self.same_workers(daemon, before)
        os.rename(path, path + ".moved")
        with open(path, "w"):
            pass
        daemon.wait_log("File exists", path="root/echo")
        os.unlink(path)
        self.serves(path)
        os.unlink(path + ".moved")

    def test_the_control_socket_comes_back(self):
        daemon = self.supervise(listener())
        self.assertEqual(daemon.control.run("status")[0], 0)
        os.unlink(daemon.control_path)
        wait_until(lambda: daemon.control.run("status")[0] == 0, 5, "a control socket")
        self.assertIn("result", daemon.control.call("status"))  # an earlier client
        self.assertEqual(os.stat(daemon.control_path).st_mode & 0o777, 0o600)

    def test_another_server_keeps_the_path(self):
        daemon = self.supervise(listener())
        os.unlink(daemon.control_path)
        other = socket.socket(socket.AF_UNIX)
        other.bind(daemon.control_path)
        other.listen(5)
        daemon.wait_log("cannot be bound again: .*in use", path="control")
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(daemon.control_path)
        other.close()
        os.unlink(daemon.control_path)
        daemon.send_signal(signal.SIGHUP)
        wait_until(lambda: daemon.control.run("status")[0] == 0, 5, "a control socket")


class FailedStart(ControlledTestCase):
    def test_its_port_is_closed(self):
        gone = os.path.join(self.directory, "gone")
        os.mkdir(gone)
        port = free_port()
        daemon = self.supervise(listener("still"), listener(listen=f"127.0.0.1:{port}", chdir=gone))
        for verb in ("stop", "start"):
            if verb == "start":
                os.rmdir(gone)
            answer = daemon.control.call(verb, path="root/echo")
        self.assertEqual(answer["error"]["data"], "start_failed")
        with self.assertRaises(ConnectionRefusedError):
            connect(("127.0.0.1", port))
        self.assertEqual(daemon.control.node("root/echo")["state"], "stopped")
        os.mkdir(gone)
        self.assertIn("result", daemon.control.call("start", path="root/echo"))
        with Client(("127.0.0.1", port)) as client:
            client.echo()
        os.rmdir(gone)
        self.assertEqual(daemon.control.call("restart", path="root/echo")["error"]["data"], "start_failed")
        with self.assertRaises(ConnectionRefusedError):
            connect(("127.0.0.1", port))


if __name__ == "__main__":
    main()
