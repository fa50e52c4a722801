"""The model: the tree as the contract says it must be when nothing moves any more, and what every step does to it. Pure Python without a
daemon. The rules are OTP's for supervisors and their operations, and those of the manual for listeners and reloads.

Where the contract leaves a choice, a step asks `choose`, and every choice is a state of its own that the daemon may be in."""

import copy

RUNNING, STOPPED, CRASHING = "running", "stopped", "crashing"
OK, BUSY, REFUSED = "ok", "busy", "refused"

# The keys of a process that a reload changes without restarting it.
IN_PLACE = {"restart", "significant", "shutdown", "start_timeout", "watchdog", "restart_delay", "normal_exit", "permanent_failure_exit",
            "stop_signal", "reload_signal", "start", "pre_start", "post_stop"}


def enabled(spec):
    """The children of a supervisor that are to be started."""
    return [one for one in spec["children"] if one.get("enabled", True)]


class Node:
    def __init__(self, spec, origin="file"):
        self.spec = spec
        self.origin = origin
        self.state = STOPPED
        self.starts = 0         # processes: how often it has been started since the last look; None: not known
        self.children = []      # supervisors, in their order
        self.restarts = 0       # supervisors: those that count against max_restarts
        self.gone = {}          # supervisors: id -> why a child of the file has no entry
        self.by_operator = False  # an operator has stopped it
        self.workers = spec.get("workers", 0)
        self.renewed = "none"   # listeners: "none", "some", "all" of the workers are others than at the last look; "any": unknown
        self.suspended = False  # None: not known, as for `workers` and `accepted`
        self.conns = []         # numbers of the connections that go on
        self.queued = []        # and of those that wait in the port's queue
        self.accepted = 0

    def __deepcopy__(self, memo):
        new = copy.copy(self)
        new.children = [copy.deepcopy(child, memo) for child in self.children]
        new.gone, new.conns, new.queued = dict(self.gone), list(self.conns), list(self.queued)
        return new

    @property
    def id(self):
        return self.spec["id"]

    @property
    def type(self):
        return self.spec["type"]

    @property
    def kind(self):
        return self.spec["argv"][3]

    @property
    def restart(self):
        return self.spec.get("restart", "transient" if self.is_job else "permanent")

    @property
    def is_job(self):
        return self.spec.get("oneshot", False)

    @property
    def is_manual(self):
        return self.spec.get("start") == "manual"

    def is_reached_over_unix(self):
        return any(address.startswith("unix:") for address in self.spec["listen"])

    def child(self, name):
        return next((one for one in self.children if one.id == name), None)

    def walk(self, path):
        yield path, self
        for child in self.children:
            yield from child.walk(f"{path}/{child.id}")


class Model:
    def __init__(self, supervisor):
        """`supervisor`: the root as the file has it."""
        self.root = Node({"id": "root", "type": "supervisor", **supervisor})
        self.supervisor = supervisor
        self.broken = set()
        self.scaled = {}        # path -> the number of workers that an operator has set, and the file has not
        self.connections = 0
        self.unknown = set()    # connections that may have ended or not
        self.nameless = set()   # connections over Unix sockets, whose clients have no address of their own
        self.left_queues = set()  # addresses whose queue a listener has left to whatever listens there next
        self.removed = {}       # path -> the supervisor that a step of several at once has removed there
        self.loose = False      # several steps at once: only what all orders have in common is certain
        self.killed = []        # the paths of processes and workers that one of several steps at once kills
        self._start(self.root, "root")

    # --- looking

    def find(self, path):
        names = path.split("/")
        node = self.root if names[0] == "root" else None
        for name in names[1:]:
            node = node and node.child(name)
        return node

    def is_disabled(self, path):
        """The file has it, or a supervisor above it, as `"enabled": false`."""
        spec = self.supervisor
        for name in path.split("/")[1:]:
            spec = next((one for one in spec.get("children", []) if one["id"] == name), None)
            if spec is None:
                return False
            if not spec.get("enabled", True):
                return self.find(path) is None
        return False

    def parent(self, path):
        return self.find(path.rpartition("/")[0])

    def nodes(self):
        return list(self.root.walk("root"))

    def listeners(self):
        return [(path, node) for path, node in self.nodes() if node.type == "listener"]

    def held(self):
        """The connections that must be alive."""
        return {number for _, node in self.nodes() for number in node.conns}

    def queued(self):
        return {number for _, node in self.nodes() for number in node.queued}

    def crashing(self):
        return [path for path, node in self.nodes() if node.state == CRASHING]

    def deviates(self):
        """Something is not as the file says, by an operator's will or its own end."""
        return any(node.gone or node.origin == "added" or (node.type != "supervisor" and node.state == STOPPED)
                   or node.suspended or (node.type == "listener" and node.workers != node.spec["workers"])
                   for _, node in self.nodes() if not (node.is_manual and node.state == STOPPED))

    def differs(self, path, node):
        """What `tree` must tell; None: not known."""
        if node.origin == "added":
            return ["added"]
        if node.suspended is None:
            return None
        words = {"stopped": node.state == STOPPED and node.by_operator and not node.is_manual, "suspended": node.suspended, "scaled": path in self.scaled}
        return [word for word, is_so in words.items() if is_so]

    # --- starting and ending

    def _start(self, node, path, old=None):
        """`old`: the node in whose place it starts, whose listeners keep their connections."""
        node.by_operator = False
        if node.type == "process":
            self._start_process(node)
        elif node.type == "listener":
            node.state = RUNNING
            node.workers = self.scaled.get(path, node.spec["workers"])
            node.renewed = "any" if self.loose else "all"
        else:
            node.state = RUNNING
            node.restarts, node.gone = 0, {}
            node.children = [Node(spec) for spec in enabled(node.spec)]
            for child in node.children:
                before = old and old.child(child.id)
                child.accepted = None  # a listener that an earlier life of this supervisor had goes on counting
                if before and before.type == child.type == "listener":
                    self._continue(child, before)
                if not child.is_manual:
                    self._start(child, f"{path}/{child.id}", before)

    def _continue(self, node, old):
        node.conns, node.queued, node.suspended = old.conns, old.queued, old.suspended
        node.accepted = old.accepted

    def _start_process(self, node):
        node.starts = None if node.starts is None else node.starts + 1
        if node.id in self.broken:
            node.state = CRASHING
        else:
            node.state = STOPPED if node.kind in ("once", "job") else RUNNING

    def _drop(self, node):
        """The connections of everything at and below it end, and the workers with their numbers."""
        for _, one in node.walk(""):
            if self.loose:
                self.unknown |= set(one.conns)
            if one.queued or self.loose:
                self.unknown |= set(one.queued)
                one.accepted = None  # the port's queue is served before it is closed
                self.left_queues |= set(one.spec.get("listen", []))
            one.conns, one.queued = [], []

    def _end(self, node):
        self._drop(node)
        node.state = STOPPED
        if node.type == "supervisor":
            node.children, node.gone = [], {}  # it starts all of them when it starts
        if node.type == "listener" and node.suspended:
            node.suspended = None  # whether it is still suspended when it starts is not said

    def _remove(self, parent, node, why, path):
        parent.children.remove(node)
        self._forget_scaled(path)
        if node.origin == "file":
            parent.gone[node.id] = why

    def _forget_scaled(self, path):
        self.scaled = {one: workers for one, workers in self.scaled.items() if one != path and not one.startswith(path + "/")}

    # --- what a supervisor does about an exit

    def _exited(self, path, abnormal):
        node, parent = self.find(path), self.parent(path)
        if node.restart == "permanent" or (node.restart == "transient" and abnormal):
            self._restart(parent, node, path)
        elif node.restart == "temporary":
            self._remove(parent, node, "ended", path)
        else:
            node.state = STOPPED

    def _restart(self, parent, node, path):
        parent.restarts += 1
        parent_path = path.rpartition("/")[0]
        if parent.restarts > parent.spec["max_restarts"]:
            grandparent = self.parent(parent_path)
            return self._restart(grandparent, parent, parent_path)
        for one in self._group(parent, node):
            if one.restart == "temporary" and one is not node:
                self._drop(one)
                self._remove(parent, one, "stopped" if one.by_operator else "ended", f"{parent_path}/{one.id}")
            else:
                self._start(one, f"{parent_path}/{one.id}", copy.deepcopy(one))

    def _group(self, parent, node):
        strategy, at = parent.spec.get("strategy", "one_for_one"), parent.children.index(node)
        return {"one_for_one": [node], "rest_for_one": parent.children[at:], "one_for_all": list(parent.children)}[strategy]

    # --- steps: each returns the answer

    def _addressed(self, path):
        """(node, parent, error)"""
        parent = self.parent(path)
        if parent is None or parent.type != "supervisor" or parent.state != RUNNING:
            return None, None, "noproc"
        node = parent.child(path.rpartition("/")[2])
        return (node, parent, None) if node else (None, None, "not_found")

    def _why_not_ended(self, choose, node):
        """The answer to what only an ended child allows; None if this one has."""
        if node.state == CRASHING or (self.loose and node.state == RUNNING):
            return choose("running", "restarting")
        return "running" if node.state == RUNNING else None

    def stop(self, choose, path):
        node, parent, error = self._addressed(path)
        if error:
            return error
        node.by_operator = node.by_operator or node.state != STOPPED
        if self._is_restarted_with_others(parent, node, path) and choose(False, True):
            for one in parent.children[parent.children.index(node) + 1:]:
                self._end(one)  # by the restart of the group, which this ends
        self._end(node)
        if node.restart == "temporary":
            self._remove(parent, node, "stopped", path)
        return OK

    def _is_restarted_with_others(self, parent, node, path):
        """Of several steps at once, one kills somebody in its group."""
        siblings = [f"{path.rpartition('/')[0]}/{one.id}" for one in parent.children if node in self._group(parent, one)]
        return len(self._group(parent, node)) > 1 and any(one in self.killed for one in siblings)

    def start(self, choose, path):
        node, _, error = self._addressed(path)
        error = error or self._why_not_ended(choose, node)
        if error:
            return error
        if self._dies_while_it_starts(choose, path):
            node.by_operator = True
            return "start_failed"
        self._start(node, path)
        return OK

    def restart(self, choose, path):
        node, parent, error = self._addressed(path)
        if error:
            return error
        if node.restart == "temporary" and choose(False, True):
            self._end(node)
            self._remove(parent, node, "stopped" if node.by_operator else "ended", path)
            return "not_found"
        if self._dies_while_it_starts(choose, path):
            node.by_operator = True
            self._end(node)
            return "start_failed"
        self._start(node, path, copy.deepcopy(node))
        return OK

    def _dies_while_it_starts(self, choose, path):
        """Of several steps at once, one kills what another one starts."""
        return any(f"{one}/".startswith(f"{path}/") for one in self.killed) and choose(False, True)

    def restart_dependents(self, choose, path):
        """With what the strategy ties to it. Those that have ended stay so, temporary ones are removed, itself too."""
        node, parent, error = self._addressed(path)
        if error:
            return error
        group = self._group(parent, node)
        answer = self.restart(choose, path)
        for one in group:
            below = f"{path.rpartition('/')[0]}/{one.id}"
            if one is node:
                continue
            if one.state == STOPPED:
                continue
            if one.restart == "temporary":
                self._drop(one)
                self._remove(parent, one, "stopped" if one.by_operator else "ended", below)
            else:
                self._start(one, below, copy.deepcopy(one))
        return answer

    def delete(self, choose, path):
        node, parent, error = self._addressed(path)
        error = error or self._why_not_ended(choose, node)
        if error:
            return error
        self._remove(parent, node, "deleted", path)
        return OK

    def add(self, choose, path, spec):
        """`path`: that of the supervisor."""
        parent = self.find(path)
        if parent is None or parent.type != "supervisor" or parent.state != RUNNING:
            return "noproc"
        there = parent.child(spec["id"])
        if there and (there.state == CRASHING or (self.loose and there.state == RUNNING)):
            return choose("already_started", "already_present")
        if there:
            return "already_started" if there.state == RUNNING else "already_present"
        node = Node(spec, "added")
        parent.children.append(node)
        self._start(node, f"{path}/{node.id}")
        return OK

    def _listener(self, choose, path):
        """(node, answer): what commands about a listener say that is not there, or whose supervisor is stopped."""
        parent, node = self.parent(path), self.find(path)
        if parent is not None and parent.type == "supervisor" and parent.state == STOPPED:
            return None, choose("noproc", "not_found", OK)  # it may be remembered
        if node is None or node.type != "listener":
            return None, choose("noproc", "not_found")
        return node, None

    def scale(self, choose, path, workers):
        node, answer = self._listener(choose, path)
        in_file = _workers_by_path(self.supervisor, "root").get(path)
        if node is None and (answer != OK or in_file is None):
            return answer
        if node is not None and node.state == RUNNING and node.workers != workers:
            node.workers = workers
            self._renew(node, "some")
        self._forget_scaled(path)
        if workers != in_file:
            self.scaled[path] = workers
        return OK

    def suspend(self, choose, path, on=True):
        node, answer = self._listener(choose, path)
        if node is None:
            return answer
        if node.state == STOPPED:
            node.suspended = None
            return choose(OK, REFUSED)
        node.suspended = on
        if not on:
            self._serve_queue(node)
        return OK

    def resume(self, choose, path):
        return self.suspend(choose, path, on=False)

    def _serve_queue_of_removed(self, choose, node, old, spec):
        """Clients that wait at an address that goes away are served. Ports that stay may get a socket of their own."""
        ports_stay = {one.rpartition(":")[2] for one in old["listen"]} & {one.rpartition(":")[2] for one in spec["listen"]}
        if not ports_stay or choose(False, True):
            self._serve_queue(node)

    def _serve_queue(self, node):
        if node.accepted is not None:
            node.accepted += len(node.queued)
        node.conns, node.queued = node.conns + node.queued, []

    def drain(self, choose, path=None):
        if path is None:
            for one, node in self.listeners():
                if node.state == RUNNING:
                    self.stop(choose, one)
            return OK
        node, answer = self._listener(choose, path)
        return answer if node is None else self.stop(choose, path)

    def _renew(self, node, which):
        order = ["none", "some", "any", "all"]
        node.renewed = max(node.renewed, "any" if self.loose else which, key=order.index)

    # --- steps of nature

    def kill_process(self, choose, path, normal=False):
        node = self.find(path)
        if node is None or node.type != "process" or node.state != RUNNING:
            return None
        if self.loose and choose(False, True):
            return None  # it was ending anyway
        self._exited(path, abnormal=not (normal and node.kind == "polite"))
        return None

    def end_process(self, choose, path):
        return self.kill_process(choose, path, normal=True)

    def signal(self, choose, path, name):
        node = self.find(path)
        if node is None:
            return choose("noproc", "not_found")
        if node.type != "process" or node.state == STOPPED:
            return REFUSED
        if node.state == CRASHING:
            return choose(OK, REFUSED)
        if name != "CONT":
            self.kill_process(choose, path, normal=name == "USR1")
        return OK

    def kill_worker(self, choose, path, how):
        node = self.find(path)
        if node and node.type == "listener" and node.state == RUNNING:
            self._renew(node, "some")
        return None

    def breaks(self, choose, name):
        """A process of that name crashes now, and at once whenever it is started."""
        self.broken.add(name)
        node = self.find(f"root/{name}")
        if node and node.type == "process" and node.state == RUNNING:
            self._exited(f"root/{name}", abnormal=True)

    def mends(self, choose, name):
        self.broken.discard(name)
        for _, node in self.nodes():
            if node.id == name and node.state == CRASHING:
                self._start_process(node)

    def connect(self, choose, path, over):
        node = self.find(path)
        if node is None or node.type != "listener" or node.state != RUNNING:
            return None
        self.connections += 1
        if over == "unix" and node.is_reached_over_unix():
            self.nameless.add(self.connections)
        if node.suspended:
            node.queued.append(self.connections)
        else:
            node.conns.append(self.connections)
            node.accepted = None if node.accepted is None else node.accepted + 1
        return None

    def leave(self, choose, path):
        """The client of the oldest connection goes."""
        node = self.find(path)
        if node and node.type == "listener" and node.conns:
            node.conns.pop(0)

    def kill_connection(self, choose, path, how):
        number = self.victim(path)
        if number:
            self.find(path).conns.remove(number)

    def victim(self, path):
        """The connection that is killed: the oldest whose client can be told by its address. None: there is none."""
        node = self.find(path)
        conns = node.conns if node and node.type == "listener" else []
        return next((number for number in conns if number not in self.nameless), None)

    def starve(self, choose, path):
        """A process or a worker is killed while there is nothing to fork with; later there is again."""
        node = self.find(path)
        if node and node.type == "listener":
            return self.kill_worker(choose, path, "KILL")
        return self.kill_process(choose, path)

    def master_dies(self, choose):
        """It is killed, and started again with the file that was in effect."""
        self._drop(self.root)
        self.root = Node({"id": "root", "type": "supervisor", **self.supervisor})
        self.scaled = {}
        self._start(self.root, "root")

    # --- reloads and upgrades

    def upgrade(self, choose):
        for _, node in self.listeners():
            if node.state == RUNNING:
                self._renew(node, "all")
        return OK

    def reload(self, choose, number, supervisor):
        """`supervisor`: the root as the new file has it; None: a file that is refused."""
        if supervisor is None:
            return REFUSED
        old, new = _workers_by_path(self.supervisor, "root"), _workers_by_path(supervisor, "root")
        self.scaled = {path: workers for path, workers in self.scaled.items() if old.get(path) == new.get(path)}
        self.supervisor = supervisor
        self.left_queues = set()
        self._reload_supervisor(choose, self.root, "root", {"id": "root", "type": "supervisor", **supervisor})
        return OK

    def reset(self, choose, number, supervisor):
        """A reload with --reset."""
        if supervisor is None:
            return REFUSED
        # One that is stopped meanwhile may leave after the plan was made.
        stopped = any(why == "stopped" for _, node in self.nodes() for why in node.gone.values())
        comes_back = not self.loose or not stopped or choose(True, False)
        added = {}
        for path, node in self.nodes():
            if comes_back:
                node.gone = {name: "deleted" if why == "stopped" else why for name, why in node.gone.items()}
            added[path] = [one for one in node.children if one.origin == "added"]
            for one in added[path]:
                self._drop(one)
                node.children.remove(one)
        self.reload(choose, number, supervisor)
        for path, node in self.removed.items():
            node.children += added.get(path, [])  # it goes with them, and comes back with them if it is taken back
        self.scaled = {}
        for path, node in self.nodes():
            if node.by_operator and not node.is_manual:
                self._start(node, path)
            if node.type == "listener" and node.state == RUNNING:
                self._unscale(node)
                node.suspended = False
                self._serve_queue(node)
        return OK

    def confirmed(self, choose, number, supervisor):
        """A reload that is confirmed."""
        return self.reload(choose, number, supervisor)

    def unconfirmed(self, choose, number, supervisor):
        """One that is not, so the file before comes back."""
        before = self.supervisor
        answer = self.reload(choose, number, supervisor)
        if answer == OK:
            self.reload(choose, number, before)
        return answer

    def _unscale(self, node):
        if node.workers != node.spec["workers"]:
            node.workers = node.spec["workers"]
            self._renew(node, "some")

    def _reload_supervisor(self, choose, node, path, spec):
        old = {one["id"]: one for one in enabled(node.spec)}
        node.spec = spec
        if node.state != RUNNING:
            return
        new = {one["id"]: one for one in enabled(spec)}
        kept = {one.id: one for one in node.children}
        for one in node.children:
            if one.origin == "file" and (one.id not in new or new[one.id]["type"] != one.type):
                self._drop(one)
                self.removed[f"{path}/{one.id}"] = one
                del kept[one.id]
        added = [one for one in node.children if one.origin == "added" and one.id in kept]
        node.children = []
        for child in enabled(spec):
            below = f"{path}/{child['id']}"
            if child["id"] in kept:
                self._reload_child(choose, kept[child["id"]], below, child, old.get(child["id"], child))
                node.children.append(kept[child["id"]])
            elif self._comes_back(choose, node, child, old.get(child["id"])):
                node.gone.pop(child["id"], None)
                node.children.append(Node(child))
                node.children[-1].accepted = None if self.loose or self.left_queues & set(child.get("listen", [])) else 0
                if not node.children[-1].is_manual:
                    self._start(node.children[-1], below)
                if self._leaves_with_a_group(choose, node.children[-1], path):
                    node.gone[node.children.pop().id] = "ended"
                    continue
                if self.loose:
                    self._perhaps_taken_back(choose, node.children[-1], self.removed.get(below))
        node.gone = {name: why for name, why in node.gone.items() if name in new}
        node.children += added

    def _leaves_with_a_group(self, choose, node, path):
        """Of several steps at once, one kills a sibling, whose group may restart while this temporary one is there."""
        return node.restart == "temporary" and any(f"{one}/".startswith(f"{path}/") for one in self.killed) and choose(False, True)

    def _perhaps_taken_back(self, choose, node, removed):
        """A reload at the same time may have removed it, and it has not ended yet. Then it has what operators have added to it."""
        added = [one for one in removed.children if one.origin == "added"] if removed else []
        if added and choose(False, True):
            node.children += added
        for _, one in node.walk(""):
            one.starts, one.renewed = None, "any"
            if one.type == "listener":
                one.suspended, one.workers = None, None

    def _comes_back(self, choose, parent, child, old):
        """The file is the truth: what has no entry is started, unless it is temporary, has ended, and is unchanged."""
        why = parent.gone.get(child["id"])
        if self.loose and why == "stopped":  # it may leave after the reload was planned
            return choose(True, False)
        if old != child or why in (None, "deleted"):
            return True
        return False if why == "ended" else choose(False, True)

    def _reload_child(self, choose, node, path, spec, old):
        changed = {key for key in {*spec, *old} if spec.get(key) != old.get(key)}
        if node.type == "supervisor":
            return self._reload_supervisor(choose, node, path, spec)
        node.spec = spec
        if node.type == "listener":
            node.workers = self.scaled.get(path, spec["workers"])
            if changed and node.state == RUNNING:
                self._renew(node, "any")
            if "listen" in changed and node.queued:
                self._serve_queue_of_removed(choose, node, old, spec)
        elif changed - IN_PLACE and node.state != STOPPED:
            self._start(node, path)
        elif old.get("start") == "manual" and not node.is_manual and node.state == STOPPED and not node.by_operator:
            self._start(node, path)


def _workers_by_path(spec, path):
    """The listeners of a file and their numbers of workers."""
    out = {path: spec["workers"]} if spec.get("type") == "listener" else {}
    for child in enabled(spec) if "children" in spec else []:
        out.update(_workers_by_path(child, f"{path}/{child['id']}"))
    return out


# --- every state that a step may lead to

class _Choices:
    def __init__(self, taken):
        self.taken = taken
        self.next = 0
        self.open = []  # further choices, to be taken another time

    def __call__(self, *options):
        if self.next == len(self.taken):
            self.open += [[*self.taken, other] for other in options[1:]]
            self.taken = [*self.taken, options[0]]
        self.next += 1
        return self.taken[self.next - 1]


def outcomes(model, deed):
    """[(answer, model)] for every choice that `deed(model, choose)` leaves."""
    out, todo = [], [[]]
    while todo:
        choices, after = _Choices(todo.pop()), copy.deepcopy(model)
        answer = deed(after, choices)
        out.append((answer, after))
        todo += choices.open
    return out
