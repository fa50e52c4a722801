"""Clients that check every byte: one, many held, a storm, and canaries."""

import random
import signal
import socket
import struct
import threading
import time

from .processes import signal_process


def connect(address, timeout=5.0, source=None):
    """address: (host, port) or the path of a Unix socket."""
    if isinstance(address, str):
        sock = socket.socket(socket.AF_UNIX)
    else:
        sock = socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET)
    try:
        sock.settimeout(timeout)
        if source is not None:
            sock.bind(source)
        sock.connect(address)
    except OSError:
        sock.close()
        raise
    return sock


_given = set()


def free_port():
    """One that no client gets as its own (ip(7), ip_local_port_range): such a client would keep a daemon from binding it."""
    while True:
        port = random.SystemRandom().randrange(10240, 20000)
        if port in _given:
            continue
        with socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                sock.bind(("0.0.0.0", port))
            except OSError:
                continue
            _given.add(port)
            return port


class Client:
    """One connection. Every read has the timeout given at the start."""

    def __init__(self, address, timeout=5.0, source=None):
        self.socket = connect(address, timeout, source)
        self.timeout = timeout
        self.name = ""  # the peer as bulkheadd writes it
        if self.socket.family != socket.AF_UNIX:
            host, port = self.socket.getsockname()[:2]
            self.name = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def send(self, data):
        self.socket.sendall(data)

    def receive(self, count, timeout=None):
        """Exactly `count` bytes, fewer only at the end of the stream."""
        self.socket.settimeout(self.timeout if timeout is None else timeout)
        parts, missing = [], count
        while missing > 0:
            part = self.socket.recv(min(missing, 1 << 20))
            if not part:
                break
            parts.append(part)
            missing -= len(part)
        return b"".join(parts)

    def echo(self, data=b"hello\n", timeout=None):
        """Sends and says whether exactly that came back."""
        self.send(data)
        return self.receive(len(data), timeout) == data

    def rest(self, timeout=None):
        """Everything up to the end of the stream."""
        return self.receive(1 << 60, timeout)

    def silent(self, seconds):
        """True when nothing comes, not even an end, within `seconds`."""
        self.socket.settimeout(seconds)
        try:
            return self.socket.recv(1) is None
        except TimeoutError:
            return True

    def half_close(self):
        self.socket.shutdown(socket.SHUT_WR)

    def reset(self):
        """Ends the connection with a RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def close(self):
        self.socket.close()


class Hold:
    """Connections that stay."""

    def __init__(self, address, count, timeout=10.0):
        self.clients = []
        try:
            for _ in range(count):
                self.clients.append(Client(address, timeout))
        except OSError:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def __len__(self):
        return len(self.clients)

    def echo_all(self):
        """The number of clients that still echo a line of their own."""
        alive, sent = 0, []
        for number, client in enumerate(self.clients):
            line = b"held connection %d at %d\n" % (number, time.monotonic_ns())
            try:
                client.send(line)
                sent.append((client, line))
            except OSError:
                pass
        for client, line in sent:
            try:
                alive += client.receive(len(line)) == line
            except OSError:
                pass
        return alive

    def close(self):
        for client in self.clients:
            client.close()


class Queued(Hold):
    """Connections that wait in the kernel's queue, each with a line on its way: the daemon's workers stand still."""

    def __init__(self, daemon, count):
        self._workers = daemon.workers()
        for worker in self._workers:
            signal_process(worker.pid, signal.SIGSTOP)
        super().__init__(daemon.address(), count)
        for number, client in enumerate(self.clients):
            client.send(b"queued %d\n" % number)

    def release(self):
        """Lets the workers continue; returns how many clients then get their line back."""
        for worker in self._workers:
            signal_process(worker.pid, signal.SIGCONT)
        lines = [(client, b"queued %d\n" % number) for number, client in enumerate(self.clients)]
        return sum(client.receive(len(line)) == line for client, line in lines)


class Storm:
    """Short connections, as fast as `threads` threads can: connect, one line, compare, close. Runs until stop(), or until
    `count` connections have been made; each thread rests for `pause` seconds after each of them. Counts the outcome of each: ok, refused, reset, eof, wrong, timeout."""

    OUTCOMES = ("ok", "refused", "reset", "eof", "wrong", "timeout")

    def __init__(self, address, count=None, threads=4, timeout=5.0, pause=0.0):
        self.address = address
        self.timeout = timeout
        self.pause = pause
        self.counts = dict.fromkeys(self.OUTCOMES, 0)
        self.slowest = 0.0
        self._lock = threading.Lock()
        self._left = count
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(n,), daemon=True) for n in range(threads)]
        for thread in self._threads:
            thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    @property
    def total(self):
        with self._lock:
            return sum(self.counts.values())

    @property
    def failed(self):
        with self._lock:
            return {key: value for key, value in self.counts.items() if value and key != "ok"}

    def _take(self):
        with self._lock:
            if self._left is None:
                return True
            self._left -= 1
            return self._left >= 0

    def _run(self, thread):
        number = 0
        while not self._stop.wait(self.pause) and self._take():
            number += 1
            began = time.monotonic()
            outcome = self._one(b"storm %d %d\n" % (thread, number))
            with self._lock:
                self.counts[outcome] += 1
                self.slowest = max(self.slowest, time.monotonic() - began)

    def _one(self, line):
        try:
            with Client(self.address, self.timeout) as client:
                client.send(line)
                answer = client.receive(len(line))
        except ConnectionRefusedError:
            return "refused"
        except ConnectionError:
            return "reset"
        except TimeoutError:
            return "timeout"
        if answer == line:
            return "ok"
        return "eof" if answer == b"" else "wrong"

    def wait(self, seconds=60.0):
        """Waits until all `count` connections have been made."""
        deadline = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
            if thread.is_alive():
                self._stop.set()
                raise AssertionError(f"the storm did not end within {seconds:g} s: {self.counts}")
        return self

    def stop(self):
        self._stop.set()
        return self.wait(self.timeout + 30)


class Canary:
    """Long connections with a line every 50 ms each. Reports the longest wait for an echo, and errors."""

    def __init__(self, address, count=10, every=0.05):
        self.hold = Hold(address, count)
        if self.hold.echo_all() != count:  # each has its process before the test continues
            raise ConnectionError("a canary has no echo")
        self.errors = 0
        self.lines = 0
        self.max_gap = 0.0
        self._every = every
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def _run(self):
        while not self._stop.wait(self._every):
            for client in list(self.hold.clients):
                self.lines += 1
                began = time.monotonic()
                try:
                    if not client.echo(b"canary %d\n" % self.lines):
                        raise ConnectionError("wrong or no echo")
                except OSError:
                    self.errors += 1
                    self.hold.clients.remove(client)
                self.max_gap = max(self.max_gap, time.monotonic() - began)

    def stop(self):
        self._stop.set()
        self._thread.join()
        self.hold.close()
        return self
