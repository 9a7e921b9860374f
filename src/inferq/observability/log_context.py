"""Which request, or which jobs, a line of the log is about: every line carries their ids.

The ids belong to the task or thread that notes them, and to the tasks that it starts. structlog's own context
does the same with a variable for each id, which costs a request five times as long.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import structlog

from inferq.jobs import ClaimedJob, Job

_NAMES = ("job_id", "job_ids", "request_id", "request_ids")
type _Jobs = Sequence[ClaimedJob | Job]
_about: ContextVar[dict[str, Any] | _Jobs | None] = ContextVar("inferq_log_about", default=None)


def begin_log_ids(about: dict[str, Any]) -> None:
    """Begins a request: lines that follow carry its ids, and no others.

    Args:
        about: What is known of the request, `request_id` and more. It is kept, not copied, and read when a
            line is written.
    """
    _about.set(about)


def add_log_job(job_id: str) -> None:
    """Adds the job that the request is about, if there is a request."""
    about = _about.get()
    if isinstance(about, dict):
        about["job_id"] = job_id


@contextmanager
def log_jobs(jobs: _Jobs) -> Iterator[None]:
    """Lets lines carry the ids of jobs, and of the requests that asked for them, while the context lasts.

    Args:
        jobs: The jobs, which must not change meanwhile: their ids are only listed where a line is written.
            Of none, lines carry what they would carry without this.
    """
    if not jobs:
        yield
        return
    token = _about.set(jobs)
    try:
        yield
    finally:
        _about.reset(token)


def add_log_ids(
    _logger: object, _method: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """Adds the noted ids to a line; what the line says itself counts more. A processor of structlog."""
    about = _about.get()
    if about is None:
        return event
    if not isinstance(about, dict):
        about = _list_ids(about)
    return {**event, **{name: about[name] for name in _NAMES if name in about}, **event}


def _list_ids(jobs: _Jobs) -> dict[str, Any]:
    requests = list(dict.fromkeys(job.request_id for job in jobs if job.request_id))
    ids: dict[str, Any] = {"job_id": jobs[0].id} if len(jobs) == 1 else {"job_ids": [job.id for job in jobs]}
    if requests:
        ids |= {"request_id": requests[0]} if len(requests) == 1 else {"request_ids": requests}
    return ids
