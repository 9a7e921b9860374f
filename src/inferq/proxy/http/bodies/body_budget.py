"""How many bytes of request bodies one process holds, and how slowly one may arrive."""

from types import TracebackType
from typing import Self

from inferq.errors import OverloadedError

SMALL_BYTES = 65536
"""A server buffers as much of each connection anyway, so a body up to this size is not counted."""
_SLOWEST_BYTES_PER_SECOND = 1024


def compute_deadline(deadline: float, now: float, timeout_seconds: float, count: int) -> float:
    """Returns when the next part of a body must arrive, so that a very slow body ends like a pause.

    Args:
        deadline: When the last part had to arrive.
        now: When it arrived.
        timeout_seconds: Longest pause.
        count: Its length, bytes.
    """
    return min(now + timeout_seconds, deadline + count / _SLOWEST_BYTES_PER_SECOND)


class BodyBudget:
    """Limits the bytes of long request bodies that are held at the same time.

    Args:
        most_bytes: The limit.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most = most_bytes
        self.taken = 0

    def open_share(self) -> "BodyShare":
        """Returns the share of one request, which is returned when its context ends."""
        return BodyShare(self)

    def take(self, count: int) -> None:
        """Takes bytes. A negative count gives them back.

        Raises:
            OverloadedError: Not so many are left.
        """
        if count > 0 and self.taken + count > self._most:
            raise OverloadedError(
                f"Request bodies of {self.taken} bytes are under way, and {self._most} are the most "
                "(INFERQ_MAX_INFLIGHT_BYTES). Try again later, or send fewer at the same time."
            )
        self.taken += count


class BodyShare:
    """The share of one request; see `BodyBudget`."""

    __slots__ = ("_budget", "taken")

    def __init__(self, budget: BodyBudget) -> None:
        self._budget = budget
        self.taken = 0

    def take(self, count: int) -> None:
        """Takes bytes. A negative count gives them back.

        Raises:
            OverloadedError: Not so many are left.
        """
        self._budget.take(count)
        self.taken += count

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.taken:
            self.take(-self.taken)
