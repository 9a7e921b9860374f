"""The figures as a Markdown page."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby

from benchmarks.figures import Figure
from benchmarks.machine import Machine
from benchmarks.targets import SUBJECT, missed

_HEAD = (
    "| measure | subject | median | lowest – highest | inferq is | target for inferq | met |\n"
    "| --- | --- | ---: | ---: | ---: | ---: | --- |"
)
_MET = {True: "yes", False: "**missed**", None: ""}


def page(
    figures: Sequence[Figure],
    failures: Mapping[str, str],
    machine: Machine,
    disturbance: str,
    conditions: str,
) -> str:
    """Writes the page.

    Args:
        figures: What was measured, judged.
        failures: Why a measure is missing, by its name.
        machine: Where.
        disturbance: Whether others were in the way.
        conditions: Rounds and length of the run, in a sentence.

    Returns:
        Markdown.
    """
    parts = [
        "# Benchmark",
        f"{conditions} {disturbance} Written by `uv run --group bench python -m benchmarks`.",
        "![The same figures as bars](results.svg)",
        table(figures),
        summary(figures),
        *(f"**Not measured: {name}.** {' '.join(reason.split())[:500]}" for name, reason in failures.items()),
        f"Machine: {machine.processor}, {machine.memory}, {machine.system}; {machine.date}. "
        "One process of each kind, the server on loopback with its append-only file synced every second, a "
        "new server for each subject and round; the subjects take turns. The rivals' threads, concurrency "
        "and prefetching are the best of a few short trials; SAQ asks for redis < 8 but has the one below.",
        f"Versions: {', '.join(machine.versions)}.",
    ]
    return "\n\n".join(parts) + "\n"


def table(figures: Iterable[Figure]) -> str:
    """The figures, grouped by measure in their order, each with inferq's ratio to it."""
    rows = [_HEAD]
    for _, group in groupby(figures, key=lambda figure: figure.measure):
        members = list(group)
        ours = next((figure.value for figure in members if figure.subject == SUBJECT), None)
        rows += [_row(figure, ours) for figure in members]
    return "\n".join(rows)


def summary(figures: Sequence[Figure]) -> str:
    """How many targets were met, and which were not."""
    judged = [figure for figure in figures if figure.met is not None]
    if not judged:
        return "No target was judged."
    bad = missed(judged)
    if not bad:
        return f"All {len(judged)} targets were met."
    names = "; ".join(f"{figure.measure} ({figure.subject}): {figure.target}" for figure in bad)
    return f"{len(judged) - len(bad)} of {len(judged)} targets were met. Missed: {names}."


def _row(figure: Figure, ours: float | None) -> str:
    ratio = ""
    if ours is not None and figure.subject != SUBJECT and figure.value > 0:
        ratio = f"{number(ours / figure.value)} ×"
    cells = (
        figure.measure,
        figure.subject,
        f"{number(figure.value)} {figure.unit}",
        f"{number(figure.low)} – {number(figure.high)}",
        ratio,
        figure.target,
        _MET[figure.met],
    )
    return f"| {' | '.join(cells)} |"


def number(value: float) -> str:
    """Three significant digits, whole from 100 on, with commas between thousands."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"
