"""Times, as Redis and the scripts take them."""

from math import ceil


def to_milliseconds(seconds: float) -> int:
    """Makes whole milliseconds of a time: 0 of 0 only, as Redis refuses a lifetime of 0."""
    return round(seconds * 1000) or ceil(seconds)
