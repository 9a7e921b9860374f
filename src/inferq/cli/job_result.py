"""Waiting for a job's end and result on the command line, with a note where no worker is there to run it.

On a terminal the progress of a large job is shown.
"""

import math
import sys
import time
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Any

from inferq.cli.output import print_line
from inferq.errors import InferqError, NotEndedError
from inferq.jobs import Status

if TYPE_CHECKING:
    from inferq.client import Client, Job

_QUIET_SECONDS = 1.0
"""A job that has not begun by then may have no worker."""
_REFRESH_SECONDS = 0.5
"""Between two reads of a job whose progress is shown."""


def wait_for_result(client: "Client", job: "Job", timeout: float | None) -> Any:  # noqa: ANN401 - as the model gives it
    """Waits for a job's result, as `wait_for_end` does, and returns it.

    Raises:
        JobFailedError: The job has failed.
        NotEndedError: The time was up.
    """
    wait_for_end(client, job, timeout)
    return job.result()


def wait_for_end(client: "Client", job: "Job", timeout: float | None) -> None:
    """Waits for a job's end. If that does not come, it prints the job's id, on standard error.

    Args:
        client: The service.
        job: The job.
        timeout: Longest wait, s; None for ever.

    Raises:
        NotEndedError: The time was up.
    """
    rest = timeout
    try:
        if timeout is None or timeout > _QUIET_SECONDS:
            with suppress(NotEndedError):
                job.wait(_QUIET_SECONDS)
                return
            rest = None if timeout is None else timeout - _QUIET_SECONDS
            with suppress(InferqError):
                _note_missing_worker(client, job)
        if sys.stderr.isatty():
            _wait_with_bar(job, rest)
        else:
            job.wait(rest)
    except NotEndedError as error:
        raise NotEndedError(
            f"Job {job.id!r} has not ended within {timeout:g} s. It goes on: inferq job wait {job.id}", job.id
        ) from error
    except (KeyboardInterrupt, InferqError):
        if not job.has_ended:
            print_line(f"inferq: job {job.id} goes on: inferq job wait {job.id}", err=True)
        raise


def _wait_with_bar(job: "Job", timeout: float | None) -> None:
    """Waits for a job's end, and shows a bar on standard error while it has progress to tell."""
    from rich.console import Console
    from rich.progress import Progress

    deadline = math.inf if timeout is None else time.monotonic() + timeout
    with ExitStack() as stack:
        bar: Progress | None = None
        while True:
            try:
                job.wait(max(0.0, min(_REFRESH_SECONDS, deadline - time.monotonic())))
            except NotEndedError:
                if time.monotonic() >= deadline:
                    raise
            if job.progress is not None and bar is None:
                bar = stack.enter_context(Progress(console=Console(stderr=True), transient=True))
                task = bar.add_task("rows", total=1.0)
            if bar is not None:
                bar.update(task, completed=1.0 if job.has_ended else job.progress)
            if job.has_ended:
                return
            job.refresh()


def _note_missing_worker(client: "Client", job: "Job") -> None:
    if job.refresh().status != Status.PENDING:
        return
    model = job.model or client.default_model()
    if not client.queue()["models"].get(model, {}).get("workers"):
        print_line(f"inferq: job {job.id} waits for a worker: none serves the model {model!r} now.", err=True)
