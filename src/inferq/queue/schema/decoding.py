"""What a job, or a worker, looks like in Redis, made into the vocabulary of `jobs.py`.

Any program may write to Redis: what is odd counts as absent and never breaks a read.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from pydantic import ValidationError

from inferq.blobs import BlobPart
from inferq.errors import ErrorKind
from inferq.jobs import (
    Attempt,
    Job,
    LargeResult,
    Pace,
    Priority,
    Progress,
    Status,
    Webhook,
    WebhookStatus,
    WorkerInfo,
)
from inferq.provenance import Provenance
from inferq.queue.schema.blob_references import follow_reference
from inferq.queue.schema.record import parse_record
from inferq.rollout import Rollout

_LONGEST_HISTORY = 1000
_LONGEST_CLAIM_SECONDS = 1e9
_MOST_JOBS_IN_CLAIM = 1_000_000
_MOST_BYTES = 1e15
_MOMENTS = 1024
"""So many times are kept: jobs that were stored, claimed or ended together share them."""
_PROVENANCES = 1024
"""So many are kept: the jobs of a run share them."""
# looked up here, a word takes a tenth of the time that it takes an enumeration
_STATUSES = {status.value: status for status in Status}
_KINDS = {kind.value: kind for kind in ErrorKind}
_PRIORITIES = {priority.value: priority for priority in Priority}


def decode_job(job_id: str, answer: list[Any]) -> Job | None:
    """Makes a job of what `lua/read.lua` answers for one id.

    Args:
        job_id: The job's id.
        answer: Status, result or its length, error, whether there is data, record, and queue position or
            progress.

    Returns:
        The job, or None where Redis knows none of this id.
    """
    stored_status, result, error, has_data, record, extra = answer
    fields = parse_record(record)
    if stored_status is None and not has_data and "model" not in fields:
        return None
    status = _read_status(stored_status, has_result=result is not None, has_error=error is not None)
    started_at, finished_at = decode_time(fields.get("started_ms")), decode_time(fields.get("ended_ms"))
    large = _read_large_result(job_id, result, record) if status is Status.COMPLETED else None
    return Job(
        id=job_id,
        status=status,
        result=result if status is Status.COMPLETED and isinstance(result, bytes) and not large else None,
        error=decode_text(error) if error and status is Status.FAILED else None,
        error_kind=_read_error_kind(fields.get("error_kind")) if status is Status.FAILED else None,
        model=fields.get("model"),
        made_by=_read_provenance(fields.get("version")),
        attempts=_parse_int(fields.get("attempts")) or 0,
        submitted_at=decode_time(fields.get("submitted_ms")),
        started_at=started_at,
        finished_at=finished_at,
        queue_position=extra if status is Status.PENDING else None,
        history=_read_history(fields, status, started_at, finished_at),
        owner=fields.get("owner", ""),
        priority=_read_priority(fields.get("priority")),
        webhook=_read_webhook(fields, status),
        output=fields.get("output", ""),
        large_result=large,
        is_form_known=_is_ended_by_us(fields),
        request_id=fields.get("request_id", ""),
        traceparent=fields.get("traceparent", ""),
        first_submitted_at=decode_time(fields.get("first_submitted_ms")),
        progress=_read_progress(extra) if status is Status.PROCESSING else None,
    )


def _read_progress(stored: object) -> Progress | None:
    """How far a large job is; None where it does not say so."""
    numbers = stored.split(b" ") if isinstance(stored, bytes) else []
    if len(numbers) != len(Progress._fields) or not all(map(bytes.isdigit, numbers)):
        return None
    done, rows, left_chunks, left_ms = map(int, numbers)
    return Progress(done, rows, left_chunks, left_ms / 1000)


def _read_large_result(job_id: str, result: bytes | int | None, record: bytes | None) -> LargeResult | None:
    """What stands for the result: its length, or a reference to it; None where it is the result itself."""
    if isinstance(result, int):
        return LargeResult(result, read_end(record))
    if not result:
        return None
    reference = follow_reference(result, job_id, BlobPart.RESULT)
    return LargeResult(reference.size, read_end(record), result) if reference else None


def read_end(record: bytes | None) -> bytes:
    """What a record says of its job's end: another end of the same job is told otherwise."""
    return b"|".join((record or b"").split(b"|", 2)[:2])


def _is_ended_by_us(fields: dict[str, Any]) -> bool:
    """Whether a worker of inferq has stored the result of a completed job."""
    return fields.get("state") == "ended" and "outside" not in fields and "error_kind" not in fields


def decode_worker(worker_id: str, report: object) -> WorkerInfo | None:
    """Makes a worker of its heartbeat's hash; None if it has expired or cannot be read."""
    fields = _decode_hash(report)
    try:
        return WorkerInfo(
            id=worker_id,
            host=fields["host"],
            pid=int(fields["pid"]),
            models=tuple(fields["models"].split()),
            started_at=_make_utc(datetime.fromisoformat(fields["started_at"])),
            seen_at=decode_time(fields["seen_ms"]),
            jobs_done=int(fields["jobs_done"]),
            left_out=_read_texts(fields.get("left_out", "{}")),
            model_versions=_read_texts(fields.get("versions", "{}")),
            inferq_version=fields.get("inferq", ""),
            forms=tuple(fields.get("forms", "").split()),
            sent_at=decode_time(fields.get("sent_ms")),
            open_circuits=int(fields.get("open_circuits", 0)),
            paces=decode_paces(fields.get("paces", "{}")),
            blob_store=fields.get("blob_store", ""),
            repository_generation=_parse_int(fields.get("generation")),
        )
    except (KeyError, ValueError):
        return None


def decode_rollout(stored: bytes) -> Rollout | None:
    """Makes a rollout of its JSON; None of what cannot be read."""
    try:
        return Rollout.model_validate_json(stored)
    except ValidationError:
        return None


def decode_rollouts(stored: Mapping[bytes, bytes]) -> dict[str, Rollout]:
    """Makes rollouts, by model, of the hash that has them; none of what cannot be read."""
    rollouts = {decode_text(model): decode_rollout(text) for model, text in stored.items()}
    return {model: rollout for model, rollout in rollouts.items() if rollout is not None}


def decode_paces(stored: str | bytes) -> dict[str, Pace]:
    """Makes paces of what a heartbeat says of them; none of what cannot be read."""
    try:
        found = {str(name): Pace(*numbers) for name, numbers in json.loads(stored).items()}
    except (ValueError, TypeError, AttributeError, RecursionError):
        return {}
    return {name: pace for name, pace in found.items() if _is_pace(pace)}


def _is_pace(pace: Pace) -> bool:
    """Whether these are numbers that a worker may have measured."""
    fixed_seconds, job_seconds, most_jobs, byte_seconds, job_bytes = pace
    return (
        all(
            isinstance(one, int | float) and 0 <= one <= _LONGEST_CLAIM_SECONDS
            for one in (fixed_seconds, job_seconds, byte_seconds)
        )
        and isinstance(job_bytes, int | float)
        and 0 <= job_bytes <= _MOST_BYTES
        and isinstance(most_jobs, int)
        and 1 <= most_jobs <= _MOST_JOBS_IN_CLAIM
    )


def _read_texts(stored: str) -> dict[str, str]:
    """A JSON object of texts; an empty one where it is anything else."""
    try:
        found = json.loads(stored)
    except (ValueError, RecursionError):
        return {}
    return {str(name): str(text) for name, text in found.items()} if isinstance(found, dict) else {}


@lru_cache(maxsize=_MOMENTS)
def decode_time(milliseconds: str | float | None) -> datetime | None:
    """Makes a UTC time of milliseconds since 1970; None where there is none, or none that exists."""
    number = _parse_int(milliseconds)
    try:
        return None if number is None else datetime.fromtimestamp(number / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def _make_utc(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _read_status(stored: bytes | None, *, has_result: bool, has_error: bool) -> Status:
    """The public state, also of jobs that outside programs wrote in part or in words of their own."""
    text = stored and decode_text(stored)
    if text and text in _STATUSES:
        return _STATUSES[text]
    if has_result:
        return Status.COMPLETED
    return Status.FAILED if has_error else Status.PENDING


def decode_text(stored: bytes) -> str:
    """Makes a text of what Redis holds, also of what is not UTF-8."""
    return stored.decode("utf-8", "replace")


def _read_history(
    fields: dict[str, Any], state: Status, started_at: datetime | None, finished_at: datetime | None
) -> tuple[Attempt, ...]:
    """The failed attempts as the scripts wrote them down, and the one that runs or succeeded."""
    attempts = []
    last = min(_parse_int(fields.get("attempts")) or 0, _LONGEST_HISTORY)
    for number in range(1, last + 1):
        noted = fields.get(f"attempt:{number}")
        if noted:
            attempts.append(_read_attempt(number, noted))
        elif number == last and state in (Status.PROCESSING, Status.COMPLETED):
            attempts.append(Attempt(number, started_at, finished_at, fields.get("worker", "")))
    return tuple(attempts)


def _read_attempt(number: int, noted: Any) -> Attempt:  # noqa: ANN401 - of any JSON
    try:
        started, ended = decode_time(noted.get("started_ms")), decode_time(noted["ended_ms"])
        return Attempt(
            number, started, ended, noted["worker"], _read_error_kind(noted["kind"]), noted["reason"]
        )
    except (ValueError, KeyError, AttributeError, TypeError):  # not written by our scripts
        return Attempt(number, None, None, "")


def _read_error_kind(text: str | None) -> ErrorKind | None:
    return None if text is None else _KINDS.get(text)


@lru_cache(maxsize=_PROVENANCES)
def _read_provenance(text: str | None) -> Provenance | None:
    return None if text is None else Provenance.parse(text)


def _read_priority(text: str | None) -> Priority:
    return Priority.NORMAL if text is None else _PRIORITIES.get(text, Priority.NORMAL)


def _read_webhook(fields: dict[str, Any], status: Status) -> Webhook | None:
    if "webhook" not in fields:
        return None
    settled, progress = fields.get("webhook_status"), WebhookStatus.WAITING
    if status.is_final:
        progress = WebhookStatus(settled) if settled and settled in WebhookStatus else WebhookStatus.PENDING
    return Webhook(
        url=fields["webhook"],
        status=progress,
        attempts=_parse_int(fields.get("webhook_attempts")) or 0,
        last_attempt_at=decode_time(fields.get("webhook_ms")),
        error=fields.get("webhook_error"),
    )


def _decode_hash(stored: object) -> dict[str, str]:
    """A hash as text. Any program may write to Redis: what is no hash, or no text, must not break a read."""
    if not isinstance(stored, dict):
        return {}
    return {decode_text(name): decode_text(value) for name, value in stored.items()}


def _parse_int(text: str | float | None) -> int | None:
    try:
        return None if text is None else int(text)
    except (ValueError, OverflowError, TypeError):
        return None
