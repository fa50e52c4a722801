"""Pure: what an observation has that the model has not, as sentences; none: they agree."""

from .state import CRASHING, RUNNING, STOPPED
from .tree import nodes


def differences(model, seen, pids, control_path):
    """`pids`: (path, type) -> the pid or the set of the workers' pids, of the last look."""
    out = []
    _compare_node(model, model.root, seen.tree, out, pids)
    _compare_sockets(model, seen, control_path, out)
    _compare_connections(model, seen, out)
    _compare_processes(model, seen, out)
    return out


def _compare_node(model, node, told, out, pids):
    path = told["path"]

    def must(what, is_so):
        if not is_so:
            out.append(("tree", f"{path} {what}; told: {_short(told)}"))

    must(f"is a {node.type}", told["type"] == node.type)
    if node.type == told["type"]:
        must(f"is {node.state}", _state_agrees(node, told))
        differs = model.differs(path, node)
        must(f"differs from the file: {differs}", differs in (None, told.get("differs", [])))
        {"process": _compare_process, "listener": _compare_listener, "supervisor": _compare_supervisor}[node.type](node, told, must, pids)
    if node.type == "supervisor" == told["type"]:
        for child in told.get("children", []):
            own = node.child(child["id"])
            if own:
                _compare_node(model, own, child, out, pids)


def _short(told):
    return {key: value for key, value in told.items() if key in ("type", "state", "pid", "suspended", "differs", "missing", "endpoints", "phase")}


def _state_agrees(node, told):
    if node.state == CRASHING:
        return told["state"] in ("starting", "running", "waiting")
    if node.state == STOPPED and node.is_job:
        return told["state"] in ("stopped", "finished")
    return told["state"] == node.state


def _compare_process(node, told, must, pids):
    if node.state == RUNNING:
        pid = pids.get((told["path"], "process"))
        must("has a pid", "pid" in told)
        if node.starts == 0:
            must(f"is still {pid}", told.get("pid") == pid)
        elif node.starts is not None:
            must(f"is no longer {pid}", told.get("pid") != pid)
    if node.state == STOPPED:
        must("has no pid", "pid" not in told)


def _compare_listener(node, told, must, pids):
    must(f"suspended: {node.suspended}", node.state == STOPPED or node.suspended in (None, told["suspended"]))
    workers = told["workers"]
    if node.state == STOPPED:
        must("has no workers", not workers)
        must("has no endpoints", not told["endpoints"])
        return
    must(f"has {node.workers} workers, all running", all(one["state"] == "running" and "pid" in one for one in workers)
         and (node.workers is None or len(workers) == node.workers))
    now, before = {one.get("pid") for one in workers}, pids.get((told["path"], "listener"), set())
    must(f"has the workers {before}", node.renewed != "none" or now == before or not before)
    must(f"has other workers than {before}", node.renewed != "all" or not now & before)
    must(f"listens on {node.spec['listen']}", [one["listen"] for one in told["endpoints"]] == node.spec["listen"])


def _compare_supervisor(node, told, must, pids):
    own, theirs = [one.id for one in node.children], [one["id"] for one in told["children"] if one["state"] != "disabled"]
    must(f"has the children {own}; told are {theirs}", own == theirs)
    disabled = [one["id"] for one in node.spec["children"] if not one.get("enabled", True) and not node.child(one["id"])]
    must(f"has the disabled children {disabled}", disabled ==
         [one["id"] for one in told["children"] if one["state"] == "disabled"])
    missing = {name: ["stopped" if why == "stopped" else "deleted"] for name, why in node.gone.items() if why != "ended"}
    must(f"misses {missing}", {one["id"]: one["differs"] for one in told.get("missing", [])} == missing)


def _compare_sockets(model, seen, control_path, out):
    wanted = ["unix:" + control_path]
    for _, node in model.listeners():
        wanted += node.spec["listen"] if node.state == RUNNING else []
    if sorted(wanted) != seen.sockets:
        out.append(("sockets", f"the master must listen on {sorted(wanted)}, and listens on {seen.sockets}"))


def _compare_connections(model, seen, out):
    told = {node["path"]: node["connections"] for node in nodes(seen.tree) if node["type"] == "listener"}
    for path, node in model.listeners():
        counts = told.get(path)
        if counts is None:
            continue
        listed = sum(one["listener"] == path for one in seen.connections)
        if not counts["active"] == listed == len(node.conns):
            out.append(("connections", f"{path} has {len(node.conns)} connections; told: {counts}, listed: {listed}"))
        if counts["accepted"] != counts["active"] + counts["completed"] or node.accepted not in (None, counts["accepted"]):
            out.append(("counters", f"{path} has accepted {node.accepted}; told: {counts}"))
    strangers = [one for one in seen.connections if one["listener"] not in dict(model.listeners())]
    if strangers:
        out.append(("connections", f"of no listener: {strangers}"))


def _compare_processes(model, seen, out):
    """Whatever lives below the master is in the tree or a connection, or has come from one of them."""
    known = {node["pid"]: node for node in nodes(seen.tree) if "pid" in node}
    known.update((one["pid"], one) for one in seen.connections)
    there = {one.pid: one for one in seen.processes}
    busy = {node["pid"] for node in nodes(seen.tree) if "pid" in node and node["type"] == "process"}
    crashing = bool(model.crashing())
    for pid, told in known.items():
        if pid not in there or there[pid].state == "Z":
            if not crashing:
                out.append(("processes", f"told, and not there: {told}"))
    for pid, one in there.items():
        ancestors = _ancestors(one, there)
        if one.state == "Z" and not crashing:
            out.append(("processes", f"a zombie: {one}"))
        elif pid not in known and not crashing and not any(above in busy or above in known and "listener" in known[above] for above in ancestors):
            out.append(("processes", f"nobody's: {one}"))
    for node in nodes(seen.tree):
        title = there[node["pid"]].title if node.get("pid") in there else ""
        if node["type"] == "worker" and title and not title.startswith(f"bulkheadd: worker {'/'.join(node['path'].split('/')[-2:])} "):
            out.append(("processes", f"{node['path']} is {title}"))


def _ancestors(one, there):
    while one.ppid in there:
        one = there[one.ppid]
        yield one.pid


def settle(model, seen):
    """The model takes over what it could not know; returns the pids for the next look."""
    pids = {}
    told = {node["path"]: node for node in nodes(seen.tree)}
    for path, node in model.nodes():
        node.starts = 0
        if node.type == "process" and node.state == RUNNING:
            pids[path, node.type] = told[path]["pid"]
        if node.type == "listener":
            node.renewed = "none"
            node.accepted = told[path]["connections"]["accepted"]
            if node.state == RUNNING:
                node.suspended = told[path]["suspended"]
                node.workers = len(told[path]["workers"])
                pids[path, node.type] = {one["pid"] for one in told[path]["workers"]}
    model.unknown = set()
    return pids


def identity(seen, crashing):
    """What must stay the same for the daemon to be at rest. What crashes all the time, at these paths, has no part in it."""
    return [(node["path"], node["state"], node.get("pid")) for node in nodes(seen.tree) if node["path"] not in crashing]


def is_moving(seen):
    """Something is on its way to another state by itself."""
    return any(node["state"] in ("starting", "waiting", "draining", "stopping") for node in nodes(seen.tree))
