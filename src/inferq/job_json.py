"""What is shown of a job, and of the queues: JSON bytes, with a result in JSON exactly as it is stored."""

from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import quote

from pydantic_core import from_json, to_json

from inferq.errors import InvalidInputError
from inferq.jobs import Job, Webhook
from inferq.model_names import get_model_name
from inferq.provenance import Provenance
from inferq.queue import show_id
from inferq.tensors.envelope import is_envelope
from inferq.tensors.result_tensors import write_result_view

if TYPE_CHECKING:
    from collections.abc import Mapping

    from inferq.queue import Backlog, QueueNumbers, QueueStats

_MOMENTS = 1024
"""So many times are kept as text: jobs that were stored, claimed or ended together share them."""
_VIEWS = 32
"""So many results of tensors are kept as JSON, which takes up to 4 ms: many clients may follow one job."""
_SMALL_BYTES = 4096
"""A result up to this length is parsed in 20 µs at most."""


def write_job_json(job: Job) -> bytes:
    """Returns the JSON of `GET /job/{id}` for a job without a large result; see `JobView`."""
    head, tail = write_job_frame(job)
    return b"".join((head, _write_result(job), tail))


def write_job_frame(job: Job) -> tuple[bytes, bytes]:
    """Returns the same without the result: what stands before it, and after it."""
    head = to_json({"job_id": show_id(job.id), "status": job.status})
    started_at, finished_at = format_time(job.started_at), format_time(job.finished_at)
    tail = to_json(
        {
            "error": job.error,
            "error_kind": job.error_kind,
            "model": job.model,
            "model_version": job.model_version,
            "made_by": describe_provenance(job.made_by),
            "priority": job.priority,
            "submitted_at": format_time(job.submitted_at),
            "started_at": started_at,
            "finished_at": finished_at,
            "attempts": job.attempts,
            "queue_position": job.queue_position,
            "expected_start_at": _write_time(job.expected_start_at),
            "expected_end_at": _write_time(job.expected_end_at),
            "history": [
                {
                    "attempt": attempt.number,
                    # the latest attempt mostly shares its times with the job
                    "started_at": started_at
                    if attempt.started_at is job.started_at
                    else format_time(attempt.started_at),
                    "finished_at": finished_at
                    if attempt.finished_at is job.finished_at
                    else format_time(attempt.finished_at),
                    "worker": attempt.worker,
                    "error_kind": attempt.kind,
                    "error": attempt.reason,
                }
                for attempt in job.history
            ],
            "webhook": _describe_webhook(job.webhook),
            "request_id": job.request_id or None,
            **_describe_few(job),
        }
    )
    return b'%b,"result":' % head[:-1], b",%b" % tail[1:]


def describe_stats(
    stats: "QueueStats", max_queued_bytes: int | None, backlogs: "Mapping[str, Backlog]"
) -> dict[str, object]:
    """Returns what `GET /queue` shows; see `QueueView`.

    Args:
        stats: The numbers.
        max_queued_bytes: What `queued_bytes` may be; None where there is no limit, or none is known.
        backlogs: Name to backlog of each model.
    """
    return {
        "models": {name: describe_queue(queue, backlogs[name]) for name, queue in stats.models.items()},
        "workers": [
            {
                "id": show_id(worker.id),
                "host": worker.host,
                "pid": worker.pid,
                "models": worker.models,
                "started_at": format_time(worker.started_at),
                "seen_at": format_time(worker.seen_at),
                "jobs_done": worker.jobs_done,
            }
            for worker in stats.workers
        ],
        "webhooks_waiting": stats.webhooks_waiting,
        "queued_bytes": stats.queued_bytes,
        "max_queued_bytes": max_queued_bytes,
    }


def describe_queue(queue: "QueueNumbers", backlog: "Backlog") -> dict[str, object]:
    """Returns what is shown of one model's queue; see `QueueNumbersView`."""
    return {
        "waiting": queue.waiting,
        "running": queue.running,
        "retrying": queue.retrying,
        "failed": queue.failed,
        "oldest_wait_seconds": queue.oldest_wait_seconds,
        "jobs_per_second": queue.jobs_per_second,
        "workers": queue.workers,
        "backlog_seconds": None if backlog.seconds is None else round(backlog.seconds, 3),
        "needed_workers": backlog.needed_workers,
    }


@lru_cache(maxsize=_MOMENTS)
def format_time(moment: datetime | None) -> str | None:
    """Returns a UTC time such as 2026-01-31T12:00:00.004Z."""
    return _write_time(moment)


def _write_time(moment: datetime | None) -> str | None:
    """Returns the same; for times that no two jobs share."""
    # written without a zone it takes half the time
    return None if moment is None else f"{moment.replace(tzinfo=None).isoformat(timespec='milliseconds')}Z"


@lru_cache(maxsize=_MOMENTS)
def describe_provenance(made_by: Provenance | None) -> dict[str, str | None] | None:
    """Returns what is shown of what made a result; None where that is not known."""
    return made_by and {name: part or None for name, part in made_by._asdict().items()}


def describe_origin(job: Job) -> dict[str, object]:
    """Returns what an answer of the Open Inference Protocol says of a job, and of what made its outputs."""
    made_by = job.made_by or Provenance("")
    known = {name: part for name, part in made_by._asdict().items() if part and name != "version"}
    return {
        "model_name": get_model_name(job.model or ""),
        "model_version": made_by.version,
        "parameters": {"job_id": show_id(job.id), **known},
    }


def _describe_few(job: Job) -> dict[str, object]:
    """Returns what few jobs have: those retried by order, those with an output, and large ones that run."""
    if job.first_submitted_at is None and job.progress is None and not job.output:
        return {}
    described: dict[str, object] = {}
    if job.first_submitted_at is not None:
        described["first_submitted_at"] = format_time(job.first_submitted_at)
    if job.output:
        described["output"] = job.output
    if job.progress is not None:
        described["progress"] = {"done": job.progress.done, "rows": job.progress.rows}
    return described


def _describe_webhook(webhook: Webhook | None) -> dict[str, object] | None:
    if webhook is None:
        return None
    return {
        "url": webhook.url,
        "status": webhook.status,
        "attempts": webhook.attempts,
        "last_attempt_at": format_time(webhook.last_attempt_at),
        "error": webhook.error,
    }


def _write_result(job: Job) -> bytes:
    """Returns the stored result, of tensors their JSON; what a worker from outside wrote becomes a string."""
    stored = job.result
    if stored is None:
        return b"null"
    if is_envelope(stored):
        return _write_tensors(stored, make_result_path(job.id))
    # any program may overwrite our worker's result later, so that a small one is parsed in any case
    if (job.is_form_known and len(stored) > _SMALL_BYTES) or is_json(stored):
        return stored
    return to_json(stored.decode("utf-8", "replace"))


@lru_cache(maxsize=_VIEWS)
def _write_tensors(stored: bytes, path: str) -> bytes:
    try:
        return write_result_view(stored, path)
    except InvalidInputError:
        return to_json(stored.decode("utf-8", "replace"))


def make_result_path(job_id: str) -> str:
    """Returns the path at which the result of a job can be read in each form."""
    return f"{make_job_path(job_id)}/result"


def make_job_path(job_id: str) -> str:
    """Returns the path of a job."""
    return f"/job/{quote(job_id.encode('utf-8', 'surrogateescape'), safe='')}"


def is_json(stored: bytes) -> bool:
    """Whether it is JSON as the standard has it."""
    try:
        from_json(stored, allow_inf_nan=False)
    except ValueError:
        return False
    return True
