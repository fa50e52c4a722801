"""bulkheadctl(8), EVENTS, against the source: every event that something publishes, and no other. Their fields are held by
each end-to-end test that follows events (tests/e2e/harness/event_manual.py)."""
import os
import re
import sys
import unittest

SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(SOURCE, "tests", "e2e"))

from harness.event_manual import documented_events  # noqa: E402


def sources():
    for folder, _, names in os.walk(os.path.join(SOURCE, "master")):
        for name in sorted(names):
            if name.endswith((".cpp", ".h")):
                with open(os.path.join(folder, name)) as file:
                    yield file.read()


class EventsManual(unittest.TestCase):
    def test_events_are_those_of_the_source(self):
        published = set()
        for text in sources():
            for call in re.findall(r"\bpublish\(\s*([^,;]*?),", text):
                published |= set(re.findall(r'"(\w+)"', call))
        self.assertGreater(len(published), 20)
        self.assertEqual(published, set(documented_events()))

    def test_each_event_is_expected_by_some_test(self):
        expected = ""
        for folder in ("tests/e2e", "tests/e2e/harness"):
            for name in sorted(os.listdir(os.path.join(SOURCE, folder))):
                if name.endswith(".py"):
                    with open(os.path.join(SOURCE, folder, name)) as file:
                        expected += file.read()
        self.assertEqual([event for event in documented_events() if f'"{event}"' not in expected], [])


if __name__ == "__main__":
    unittest.main()
