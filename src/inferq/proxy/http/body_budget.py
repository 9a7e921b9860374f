"""How much of request bodies one process holds, and how slowly one may come."""

from types import TracebackType
from typing import Self

from inferq.errors import OverloadedError

SMALL_BYTES = 65536
"""What a server holds of each connection anyway: it is not counted."""
_SLOWEST_BYTES_PER_SECOND = 1024


def next_due(due: float, now: float, patience_seconds: float, count: int) -> float:
    """By when more of a body must come, so that a trickle ends like a pause.

    Args:
        due: By when this part had to come.
        now: When it came.
        patience_seconds: Longest pause.
        count: How many bytes came.
    """
    return min(now + patience_seconds, due + count / _SLOWEST_BYTES_PER_SECOND)


class BodyBudget:
    """How many bytes of long request bodies are held at the same time.

    Args:
        most_bytes: That many at most.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most = most_bytes
        self._held = 0

    def holding(self) -> "Holding":
        """What one request holds, until its context ends."""
        return Holding(self)

    def take(self, count: int) -> None:
        """Takes bytes, to be given back with a negative count.

        Raises:
            OverloadedError: There are not so many left.
        """
        if count > 0 and self._held + count > self._most:
            raise OverloadedError(
                f"Request bodies of {self._held} bytes are under way, and {self._most} are the most "
                "(INFERQ_MAX_INFLIGHT_BYTES). Try again later, or send fewer at the same time."
            )
        self._held += count


class Holding:
    """The share of one request; see `BodyBudget`."""

    __slots__ = ("_budget", "held")

    def __init__(self, budget: BodyBudget) -> None:
        self._budget = budget
        self.held = 0

    def take(self, count: int) -> None:
        """Takes bytes, or gives them back if the count is negative.

        Raises:
            OverloadedError: There are not so many left.
        """
        self._budget.take(count)
        self.held += count

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.held:
            self.take(-self.held)
