"""Operations that meet known faults, which are left out until those are mended. An entry goes when its fault does;
`model_test.py --known` runs the sequences that show them."""

from .steps import parts


def _reloads(step):
    return [one for one in parts(step) if one[0] == "reload"]


def _gone_before_reload(model, step):
    """A reload does not bring back what has no entry."""
    deletes = any(one[0] in ("delete", "stop", "restart", "kill_process") for one in parts(step))
    return _reloads(step) and (deletes or any(getattr(node, "gone", None) for _, node in model.nodes()))


def _same_port(model, step):
    """An address cannot move to another one with the same port."""
    now = model.find("root/a") or model.find("root/c")
    wide = now is not None and now.type == "listener" and now.spec["listen"][0].startswith("0.0.0.0")
    return any(one[1] == 8 for one in _reloads(step)) or (_reloads(step) and wide)


def _stopped_before_reload(model, step):
    """A reload that changes a process starts it, even if an operator has stopped it or it has ended by itself."""
    stops = any(one[0] in ("stop", "end_process") for one in parts(step))
    return _reloads(step) and (stops or any(node.type == "process" and node.state == "stopped" for _, node in model.nodes() if node.id != "j"))


def _scaled_before_restart(model, step):
    """Whatever restarts a listener undoes scale."""
    scales = any(one[0] == "scale" for one in parts(step))
    restarts = any(one[0] in ("restart", "kill_process", "end_process", "starve", "breaks") for one in parts(step))
    return restarts and (scales or any(node.workers != node.spec["workers"] for _, node in model.listeners()))


# name -> (which steps meet it, a sequence that shows it)
KNOWN_OPEN = {
    "stopped before a reload": (_stopped_before_reload, [["stop", "root/w"], ["reload", 9]]),
    "scaled before a restart": (_scaled_before_restart, [["scale", "root/u", 2], ["restart", "root/u"]]),
    "gone before a reload": (_gone_before_reload, [["stop", "root/j"], ["delete", "root/j"], ["reload", 0]]),
    "same port, another address": (_same_port, [["reload", 8], ["reload", 0]]),
}


def met(model, step, but=()):
    """The names of the known faults that this step meets, without those of `but`."""
    return [name for name, (meets, _) in KNOWN_OPEN.items() if name not in but and meets(model, step)]
