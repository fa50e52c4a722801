"""bulkheadd(8) and README.md against the program: every option of --help is documented and no other, every exit status of
the source too, and the configurations that they show load."""
import os
import re
import subprocess
import sys
import tempfile
import unittest

SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BULKHEADD = sys.argv.pop(1)


def read(*path):
    with open(os.path.join(SOURCE, *path)) as file:
        return file.read()


class DaemonManual(unittest.TestCase):
    def test_options_are_those_of_the_program(self):
        help_text = subprocess.run([BULKHEADD, "--help"], capture_output=True, text=True, check=True).stdout
        offered = set(re.findall(r"(?<![\w-])--([a-z][a-z-]+)", help_text))
        section = read("man", "bulkheadd.8").split(".Sh DESCRIPTION")[1].split(".Ss Stopping")[0]
        documented = set()
        for line in re.findall(r"^\.It Fl (.*)$", section, re.M):
            documented |= set(re.findall(r"-([a-z][a-z-]+)", line))
        self.assertEqual(documented, offered)

    def test_exit_statuses_are_those_of_the_source(self):
        enum = re.search(r"enum ExitStatus : int \{(.*?)\};", read("master", "host", "exit_status.h"), re.S).group(1)
        section = read("man", "bulkheadd.8").split(".Sh EXIT STATUS")[1].split(".Sh ")[0]
        self.assertEqual(re.findall(r"^\.It (\d+)$", section, re.M), re.findall(r"= (\d+)", enum))

    def test_events_of_connections_are_those_of_the_source(self):
        words = re.search(r"kConnectionEventWords\{(.*?)\};", read("worker", "ipc", "connection_log.h"), re.S).group(1)
        section = read("man", "bulkheadd.8").split(".It Li event")[1].split(".El")[0]
        self.assertEqual(re.findall(r"^\.It Li (\w+)$", section, re.M), re.findall(r'"(\w+)"', words))

    def test_the_configuration_in_the_readme_loads(self):
        for text in re.findall(r"```json\n(.*?)```", read("README.md"), re.S):
            with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
                file.write(text)
                file.flush()
                result = subprocess.run([BULKHEADD, "-c", file.name, "--check"], capture_output=True, text=True)
                if os.geteuid() != 0 and "only root can run it as" in result.stderr:
                    self.skipTest("it has a user, which takes root")
                self.assertEqual(result.returncode, 0, result.stderr)

    def test_the_shipped_configuration_loads(self):
        result = subprocess.run([BULKHEADD, "-c", os.path.join(SOURCE, "etc", "echo.json"), "--check"],
                                capture_output=True, text=True)
        self.assertEqual(result.returncode, 0, result.stderr)


if __name__ == "__main__":
    unittest.main()
