"""Waiting for an event, with a deadline and a name for what did not happen."""

import time


class Timeout(AssertionError):
    """An event did not come in time."""


def wait_until(condition, seconds=5.0, what="the event", every=0.005):
    """Returns the first true value of condition(); raises Timeout when there is none within `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() >= deadline:
            raise Timeout(f"{what}: not within {seconds:g} s")
        time.sleep(every)
