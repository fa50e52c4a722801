"""Dependencies point one way, the pure libraries are pure, and no test is forgotten by the build. Reads sources only."""

import os
import re
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
LANGUAGE = ["worker/sys/enum_words.h", "worker/sys/overloaded.h"]  # what C++ lacks: pure too
PURE = {"master/supervision": ["master/supervision/", *LANGUAGE], "worker/admission": ["worker/admission/", *LANGUAGE]}
IMPURE = re.compile(r"^(sys/|linux/|arpa/|netinet/|net/|unistd\.h|fcntl\.h|sched\.h|signal\.h|csignal|poll\.h|pthread\.h|dirent\.h|"
                    r"pwd\.h|grp\.h|uv\.h|nlohmann/|fmt/|CLI/|iostream|fstream|filesystem|thread|mutex)")


def sources(folder, *endings):
    for directory, _, names in os.walk(os.path.join(ROOT, folder)):
        for name in names:
            if name.endswith(endings):
                yield os.path.relpath(os.path.join(directory, name), ROOT)


def text(path):
    with open(os.path.join(ROOT, path)) as file:
        return file.read()


def includes(path):
    return re.findall(r'^\s*#\s*include\s*[<"]([^>"]+)[>"]', text(path), re.M)


class Layering(unittest.TestCase):
    def test_nothing_under_worker_includes_the_master(self):
        wrong = [(path, name) for path in sources("worker", ".h", ".cpp") for name in includes(path) if name.startswith("master/")]
        self.assertEqual(wrong, [])

    def test_the_folders_of_the_worker_form_no_circle(self):
        """Each may include those before it. Files of no folder come last: they put the worker together."""
        order = ["sys", "log", "loop", "admission", "ipc", "confine", "child", "handlers", ""]
        folder = lambda path: (os.path.dirname(path) + "/").split("/")[1]
        for path in sources("worker", ".h", ".cpp"):
            for name in includes(path):
                if name.startswith("worker/"):
                    self.assertLessEqual(order.index(folder(name)), order.index(folder(path)), f"{path} includes {name}")

    def test_the_pure_libraries_are_pure(self):
        for folder, own in PURE.items():
            seen = list(sources(folder, ".h", ".cpp"))
            self.assertTrue(seen, folder)
            for path in seen:
                for name in includes(path):
                    self.assertFalse(IMPURE.match(name), f"{path} includes {name}")
                    if name.startswith(("master/", "worker/")):
                        self.assertTrue(name.startswith(tuple(own)), f"{path} includes {name}")

    def test_only_the_composition_root_knows_everybody(self):
        below = ["master/supervision/", "master/process/", "master/net/", "master/host/", "master/journal/", "master/config/", "worker/"]
        for folder in below:
            for path in sources(folder, ".h", ".cpp"):
                self.assertNotIn("master/daemon.h", includes(path), path)

    def test_every_test_is_in_the_build(self):
        builds = {os.path.dirname(path): text(path) for path in sources("tests", "CMakeLists.txt")}
        for path in sources("tests", "_test.cpp", "_test.py", "_fuzz.cpp"):
            folder, name = os.path.split(path)
            stem = re.sub(r"_(test\.py|fuzz\.cpp)$", "", name)
            while folder and folder not in builds:
                folder = os.path.dirname(folder)
            words = builds.get(folder, "")
            listed = name in words or (stem != name and re.search(rf"\b{re.escape(stem)}\b", words))
            self.assertTrue(listed, f"{path} is not mentioned in {folder}/CMakeLists.txt")
            self.assert_reached(folder, builds)

    def assert_reached(self, folder, builds):
        """Every CMakeLists.txt up to the top takes in the one below."""
        while folder != "tests":
            above, name = os.path.split(folder)
            words = builds.get(above, "")
            entered = "add_subdirectory(" in words and re.search(rf"^[^#]*\b{re.escape(name)}\b", words, re.M)
            self.assertTrue(entered, f"{above}/CMakeLists.txt does not enter {name}")
            folder = above


if __name__ == "__main__":
    import sys
    unittest.main(argv=[word for i, word in enumerate(sys.argv) if word != "--bindir" and sys.argv[i - 1] != "--bindir"])
