"""Shared by the tests of admission: clients that are refused, counters, workers that are killed repeatedly."""

import random
import signal

from .control import ControlledTestCase
from .processes import signal_process
from .waiting import wait_until

BUSY = "busy, come back later\r\n"


def outcome(client):
    """The result for a client that has sent something: the bytes up to the end of the stream, and the kind of end."""
    data = b""
    try:
        while part := client.socket.recv(1 << 16):
            data += part
    except ConnectionResetError:
        return data, "reset"
    except TimeoutError:
        return data, "silence"
    return data, "end"


def kill_workers(daemon, stop, every=0.02):
    chosen = random.Random(4)
    while not stop.wait(every):
        workers = daemon.workers()
        if workers:
            signal_process(chosen.choice(workers).pid, signal.SIGKILL)


class AdmissionTestCase(ControlledTestCase):
    def counts(self, daemon, name="echo"):
        stats = daemon.control.call("stats")["result"]
        return next(one["connections"] for one in stats["listeners"] if one["path"] == f"root/{name}")

    def refused(self, daemon, name="echo"):
        return {reason: count for reason, count in self.counts(daemon, name)["refused"].items() if count}

    def wait_counts(self, daemon, name="echo", **expected):
        """Waits until the counters are these; fails with the difference."""
        def there():
            now = self.counts(daemon, name)
            return all(now[key] == value for key, value in expected.items())
        wait_until(there, 5, f"{expected}, but {self.counts(daemon, name)}", every=0.02)

    def told(self, daemon, reason):
        """The number of refusals in the log, listed one by one or as a count."""
        lines = daemon.log("^refused a connection", reason=reason)
        return sum(1 + int(line.get("suppressed", 0)) for line in lines)
