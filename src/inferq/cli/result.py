"""`inferq result`: print the result of a job, or save it in the form that is wanted."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from inferq.cli.job_result import wait_for_end, wait_for_result
from inferq.cli.output import AsJson, Url, open_client, print_json, print_line, print_result
from inferq.errors import InvalidInputError


def result(
    job_id: Annotated[str, typer.Argument(metavar="ID", help="What submitting the job printed.")],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="File to save it to: .npy (one output), .npz, .json, or .bin (protocol)."
        ),
    ] = None,
    name: Annotated[str | None, typer.Option(help="Only this output of the model.")] = None,
    raw: Annotated[
        bool,
        typer.Option("--raw", help="Values of one output alone, little-endian, to --output or a program."),
    ] = False,
    timeout: Annotated[float | None, typer.Option(min=0, help="Longest wait for the job's end, s.")] = None,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Wait for a job's end, and print its result, or save it while it comes.

    Exit codes are those of `inferq predict`.
    """
    if output is None and name is not None and not raw:
        raise InvalidInputError("--name is for --output and --raw.")
    if raw and output is None and sys.stdout.isatty():
        raise InvalidInputError("Raw values are not for a terminal. Say --output FILE, or | another program.")
    from inferq.client.requests import read_values

    with open_client(url) as client:
        job = client.job(job_id)
        if output is None and not raw:
            shown = wait_for_result(client, job, timeout)
            print_json(shown) if as_json else print_result(shown)
            return
        wait_for_end(client, job, timeout)
        if raw:
            values = client.run(read_values(job.id, name, client.retries))
            _write(values, output)
        elif output is not None:
            job.save_result(output, output=name)
    if output is not None:
        print_line(f"{output}: {output.stat().st_size:,} bytes", err=True)


def _write(values: bytes, output: Path | None) -> None:
    if output is None:
        sys.stdout.buffer.write(values)
        return
    from inferq.client.download import open_download

    with open_download(output) as file:
        file.write(values)
