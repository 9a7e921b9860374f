"""`inferq predict`: submit data, and wait for the results."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from inferq.cli.input_files import find_source, is_standard_input, read_data, read_text
from inferq.cli.job_result import wait_for_result
from inferq.cli.many_predictions import predict_many
from inferq.cli.output import AsJson, Url, open_client, print_json, print_line, print_result
from inferq.errors import InvalidInputError
from inferq.jobs import Priority

if TYPE_CHECKING:
    from inferq.client import Client, Job

_TABLES = (".csv", ".tsv")


def predict(
    data: Annotated[
        list[str] | None,
        typer.Argument(
            help="JSON, such as '[[5.1, 3.5, 1.4, 0.2]]'; or files, a job for each: pictures, .wav, .npy, "
            ".npz, .csv, .json; - for standard input."
        ),
    ] = None,
    file: Annotated[Path | None, typer.Option("--file", "-f", help="A file, as DATA.")] = None,
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
    upload: Annotated[
        bool, typer.Option("--upload", help="Send files to the blob store first; their jobs name them.")
    ] = False,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Submit data and print the result; of several files each its own, in their order.

    Exit codes: 0 done, 1 the job failed or the data does not fit, 2 the command was not understood,
    3 there is no such model, 4 the time to wait was up, 5 the service is out of reach, 130 Ctrl-C.
    """
    sources = [find_source(argument) for argument in data or ()] + ([file] if file else [])
    _check_sources(sources, header)
    if upload and not all(isinstance(source, Path) and _is_uploaded(source) for source in sources):
        raise InvalidInputError("--upload is for pictures, .wav and .npy, named as DATA or with --file.")
    with open_client(url) as client:

        def submit(source: str | Path) -> "Job":
            if isinstance(source, Path) and _is_table(source):
                value = _read_table(client, source, model, header)
            elif isinstance(source, Path) and upload:
                value = client.upload(source)
            else:
                value = read_data(source)
            return client.submit(
                value,
                model=model,
                timeout=timeout,
                priority=priority and priority.value,
                expires_in=expires_in,
            )

        if len(sources) > 1:
            predict_many(client, sources, submit, wait_timeout, waits=wait, as_json=as_json)
            return
        job = submit(sources[0])
        if not wait:
            print_json({"job_id": job.id}) if as_json else print_line(job.id)
            return
        result = wait_for_result(client, job, wait_timeout)
    if as_json:
        print_json(result)
    else:
        print_result(result)


def _check_sources(sources: list[str | Path], header: bool | None) -> None:
    if not sources:
        raise InvalidInputError("Give the data: JSON as an argument, or the name of a file.")
    if len(sources) > 1 and any(isinstance(source, str) or is_standard_input(source) for source in sources):
        raise InvalidInputError("Several jobs are of several files. Give JSON and standard input alone.")
    if header is not None and not any(isinstance(source, Path) and _is_table(source) for source in sources):
        raise InvalidInputError("--header and --no-header are for .csv files, named as DATA or with --file.")


def _is_table(file: Path) -> bool:
    return file.suffix.lower() in _TABLES


def _is_uploaded(file: Path) -> bool:
    return not (_is_table(file) or is_standard_input(file) or file.suffix.lower() in (".json", ".npz"))


def _read_table(client: "Client", file: Path, model: str | None, header: bool | None) -> Any:  # noqa: ANN401 - JSON
    from inferq.cli.csv_files import read_csv

    text = read_text(file)  # a missing file is reported before a service that is away
    read = read_csv(text, client.model(model or client.default_model()), has_header=header)
    for note in read.notes:
        print_line(f"inferq: {file}: {note}", err=True)
    return read.data
