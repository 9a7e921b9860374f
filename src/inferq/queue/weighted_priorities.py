"""Weighted priorities: the highest comes first, but for a share of the claims, so that no job starves."""

from inferq.jobs import Priority

_NEARLY_ONE = 1 - 1e-6  # ten times a tenth is less than one


class WeightedPriorities:
    """Gives the order of priorities for one claim after the other.

    Args:
        share: Share of the claims in which `normal` comes first, and again as many in which `low` does;
            0 to 0.4. The two alternate evenly.
    """

    def __init__(self, share: float) -> None:
        self._share = share
        self._credit = {Priority.NORMAL: 0.5, Priority.LOW: 0.0}

    def next_order(self) -> tuple[Priority, ...]:
        """The order for the next claim."""
        first = Priority.HIGH
        for priority in self._credit:
            self._credit[priority] += self._share
            if self._credit[priority] > _NEARLY_ONE and first is Priority.HIGH:
                self._credit[priority] -= 1
                first = priority
        return (first, *(priority for priority in Priority if priority is not first))
