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
    "workers",
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
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Show what waits and runs, by model."""
    from rich.console import Console

    with open_client(url) as client:
        while True:
            overview = client.queue()
            if as_json:
                print_json(overview)
            else:
                if watch:
                    Console().clear()
                _print_overview(overview)
            if not watch:
                return
            time.sleep(seconds)


def _print_overview(overview: dict[str, Any]) -> None:
    rows = [
        (
            name,
            *(one["waiting"][priority] for priority in ("high", "normal", "low")),
            *(one[part] for part in ("running", "retrying", "failed")),
            "" if one["oldest_wait_seconds"] is None else f"{one['oldest_wait_seconds']:.1f}",
            f"{one['jobs_per_second']:.1f}",
            one["workers"],
        )
        for name, one in overview["models"].items()
    ]
    print_table(_COLUMNS, rows)
    held, most = overview.get("queued_bytes"), overview.get("max_queued_bytes")
    if held is not None:
        limit = f", of at most {most / 1e6:.0f} MB" if most else ""
        typer.echo(f"Data of jobs that have not ended: {held / 1e6:.1f} MB{limit}")
