"""`inferq predict`: submit data, and wait for the result."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from inferq.cli.input_files import read_data, read_text
from inferq.cli.job_result import wait_for_result
from inferq.cli.output import AsJson, Url, open_client, print_json, print_line, print_result
from inferq.errors import InvalidInputError
from inferq.jobs import Priority

if TYPE_CHECKING:
    from inferq.client import Client

_TABLES = (".csv", ".tsv")


def predict(
    data: Annotated[str | None, typer.Argument(help="JSON, such as '[[5.1, 3.5, 1.4, 0.2]]'.")] = None,
    file: Annotated[
        Path | None,
        typer.Option("--file", "-f", help="A .json, .csv or .npy file; - for JSON on standard input."),
    ] = None,
    header: Annotated[
        bool | None,
        typer.Option(
            "--header/--no-header",
            help="Whether a CSV file's first line is a header; else the model's names and datatype decide.",
            show_default=False,
        ),
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="Name of the model; the service's default if left out.")
    ] = None,
    wait: Annotated[bool, typer.Option(help="Wait for the result, or print the job's id and leave.")] = True,
    wait_timeout: Annotated[float | None, typer.Option(min=0, help="Longest wait, s.")] = None,
    timeout: Annotated[float | None, typer.Option(min=0, help="Longest run, s.")] = None,
    priority: Annotated[Priority | None, typer.Option(help="Which jobs it goes before.")] = None,
    expires_in: Annotated[
        float | None, typer.Option(min=0, help="Longest wait for its turn, s; then the job fails as expired.")
    ] = None,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Submit data and print the result.

    Exit codes: 0 done, 1 the job failed or the data does not fit, 2 the command was not understood,
    3 there is no such model, 4 the time to wait was up, 5 the service is out of reach, 130 Ctrl-C.
    """
    is_table = data is None and file is not None and file.suffix.lower() in _TABLES
    if header is not None and not is_table:
        raise InvalidInputError("--header and --no-header are for --file with a .csv file.")
    with open_client(url) as client:
        value = _read_table(client, file, model, header) if file and is_table else read_data(data, file)
        job = client.submit(
            value,
            model=model,
            timeout=timeout,
            priority=priority and priority.value,
            expires_in=expires_in,
        )
        if not wait:
            print_json({"job_id": job.id}) if as_json else print_line(job.id)
            return
        result = wait_for_result(client, job, wait_timeout)
    if as_json:
        print_json(result)
    else:
        print_result(result)


def _read_table(client: "Client", file: Path, model: str | None, header: bool | None) -> Any:  # noqa: ANN401 - JSON
    from inferq.cli.csv_files import read_csv

    text = read_text(file)  # a missing file is reported before a service that is away
    read = read_csv(text, client.model(model or client.default_model()), has_header=header)
    for note in read.notes:
        print_line(f"inferq: {file}: {note}", err=True)
    return read.data
