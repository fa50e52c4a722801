"""Twelve configurations of one small tree, for reloads between any two of them. Everything in them is quick: short delays, short time
limits, and nothing that a supervisor counts ever runs out, except in `s`, which gives up after its third restart."""

import copy
import os

COUNT = 12
NEVER_GIVES_UP = {"max_restarts": 1000000, "max_seconds": 3600}
QUICK = {"min": "10ms", "max": "40ms", "factor": 2, "jitter": 0.0, "reset_after": "60s"}

# The program of each process of this test, and of the commands around its runs; its last arguments are its name and its kind. While a
# file `broken.NAME` exists it crashes at once. `runs.NAME` has a word for each run and each command.
SERVICE = """#!/bin/sh
case $3 in
pre | post) echo $3 >> "$1/runs.$2"; exit ;;
esac
echo run >> "$1/runs.$2"
[ -e "$1/broken.$2" ] && exit 3
case $3 in
plain) exec sleep 100000 ;;
wrapped) sleep 100000; exit 1 ;;
once | job) exit 0 ;;
slow) trap 'sleep 0.1; exit 0' TERM; sleep 100000 & wait ;;
stubborn) trap '' TERM; exec sleep 100000 ;;
polite) trap 'exit 0' USR1; echo > /proc/self/fd/$NOTIFY_FD; sleep 100000 & wait ;;
esac
"""

PATHS = ["root/a", "root/p", "root/u", "root/w", "root/t", "root/j", "root/s", "root/s/b", "root/s/q", "root/s/d", "root/c", "root/z",
         "root/z/b", "root/s/n", "root/x", "root/s/x", "root/k", "root/m"]
LISTENERS = ["root/a", "root/u", "root/s/b", "root/c", "root/z/b", "root/p"]
PROCESSES = ["root/p", "root/w", "root/t", "root/s/q", "root/s/d", "root/x", "root/s/x", "root/m"]
# Those with a pre_start and a post_stop in every file.
HOOKED = ["root/t", "root/s/d"]
SUPERVISORS = ["root", "root/s", "root/z"]


class Configurations:
    """`ports` are five free ones, and a sixth that somebody else listens on."""

    def __init__(self, directory, ports):
        self.directory = directory
        self.ports = ports

    # --- entries

    def process(self, name, kind="plain", **keys):
        ready = "notify_fd" if kind == "polite" else "exec"
        argv = [os.path.join(self.directory, "service"), self.directory, name, kind]
        if not keys.get("oneshot"):
            keys["ready"] = ready
        return {"id": name, "type": "process", "argv": argv + keys.pop("more", []), "restart_delay": QUICK,
                "shutdown": "300ms" if kind == "stubborn" else "3s", **keys}

    def hooked(self, name, kind="plain", **keys):
        own = self.process(name, kind, **keys)
        return {**own, "pre_start": [*own["argv"][:3], "pre"], "post_stop": [*own["argv"][:3], "post"]}

    def listener(self, name, *listen, **keys):
        return {"id": name, "type": "listener", "listen": list(listen), "workers": 1, "handler": "echo", "shutdown": "300ms",
                "restart_delay": QUICK, **NEVER_GIVES_UP, **keys}

    def cat(self, name, *listen, **keys):
        owner = {"user": "root"} if os.geteuid() == 0 else {}
        return self.listener(name, *listen, handler={"exec": ["/bin/cat"]}, **owner, **keys)

    def address(self, port, host="127.0.0.1"):
        return f"{host}:{self.ports[port]}"

    def path(self, name):
        return "unix:" + os.path.join(self.directory, name)

    # --- files

    def base(self):
        inner = [self.listener("b", self.address(2)), self.process("q", "polite", restart="transient"), self.hooked("d", "slow")]
        return {"a": self.listener("a", self.address(0), workers=2),
                "p": self.hooked("p"),
                "u": self.cat("u", self.path("u.sock"), self.address(1)),
                "w": self.process("w", "wrapped"),
                "t": self.hooked("t", restart="temporary"),
                "j": self.process("j", "once", restart="transient"),
                "k": self.process("k", "job", oneshot=True),
                "m": self.process("m", start="manual"),
                "s": {"id": "s", "type": "supervisor", "strategy": "rest_for_one", "max_restarts": 3, "max_seconds": 3600,
                      "restart_delay": QUICK, "children": inner}}

    def _1(self, tree):  # other arguments
        for name in ("p", "j", "t", "k", "m"):
            tree[name]["argv"].append("again")

    def _2(self, tree):  # removed
        del tree["a"], tree["w"]

    def _3(self, tree):  # renamed, and another order
        tree["a"]["id"] = "c"
        tree["w"], tree["p"] = tree["p"], tree["w"]

    def _4(self, tree):  # limits in place, another number of workers, other addresses
        tree["a"].update(workers=3, max_connections=2000)
        tree["u"]["listen"] = [self.path("v.sock"), self.address(3)]

    def _5(self, tree):  # another strategy, another order, one more
        b, q, d = tree["s"]["children"]
        tree["s"].update(strategy="one_for_all", max_restarts=4, children=[d, b, q, self.process("n", restart="temporary")])

    def _6(self, tree):  # a listener under another path
        b = tree.pop("s")["children"][0]
        tree["z"] = {"id": "z", "type": "supervisor", **NEVER_GIVES_UP, "restart_delay": QUICK, "children": [b]}

    def _7(self, tree):  # other types under the same names
        tree["p"] = self.listener("p", self.address(4))
        tree["w"] = {"id": "w", "type": "supervisor", **NEVER_GIVES_UP, "children": [self.process("v", "stubborn")]}

    def _8(self, tree):  # the same port at another address; new workers
        tree["a"]["listen"] = [self.address(0, "0.0.0.0")]
        tree["s"]["children"][0]["idle_timeout"] = "5m"

    def _9(self, tree):  # a bit of everything
        tree["w"] = self.process("w", "stubborn")
        tree["u"]["handler"] = "echo"
        tree["u"].pop("user", None)
        tree["s"]["children"][1]["restart"] = "permanent"
        tree["s"]["children"][2]["restart"] = "temporary"

    def _10(self, tree):  # some are not to be started
        for name in ("a", "p", "m"):
            tree[name]["enabled"] = False
        tree["s"]["children"][1]["enabled"] = False

    def _11(self, tree):  # started by operators or not, other commands around the runs, jobs and no jobs
        tree["m"]["start"] = "auto"
        tree["w"]["start"] = "manual"
        tree["p"].pop("pre_start")
        tree["p"]["post_stop"].append("again")
        tree["k"].update(oneshot=False, restart="transient")
        tree["j"].update(oneshot=True)
        del tree["j"]["restart"], tree["j"]["ready"]

    def children(self, number):
        tree = self.base()
        if number:
            getattr(self, f"_{number}")(tree)
        return list(tree.values())

    def file(self, number):
        """The whole file: one of twelve, or "invalid" or "occupied", which a daemon must refuse."""
        children = self.children(number if isinstance(number, int) else 0)
        if number == "invalid":
            children[0]["workers"] = -1
        if number == "occupied":
            children[1]["argv"].append("refused")
            children.append(self.listener("o", self.address(5)))
        return {"daemon": {"drain_timeout": "150ms"},
                "control": {"socket": os.path.join(self.directory, "control.sock")},
                "log": {"target": os.path.join(self.directory, "log"), "format": "json", "level": "debug"},
                "supervisor": {**NEVER_GIVES_UP, "children": copy.deepcopy(children)}}

    def added(self, name):
        """What operators add."""
        return self.process(name)
