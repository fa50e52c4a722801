"""Random sequences of what operators, reloads, upgrades and nature may do, against a real daemon and a model of it (see model/).

  python3 tests/e2e/model_test.py --bindir DIR                  for 60 seconds: the fixed seeds, and one from the clock (not with BULKHEAD_FIXED_SEEDS=1)
  ... --seed N [--count STEPS]                                  one sequence; a failure is made as short as it can be
  ... --replay FILE                                             the steps of a file, one JSON list a line; - is standard input
  ... --seconds S [--seed N]                                    sequences for so long, from seed N on (default: the clock's)
  ... --known                                                   which of the known faults are still there
  ... --all, --also NAME                                        with the known faults, or with this one
  ... --no-shrink, --verbose, --keep-log FILE                   not made shorter; with every step; the daemon's log of a failure

With BULKHEAD_LONG=1 it runs for an hour; tests/long/run is for more."""

import argparse
import itertools
import os
import sys
import time
import unittest

from harness import case, main, seeds
from harness.processes import become_subreaper
from model.known import KNOWN_OPEN, met
from model.sequence import Sequence
from model.shrink import shrink
from model.state import Model, outcomes
from model.steps import random_steps, read, simpler, text
from model.world import NO_FORKS

SECONDS = 60 if os.environ.get("BULKHEAD_LONG", "0") == "0" else 3600
STEPS = 20
SHRINKING = 60  # seconds, for one failure


class Runner:
    def __init__(self, bindir, verbose=False, shrinks=True, known_too=(), keep_log=""):
        self.bindir = bindir
        self.verbose = verbose
        self.shrinks = shrinks
        self.options = {"skip": lambda model, step: met(model, step, but=known_too)}
        self.keep_log = keep_log

    def run(self, steps):
        """None, or the report of a failure."""
        sequence = Sequence(self.bindir, steps, print if self.verbose else lambda line: None, **self.options)
        finding = sequence.run()
        if finding is None:
            return None
        shortest, last = sequence.done, [finding, sequence.log]
        if self.shrinks:
            end = time.monotonic() + SHRINKING
            shortest = shrink(shortest, lambda some: time.monotonic() < end and self._fails(some, finding.kind, last), simpler)
        if self.keep_log:
            with open(self.keep_log, "w") as file:
                file.write(last[1])
        return "\n".join([str(last[0]), "steps (replay them with --replay FILE):", *map(text, shortest)])

    def _fails(self, steps, kind, last):
        sequence = Sequence(self.bindir, steps, **self.options)
        finding = sequence.run()
        if finding is None or finding.kind != kind:
            return False
        last[:] = [finding, sequence.log]
        return True

    def for_seconds(self, seconds, seeds, count=STEPS, failures_wanted=1000):
        """(how many sequences, [(seed, report)]) until the time is over, or so many have failed."""
        failures, number, end = [], 0, time.monotonic() + seconds
        for seed in seeds:
            if time.monotonic() >= end or len(failures) == failures_wanted:
                break
            number += 1
            report = self.run(random_steps(seed, count))
            if report:
                failures.append((seed, report))
                print(f"seed {seed} fails: {report}", flush=True)
        return number, failures


class Sequences(unittest.TestCase):
    def test_random_sequences_agree_with_the_model(self):
        number, failures = Runner(case.BIN).for_seconds(SECONDS, seeds(), failures_wanted=1)
        print(f"{number} sequences of {STEPS} steps", flush=True)
        self.assertEqual(failures, [], "\n".join(f"seed {seed}: {report}" for seed, report in failures))


class Shrinking(unittest.TestCase):
    def test_a_failing_sequence_is_reduced_to_the_needed_steps(self):
        def fails(steps):
            return 3 in steps and 7 in steps and steps.index(3) < steps.index(7)
        self.assertEqual(shrink(range(50), fails), [3, 7])

    def test_concurrent_steps_become_sequential_if_that_is_enough(self):
        steps = [["at_once", [["stop", "root/a"], ["start", "root/a"]], 0]]
        self.assertEqual(shrink(steps, lambda some: any(one[0] == "stop" for one in some) or
                                any(one[0] == "at_once" and ["stop", "root/a"] in one[1] for one in some), simpler),
                         [["stop", "root/a"]])

    def test_the_same_seed_gives_the_same_steps(self):
        self.assertEqual(random_steps(5, 100), random_steps(5, 100))
        self.assertEqual(read(map(text, random_steps(5, 100))), random_steps(5, 100))


class Choices(unittest.TestCase):
    def test_every_choice_gives_an_outcome(self):
        model = Model({"children": []})
        answers = [answer for answer, _ in outcomes(model, lambda after, choose: choose(1, 2) * 10 + choose(3, 4, 5))]
        self.assertEqual(sorted(answers), [13, 14, 15, 23, 24, 25])


def known_faults(bindir):
    """Which of them are still there."""
    for name, (_, steps) in KNOWN_OPEN.items():
        finding = Sequence(bindir, steps, skip=lambda model, step: False).run()
        print(f"{name}: {f'open ({str(finding)[:120]})' if finding else 'mended'}", flush=True)
    return 0


def by_hand():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bindir", default=case.BIN)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--count", type=int, default=STEPS)
    parser.add_argument("--replay")
    parser.add_argument("--seconds", type=float, help="sequences from --seed on, for so long")
    parser.add_argument("--known", action="store_true")
    parser.add_argument("--no-shrink", action="store_true")
    parser.add_argument("--verbose", action="store_true")
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--also", action="append", default=[])
    parser.add_argument("--keep-log", default="")
    options = parser.parse_args()
    become_subreaper()
    runner = Runner(os.path.abspath(options.bindir), options.verbose, not options.no_shrink,
                    KNOWN_OPEN if options.all else options.also, options.keep_log)
    if options.known:
        return known_faults(runner.bindir)
    if options.seconds:
        first = options.seed if options.seed is not None else int(time.time())
        number, failures = runner.for_seconds(options.seconds, range(first, first + 10000000), options.count)
        print(f"{number} sequences from seed {first} on, {len(failures)} failed")
        return 1 if failures else 0
    if options.replay:
        with sys.stdin if options.replay == "-" else open(options.replay) as file:
            steps = read(file)
    else:
        steps = random_steps(options.seed, options.count)
    report = runner.run(steps)
    print(report or "as the model says")
    return 1 if report else 0


if __name__ == "__main__":
    NO_FORKS.make()
    try:
        by_options = any(word.split("=")[0] in ("--seed", "--replay", "--seconds", "--known") for word in sys.argv[1:])
        sys.exit(by_hand()) if by_options else main()
    finally:
        NO_FORKS.remove()
