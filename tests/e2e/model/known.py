"""Operations that meet known faults, which are left out until those are mended. An entry goes when its fault does;
`model_test.py --known` runs the sequences that show them."""

# name -> (which steps meet it, a sequence that shows it)
KNOWN_OPEN = {}


def met(model, step, but=()):
    """The names of the known faults that this step meets, without those of `but`."""
    return [name for name, (meets, _) in KNOWN_OPEN.items() if name not in but and meets(model, step)]
