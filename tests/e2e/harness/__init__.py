"""The basis of every end-to-end test: a real bulkheadd in a directory of its own, real clients, and the invariants checked after
each test. Nothing here sleeps in order to be lucky: every wait is for an event and has a deadline."""

from .admission import BUSY, AdmissionTestCase, kill_workers, outcome
from .case import SOURCE, TestCase, main, needs_mounts, needs_root, seeds, tool
from .clients import Canary, Client, Hold, Queued, Storm, connect, free_port
from .control import Control, ControlledTestCase, Events, find_node
from .daemon import Daemon, config_of, exec_listener, listener, login_variables, module_listener, parse_line
from .faults import Strace
from .moments import SECONDS, Moment, Moments
from .processes import Process, children_of, descendants, process, signal_process
from .reload import ReloadTestCase, sleeper, steady
from .service_manager import Manager
from .upgrade import UpgradeTestCase, echo_listener
from .waiting import Timeout, wait_until

__all__ = ["AdmissionTestCase", "BUSY", "Canary", "Client", "Control", "ControlledTestCase", "Daemon", "Events",
           "Hold", "Manager", "Moment", "Moments", "Process", "Queued", "ReloadTestCase", "SECONDS", "SOURCE", "Storm",
           "Strace", "TestCase",
           "Timeout", "UpgradeTestCase", "children_of", "config_of", "connect", "descendants", "echo_listener", "exec_listener",
           "find_node", "free_port", "kill_workers", "listener", "login_variables", "main", "module_listener", "needs_mounts",
           "needs_root", "outcome", "parse_line", "process", "seeds", "signal_process", "sleeper", "steady", "tool",
           "wait_until"]
