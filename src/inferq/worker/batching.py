"""How many jobs a worker takes at once: learned from what its runs have cost, not configured.

A run's time is taken to be a fixed part and a part for each row. A model that is fast, or whose fixed part
prevails, is given many rows at once; one that takes seconds for each row gets one job at a time, so that idle
workers share the queue.
"""

from dataclasses import dataclass

MAX_JOBS = 128
"""Most jobs in one claim: with more, Redis serves nobody else for milliseconds."""
_MAX_GROWTH = 4
"""How many times more rows than ever seen a run may be given: beyond, the line is but a guess."""
_NEW_SHARE = 0.3
"""How much the latest run counts in the mean of its size."""
_FORGOTTEN_AFTER = 100
"""After so many runs without one of its size, a mean says nothing more."""


@dataclass(slots=True)
class _Mean:
    rows: float
    seconds: float
    runs_since: int = 0

    def add(self, rows: int, seconds: float) -> None:
        self.rows += _NEW_SHARE * (rows - self.rows)
        self.seconds += _NEW_SHARE * (seconds - self.seconds)
        self.runs_since = 0

    def agree_with(self, other: "_Mean") -> None:
        """Gives way to a newer mean: more rows cost no less, and each of them no more."""
        in_proportion = other.seconds * self.rows / other.rows
        low, high = sorted((other.seconds, in_proportion))
        self.seconds = min(max(self.seconds, low), high)


@dataclass(frozen=True, slots=True)
class Line:
    """What a run costs: `fixed + per_row * rows`.

    Attributes:
        fixed: Seconds of any run.
        per_row: Seconds for each of its rows.
    """

    fixed: float
    per_row: float

    def seconds(self, rows: float) -> float:
        """How long a run of so many rows takes."""
        return self.fixed + self.per_row * rows


class RunCost:
    """A moving estimate of what one model's runs cost: a mean for each size, by powers of two."""

    def __init__(self) -> None:
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
        newest.add(rows, seconds)
        for mean in self._means.values():
            mean.agree_with(newest)
            mean.runs_since += 1
        self._means = {
            size: mean for size, mean in self._means.items() if mean.runs_since <= _FORGOTTEN_AFTER
        }

    def line(self) -> Line:
        """The line through the means: least squares of the error per row, neither part negative.

        Returns:
            The line; through the origin where only one size was seen, nothing where none was.
        """
        points = [(1 / mean.rows**2, mean) for mean in self._means.values()]
        if not points:
            return Line(0.0, 0.0)
        total = sum(weight for weight, _ in points)
        rows = sum(weight * mean.rows for weight, mean in points) / total
        seconds = sum(weight * mean.seconds for weight, mean in points) / total
        spread = sum(weight * (mean.rows - rows) ** 2 for weight, mean in points)
        if not spread:
            return Line(0.0, seconds / rows)
        together = sum(weight * (mean.rows - rows) * (mean.seconds - seconds) for weight, mean in points)
        per_row = max(0.0, together / spread)
        fixed = seconds - per_row * rows
        return Line(fixed, per_row) if fixed >= 0 else Line(0.0, seconds / rows)


def plan_rows(line: Line, most_rows: float, budget_seconds: float) -> int:
    """The most rows that one run shall have.

    Args:
        line: What a run costs.
        most_rows: The most rows that a run has had.
        budget_seconds: How long a run may take for the sake of a larger batch.

    Returns:
        As many as the budget allows; or, where the fixed part of a run's cost is more than that of a row, as
        many as fit into twice the time of a single one. At least 1.
    """
    bound = max(1.0, _MAX_GROWTH * most_rows)
    if line.per_row <= 0:
        return int(bound)
    rows = (budget_seconds - line.fixed) / line.per_row
    if line.fixed > line.per_row:
        rows = max(rows, (2 * line.seconds(1) - line.fixed) / line.per_row)
    return int(max(1.0, min(bound, rows)))


def plan_jobs(rows: int, rows_per_job: float) -> int:
    """How many jobs to claim, so that they have about so many rows together; 1 to `MAX_JOBS`."""
    return max(1, min(MAX_JOBS, int(rows / max(1.0, rows_per_job))))
