"""Waiting for a job's result on the command line, so that nobody waits without knowing for what."""

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from inferq.cli.output import say
from inferq.errors import InferqError, NotEndedError
from inferq.jobs import Status

if TYPE_CHECKING:
    from inferq.client import Client, Job

_SILENT_SECONDS = 1.0
"""A job that has not begun by then may have no worker."""


def result_of(client: "Client", job: "Job", timeout: float | None) -> Any:  # noqa: ANN401 - as the model gives it
    """Waits for a job's result; who does not get it is told the job's id, on standard error.

    Args:
        client: The service.
        job: The job.
        timeout: Longest wait, s; None for ever.

    Raises:
        JobFailedError: The job has failed.
        NotEndedError: The time was up.
    """
    rest = timeout
    try:
        if timeout is None or timeout > _SILENT_SECONDS:
            with suppress(NotEndedError):
                return job.result(_SILENT_SECONDS)
            rest = None if timeout is None else timeout - _SILENT_SECONDS
            with suppress(InferqError):
                _note_missing_worker(client, job)
        return job.result(rest)
    except NotEndedError as error:
        raise NotEndedError(
            f"Job {job.id!r} has not ended within {timeout:g} s. It goes on: inferq job wait {job.id}", job.id
        ) from error
    except (KeyboardInterrupt, InferqError):
        if not job.has_ended:
            say(f"inferq: job {job.id} goes on: inferq job wait {job.id}", err=True)
        raise


def _note_missing_worker(client: "Client", job: "Job") -> None:
    if job.refresh().status != Status.PENDING:
        return
    model = job.model or client.default_model()
    if not client.queue()["models"].get(model, {}).get("workers"):
        say(f"inferq: job {job.id} waits for a worker: none serves the model {model!r} now.", err=True)
