"""What the commands share: the service that they talk to, and how they print."""

import sys
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from inferq.errors import ErrorKind, InferqError
from inferq.terminal import format_json, make_printable

if TYPE_CHECKING:
    from inferq.client import Client

Url = Annotated[str | None, typer.Option(help="Where the service is.", envvar="INFERQ_URL", show_envvar=True)]
AsJson = Annotated[bool, typer.Option("--json", help="JSON for programs, one document a line.")]

EXIT_CODES = {
    ErrorKind.JOB_NOT_FOUND: 3,
    ErrorKind.UNKNOWN_MODEL: 3,
    ErrorKind.NOT_ENDED: 4,
    ErrorKind.UNREACHABLE: 5,
    ErrorKind.REDIS_UNAVAILABLE: 5,
    ErrorKind.STORE_UNAVAILABLE: 5,
    ErrorKind.QUEUE_FULL: 5,
    ErrorKind.EXPIRES_TOO_SOON: 5,
    ErrorKind.OVERLOADED: 5,
    ErrorKind.NO_WORKER: 5,
    ErrorKind.MODEL_UNAVAILABLE: 5,
    ErrorKind.UNEXPECTED: 5,
}
"""Exit codes other than 1, by what went wrong. 2 is a command that was not understood."""


def choose_exit_code(error: InferqError) -> int:
    """Returns the exit code for an error."""
    return EXIT_CODES.get(error.kind, 1)


def open_client(url: str | None) -> "Client":
    """Opens a client of the service; its key is read from `INFERQ_API_KEY`, never from the command line."""
    from inferq.client import Client

    return Client(url)


def print_line(text: str, *, err: bool = False) -> None:
    """Prints a line, without the control characters that it may contain.

    Further lines, such as what a refusal tells to write into model.toml, are indented, so that none of them
    looks like a line of our own.
    """
    typer.echo("\n  ".join(map(make_printable, text.split("\n"))), err=err)


def print_missing(answer: Mapping[str, Any]) -> None:
    """Says which shards do not answer, where an answer goes without them."""
    from inferq.client.answers import describe_missing

    if shards := answer.get("unavailable_shards"):
        print_line(f"inferq: {describe_missing(shards)}", err=True)


@contextmanager
def printed_warnings() -> Iterator[None]:
    """Prints what the client warns of, each once."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            yield
        finally:
            for text in dict.fromkeys(str(one.message) for one in caught):
                print_line(f"inferq: {text}", err=True)


def print_json(value: Any, *, indent: int | None = None) -> None:  # noqa: ANN401 - JSON
    """Prints a document, on one line or with so many spaces for each level."""
    typer.echo(format_json(value, indent))


def print_table(
    columns: Sequence[str], rows: Iterable[Sequence[Any]], styles: Mapping[str, str] | None = None
) -> None:
    """Prints a table; what is piped into another program is not cut to the width of a terminal.

    Args:
        columns: Their names.
        rows: The cells of each row.
        styles: Colours for first cells on a terminal, by what stands in the cell.
    """
    from rich.cells import cell_len
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(*columns, box=None, pad_edge=False)
    for row in rows:
        cells = ["" if value is None else make_printable(str(value)) for value in row]
        table.add_row(Text(cells[0], (styles or {}).get(cells[0], "")), *map(Text, cells[1:]))
        name = table.columns[0]
        name.min_width = max(name.min_width or 0, cell_len(cells[0]))  # a name that is cut is of no use
    Console(width=None if sys.stdout.isatty() else 1000, highlight=False).print(table)


def print_result(result: Any) -> None:  # noqa: ANN401 - as the model gives it
    """Prints what a classifier gave as a table, and everything else as JSON."""
    if not isinstance(result, dict) or result.keys() != {"prediction", "class_name", "probabilities"}:
        print_json(result)
        return
    is_single = not isinstance(result["prediction"], list)
    columns = {name: [one] if is_single else one for name, one in result.items() if one is not None}
    if len({len(one) if isinstance(one, list) else None for one in columns.values()}) == 1:
        print_table(list(columns), zip(*columns.values(), strict=True))
    else:  # an outside worker may write another form
        print_json(result)
