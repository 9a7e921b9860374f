"""What a measurement yields: one figure per subject, the median of its rounds with their spread."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True)
class Figure:
    """One measured number.

    Attributes:
        measure: What was measured, such as `drain`; figures of one measure share a table and a scale.
        subject: What it was measured on, such as `inferq` or `Celery`.
        value: The median of the rounds, in `unit`.
        unit: Such as `jobs/s`, `ms`, `s`, `MB`.
        low: The smallest round.
        high: The largest round.
        target: What was asked for, for a person, such as `≥ 40 × Celery`; empty if nothing was.
        met: Whether the target was met; None where none was set or it could not be told.
    """

    measure: str
    subject: str
    value: float
    unit: str
    low: float
    high: float
    target: str = ""
    met: bool | None = None


def figure_of(
    measure: str,
    subject: str,
    rounds: Sequence[float],
    unit: str,
    *,
    target: str = "",
    met: bool | None = None,
) -> Figure:
    """Makes a figure of the values of one or more rounds.

    Args:
        measure: What was measured.
        subject: What it was measured on.
        rounds: One value for each round, at least one.
        unit: The unit of the values.
        target: What was asked for, if anything.
        met: Whether it was met, where that can be told already.

    Returns:
        The median, between the smallest and the largest.
    """
    return Figure(measure, subject, median(rounds), unit, min(rounds), max(rounds), target, met)


def grouped(figures: Sequence[Figure]) -> list[Figure]:
    """The figures with those of one measure next to each other, measures by first appearance."""
    measures = list(dict.fromkeys(figure.measure for figure in figures))
    return sorted(figures, key=lambda figure: measures.index(figure.measure))
