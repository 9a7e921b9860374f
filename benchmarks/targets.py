"""What is asked of inferq, most of it as ratios to rivals in the same run, and whether it is met."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from benchmarks.figures import Figure

SUBJECT = "inferq"


@dataclass(frozen=True)
class Target:
    """A bound on inferq's figure.

    Attributes:
        measure: Of which measure.
        bound: The bound: times the rival's figure, or in the measure's unit where there is no rival.
        against: Which rival; empty for none.
        at_most: Whether less is better.
    """

    measure: str
    bound: float
    against: str = ""
    at_most: bool = False


TARGETS = (
    Target("drain", 25, "seed's loop"),
    Target("drain, one CPU", 12, "seed's loop"),
    Target("drain", 40, "Celery"),
    Target("drain", 20, "SAQ"),
    Target("drain", 20, "Dramatiq"),
    Target("drain", 20, "Huey"),
    Target("submit", 2, "FastAPI, validates and returns a constant"),
    Target("submit", 5, "seed, async endpoint"),
    Target("closed loop", 5, "seed, async endpoint"),
    Target("closed loop, p99", 0.3, "seed, async endpoint", at_most=True),
    Target("idle latency", 0.45, "seed, async endpoint", at_most=True),
    Target("idle cost in 20 s", 0.05, at_most=True),
    Target("idle memory", 1.15, "seed's loop", at_most=True),
    Target("waiting, p50", 2, at_most=True),
    Target("waiting, p99", 25, at_most=True),
    Target("waiting, missed", 0, at_most=True),
    Target("scrape of /metrics", 20, at_most=True),
    Target("live page, of a processor", 5, at_most=True),
)


def judge(figures: Sequence[Figure], targets: Sequence[Target] = TARGETS) -> list[Figure]:
    """Writes targets, and whether they are met, into figures.

    A ratio stands with the rival it is to; a bound of its own with inferq. Figures that bring a target
    of their own keep it.

    Args:
        figures: What was measured.
        targets: What is asked for.

    Returns:
        The same figures in the same order.
    """
    ours = {figure.measure: figure.value for figure in figures if figure.subject == SUBJECT}
    return [_judged(figure, ours.get(figure.measure), targets) for figure in figures]


def _judged(figure: Figure, ours: float | None, targets: Sequence[Target]) -> Figure:
    for target in targets:
        if target.measure == figure.measure and figure.subject == (target.against or SUBJECT):
            sign = "≤" if target.at_most else "≥"
            words = (
                f"{sign} {target.bound:g} ×" if target.against else f"{sign} {target.bound:g} {figure.unit}"
            )
            if ours is None:
                return replace(figure, target=words)
            bound = target.bound * figure.value if target.against else target.bound
            return replace(figure, target=words, met=ours <= bound if target.at_most else ours >= bound)
    return figure


def missed(figures: Sequence[Figure]) -> list[Figure]:
    """The figures whose target was not met."""
    return [figure for figure in figures if figure.met is False]
