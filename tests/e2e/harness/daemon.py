"""A bulkheadd under test: started in a directory of its own, watched through its ready line, its log and /proc."""

import functools
import json
import os
import pwd
import re
import select
import signal
import socket
import subprocess
import time

from .invariants import Baseline, at_rest
from .listening import listening_on
from .processes import all_processes, children_of, descendants, is_worker, process, reap, signal_process
from .waiting import Timeout, wait_until

SANITIZER = re.compile(r"AddressSanitizer|LeakSanitizer|UndefinedBehaviorSanitizer|runtime error:")
TEXT_LINE = re.compile(r"^(?P<time>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z) (?P<program>[\w-]+)\[(?P<pid>\d+)\] "
                       r"(?P<level>debug|info|warning|error) (?P<path>\S+): (?P<message>.*)$")


def listener(name="echo", **keys):
    """A listener on port 0 with two workers, as `keys` change it."""
    return {"id": name, "type": "listener", "listen": "127.0.0.1:0", "workers": 2, "handler": "echo", **keys}


def exec_listener(argv, name="run", style=None, drain_fd=None, **keys):
    handler = {"exec": argv}
    if drain_fd is not None:
        handler["drain_fd"] = drain_fd
    if style:
        handler["style"] = style
    if os.geteuid() == 0:
        keys.setdefault("user", "root")
    return listener(name, handler=handler, **keys)


def login_variables(user="root"):
    """What a handler with this `user` finds in its environment. An unprivileged daemon has no user to name."""
    if os.geteuid() != 0:
        return {}
    account = pwd.getpwnam(user)
    return {"HOME": account.pw_dir, "USER": user, "LOGNAME": user, "SHELL": account.pw_shell or "/bin/sh"}


def module_listener(path, name="own", options=None, **keys):
    handler = {"module": path}
    if options is not None:
        handler["options"] = options
    if os.geteuid() == 0:
        keys.setdefault("user", "root")
    return listener(name, handler=handler, **keys)


def config_of(*children, daemon=None, log=None, **supervisor):
    config = {"daemon": {"drain_timeout": "5s", **(daemon or {})},
              "supervisor": {**supervisor, "children": list(children) or [listener()]}}
    if log is not None:
        config["log"] = log
    return config


def parse_line(line):
    """A JSON log line as a dictionary: `writer` is the pid of the process that wrote it, `pid` the one it is about."""
    pairs = json.loads(line, object_pairs_hook=list)
    out = dict(pairs)
    out["writer"] = out["program_pid"]
    for key in ("time", "level", "program", "path", "message"):
        if not isinstance(out.get(key), str):
            raise ValueError(f"no {key} in {line!r}")
    return out


@functools.lru_cache
def is_sanitized(program):
    with open(program, "rb") as file:
        return b"__asan_init" in file.read()


class Daemon:
    """`config` is a dictionary (the log goes to a file in `directory`, as JSON, unless it says otherwise)."""

    def __init__(self, program, directory, config, *, arguments=(), environment=None, prefix=(), preexec=None,
                 stdin=subprocess.DEVNULL, stderr=None, pass_fds=(), wait=True, name="bulkhead.json", timeout=15.0):
        self.directory = directory
        self.config_path = os.path.join(directory, name)
        self.log_path = os.path.join(directory, "log")
        self.stderr_path = os.path.join(directory, "stderr")
        config = dict(config)
        config.setdefault("control", {"socket": os.path.join(directory, "control.sock")})
        self.control_path = config["control"].get("socket")
        config.setdefault("log", {"target": self.log_path, "format": "json", "level": "debug"})
        with open(self.config_path, "w") as file:
            json.dump(config, file, indent=1)
        self.expected_status = 0
        self.killed = False  # the test killed the master itself: remaining processes are no fault
        self.ready = None
        self.baseline = None
        self.sanitized = is_sanitized(program)
        self.seen = {}  # pid -> Process, of all that was ever found in its tree
        ready_read, ready_write = os.pipe()
        command = [*prefix, program, "-c", self.config_path, "--ready-fd", str(ready_write), *arguments]
        with open(self.stderr_path, "ab") as own_stderr:
            self.popen = subprocess.Popen(command, stdin=stdin, stdout=own_stderr, stderr=stderr or own_stderr,
                                          pass_fds=(ready_write, *pass_fds), env=environment, preexec_fn=preexec)
        os.close(ready_write)
        self.pid = self.popen.pid
        self._ready_fd = ready_read
        if wait:
            self.wait_ready(timeout)

    # --- start and end

    def wait_ready(self, seconds=15.0):
        text, deadline = b"", time.monotonic() + seconds
        while not text.endswith(b"\n"):
            if not select.select([self._ready_fd], [], [], max(0.0, deadline - time.monotonic()))[0]:
                raise Timeout(f"no ready line within {seconds:g} s; log: {self.log_text()[-2000:]}")
            part = os.read(self._ready_fd, 4096)
            if not part:
                self.popen.wait(5)
                raise AssertionError(f"bulkheadd ended with {self.popen.returncode} before it was ready: "
                                     f"{self.stderr_text()}{self.log_text()[-2000:]}")
            text += part
        self.ready = json.loads(text)
        self.pid = self.ready["pid"]
        self.baseline = Baseline(self.pid)
        self.close_ready_fd()
        return self.ready

    def close_ready_fd(self):
        if self._ready_fd is not None:
            os.close(self._ready_fd)
            self._ready_fd = None

    def send_signal(self, number):
        return signal_process(self.pid, number)

    def wait_exit(self, seconds=10.0):
        """The exit status, negative for a signal."""
        try:
            return self.popen.wait(seconds)
        except subprocess.TimeoutExpired:
            raise Timeout(f"bulkheadd did not end within {seconds:g} s; log: {self.log_text()[-2000:]}") from None

    def running(self):
        return self.popen.poll() is None

    def stop(self, number=signal.SIGTERM, seconds=15.0):
        self.send_signal(number)
        return self.wait_exit(seconds)

    def kill_master(self):
        self.killed = True
        self.tree()  # remembers the processes seen
        self.send_signal(signal.SIGKILL)
        return self.wait_exit()

    # --- addresses

    def endpoints(self, name=None):
        return [one for one in self.ready["endpoints"] if name is None or one["path"].endswith("/" + name)]

    def address(self, name=None, index=0):
        """(host, port) or the path of a Unix socket."""
        text = self.endpoints(name)[index]["address"]
        if text.startswith("unix:"):
            return text[len("unix:"):]
        host, port = text.rsplit(":", 1)
        return host.strip("[]"), int(port)

    # --- processes

    def tree(self):
        out = descendants(self.pid)
        self.seen.update((one.pid, one) for one in out)
        return out

    def workers(self, name=None):
        """Living workers with their titles, in the order of their indices."""
        found = [one for one in children_of(self.pid) if one.state != "Z" and is_worker(one, name)]
        return sorted(found, key=lambda one: one.title.split()[2])

    def wait_workers(self, count, without=(), seconds=5.0, name=None):
        """Waits for `count` workers, none of which is in `without`."""
        gone = {one.pid for one in without}

        def there():
            now = self.workers(name)
            return now if len(now) == count and not gone & {one.pid for one in now} else None
        return wait_until(there, seconds, f"{count} new workers")

    def connections(self):
        """Connection children, adopted ones included: every process below the master that is no worker."""
        everything = all_processes()
        parents = [self.pid] + [one.pid for one in children_of(self.pid, everything) if is_worker(one)]
        return [one for parent in parents for one in children_of(parent, everything)
                if one.pid not in parents and one.state != "Z"]

    def child_of(self, client, seconds=5.0):
        """The process of the worker's program that serves this client, as soon as it has its title."""
        def there():
            entry = next((one for one in self.listed_connections() if one["peer"] == client.name), None)
            found = entry and process(entry["pid"])
            return found if found and found.title.startswith(f"bulkheadd: connection {entry['id']} ") else None
        return wait_until(there, seconds, f"a process for {client.name}")

    def listed_connections(self):
        """The connections, as `bulkheadctl connections` would show them."""
        with socket.socket(socket.AF_UNIX) as control:
            control.settimeout(10)
            control.connect(self.control_path)
            control.sendall(b'{"jsonrpc":"2.0","id":1,"method":"connections"}\n')
            with control.makefile() as answer:
                return json.loads(answer.readline())["result"]

    def zombies(self):
        return [one for one in self.tree() if one.state == "Z"]

    # --- what it says

    def log_text(self):
        try:
            with open(self.log_path, errors="replace") as file:
                return file.read()
        except OSError:
            return ""

    def stderr_text(self):
        with open(self.stderr_path, errors="replace") as file:
            return file.read()

    def log(self, pattern=None, **fields):
        """The log's lines whose message matches and whose fields are as given."""
        out = []
        for line in self.log_text().splitlines():
            try:
                entry = parse_line(line)
            except ValueError:
                continue  # the invariants report it
            if pattern and not re.search(pattern, entry["message"]):
                continue
            if all(entry.get(key) == value for key, value in fields.items()):
                out.append(entry)
        return out

    def wait_log(self, pattern, count=1, seconds=5.0, **fields):
        def there():
            found = self.log(pattern, **fields)
            return found if len(found) >= count else None
        return wait_until(there, seconds, f"{count} log lines like {pattern!r} {fields or ''}", every=0.02)

    # --- what must hold after every test

    def left_over(self):
        """Processes that were seen in the tree and have become our children."""
        return [one for one in children_of(os.getpid()) if one.pid in self.seen and one.pid != self.popen.pid
                and one.starttime == self.seen[one.pid].starttime and not (one.state == "Z" and reap(one.pid))]

    def complaints(self):
        """Stops the daemon and lists every broken invariant."""
        out = []
        if self.running() and not self.killed:
            try:
                wait_until(lambda: not self.zombies(), 1.0, "no zombie")
            except Timeout:
                out.append(f"zombies older than a second: {self.zombies()}")
            orphans = self.left_over()
            if orphans:
                out.append(f"the master did not adopt: {orphans}")
            out += at_rest(self)
            try:
                self.stop()
            except Timeout as timeout:
                out.append(str(timeout))
        status = self.popen.poll()
        if status is not None and not self.killed and status != self.expected_status:
            out.append(f"exit status {status}, not {self.expected_status}; {self.stderr_text()[-3000:]}")
        if not self.killed:
            out += [f"left behind: {one}" for one in self.left_over()]
            out += self._bound_addresses()
        return out + self._text_complaints()

    def _bound_addresses(self):
        out = []
        for endpoint in self.ready["endpoints"] if self.ready else []:
            address = endpoint["address"]
            if address.startswith("unix:"):
                if os.path.exists(address[len("unix:"):]):
                    out.append(f"{address} still exists")
                continue
            port = int(address.rsplit(":", 1)[1])
            if listening_on(port):
                out.append(f"port {port} is still being listened on")
        return out

    def _text_complaints(self):
        out = []
        for name, text in (("stderr", self.stderr_text()), ("log", self.log_text())):
            if SANITIZER.search(text):
                out.append(f"a sanitizer reports, in {name}: {text[-4000:]}")
            for line in text.splitlines():
                if re.search(r"assert|\bBUG\b|unknown pid", line):
                    out.append(f"{name}: {line}")
        out += self._unparsable_lines()
        return out

    def _unparsable_lines(self):
        out, lines = [], self.log_text().split("\n")
        if lines.pop() != "":
            out.append("the log's last line has no end")
        for line in lines:
            try:
                parse_line(line) if line.startswith("{") else TEXT_LINE.match(line)["message"]
            except (ValueError, TypeError) as error:
                out.append(f"not a log line ({error}): {line[:500]!r}")
        return out[:20]

    def destroy(self):
        """Ends the daemon, in any state that the test left it in."""
        self.close_ready_fd()
        if self.running():
            for one in descendants(self.popen.pid):
                signal_process(one.pid, signal.SIGKILL)
            signal_process(self.popen.pid, signal.SIGKILL)
            self.popen.wait(10)
