"""What shadow jobs have found of a candidate: how far it agrees with the version that serves."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple, cast

from inferq.errors import ErrorKind
from inferq.jobs import Priority
from inferq.model_names import QueueName
from inferq.provenance import Provenance
from inferq.queue.redis_client.bounded import BoundedRedis
from inferq.queue.schema.decoding import decode_text, decode_time
from inferq.queue.schema.histograms import Histogram
from inferq.queue.schema.ids import decode_id, encode_id
from inferq.queue.schema.record import parse_record
from inferq.queue.schema.run_times import decode_run_times, estimate_quantile

_MOST_FAILED = 100
"""Failed shadow jobs that are shown: the latest."""
_SHARES = (0.5, 0.95, 0.99)
_NOT_STARTED = (ErrorKind.EXPIRED, ErrorKind.CANCELLED)
"""Ends of shadow jobs that tell nothing of the candidate."""


@dataclass(frozen=True, slots=True)
class DifferingJob:
    """A job on whose result two versions do not agree.

    Attributes:
        job_id: The job of the version that serves.
        shadow_job_id: The same on the candidate.
        at: When that was found, UTC.
        absolute: Largest difference of two numbers; None where the candidate failed.
        relative: The same, relative to the larger of them.
        where: Output and index of the value that differs most.
        error: How the candidate failed, for a person; None where it did not.
    """

    job_id: str
    shadow_job_id: str
    at: datetime | None
    absolute: float | None = None
    relative: float | None = None
    where: str = ""
    error: str | None = None


class RunSummary(NamedTuple):
    """How long runs of a version took; all None where there was none.

    Attributes:
        p50_seconds: The median, as the other shares to within a quarter.
        p95_seconds: What 95 % did not exceed.
        p99_seconds: What 99 % did not exceed.
        mean_seconds: The mean.
        mean_batch_jobs: How many jobs shared a run, in the mean.
    """

    p50_seconds: float | None
    p95_seconds: float | None
    p99_seconds: float | None
    mean_seconds: float | None
    mean_batch_jobs: float | None


class MeasuredRuns(NamedTuple):
    """What was measured of the runs of a version.

    Attributes:
        times: How long they took.
        jobs: How many jobs shared them, added up over the compared jobs.
    """

    times: Histogram
    jobs: int

    def summarize(self) -> RunSummary:
        """Returns what is told of them."""
        p50, p95, p99 = (estimate_quantile(self.times, share) for share in _SHARES)
        count = sum(self.times.counts)
        mean, mean_jobs = (self.times.total / count, self.jobs / count) if count else (None, None)
        return RunSummary(p50, p95, p99, mean, mean_jobs)


class _Stored(NamedTuple):
    """What Redis holds of one candidate, as it came."""

    comparisons: dict[bytes, bytes]
    counts: dict[bytes, bytes]
    differing: list[bytes]
    run_times: bytes | None
    dead: list[tuple[bytes, float]]
    waiting: int


@dataclass(frozen=True, slots=True)
class ShadowReport:
    """What was found of one candidate.

    Attributes:
        version: The candidate.
        since: When the present comparison began, UTC; None where nothing was compared yet.
        primary: What made the results that it is compared with.
        candidate: What made its own.
        tolerance: How much values may differ and still agree.
        compared: Jobs whose results were compared.
        agreed: Those of them that agree.
        differed: Those that do not.
        failed: Jobs on which it failed, and the version that serves did not.
        missed: Jobs whose primary's result was gone before it could be compared.
        skipped: Jobs that were drawn and never ran on it.
        waiting: Jobs that are still to run on it.
        absolute: Largest difference of two numbers.
        relative: The same, relative to the larger of them.
        primary_runs: The runs of the compared jobs on the version that serves.
        candidate_runs: Those on the candidate.
        differing: The latest jobs on which they do not agree, the latest first.
    """

    version: str
    since: datetime | None
    primary: Provenance | None
    candidate: Provenance | None
    tolerance: float | None
    compared: int
    agreed: int
    differed: int
    failed: int
    missed: int
    skipped: int
    waiting: int
    absolute: float
    relative: float
    primary_runs: MeasuredRuns
    candidate_runs: MeasuredRuns
    differing: Sequence[DifferingJob]


class ShadowReader:
    """Reads what was found of candidates.

    Args:
        redis: The server.
    """

    def __init__(self, redis: BoundedRedis) -> None:
        self._redis = redis

    async def read(self, model: str, versions: Sequence[str]) -> list[ShadowReport]:
        """Returns a report of each version of a model that was tried, or is.

        Args:
            model: Name of the model.
            versions: Versions of it that are known; others are found as long as their jobs are kept.

        Raises:
            RedisUnavailableError: Redis does not answer in time.
        """
        keys, client = self._redis.keys, self._redis.client
        async with self._redis.limit_time():
            kept = cast("set[bytes]", await client.smembers(keys.queues))
        parsed = (QueueName.parse(decode_text(name)) for name in kept)
        found = {name.version for name in parsed if name and (name.model, name.purpose) == (model, "shadow")}
        names = [str(QueueName(model, version, "shadow")) for version in sorted(found.union(versions))]
        reports = [await self._read_one(name) for name in names]
        return [report for report in reports if report is not None]

    async def _read_one(self, queue_name: str) -> ShadowReport | None:
        """Returns the report of a candidate; None where nothing is known of it as one."""
        stored = await self._read_stored(queue_name)
        if not (stored.comparisons or stored.dead or stored.waiting):
            return None
        hash_ = {decode_text(field): decode_text(value) for field, value in stored.comparisons.items()}
        before_ms = _parse_int(hash_.get("before_ms"))
        failed, unstarted = _count_failures(stored.counts, hash_)
        primary, candidate, tolerance = _read_pair(hash_.get("pair"))
        times = decode_run_times(stored.run_times)
        differing = [*filter(None, map(_read_differing, stored.differing))]
        differing += await self._read_failed([id_ for id_, ended_ms in stored.dead if ended_ms >= before_ms])
        return ShadowReport(
            version=QueueName.parse(queue_name).version,  # type: ignore[union-attr] # it was made of one
            since=decode_time(hash_.get("since_ms")),
            primary=primary,
            candidate=candidate,
            tolerance=tolerance,
            compared=_parse_int(hash_.get("compared")),
            agreed=_parse_int(hash_.get("agreed")),
            differed=_parse_int(hash_.get("differed")),
            failed=failed,
            missed=_parse_int(hash_.get("missed")),
            skipped=_parse_int(hash_.get("skipped")) + unstarted,
            waiting=stored.waiting,
            absolute=_parse_float(hash_.get("absolute")),
            relative=_parse_float(hash_.get("relative")),
            primary_runs=MeasuredRuns(times.primary, _parse_int(hash_.get("primary|jobs"))),
            candidate_runs=MeasuredRuns(times.candidate, _parse_int(hash_.get("candidate|jobs"))),
            differing=sort_differing(differing),
        )

    async def _read_stored(self, queue_name: str) -> _Stored:
        keys = self._redis.keys
        async with self._redis.limit_time():
            pipeline = self._redis.client.pipeline(transaction=False)
            pipeline.hgetall(keys.comparisons(queue_name))
            pipeline.hgetall(keys.counts(queue_name))
            pipeline.lrange(keys.differing(queue_name), 0, -1)
            pipeline.get(keys.run_times(queue_name))
            pipeline.zrevrange(keys.dead(queue_name), 0, _MOST_FAILED - 1, withscores=True)
            for priority in Priority:
                pipeline.zcard(keys.open(queue_name, priority))
            answers = await pipeline.execute(raise_on_error=False)
        # of a key that another program has made something else of, nothing is known
        *found, high, normal, low = [None if isinstance(one, Exception) else one for one in answers]
        comparisons, counts, differing, run_times, dead = found
        waiting = sum(filter(None, (high, normal, low)))
        return _Stored(comparisons or {}, counts or {}, differing or [], run_times, dead or [], waiting)

    async def _read_failed(self, ids: Sequence[bytes]) -> list[DifferingJob]:
        """Returns the shadow jobs among failed ones on which the candidate has failed."""
        if not ids:
            return []
        keys = self._redis.keys
        async with self._redis.limit_time():
            pipeline = self._redis.client.pipeline(transaction=False)
            for job_id in map(decode_id, ids):
                pipeline.mget([encode_id(keys.job(job_id, part)) for part in ("primary", "error")])
            pipeline.hmget(keys.records, list(ids))
            *texts, records = await pipeline.execute()
        return [
            DifferingJob(
                str(json.loads(note)[0]),
                decode_id(job_id),
                decode_time(fields.get("ended_ms")),
                error=decode_text(error or b""),
            )
            for job_id, (note, error), fields in zip(ids, texts, map(parse_record, records), strict=True)
            if note and fields.get("error_kind") not in _NOT_STARTED
        ]


def _count_failures(counts: dict[bytes, bytes], comparisons: dict[str, str]) -> tuple[int, int]:
    """Returns how many jobs have failed since the comparison began: when they ran, and before."""
    failed = unstarted = 0
    for field, value in counts.items():
        outcome, _, kind = decode_text(field).partition("|")
        if outcome != "failed":
            continue
        number = _parse_int(decode_text(value)) - _parse_int(comparisons.get(f"before|{kind}"))
        if kind in _NOT_STARTED:
            unstarted += number
        else:
            failed += number
    return failed, unstarted


def _read_pair(text: str | None) -> tuple[Provenance | None, Provenance | None, float | None]:
    """Returns what is compared, and how much it may differ."""
    try:
        primary, candidate, tolerance = json.loads(text or "")
    except ValueError:
        return None, None, None
    return Provenance.parse(primary), Provenance.parse(candidate), tolerance


def sort_differing(jobs: Sequence[DifferingJob]) -> list[DifferingJob]:
    """Returns jobs, the latest first."""
    epoch = datetime.min.replace(tzinfo=UTC)
    return sorted(jobs, key=lambda job: job.at or epoch, reverse=True)


def _read_differing(entry: bytes) -> DifferingJob | None:
    at_ms, _, text = entry.partition(b" ")
    try:
        return DifferingJob(at=decode_time(decode_text(at_ms)), **json.loads(text))
    except (ValueError, TypeError):
        return None


def _parse_int(text: str | None) -> int:
    return int(text) if text and text.isdecimal() else 0


def _parse_float(text: str | None) -> float:
    try:
        return float(text or 0)
    except ValueError:
        return 0.0
