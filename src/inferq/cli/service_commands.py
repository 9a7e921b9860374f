"""Commands about the service as a whole: its models, and its queue."""

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from inferq.cli.output import AsJson, Url, open_client, print_json, print_line, print_table
from inferq.errors import UnexpectedAnswerError, UnknownModelError

if TYPE_CHECKING:
    from inferq.client import Client

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


def models(
    name: Annotated[str | None, typer.Argument(help="Only this model, whole.")] = None,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """List the models, or describe one."""
    with open_client(url) as client:
        documents = [client.model(name)] if name else list(_read_documents(client))
    if as_json or name:
        for document in documents:
            print_json(document, indent=None if as_json else 2)
        return
    rows = (
        (
            one["name"],
            one["version"],
            _describe_tensors(one["inputs"]),
            _describe_tensors(one["outputs"]),
            one["description"],
        )
        for one in documents
    )
    print_table(("model", "version", "inputs", "outputs", "description"), rows)


def _read_documents(client: "Client") -> Iterator[dict[str, Any]]:
    """Reads the models one by one; those that cannot be read do not hide the others."""
    for name in client.models():
        try:
            yield client.model(name)
        except (UnknownModelError, UnexpectedAnswerError) as error:
            print_line(f"inferq: {name}: {error.message}", err=True)


def _describe_tensors(tensors: list[dict[str, Any]]) -> str:
    return ", ".join(f"{one['name']} {one['datatype']}{one['shape']}" for one in tensors)


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
