"""Failed jobs, grouped by what went wrong: thousands of failures mostly have a handful of causes."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import cast

from inferq.jobs import Job, Status
from inferq.queue.inspection.job_filter import JobFilter
from inferq.queue.inspection.job_reader import JobReader, find_one
from inferq.queue.inspection.job_scan import JobScan, Position
from inferq.queue.redis_client.bounded import BoundedRedis
from inferq.queue.schema.decoding import decode_text, decode_time
from inferq.queue.schema.ids import decode_id, encode_id
from inferq.queue.schema.record import parse_record

MOST_GROUPED = 10_000
"""Most failed jobs that are read."""
MOST_GROUPS = 100
_READ_AT_ONCE = 500
_LONGEST_ERROR = 500
_VARYING = re.compile(
    r"(?<![0-9A-Za-z_])(?:"
    r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"  # a UUID
    r"|(?=[a-f]*[0-9])[0-9a-f]{8,}(?![0-9A-Za-z])"  # an id in hex
    r"|[-+]?[0-9][0-9A-Za-z]*(?:[.,:][0-9]+)*(?:e[-+]?[0-9]+)?)",  # a number, with its unit
    re.IGNORECASE,
)


@dataclass(slots=True)
class ErrorGroup:
    """Failed jobs with the same model, the same kind of error, and the same error but for ids and numbers.

    Attributes:
        error_kind: Why they failed; None where a worker from outside ended them.
        error: The error, with `…` for each id and number.
        model: Their model.
        count: How many they are.
        latest_at: When the latest of them failed.
        example_job_id: The id of that one.
    """

    error_kind: str | None
    error: str
    model: str
    count: int
    latest_at: datetime | None
    example_job_id: str


@dataclass(frozen=True, slots=True)
class ErrorGroups:
    """The groups, that with the most jobs first.

    Attributes:
        groups: At most `MOST_GROUPS`.
        is_complete: Whether all failed jobs were read, and all groups are there.
    """

    groups: list[ErrorGroup]
    is_complete: bool


class ErrorGrouping:
    """Groups failed jobs.

    Args:
        redis: The server.
        jobs: Reads the job of a whole id.
    """

    def __init__(self, redis: BoundedRedis, jobs: JobReader) -> None:
        self._redis = redis
        self._jobs = jobs
        self._scan = JobScan(redis)

    async def read_groups(
        self, models: Iterable[str], *, only: JobFilter, owner: str | None = None
    ) -> ErrorGroups:
        """Reads failed jobs, the latest first, at most `MOST_GROUPED`, and groups them.

        Args:
            models: Models whose jobs are read.
            only: What the jobs must have.
            owner: Name of the API key that asks; None where every job may be read.

        Raises:
            RedisUnavailableError: Redis does not answer in time.
        """
        if only.job_id is not None:
            job = await find_one(self._jobs, models, [Status.FAILED], only, owner)
            return ErrorGroups([] if job is None else [_make_group_of_one(job)], is_complete=True)
        groups: dict[tuple[str | None, str, str], ErrorGroup] = {}
        left_to_scan, is_end, cursor = MOST_GROUPED, False, None
        section = next(self._scan.list_sections(sorted(models), [Status.FAILED]), None)
        while section is not None and not is_end and left_to_scan > 0:
            scanned = await self._scan.read_entries(section, cursor, owner, only, _READ_AT_ONCE)
            is_end, cursor = scanned.is_end, scanned.last or cursor
            left_to_scan -= _READ_AT_ONCE
            for group in await self._read_jobs(scanned.found):
                known = groups.setdefault((group.error_kind, group.error, group.model), group)
                if known is not group:
                    known.count += 1
        ordered = sorted(groups.values(), key=lambda group: -group.count)
        return ErrorGroups(ordered[:MOST_GROUPS], is_end and len(ordered) <= MOST_GROUPS)

    async def _read_jobs(self, found: Sequence[Position]) -> list[ErrorGroup]:
        """Reads a group of one for each entry."""
        if not found:
            return []
        keys, client = self._redis.keys, self._redis.client
        errors = [encode_id(keys.job(decode_id(position.id), "error")) for position in found]
        async with self._redis.limit_time():
            pipeline = client.pipeline(transaction=False)
            pipeline.hmget(keys.records, [position.id for position in found])
            pipeline.mget(errors)
            records, texts = cast("list[list[bytes | None]]", await pipeline.execute())
        return [
            _make_group(position, record, text)
            for position, record, text in zip(found, records, texts, strict=True)
        ]


def _make_group(position: Position, record: bytes | None, text: bytes | None) -> ErrorGroup:
    fields = parse_record(record)
    return ErrorGroup(
        fields.get("error_kind"),
        generalize_error(decode_text(text or b"")),
        fields.get("model", ""),
        1,
        decode_time(position.score),
        decode_id(position.id),
    )


def _make_group_of_one(job: Job) -> ErrorGroup:
    error = generalize_error(job.error or "")
    return ErrorGroup(job.error_kind, error, job.model or "", 1, job.finished_at, job.id)


def generalize_error(error: str) -> str:
    """Returns an error with `…` in place of each id and number, so that the same fault reads the same."""
    return _VARYING.sub("…", error[:_LONGEST_ERROR])
