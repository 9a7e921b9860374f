"""What a model's runs cost: a fixed part, and a part for each row, learned from the runs made so far."""

from dataclasses import dataclass

_NEW_SHARE = 0.3
"""How much the latest run counts in the mean of its size, unless it is told otherwise."""
_FORGOTTEN_AFTER = 100
"""After so many runs without one of its size, the mean of that size is dropped."""


@dataclass(slots=True)
class _Mean:
    rows: float
    seconds: float
    runs: int = 0
    runs_since: int = 0

    def add(self, rows: int, seconds: float, new_share: float) -> None:
        self.runs += 1
        share = max(new_share, 1 / self.runs)
        self.rows += share * (rows - self.rows)
        self.seconds += share * (seconds - self.seconds)
        self.runs_since = 0

    def adjust_to(self, other: "_Mean") -> None:
        """Makes this mean consistent with a newer one: more rows cost no less, and each row no more."""
        in_proportion = other.seconds * self.rows / other.rows
        low, high = sorted((other.seconds, in_proportion))
        self.seconds = min(max(self.seconds, low), high)


@dataclass(frozen=True, slots=True)
class LinearCost:
    """What a run costs: `fixed + per_row * rows` seconds.

    Attributes:
        fixed: Seconds of any run.
        per_row: Seconds for each of its rows.
    """

    fixed: float
    per_row: float

    def seconds(self, rows: float) -> float:
        """Returns how long a run of so many rows takes."""
        return self.fixed + self.per_row * rows


class RunCost:
    """A moving estimate of what one model's runs cost: a mean for each size, by powers of two.

    Args:
        new_share: How much the latest run counts in the mean of its size; the first ones count alike.
    """

    def __init__(self, new_share: float = _NEW_SHARE) -> None:
        self._new_share = new_share
        self._means: dict[int, _Mean] = {}

    @property
    def most_rows(self) -> float:
        """The most rows that a run has had; 0 before the first."""
        return max((mean.rows for mean in self._means.values()), default=0.0)

    def add(self, rows: int, seconds: float) -> None:
        """Notes what a run has cost.

        Args:
            rows: Rows in the run.
            seconds: How long it took, with reading its data and writing its results.
        """
        size = rows.bit_length()
        newest = self._means.setdefault(size, _Mean(rows, seconds))
        newest.add(rows, seconds, self._new_share)
        for mean in self._means.values():
            mean.adjust_to(newest)
            mean.runs_since += 1
        self._means = {
            size: mean for size, mean in self._means.items() if mean.runs_since <= _FORGOTTEN_AFTER
        }

    def estimate(self) -> LinearCost:
        """Fits a linear cost to the means: least squares of the error per row, neither part negative.

        Returns:
            The cost; without a fixed part where only one size was seen, zero where none was.
        """
        points = [(1 / mean.rows**2, mean) for mean in self._means.values()]
        if not points:
            return LinearCost(0.0, 0.0)
        total = sum(weight for weight, _ in points)
        rows = sum(weight * mean.rows for weight, mean in points) / total
        seconds = sum(weight * mean.seconds for weight, mean in points) / total
        spread = sum(weight * (mean.rows - rows) ** 2 for weight, mean in points)
        if not spread:
            return LinearCost(0.0, seconds / rows)
        together = sum(weight * (mean.rows - rows) * (mean.seconds - seconds) for weight, mean in points)
        per_row = max(0.0, together / spread)
        fixed = seconds - per_row * rows
        return LinearCost(fixed, per_row) if fixed >= 0 else LinearCost(0.0, seconds / rows)
