"""A service manager for tests, with a descriptor store."""

import json
import os
import select
import socket
import sys
import time


class Manager:
    """As much of systemd as the protocol needs: NOTIFY_SOCKET with FDSTORE in, LISTEN_FDS out."""

    def __init__(self, directory):
        self.path = os.path.join(directory, "notify")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        os.chmod(self.path, 0o666)
        self.store = {}
        self.news = []  # every message, as a dictionary

    def listen(self, condition, seconds=10.0, what="news"):
        deadline = time.monotonic() + seconds
        while not condition():
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.socket], [], [], left)[0]:
                raise AssertionError(f"{what}: not within {seconds:g} s; stored: {sorted(self.store)}")
            text, fds, _, _ = socket.recv_fds(self.socket, 4096, 8)
            news = dict(line.split("=", 1) for line in text.decode().splitlines())
            self.news.append(news)
            if "FDSTORE" in news and fds:
                known = self.store.setdefault(news["FDNAME"], fds[0])
                for fd in fds:
                    if fd != known:
                        os.close(fd)
            if "FDSTOREREMOVE" in news and news["FDNAME"] in self.store:
                os.close(self.store.pop(news["FDNAME"]))

    def environment(self):
        return {**os.environ, "NOTIFY_SOCKET": self.path}

    def with_store(self, passes_sockets):
        """Options for a daemon that is started with the sockets in the store. `passes_sockets`: the helper that does it."""
        names = list(self.store)
        spec = {"fds": {3 + i: self.store[name] for i, name in enumerate(names)},
                "env": {"LISTEN_FDS": str(len(names)), "LISTEN_PID": "PID", "LISTEN_FDNAMES": ":".join(names)}}
        return {"environment": self.environment(), "pass_fds": tuple(self.store.values()),
                "prefix": (sys.executable, passes_sockets, json.dumps(spec))}

    def close(self):
        for fd in self.store.values():
            os.close(fd)
        self.store.clear()
        self.socket.close()
