"""`inferq queue`: what waits and runs in the service."""

import time
from typing import Annotated, Any

import typer

from inferq.cli.output import AsJson, Url, open_client, print_json, print_missing, print_table

_COLUMNS = (
    "model",
    "high",
    "normal",
    "low",
    "running",
    "retrying",
    "failed",
    "oldest s",
    "jobs/s",
    "backlog s",
    "workers",
    "needed",
)


def queue(
    watch: Annotated[bool, typer.Option("--watch", help="Go on until Ctrl-C.")] = False,
    seconds: Annotated[float, typer.Option(min=0.1, help="Seconds between two readings.")] = 1.0,
    target_wait: Annotated[
        float | None, typer.Option(help="How long jobs may wait, s: tells how many workers that takes.")
    ] = None,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Show what waits and runs, by model."""
    from rich.console import Console

    with open_client(url) as client:
        while True:
            overview = client.queue(target_wait)
            if as_json:
                print_json(overview)
            else:
                if watch:
                    Console().clear()
                _print_overview(overview)
                print_missing(overview)
            if not watch:
                return
            time.sleep(seconds)


def _format_seconds(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds:.1f}"


def _print_overview(overview: dict[str, Any]) -> None:
    rows = [
        (
            name,
            *(one["waiting"][priority] for priority in ("high", "normal", "low")),
            *(one[part] for part in ("running", "retrying", "failed")),
            _format_seconds(one["oldest_wait_seconds"]),
            f"{one['jobs_per_second']:.1f}",
            _format_seconds(one.get("backlog_seconds")),
            one["workers"],
            one.get("needed_workers"),
        )
        for name, one in overview["models"].items()
    ]
    print_table(_COLUMNS, rows)
    held, most = overview.get("queued_bytes"), overview.get("max_queued_bytes")
    if held is not None:
        limit = f", of at most {most / 1e6:.0f} MB" if most else ""
        typer.echo(f"Data of jobs that have not ended: {held / 1e6:.1f} MB{limit}")
