"""Listening sockets that the daemon creates: every form of address, the files of Unix sockets, options, addresses in use."""

import ctypes
import json
import os
import re
import socket
import stat
import struct
import subprocess
import threading
import time
import unittest

from harness import (Client, ControlledTestCase, Strace, config_of, exec_listener, free_port, listener, main, needs_root, tool,
                     wait_until)
from harness.listening import listening_on

needs_ipv6 = unittest.skipUnless(os.path.exists("/proc/net/if_inet6"), "no IPv6 here")
NOBODY = 65534
AS_NOBODY = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--")


def ask(address):
    """The output of shows_socket for a connection."""
    with Client(address) as client:
        return json.loads(client.rest())


def drop_everything(sock):
    """Everything that arrives for it from now on is lost: a filter of one instruction, "return 0 bytes" (socket(7), bpf(4))."""
    program = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 0))
    sock.setsockopt(socket.SOL_SOCKET, 26, struct.pack("HP", 1, ctypes.addressof(program)))  # SO_ATTACH_FILTER


class SocketCase(ControlledTestCase):
    def as_nobody(self, *children):
        """A configuration for a daemon that may write nowhere else."""
        os.chmod(self.directory, 0o1777)
        return {**config_of(*children), "log": {"target": "stderr"},
                "control": {"socket": self.path(f"control{len(self.daemons)}.sock")}}

    def shows(self, **keys):
        return exec_listener([self.helper("shows_socket")], **keys)

    def path(self, name="s"):
        return os.path.join(self.directory, name)

    def refused(self, *children, status, seconds=8, **options):
        """Runs a daemon that ends with `status`; returns its errors."""
        daemon = self.start(*children, wait=False, **options)
        daemon.expected_status = status
        self.assertEqual(daemon.wait_exit(seconds), status, daemon.log_text() + daemon.stderr_text())
        return daemon.stderr_text() + "".join(line["message"] + "\n" for line in daemon.log(level="error"))


class Forms(SocketCase):
    @tool("nc", "socat")
    def test_every_form_with_real_clients(self):
        name = f"bulkhead-test-{os.getpid()}"
        forms = ["0", "127.0.0.1:0", f"unix:{self.path()}", f"unix:@{name}"]
        if os.path.exists("/proc/net/if_inet6"):
            forms.append("[::1]:0")
        daemon = self.start(listener(listen=forms))
        self.assertEqual([one["listen"] for one in daemon.endpoints()], forms)
        self.assertEqual([one["address"] for one in daemon.endpoints()][2:4], forms[2:4])
        self.assertEqual(daemon.address(index=0)[0], "0.0.0.0")
        port = str(daemon.address(index=1)[1])
        clients = {"nc": ["nc", "-N", "127.0.0.1", port], "nc -U": ["nc", "-NU", self.path()],
                   "socat": ["socat", "-", f"ABSTRACT-CONNECT:{name}"]}
        for name, command in clients.items():
            done = subprocess.run(command, input=b"one\ntwo", capture_output=True, timeout=10)
            self.assertEqual((done.returncode, done.stdout), (0, b"one\ntwo"), f"{name}: {done.stderr}")

    def test_the_local_end_is_the_socket_that_the_client_came_through(self):
        name = f"@bulkhead-test-{os.getpid()}"
        paths = [self.path("a"), self.path("b"), name]
        daemon = self.supervise(self.shows(listen=[f"unix:{path}" for path in paths]), listener(listen=[f"unix:{self.path(n)}" for n in "cd"]))
        for path in paths:
            env = ask(path.replace("@", "\0"))["env"]
            self.assertEqual((env["IPCLOCALPATH"], env["UNIXLOCALPATH"], env["PROTO"]), (path, path, "IPC"))
        with Client(self.path("c")) as one, Client(self.path("d")) as two:
            self.assertTrue(one.echo() and two.echo())
            listed = [one for one in daemon.control.value("connections") if one["listener"] == "root/echo"]
        self.assertEqual({each["local"] for each in listed}, {f"unix:{self.path('c')}", f"unix:{self.path('d')}"})
        self.assertEqual({each["peer"] for each in listed}, {f"unix:uid={os.geteuid()},pid={os.getpid()}"})

    @needs_ipv6
    def test_both_families_on_one_socket(self):
        daemon = self.supervise(self.shows(listen="[::]:0"), listener(listen="[::]:0"))
        port = daemon.address("run")[1]
        env = ask(("127.0.0.1", port))["env"]
        self.assertEqual((env["PROTO"], env["TCPREMOTEIP"], env["TCPLOCALIP"]), ("TCP", "127.0.0.1", "127.0.0.1"))
        self.assertNotIn("TCP6REMOTEIP", env)
        self.assertEqual(ask(("::1", port))["env"]["TCP6REMOTEIP"], "::1")
        with Client(("127.0.0.1", daemon.address("echo")[1])) as client:
            self.assertTrue(client.echo())
            listed = daemon.control.value("connections")
            self.assertEqual([(one["peer"], one["local"]) for one in listed if one["listener"] == "root/echo"],
                             [(client.name, f"127.0.0.1:{daemon.address('echo')[1]}")])
            peer = client.name
        daemon.wait_log(r"^connection \w+ ended", path="root/echo", peer=peer)
        self.assertEqual(daemon.stop(), 0)
        self.assertNotIn("ffff:", daemon.log_text())

    @needs_ipv6
    def test_one_family_each(self):
        port = free_port()
        daemon = self.start(self.shows(name="six", listen=f"[::]:{port}", ipv6only=True), self.shows(name="four", listen=f"{port}"))
        self.assertEqual(ask(("127.0.0.1", port))["env"]["BULKHEAD_LISTENER"], "root/four")
        self.assertEqual(ask(("::1", port))["env"]["BULKHEAD_LISTENER"], "root/six")
        self.assertEqual(daemon.stop(), 0)

    def test_the_port_chosen_by_the_kernel_is_shown_everywhere_and_kept(self):
        daemon = self.supervise(listener())
        address = daemon.endpoints()[0]["address"]
        port = int(address.rsplit(":", 1)[1])
        self.assertGreater(port, 0)
        self.assertEqual(len(daemon.log(rf"^Serving requests on port {port}$", address=address)), 1)
        before = daemon.workers()
        self.assertEqual(daemon.control.run("restart", "root/echo")[0], 0)
        daemon.wait_workers(2, without=before)
        node = daemon.control.node("root/echo")
        self.assertEqual(node["endpoints"], [{"listen": "127.0.0.1:0", "address": address}])
        with Client(("127.0.0.1", port)) as client:
            self.assertTrue(client.echo())

    @needs_root
    def test_an_address_with_an_interface(self):
        daemon = self.start(self.shows(device="lo"))
        self.assertEqual(ask(daemon.address())["device"], "lo")
        self.assertIn("no-such-if", self.refused(listener(device="no-such-if"), status=69))

    def test_an_address_that_does_not_exist_yet(self):
        said = self.refused(listener(listen="192.0.2.77:0"), status=69)
        self.assertIn("bind 192.0.2.77:0: Cannot assign requested address; no interface has this address", said)
        daemon = self.start(listener(listen="192.0.2.77:0", freebind=True))
        self.assertEqual(daemon.address()[0], "192.0.2.77")


class Options(SocketCase):
    def test_defaults_reach_every_connection_and_cost_no_system_call(self):
        daemon = self.start(self.shows())
        facts = ask(daemon.address())
        self.assertEqual({key: facts[key] for key in ("nodelay", "keepalive", "idle", "interval", "probes", "user_timeout")},
                         {"nodelay": True, "keepalive": True, "idle": 60, "interval": 10, "probes": 6, "user_timeout": 120_000})

    @tool("strace")
    @needs_root
    def test_no_option_but_the_hop_limit_is_set_on_a_connection(self):
        daemon = self.start(listener(workers=1, rcvbuf="64K", keepalive={"idle": "5s"}, idle_timeout="infinity"))
        with Strace(daemon.workers()[0].pid, "setsockopt,accept4", follow=True) as trace:
            for _ in range(20):
                with Client(daemon.address()) as client:
                    self.assertTrue(client.echo())
            wait_until(lambda: len(re.findall(r"accept4\(.* = \d+", trace.so_far())) == 20, 5, "20 accepted")
        self.assertEqual(trace.count("setsockopt"), trace.count("IP_MINTTL"))

    def test_socket_options_are_as_configured(self):
        daemon = self.start(self.shows(nodelay=False, keepalive={"idle": "1500ms", "interval": "3s", "probes": 4}, rcvbuf="64K",
                                       sndbuf=32768),
                            self.shows(name="off", keepalive="off"))
        facts = ask(daemon.address("run"))
        self.assertEqual({key: facts[key] for key in ("nodelay", "keepalive", "idle", "interval", "probes", "user_timeout", "rcvbuf",
                                                      "sndbuf")},
                         {"nodelay": False, "keepalive": True, "idle": 2, "interval": 3, "probes": 4, "user_timeout": 14_000,
                          "rcvbuf": 2 * 65536, "sndbuf": 2 * 32768})
        facts = ask(daemon.address("off"))
        self.assertEqual((facts["keepalive"], facts["user_timeout"]), (False, 0))

    @needs_root
    def test_a_vanished_client_holds_no_process(self):
        """Clients whose sockets drop every segment, as if their machines had lost power: while nothing was on its way to them,
        and in the middle of what the server sends."""
        keys = {"keepalive": {"idle": "1s", "interval": "1s", "probes": 1}, "idle_timeout": "infinity", "workers": 1}
        daemon = self.start(listener("echo", **keys), listener("chargen", handler="chargen", **keys))
        clients = [Client(daemon.address(name)) for name in ("echo", "chargen") for _ in range(5)]
        try:
            for client in clients[:5]:
                self.assertTrue(client.echo())
            for client in clients[5:]:
                self.assertEqual(len(client.receive(1000)), 1000)
            began = time.monotonic()
            for client in clients:
                drop_everything(client.socket)
            wait_until(lambda: not daemon.connections(), 8, "nobody served")
            took = time.monotonic() - began
        finally:
            for client in clients:
                client.close()
        self.measured(gone=len(clients), given_up_after=took)
        self.assertGreater(took, 1.5)

    def test_a_backlog_beyond_the_systems_is_reported_once_with_both_numbers(self):
        with open("/proc/sys/net/core/somaxconn") as file:
            most = int(file.read())
        daemon = self.supervise(listener(listen=["127.0.0.1:0", "127.0.0.2:0"], backlog=1_000_000), listener("small", backlog=most))
        for verb in ("stop", "start"):
            self.assertEqual(daemon.control.run(verb, "root/echo")[0], 0)
        told = daemon.log(r"backlog", level="warning")
        self.assertEqual([(one["path"], one["message"]) for one in told],
                         [("root/echo", f"backlog 1000000 is lowered to {most} by net.core.somaxconn")])

    @needs_root
    @tool("unshare")
    def test_a_default_backlog_is_lowered_silently(self):
        """In a network namespace of its own, which has such a limit of its own."""
        lower = ("unshare", "-n", "/bin/sh", "-c", 'echo 64 >/proc/sys/net/core/somaxconn; exec "$@"', "sh")
        daemon = self.start(listener("asked", listen="0.0.0.0:0", backlog=1024), listener("default", listen="0.0.0.0:0"), prefix=lower)
        self.assertEqual([(one["path"], one["message"]) for one in daemon.log("backlog", level="warning")],
                         [("root/asked", "backlog 1024 is lowered to 64 by net.core.somaxconn")])

    @tool("ss")
    def test_the_kernel_has_the_configured_backlog(self):
        daemon = self.start(listener(backlog=7))
        out = subprocess.run(["ss", "-ltnH", f"sport = :{daemon.address()[1]}"], capture_output=True, text=True, timeout=10).stdout
        self.assertEqual(out.split()[2], "7")

    @needs_root
    @tool("setpriv")
    def test_a_buffer_beyond_the_systems_limit(self):
        """Root may exceed it; other users get a remark with the actual size."""
        with open("/proc/sys/net/core/rmem_max") as file:
            most = int(file.read())
        wanted = 4 * most
        daemon = self.start(self.shows(rcvbuf=wanted))
        self.assertEqual(ask(daemon.address())["rcvbuf"], 2 * wanted)
        unprivileged = self.start(config=self.as_nobody(listener(rcvbuf=wanted)), prefix=AS_NOBODY)
        self.assertIn(f"rcvbuf {wanted} is lowered to {most} by net.core.rmem_max", unprivileged.stderr_text())


class Watcher:
    """Watches a path continuously: every (mode, uid, gid) that it ever had."""

    def __init__(self, path):
        self.seen = set()
        self._path = path
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self):
        while not self._stop.is_set():
            try:
                found = os.lstat(self._path)
            except OSError:
                continue
            self.seen.add((stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid))

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()


class Files(SocketCase):
    @needs_root
    def test_the_mode_is_right_from_the_start_with_any_umask(self):
        for mode, mask in (("0660", 0), ("0666", 0o777), ("0600", 0o022), ("0000", 0)):
            path = self.path(mode + oct(mask))
            with Watcher(path) as watcher:
                daemon = self.start(listener(listen=f"unix:{path}", mode=mode), preexec=lambda mask=mask: os.umask(mask))
                wait_until(lambda watcher=watcher: watcher.seen, 5, "the file")
            self.assertEqual({one[0] for one in watcher.seen}, {int(mode, 8)})
            self.assertEqual(daemon.stop(), 0)
            self.assertFalse(os.path.exists(path))

    @needs_root
    def test_the_owner_is_set_before_the_first_client(self):
        path = self.path()
        rows = [({}, (0, 0)), ({"owner": "nobody"}, (NOBODY, NOBODY)), ({"owner": "nobody", "group": "0"}, (NOBODY, 0)),
                ({"group": "65534", "user": "nobody"}, (0, NOBODY)), ({"owner": "4711"}, (4711, 0))]
        for keys, (uid, gid) in rows:
            daemon = self.start(listener(listen=f"unix:{path}", **keys))
            found = os.stat(path)
            self.assertEqual((stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid), (0o660, uid, gid), keys)
            with Client(path) as client:
                self.assertTrue(client.echo())
            self.assertEqual(daemon.stop(), 0)

    @needs_root
    @tool("setpriv", "strace")
    def test_no_client_connects_before_the_owner_is_set(self):
        trace = self.path("trace")
        self.start(listener(listen=f"unix:{self.path()}", owner="nobody"), prefix=(
            "env", "ASAN_OPTIONS=detect_leaks=0", "strace", "-qq", "-o", trace, "-e", "trace=bind,fchownat,listen,umask", "--"))
        with open(trace) as file:
            calls = [line.split("(")[0] for line in file if "/s\"" in line or line.startswith(("fchownat", "listen", "umask"))]
        at = calls.index("bind", calls.index("bind") + 1) if calls.count("bind") > 1 else calls.index("bind")
        self.assertEqual(calls[at - 1:at + 4], ["umask", "bind", "umask", "fchownat", "listen"])

    def test_the_file_of_a_killed_daemon_is_replaced_at_once(self):
        path = self.path()
        first = self.start(listener(listen=f"unix:{path}"))
        first.kill_master()
        wait_until(lambda: not first.workers(), 5, "workers that have ended")
        self.assertTrue(os.path.exists(path))
        began = time.monotonic()
        second = self.start(listener(listen=f"unix:{path}"))
        took = time.monotonic() - began
        with Client(path) as client:
            self.assertTrue(client.echo())
        self.measured(start_seconds=took)
        self.assertLess(took, 5 if self.sanitized else 1)
        self.assertEqual(second.stop(), 0)

    def test_a_socket_in_use_is_not_replaced_and_its_holder_is_named(self):
        name = f"unix:@bulkhead-test-{os.getpid()}"
        addresses = [f"unix:{self.path()}", name]
        first = self.start(*(listener(f"l{i}", listen=address) for i, address in enumerate(addresses)))
        began = time.monotonic()
        others = [self.start(listener(listen=address), wait=False) for address in addresses]
        for address, daemon in zip(addresses, others):
            daemon.expected_status = 69
            self.assertEqual(daemon.wait_exit(8), 69)
            self.assertEqual([one["message"] for one in daemon.log(level="error")],
                             [f"bind {address}: Address already in use; held by bulkheadd (pid {first.pid})"])
        self.assertGreater(time.monotonic() - began, 1.5)
        for address in (self.path(), name.removeprefix("unix:").replace("@", "\0")):
            with Client(address) as client:
                self.assertTrue(client.echo())
        self.assertFalse(os.path.exists(self.path() + ".lock"))

    def test_any_other_file_at_the_path_is_not_touched(self):
        target = self.path("target")
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(target)
        makers = {"a regular file": lambda path: self.write(os.path.basename(path), "precious"), "a directory": os.mkdir,
                  "a symbolic link": lambda path: os.symlink(target, path), "something other than a socket": os.mkfifo}
        for what, make in makers.items():
            path = self.path(what.replace(" ", "_"))
            make(path)
            before = os.lstat(path)
            said = self.refused(listener(listen=f"unix:{path}"), status=69, seconds=4)
            self.assertIn(f"bind unix:{path}: File exists; {what} is there and is left alone", said)
            self.assertEqual(os.lstat(path), before)
        self.assertTrue(os.path.exists(target))

    def test_the_directory_must_exist(self):
        said = self.refused(listener(listen=f"unix:{self.path('no/such/s')}"), status=78)
        self.assertIn(f"bind unix:{self.path('no/such/s')}: no directory {self.path('no/such')}", said)

    def test_the_longest_path(self):
        path = self.path("x" * (107 - len(self.path(""))))
        self.assertEqual(len(path), 107)
        self.start(listener(listen=f"unix:{path}"))
        with Client(path) as client:
            self.assertTrue(client.echo())
        said = self.refused(listener(listen=f"unix:{path}x"), status=78)
        self.assertIn("/supervisor/children/0/listen: the path of a Unix socket may have at most 107 bytes, this one has 108", said)

    def test_only_the_daemons_own_file_is_removed(self):
        path = self.path()
        daemon = self.start(listener(listen=f"unix:{path}"))
        os.unlink(path)
        with socket.socket(socket.AF_UNIX) as other:
            other.bind(path)
            other.listen()
            inode = os.stat(path).st_ino
            self.assertEqual(daemon.stop(), 0)
            self.assertEqual(os.stat(path).st_ino, inode)
            daemon.ready = None  # another daemon has its address now

    def test_one_of_two_daemons_started_at_once_serves(self):
        for number in range(5):
            path = self.path(f"s{number}")
            with socket.socket(socket.AF_UNIX) as stale:
                stale.bind(path)
            both = [self.start(listener(listen=f"unix:{path}", workers=1), wait=False) for _ in range(2)]
            wait_until(lambda both=both: any(daemon.log("Serving requests") for daemon in both), 15, "one that serves")
            serving = [daemon for daemon in both if daemon.log("Serving requests")]
            self.assertEqual(len(serving), 1)
            with Client(path) as client:
                self.assertTrue(client.echo())
            loser = next(daemon for daemon in both if daemon not in serving)
            loser.expected_status = 69
        for daemon in self.daemons:
            if daemon.expected_status == 69:
                self.assertEqual(daemon.wait_exit(8), 69)
        for number in range(5):
            with Client(self.path(f"s{number}")) as client:
                self.assertTrue(client.echo())

    def test_a_start_that_fails_leaves_no_file(self):
        with socket.socket() as holder:
            holder.bind(("127.0.0.1", 0))
            holder.listen()
            port = holder.getsockname()[1]
            self.refused(listener("a", listen=f"unix:{self.path()}"), listener("b", listen=f"127.0.0.1:{port}"), status=69)
        self.assertEqual([name for name in os.listdir(self.directory) if name.startswith("s")], [])

    def test_a_stop_loses_no_queued_client_and_resets_no_new_one(self):
        """Unix sockets, with and without a file: queued clients are served, late ones refused."""
        abstract = f"\0bulkhead-test-{os.getpid()}"
        daemon = self.supervise(listener(listen=[f"unix:{self.path()}", f"unix:@{abstract[1:]}"], max_connections=100))
        for address in (self.path(), abstract):
            with Client(address) as client:
                self.assertTrue(client.echo())
        self.assertEqual(daemon.control.run("suspend", "root/echo")[0], 0)
        queued = [Client(address) for address in (self.path(), abstract) for _ in range(20)]
        for client in queued:
            client.send(b"queued\n")
        daemon.send_signal(15)
        daemon.wait_log("^shutting down: existing connections")
        for address, error in ((self.path(), FileNotFoundError), (abstract, ConnectionRefusedError)):
            with self.assertRaises(error):
                Client(address)
        self.assertFalse(os.path.exists(self.path()))
        self.assertEqual([client.receive(7) for client in queued], [b"queued\n"] * 40)
        for client in queued:
            client.close()
        self.assertEqual(daemon.wait_exit(), 0)


class InTheWay(SocketCase):
    """The holder of the port. Each start retries for two seconds, so all run at once."""

    @needs_root
    @tool("setpriv")
    def test_holders_are_named(self):
        with socket.socket() as wildcard, socket.socket() as outgoing, socket.socket() as there, socket.socket() as bound:
            wildcard.bind(("0.0.0.0", 0))
            wildcard.listen()
            there.bind(("127.0.0.1", 0))
            there.listen()
            outgoing.connect(there.getsockname())
            bound.bind(("127.0.0.1", 0))  # does not listen, so that no table shows it
            us = f"python3 (pid {os.getpid()})"
            rows = [(f"127.0.0.9:{wildcard.getsockname()[1]}", us, ()),
                    (f"127.0.0.1:{outgoing.getsockname()[1]}", us, ()),
                    (f"127.0.0.1:{bound.getsockname()[1]}", "another process", ()),
                    (f"127.0.0.1:{there.getsockname()[1]}", "another process", AS_NOBODY)]
            if os.path.exists("/proc/net/if_inet6"):
                rows.append((f"[::]:{wildcard.getsockname()[1]}", us, ()))
            daemons = [self.start(config=self.as_nobody(listener(listen=address)), prefix=prefix, wait=False)
                       for address, _, prefix in rows]
            for daemon, (address, holder, _) in zip(daemons, rows):
                daemon.expected_status = 69
                self.assertEqual(daemon.wait_exit(10), 69, daemon.stderr_text())
                self.assertIn(f"{address}: Address already in use; held by {holder}\n", daemon.stderr_text())

    def test_a_start_waits_for_the_port_in_use_with_the_others_bound(self):
        """While one address is waited for, those before it are already bound: their clients queue."""
        with socket.socket() as holder:
            holder.bind(("127.0.0.1", 0))
            holder.listen()
            first, second = free_port(), holder.getsockname()[1]
            daemon = self.start(listener("a", listen=f"127.0.0.1:{first}"), listener("b", listen=f"127.0.0.1:{second}"), wait=False)
            wait_until(lambda: listening_on(first), 5, "the first port")
            early = Client(("127.0.0.1", first))
            early.send(b"early\n")
        daemon.wait_ready()
        self.assertEqual(early.receive(6), b"early\n")
        early.close()

    def test_restarts_after_closes_by_the_daemon_bind_at_once(self):
        """TIME_WAIT on the daemon's side does not prevent a bind."""
        port, first_try = free_port(), 0
        for _ in range(3 if self.sanitized else 10):
            daemon = self.start(exec_listener([self.helper("shows_socket")], listen=f"127.0.0.1:{port}", workers=1))
            with Client(("127.0.0.1", port)) as client:
                self.assertTrue(client.rest())
            self.assertEqual(daemon.stop(), 0)
            first_try += not daemon.log("in use")
        self.measured(first_try=first_try)


if __name__ == "__main__":
    main()
