"""What shadow jobs find: the results of their primaries, and what comes of the comparison, counted once."""

import json
from collections.abc import Sequence
from typing import Any, NamedTuple, cast

import structlog

from inferq.blobs import BlobPart
from inferq.errors import ErrorKind, InferqError
from inferq.jobs import ClaimedJob
from inferq.queue.blob_access import BlobAccess
from inferq.queue.consumer.access import QueueAccess
from inferq.queue.consumer.read_groups import group_by_size
from inferq.queue.redis_client import scripts
from inferq.queue.redis_client.connection import redis_errors
from inferq.queue.schema.blob_references import find_reference
from inferq.queue.schema.ids import encode_id, show_id
from inferq.queue.schema.run_times import find_slots
from inferq.queue.schema.times import COMPARISONS_SECONDS, to_milliseconds

MOST_DIFFERING = 100
"""Jobs that differ, of one version: the latest are kept."""
_FIXED_ARGUMENTS = 3
_HARMFUL = (ErrorKind.CRASHED, ErrorKind.TIMED_OUT)

log = structlog.get_logger()


class ShadowPrimary(NamedTuple):
    """What the result of a shadow job is compared with.

    Attributes:
        id: The job that ran on the version that serves.
        made_by: What made its result, as its record has it.
        run_seconds: How long its run took.
        run_jobs: How many jobs shared that run.
        tolerance: How much values may differ.
        result: Its result; None where it is gone, or cannot be read.
    """

    id: str
    made_by: str
    run_seconds: float
    run_jobs: int
    tolerance: float
    result: bytes | memoryview | None


class ShadowFinding(NamedTuple):
    """What has come of one shadow job.

    Attributes:
        job: The shadow job.
        made_by: What made its result.
        primary: What it was compared with; None where that is not known any more.
        run_seconds: How long its run took.
        run_jobs: How many jobs shared that run.
        agrees: Whether the results agree; None where they could not be compared.
        absolute: Largest difference of two numbers.
        relative: The same, relative to the larger of them.
        where: Output and index of the value that differs most.
    """

    job: ClaimedJob
    made_by: str
    primary: ShadowPrimary | None
    run_seconds: float
    run_jobs: int
    agrees: bool | None
    absolute: float = 0.0
    relative: float = 0.0
    where: str = ""


class ShadowFindings:
    """Reads what shadow jobs are compared with, and counts what they find.

    Args:
        access: The server.
        blobs: The blob store.
    """

    def __init__(self, access: QueueAccess, blobs: BlobAccess) -> None:
        self._access = access
        self._blobs = blobs

    def read_primaries(self, jobs: Sequence[ClaimedJob]) -> list[ShadowPrimary | None]:
        """Returns what the results of shadow jobs are compared with; None where that is not known any more.

        Raises:
            RedisUnavailableError: Redis is away.
        """
        with redis_errors():
            found = list(map(_decode_primary, self._get_many([job.id for job in jobs], "primary")))
            results: dict[str, bytes | memoryview | None] = {}
            for ids in group_by_size({one.id: size for one, size in filter(None, found)}):
                stored = self._get_many(ids, "result")
                results.update((id_, self._follow(id_, one)) for id_, one in zip(ids, stored, strict=True))
        return [one and one[0]._replace(result=results[one[0].id]) for one in found]

    def note(self, queue_name: str, findings: Sequence[ShadowFinding]) -> None:
        """Counts what shadow jobs of a queue have found, each once. May be repeated.

        Raises:
            RedisUnavailableError: Redis is away.
        """
        arguments: list[Any] = [
            to_milliseconds(COMPARISONS_SECONDS),
            self._access.lifetime_ms,
            MOST_DIFFERING,
        ]
        for finding in findings:
            if finding.primary is not None:
                arguments += _encode_finding(finding, finding.primary)
        if len(arguments) > _FIXED_ARGUMENTS:
            with redis_errors():
                self._access.call(scripts.NOTE_COMPARISONS, [self._access.keys.queue(queue_name)], arguments)

    def note_skipped(self, queue_name: str, number: int) -> None:
        """Counts jobs that were drawn and not submitted.

        Raises:
            RedisUnavailableError: Redis is away.
        """
        key = self._access.keys.comparisons(queue_name)
        with redis_errors():
            pipeline = self._access.redis.pipeline(transaction=False)
            pipeline.hincrby(key, "skipped", number)
            pipeline.pexpire(key, to_milliseconds(COMPARISONS_SECONDS))
            pipeline.execute()

    def is_harmful(self, queue_name: str) -> bool:
        """Whether the candidate has killed workers with a job, or run into its time limit, each time it ran.

        Until its files change, or it is put into the rollout anew.

        Raises:
            RedisUnavailableError: Redis is away.
        """
        keys = self._access.keys
        with redis_errors():
            pipeline = self._access.redis.pipeline(transaction=False)
            pipeline.hmget(keys.counts(queue_name), [f"failed|{kind}" for kind in _HARMFUL])
            pipeline.hmget(keys.comparisons(queue_name), [f"before|{kind}" for kind in _HARMFUL])
            now, before = ([int(number or 0) for number in numbers] for numbers in pipeline.execute())
        return sum(now) > sum(before)

    def _get_many(self, ids: Sequence[str], part: str) -> list[bytes | None]:
        keys = [encode_id(self._access.keys.job(job_id, part)) for job_id in ids]
        return cast("list[bytes | None]", self._access.redis.mget(keys))

    def _follow(self, job_id: str, stored: bytes | None) -> bytes | memoryview | None:
        """Returns a result, out of the blob store where it lies there; None where it cannot be read."""
        if stored is None:
            return None
        try:
            reference = find_reference(stored, job_id, BlobPart.RESULT)
            return stored if reference is None else self._blobs.read(reference)
        except InferqError as error:  # it is deleted, damaged, or in another store
            log.info("primary_not_readable", job_ids=[show_id(job_id)], reason=error.message)
            return None


def _decode_primary(note: bytes | None) -> tuple[ShadowPrimary, int] | None:
    """Returns a primary without its result, and how long that is; None for what no worker of ours wrote."""
    try:
        job_id, made_by, run_us, run_jobs, tolerance, size = json.loads(note or b"")
        return ShadowPrimary(str(job_id), str(made_by), run_us / 1e6, int(run_jobs), tolerance, None), size
    except (ValueError, TypeError):
        return None


def _encode_finding(finding: ShadowFinding, primary: ShadowPrimary) -> list[Any]:
    """Returns what `lua/note_comparisons.lua` takes of a job."""
    job = finding.job
    pair = json.dumps([primary.made_by, finding.made_by, primary.tolerance])
    submitted_ms = round(job.submitted_at.timestamp() * 1000) if job.submitted_at else 0
    if finding.agrees is None:
        return [job.id, pair, submitted_ms, "missed"]
    entry = ""
    if not finding.agrees:
        entry = json.dumps(
            {
                "job_id": primary.id,
                "shadow_job_id": job.id,
                "absolute": finding.absolute,
                "relative": finding.relative,
                "where": finding.where,
            }
        )
    primary_us, candidate_us = round(primary.run_seconds * 1e6), round(finding.run_seconds * 1e6)
    return [
        *(job.id, pair, submitted_ms, "agreed" if finding.agrees else "differed"),
        *(repr(finding.absolute), repr(finding.relative)),
        *(primary.run_jobs, finding.run_jobs, primary_us, candidate_us),
        *find_slots(primary_us, candidate_us),
        entry,
    ]
