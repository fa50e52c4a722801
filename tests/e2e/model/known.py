"""Operations that meet known faults, which are left out until those are mended. An entry goes when its fault does;
`model_test.py --known` runs the sequences that show them."""

from .steps import parts, reads


def _reloads(step):
    return [one for one in parts(step) if reads(one)]




def _killed_in_a_reload(model, step):
    """A worker that is killed while a reload starts its listener in the place of something else is not started again."""
    kills = any(one[0] in ("kill_worker", "kill_process") for one in parts(step))
    return _reloads(step) and kills


# name -> (which steps meet it, a sequence that shows it)
KNOWN_OPEN = {
    "killed in a reload": (_killed_in_a_reload, [["at_once", [["reload", 7], ["kill_worker", "root/p", "KILL"]], 30], ["reload", 0]] * 12),
}


def met(model, step, but=()):
    """The names of the known faults that this step meets, without those of `but`."""
    return [name for name, (meets, _) in KNOWN_OPEN.items() if name not in but and meets(model, step)]
