"""An upgrade of a daemon with 1,000 listeners: how long it takes, and that nobody notices.

  python3 tests/long/many_listeners.py --bindir DIR"""

import os
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "e2e"))

from harness import Client, UpgradeTestCase, listener, main, wait_until  # noqa: E402

LISTENERS = int(os.environ.get("LISTENERS", "1000"))


class ManyListeners(UpgradeTestCase):
    def test_an_upgrade(self):
        began = time.monotonic()
        daemon = self.start(*(listener(f"l{number}", workers=1) for number in range(LISTENERS)), wait=False)
        daemon.wait_ready(120)
        started = time.monotonic() - began
        addresses = [daemon.address(f"l{number}") for number in range(LISTENERS)]
        held = [Client(address, timeout=60) for address in addresses[::10]]
        for client in held:
            self.assertTrue(client.echo())
        workers = {worker.pid for worker in daemon.workers()}
        self.install(self.own)
        began = time.monotonic()
        daemon.send_signal(signal.SIGUSR2)
        wait_until(lambda: daemon.log(r"^(not )?upgraded"), 120, "the new program", every=0.2)
        self.assertEqual([line["message"] for line in daemon.log(r"^not upgraded")], [])
        taken_over = time.monotonic() - began
        slowest = 0.0
        while {worker.pid for worker in daemon.workers()} & workers:
            asked = time.monotonic()
            with Client(addresses[int(asked * 1000) % LISTENERS], timeout=60) as client:
                self.assertTrue(client.echo())
            slowest = max(slowest, time.monotonic() - asked)
            self.assertLess(time.monotonic() - began, 600)
        self.assertTrue(all(client.echo() for client in held))
        for client in held:
            client.close()
        renewed = time.monotonic() - began
        daemon.baseline = None  # the memory that the state took is not given back
        began = time.monotonic()
        self.assertEqual(daemon.stop(seconds=120), 0)
        self.measured(stopped=time.monotonic() - began, listeners=LISTENERS, started=started, taken_over=taken_over, renewed=renewed, slowest_client=slowest)


if __name__ == "__main__":
    main()
