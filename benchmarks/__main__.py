"""Measures inferq and its rivals, and says which targets are met.

Run: uv run --group bench python -m benchmarks [--quick] [--only drain,submit] [--write]

A full run takes three rounds and writes RESULTS.md and results.svg beside this file; a quick one takes one
round of fewer jobs in less than two minutes, and prints only. Measures are the modules in `measures`.
"""

import argparse
import importlib
import pkgutil
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.markdown import Markdown

from benchmarks import measures
from benchmarks.figures import Figure, grouped
from benchmarks.machine import Machine, Watchdog
from benchmarks.picture import picture
from benchmarks.report import page
from benchmarks.rounds import rounds, tell
from benchmarks.targets import judge

_FOLDER = Path(__file__).parent
_FIRST = ("drain", "drain_pinned", "submit", "closed_loop", "idle_latency", "idle_cost")
"""The order of the table; measures that are not named here follow by name."""


def known_measures() -> list[str]:
    """Names of all measures, in the order of the table."""
    found = {module.name for module in pkgutil.iter_modules(measures.__path__)}
    return [name for name in _FIRST if name in found] + sorted(found.difference(_FIRST))


def parse_arguments(known: Sequence[str]) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="Measures inferq and its rivals."
    )
    parser.add_argument("--quick", action="store_true", help="one round of fewer jobs; writes nothing")
    parser.add_argument("--only", default="", metavar="A,B", help=f"these measures alone: {', '.join(known)}")
    parser.add_argument("--write", action="store_true", help="write RESULTS.md and results.svg all the same")
    chosen = parser.parse_args()
    chosen.only = [name for name in chosen.only.replace("-", "_").split(",") if name]
    unknown = [name for name in chosen.only if name not in known]
    if unknown:
        parser.error(f"there is no measure {unknown[0]!r}; there are {', '.join(known)}")
    return chosen


def take(names: Sequence[str], quick: bool) -> tuple[list[Figure], dict[str, str]]:
    """Takes measures one after the other.

    Returns:
        The figures, judged, and by name of the measure why one could not be taken.
    """
    figures: list[Figure] = []
    failures: dict[str, str] = {}
    for name in names:
        try:
            figures += importlib.import_module(f"benchmarks.measures.{name}").measure(quick)
        except Exception as error:  # noqa: BLE001 - told in the report; the other measures go on
            failures[name] = "\n".join([f"{type(error).__name__}: {error}", *getattr(error, "__notes__", ())])
            tell(f"[red]{name} was not measured[/]")
            Console(stderr=True).print(failures[name], markup=False, highlight=False)
    return judge(grouped(figures)), failures


def main() -> None:
    """Measures, prints, and writes."""
    known = known_measures()
    chosen = parse_arguments(known)
    # so that what was started is ended when someone ends this
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    watch, began = Watchdog(), time.monotonic()
    figures, failures = take(chosen.only or known, chosen.quick)
    length = f"{time.monotonic() - began:,.0f} s in all."
    count = rounds(chosen.quick)
    kind = "A quick run: one round of fewer jobs" if count == 1 else f"Medians of {count} rounds"
    text = page(figures, failures, Machine.this(), watch.note(), f"{kind}, {length}")
    if chosen.write or not (chosen.quick or chosen.only):
        (_FOLDER / "RESULTS.md").write_text(text, encoding="utf-8")
        (_FOLDER / "results.svg").write_text(picture(figures), encoding="utf-8")
        tell("RESULTS.md and results.svg are written")
    console = Console()
    console.print(Markdown(text) if console.is_terminal else text, markup=False, soft_wrap=True)
    if failures:
        sys.exit(1)


if __name__ == "__main__":
    main()
