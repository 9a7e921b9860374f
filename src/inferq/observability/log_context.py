"""Which request, or which jobs, a line of the log is about: every line carries their ids.

The ids belong to the task or thread that notes them, and to the tasks that it starts. structlog's own context
does the same with a variable for each id, which costs a request five times as long.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

import structlog

from inferq.jobs import ClaimedJob

_NONE: Mapping[str, object] = {}
_ids: ContextVar[Mapping[str, object]] = ContextVar("inferq_log_ids", default=_NONE)


def begin_log_ids(request_id: str) -> None:
    """Begins a request: lines that follow carry its id, and no others."""
    _ids.set({"request_id": request_id})


def add_log_job(job_id: str) -> None:
    """Adds the job that a request is about."""
    _ids.set({**_ids.get(), "job_id": job_id})


@contextmanager
def log_jobs(jobs: Sequence[ClaimedJob]) -> Iterator[None]:
    """Lets lines carry the ids of jobs, and of the requests that asked for them, while the context lasts.

    Args:
        jobs: At least one.
    """
    requests = list(dict.fromkeys(job.request_id for job in jobs if job.request_id))
    ids: dict[str, object] = (
        {"job_id": jobs[0].id} if len(jobs) == 1 else {"job_ids": [job.id for job in jobs]}
    )
    if requests:
        ids |= {"request_id": requests[0]} if len(requests) == 1 else {"request_ids": requests}
    token = _ids.set(ids)
    try:
        yield
    finally:
        _ids.reset(token)


def add_log_ids(
    _logger: object, _method: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """Adds the noted ids to a line; what the line says itself counts more. A processor of structlog."""
    return {**event, **_ids.get(), **event}
