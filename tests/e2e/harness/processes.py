"""The process tree as /proc shows it. Processes are distinguished by pid and start time, and signalled one by one."""

import ctypes
import os
import re
import signal

PR_SET_CHILD_SUBREAPER = 36
PF_FORKNOEXEC = 0x40  # proc_pid_stat(5), flags


def become_subreaper():
    """Orphans below this process become its children, so that no process of a test can escape it."""
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


class Process:
    """One line of /proc: identity, parent, state, title."""

    def __init__(self, pid):
        with open(f"/proc/{pid}/stat", "rb") as file:
            text = file.read().decode(errors="replace")
        name_end = text.rindex(")")
        fields = text[name_end + 2:].split()
        self.pid = pid
        self.name = text[text.index("(") + 1:name_end]
        self.state = fields[0]
        self.ppid = int(fields[1])
        self.pgrp = int(fields[2])
        self.session = int(fields[3])
        self.executed = not int(fields[6]) & PF_FORKNOEXEC  # it has executed a program since its fork
        self.cpu_ticks = int(fields[11]) + int(fields[12])
        self.threads = int(fields[17])
        self.starttime = int(fields[19])
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                self.title = file.read().replace(b"\0", b" ").decode(errors="replace").strip()
        except OSError:
            self.title = ""

    def __repr__(self):
        return f"{self.pid} {self.state} ppid={self.ppid} {self.title or self.name}"

    def alive(self):
        now = process(self.pid)
        return now is not None and now.starttime == self.starttime and now.state != "Z"

    def status(self):
        """The fields of /proc/PID/status, as text."""
        with open(f"/proc/{self.pid}/status") as file:
            return dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)

    def kilobytes(self, field="VmRSS"):
        return int(self.status()[field].split()[0])

    def fds(self):
        """{number: link target}. Only root may read those of an undumpable process."""
        out = {}
        for name in os.listdir(f"/proc/{self.pid}/fd"):
            try:
                out[int(name)] = os.readlink(f"/proc/{self.pid}/fd/{name}")
            except OSError:
                pass
        return out

    def fd_kinds(self):
        """{number: kind}, without inode numbers: 'socket', 'pipe', '/dev/null', 'anon_inode:[eventpoll]', …"""
        return {fd: re.sub(r"^(socket|pipe):\[\d+\]$", r"\1", target) for fd, target in self.fds().items()}

    def fd_flags(self, fd):
        with open(f"/proc/{self.pid}/fdinfo/{fd}") as file:
            return int(next(line.split()[1] for line in file if line.startswith("flags")), 8)


def process(pid):
    """The process with that pid, or None."""
    try:
        return Process(pid)
    except (OSError, ValueError):
        return None


def all_processes():
    found = (process(int(name)) for name in os.listdir("/proc") if name.isdigit())
    return [one for one in found if one is not None]


def children_of(pid, among=None):
    return [one for one in (among or all_processes()) if one.ppid == pid]


def is_worker(one, listener=None):
    """A child of a bulkheadd that is a worker. A new connection's process has its worker's title until it sets its own, and may be
    the daemon's child by then, but has not executed a program."""
    name = re.escape(listener) if listener else r"\S+"
    return one.executed and re.match(rf"bulkheadd: worker {name}/\d+ ", one.title) is not None


def descendants(pid, among=None):
    among = among or all_processes()
    out, todo = [], [pid]
    while todo:
        parent = todo.pop()
        for one in among:
            if one.ppid == parent:
                out.append(one)
                todo.append(one.pid)
    return out


def signal_process(pid, number):
    """True: the process existed. Refuses pids that could hit more than one process."""
    assert pid > 1
    try:
        os.kill(pid, number)
        return True
    except ProcessLookupError:
        return False


def reap(pid):
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:
        return True


def kill_all_below(pid, spare=()):
    """Ends every descendant, repeatedly until none is left; reaps those that became our children."""
    seen = []
    for _ in range(200):
        below = [one for one in descendants(pid) if one.pid not in spare]
        if not below:
            break
        for one in below:
            if one.state == "Z":
                if one.ppid == os.getpid():
                    reap(one.pid)
                continue
            seen.append(one)
            signal_process(one.pid, signal.SIGKILL)
    return seen
