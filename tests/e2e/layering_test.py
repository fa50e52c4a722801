"""Dependencies point one way, the pure libraries are pure, and no test is forgotten by the build. Reads sources only."""

import os
import re
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
LANGUAGE = ["worker/sys/enum_words.h", "worker/sys/overloaded.h", "worker/sys/shortage.h"]  # additions to the standard library: pure too
PURE = {"master/supervision": ["master/supervision/", *LANGUAGE], "worker/admission": ["worker/admission/", *LANGUAGE]}
IMPURE = re.compile(r"^(sys/|linux/|arpa/|netinet/|net/|unistd\.h|fcntl\.h|sched\.h|signal\.h|csignal|poll\.h|pthread\.h|dirent\.h|"
                    r"pwd\.h|grp\.h|uv\.h|nlohmann/|fmt/|CLI/|iostream|fstream|filesystem|thread|mutex)")


# Which folders of master/ a folder may include. The top, where main.cpp and daemon.cpp put the program together, may
# include all of them.
RULES = {"supervision"}
CONFIG = RULES | {"sandbox", "config"}
SYSTEM = CONFIG | {"host", "net", "journal"}
CHILDREN = SYSTEM | {"process"}
MASTER = {
    "supervision": set(), "sandbox": set(), "config": RULES | {"sandbox"}, "net": CONFIG, "host": CONFIG, "journal": CONFIG | {"net"}, "process": SYSTEM,
    "running": CHILDREN, "procedure": CHILDREN | {"running"}, "reload": CHILDREN | {"running", "procedure"},
    "upgrade": CHILDREN | {"running", "procedure", "reload"},
    "control": CHILDREN | {"running", "procedure", "reload", "upgrade", "protocol"},
    "protocol": CONFIG, "simulate": RULES, "ctl": CONFIG | {"protocol", "simulate"}}
EVERYTHING = set(MASTER)


def folder_of(path):
    return os.path.dirname(path).removeprefix("master").strip("/")


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
        order = ["sys", "log", "loop", "admission", "ipc", "confine", "child", "handlers", "modules", ""]
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

    def test_the_folders_of_the_master_include_only_what_they_may(self):
        seen = {}
        for path in sources("master", ".h", ".cpp"):
            for name in includes(path):
                if name.startswith("master/") and folder_of(name) != folder_of(path):
                    seen.setdefault(folder_of(path), set()).add(folder_of(name))
                    self.assertIn(folder_of(name), MASTER.get(folder_of(path), EVERYTHING), f"{path} includes {name}")
        self.assertEqual({folder for folder in MASTER if folder not in seen and MASTER[folder]}, set(), "no longer true of them")

    def test_the_folders_of_the_master_form_no_circle(self):
        left = dict(MASTER)
        while left:
            free = [folder for folder, below in left.items() if not below & left.keys()]
            self.assertTrue(free, f"a circle among {sorted(left)}")
            for folder in free:
                del left[folder]

    def test_the_master_has_only_a_view_of_the_connection_tables(self):
        """Their lock and their algorithms are the workers'; the program does not even link them."""
        wrong = [(path, name) for path in sources("master", ".h", ".cpp") for name in includes(path)
                 if name.startswith("worker/ipc/table/")]
        self.assertEqual(wrong, [])
        self.assertNotIn("bulkhead_table", text("master/CMakeLists.txt"))

    def test_only_main_knows_the_daemon(self):
        knows = [path for path in sources("master", ".h", ".cpp") if "master/daemon.h" in includes(path)]
        self.assertEqual(sorted(knows), ["master/daemon.cpp", "master/main.cpp"])

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
        """Every CMakeLists.txt up to the top includes the one below."""
        while folder != "tests":
            above, name = os.path.split(folder)
            words = builds.get(above, "")
            entered = "add_subdirectory(" in words and re.search(rf"^[^#]*\b{re.escape(name)}\b", words, re.M)
            self.assertTrue(entered, f"{above}/CMakeLists.txt does not enter {name}")
            folder = above


if __name__ == "__main__":
    import sys
    unittest.main(argv=[word for i, word in enumerate(sys.argv) if word != "--bindir" and sys.argv[i - 1] != "--bindir"])
