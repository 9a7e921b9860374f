"""Rounds: every subject once, then every subject again, so that a slow minute of the machine hits all."""

import time
from collections.abc import Callable, Sequence

from rich.console import Console

FULL_ROUNDS = 3

_console = Console(stderr=True, highlight=False)
_started = time.monotonic()


def tell(text: str) -> None:
    """Prints one line of progress, with the seconds since the start."""
    _console.print(f"[dim]{time.monotonic() - _started:6.1f} s[/dim]  {text}")


def rounds(quick: bool) -> int:
    """How many rounds a measure takes: three, or one if it should be quick."""
    return 1 if quick else FULL_ROUNDS


def interleave[Result](
    measure: str, subjects: Sequence[str], quick: bool, run: Callable[[str], Result]
) -> dict[str, list[Result]]:
    """Runs every subject once in each round.

    Args:
        measure: Name of the measure, for the lines of progress.
        subjects: Names of the subjects.
        quick: Whether one round is enough.
        run: Takes one subject's measurement.

    Returns:
        The measurements by subject, one for each round.
    """
    results: dict[str, list[Result]] = {subject: [] for subject in subjects}
    count = rounds(quick)
    for number in range(1, count + 1):
        for subject in subjects:
            result = run(subject)
            shown = f"{result:,.3g}" if isinstance(result, float) and result < 100 else _short(result)
            tell(f"{measure}, round {number} of {count}: {subject} {shown}")
            results[subject].append(result)
    return results


def _short(result: object) -> str:
    return f"{result:,.0f}" if isinstance(result, float) else str(result)
