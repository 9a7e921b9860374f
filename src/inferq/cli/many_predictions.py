"""Several files on the command line: a job for each, some of which are in flight, and results in order."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from inferq.cli.job_result import wait_for_result
from inferq.cli.output import EXIT_CODES, choose_exit_code, print_json, print_line, print_result
from inferq.errors import ErrorKind, InferqError

if TYPE_CHECKING:
    from inferq.client import Client, Job

_MOST_IN_FLIGHT = 16
_OF_ONE_JOB = (ErrorKind.NOT_ENDED, ErrorKind.JOB_NOT_FOUND)


def predict_many(
    client: "Client",
    sources: Iterable[str | Path],
    submit: Callable[[str | Path], "Job"],
    wait_timeout: float | None,
    *,
    waits: bool,
    as_json: bool,
) -> None:
    """Submits files and prints their results in order. What fails of one does not end the others.

    Args:
        client: The service.
        sources: The files.
        submit: Submits one.
        wait_timeout: Longest wait for each, s; None for ever.
        waits: Whether to wait for the results, or to print the ids of the jobs.
        as_json: Whether to print a document a line.

    Raises:
        InferqError: The service is out of reach, or has no such model, so that no other file can be run.
        Exit: Something of one of them failed, which standard error says.
    """
    in_flight: deque[tuple[str, Job]] = deque()
    codes: list[int] = []

    def finish_first() -> None:
        name, job = in_flight.popleft()
        with _go_on(name, codes):
            result = wait_for_result(client, job, wait_timeout) if waits else None
            if as_json:
                print_json({"file": name, "job_id": job.id} | ({"result": result} if waits else {}))
            elif waits:
                print_line(f"{name}:")
                print_result(result)
            else:
                print_line(job.id)

    for source in sources:
        with _go_on(str(source), codes):
            in_flight.append((str(source), submit(source)))
        if len(in_flight) >= (_MOST_IN_FLIGHT if waits else 1):
            finish_first()
    while in_flight:
        finish_first()
    if codes:
        raise typer.Exit(codes[0])


@contextmanager
def _go_on(name: str, codes: list[int]) -> Iterator[None]:
    """Prints what fails of one file, and notes its exit code; what concerns all of them is raised."""
    try:
        yield
    except InferqError as error:
        if error.kind in EXIT_CODES and error.kind not in _OF_ONE_JOB:
            raise
        print_line(f"inferq: {name}: {error.message}", err=True)
        codes.append(choose_exit_code(error))
