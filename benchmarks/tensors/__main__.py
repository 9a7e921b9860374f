"""Measures inferq beside other servers of models, with pictures and arrays, and says which targets are met.

Run: uv run --group bench-tensors python -m benchmarks.tensors [--quick] [--only pictures,uploads] [--write]

A full run takes three rounds and writes RESULTS.md and results.svg beside this file; a quick one takes one
short round in three minutes, and prints only. The first run makes the environments of the peers besides,
which takes some minutes; a peer that cannot be had is left out, and the page says why.
"""

import argparse
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.markdown import Markdown

from benchmarks.figures import Figure, grouped
from benchmarks.machine import Machine, Watchdog
from benchmarks.picture import picture
from benchmarks.rounds import rounds, tell
from benchmarks.targets import SUBJECT
from benchmarks.tensors import backlog, large_tensors, pictures, uploads
from benchmarks.tensors.model_servers import SERVERS, ModelServer
from benchmarks.tensors.peer_environment import read_versions
from benchmarks.tensors.tensor_models import write_models
from benchmarks.tensors.tensor_report import tensor_page
from benchmarks.tensors.tensor_targets import judge_tensors

_FOLDER = Path(__file__).parent
_DRAWN = (pictures.TRIVIAL_MODEL, pictures.CNN_MODEL, large_tensors.OUT, large_tensors.IN)
_MEASURES: dict[str, Callable[[Path, bool], list[Figure]]] = {
    "large_tensors": large_tensors.measure,
    "uploads": uploads.measure,
    "backlog": backlog.measure,
}


def known_measures() -> list[str]:
    """Names of all measures."""
    return ["pictures", *_MEASURES]


def parse_arguments() -> argparse.Namespace:
    """Reads the command line."""
    known = known_measures()
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.tensors", description="Measures inferq beside other servers of models."
    )
    parser.add_argument("--quick", action="store_true", help="one short round; writes nothing")
    parser.add_argument("--only", default="", metavar="A,B", help=f"these measures alone: {', '.join(known)}")
    parser.add_argument("--servers", default="", metavar="A,B", help="only servers whose names begin so")
    parser.add_argument("--write", action="store_true", help="write RESULTS.md and results.svg all the same")
    chosen = parser.parse_args()
    chosen.only = [name for name in chosen.only.replace("-", "_").split(",") if name] or known
    unknown = [name for name in chosen.only if name not in known]
    if unknown:
        parser.error(f"there is no measure {unknown[0]!r}; there are {', '.join(known)}")
    return chosen


def choose_servers(beginnings: str) -> list[ModelServer]:
    """The servers whose names begin with one of some words, in any case; all if there are none."""
    words = tuple(word.strip().lower() for word in beginnings.split(",") if word.strip())
    return [server for server in SERVERS if not words or server.name.lower().startswith(words)]


def take(chosen: argparse.Namespace, models: Path) -> tuple[list[Figure], dict[str, str]]:
    """Takes the measures one after the other.

    Returns:
        The figures, and by name of a server or a measure why it is missing.
    """
    figures: list[Figure] = []
    failures: dict[str, str] = {}
    if "pictures" in chosen.only:
        figures, failures = pictures.measure(models, chosen.quick, choose_servers(chosen.servers))
    for name, measure in _MEASURES.items():
        if name not in chosen.only:
            continue
        try:
            figures += measure(models, chosen.quick)
        except Exception as error:  # noqa: BLE001 - told in the report; the other measures go on
            failures[name] = pictures.describe_failure(error)
            tell(f"[red]{name} was not measured[/]")
    return grouped(figures), failures


def main() -> None:
    """Measures, prints, and writes."""
    chosen = parse_arguments()
    # so that what was started is ended when someone ends this
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    watch, began = Watchdog(), time.monotonic()
    with tempfile.TemporaryDirectory(prefix="inferq-benchmark-") as folder:
        write_models(Path(folder))
        figures, failures = take(chosen, Path(folder))
    count = rounds(chosen.quick)
    kind = "A quick run: one short round" if count == 1 else f"Medians of {count} rounds"
    machine = Machine.this([*read_versions()])
    conditions = f"{kind}, {time.monotonic() - began:,.0f} s in all."
    verdicts = list(judge_tensors(figures))
    if set(chosen.only) != set(known_measures()) or chosen.servers:
        verdicts = [verdict for verdict in verdicts if verdict.met is not None]
    text = tensor_page(figures, verdicts, failures, machine, watch.note(), conditions)
    if chosen.write or not chosen.quick:
        (_FOLDER / "RESULTS.md").write_text(text, encoding="utf-8")
        drawn = [figure for figure in figures if figure.measure in _DRAWN]
        (_FOLDER / "results.svg").write_text(picture(drawn), encoding="utf-8")
        tell("RESULTS.md and results.svg are written")
    console = Console()
    console.print(Markdown(text) if console.is_terminal else text, markup=False, soft_wrap=True)
    if any(name in _MEASURES or name.startswith(SUBJECT) for name in failures):  # a peer may be missing
        sys.exit(1)


if __name__ == "__main__":
    main()
