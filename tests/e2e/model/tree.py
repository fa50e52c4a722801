"""What `tree` tells. Pure."""


def nodes(tree):
    """All nodes of what `tree` tells."""
    yield tree
    for child in tree.get("children", []) + tree.get("workers", []):
        yield from nodes(child)
