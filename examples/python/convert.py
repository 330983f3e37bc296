"""Lengths in metres and back."""

METRES = {"m": 1.0, "km": 1000.0, "in": 0.0254, "mi": 1609.344}


def convert(value, source, target):
    """Return a length of value source units in target units; KeyError names an unknown unit."""
    if value < 0:
        raise ValueError("a length is not negative")
    return value * METRES[source] / METRES[target]
