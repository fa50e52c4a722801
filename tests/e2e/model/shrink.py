"""Delta debugging (Zeller): a sequence that fails becomes one from which no step can be left out. Pure; `fails(steps)` tries one."""


def shrink(steps, fails, simpler=lambda step: []):
    steps = _without(list(steps), fails)
    changed = True
    while changed:
        changed = False
        for at, step in enumerate(steps):
            for other in simpler(step):
                trial = steps[:at] + [other] + steps[at + 1:]
                if fails(trial):
                    steps, changed = _without(trial, fails), True
                    break
            if changed:
                break
    return steps


def _without(steps, fails):
    """Leaves out ever smaller parts, down to single steps."""
    size = max(1, len(steps) // 2)
    while steps:
        at, shorter = 0, False
        while at < len(steps):
            trial = steps[:at] + steps[at + size:]
            if fails(trial):
                steps, shorter = trial, True
            else:
                at += size
        if size == 1 and not shorter:
            return steps
        size = size if size == 1 else size // 2
    return steps
