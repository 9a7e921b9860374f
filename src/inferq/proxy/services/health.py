"""The health of the service: what would happen to a job that is submitted now."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from contextvars import Context
from dataclasses import dataclass

from inferq.errors import RedisUnavailableError
from inferq.job_json import format_time
from inferq.queue import AnyProducer, QueueNumbers, QueueStats, find_unavailable, is_refusal
from inferq.settings import Settings

PROBE_SECONDS = 1.0
"""Shortest time between two checks whether Redis accepts jobs, however many clients ask."""
UNTAKEN_SECONDS = 15.0
"""After so long, a waiting job while no worker is busy means that the workers are stuck."""

_NEARLY_FULL = 0.95
_MOST_NAMED = 5


@dataclass(frozen=True, slots=True)
class HealthReport:
    """The health of the service.

    Attributes:
        status: `healthy`; `degraded`: requests are taken, but something is wrong; `unhealthy`: none are.
        components: Of `redis` and `worker`: `ok`, or what is wrong; of `queue` and `blobs`, where that is so.
    """

    status: str
    components: dict[str, str]


class HealthChecker:
    """Checks the health of the service.

    Args:
        producer: The queue.
        settings: How many jobs may wait.
    """

    def __init__(self, producer: AnyProducer, settings: Settings) -> None:
        self._producer = producer
        self._settings = settings
        self._probing: asyncio.Task[RedisUnavailableError | None] | None = None
        self._probed_at = -PROBE_SECONDS

    async def check_ready(self) -> None:
        """Returns if requests can be taken, which needs Redis but no worker.

        Raises:
            RedisUnavailableError: They cannot.
        """
        if self._probing is not None and self._probing.done():
            if time.monotonic() - self._probed_at > PROBE_SECONDS:
                self._probing = None
            else:
                await self._producer.ping()
        if self._probing is None:
            self._probing = asyncio.create_task(self._probe(), context=Context())
        if refusal := await asyncio.shield(self._probing):
            raise RedisUnavailableError(refusal.message) from refusal

    async def _probe(self) -> RedisUnavailableError | None:
        """Returns why Redis accepts no jobs; None if it does. A failed connection is tried again at once."""
        try:
            await self._producer.check_takes_jobs()
        except RedisUnavailableError as error:
            self._probed_at = time.monotonic() if is_refusal(error.__cause__) else -PROBE_SECONDS
            return error
        self._probed_at = time.monotonic()
        return None

    async def check(self) -> HealthReport:
        """Checks everything."""
        try:
            stats = await self._producer.read_stats()
        except RedisUnavailableError as error:
            return HealthReport(
                "unhealthy", {"redis": error.message, "worker": "unknown, since Redis is out of reach"}
            )
        away = "; ".join(self._producer.shard_faults)
        components = {
            "redis": away or "ok",
            "worker": "; ".join(await self._find_worker_faults(stats)) or "ok",
        }
        if faults := await self._find_queue_faults(stats):
            components["queue"] = "; ".join(faults)
        if fault := await self._producer.find_blob_fault():
            components["blobs"] = fault
        is_well = all(component == "ok" for component in components.values())
        status = "healthy" if is_well else "degraded"
        try:
            await self.check_ready()
        except RedisUnavailableError as error:
            components["redis"], status = error.message, "unhealthy"
        return HealthReport(status, components)

    async def _find_worker_faults(self, stats: QueueStats) -> list[str]:
        if not stats.workers:
            try:
                seen = await self._producer.read_last_heartbeat()
            except RedisUnavailableError:
                seen = None
            return [f"no live worker since {format_time(seen)}" if seen else "no worker has ever reported"]
        unavailable = find_unavailable(stats.workers)
        left_out = [f"models left out: {', '.join(unavailable)}"] if unavailable else []
        unattended = [_describe_unattended(stats.unattended_shards)] if stats.unattended_shards else []
        return [*left_out, *unattended, *_shorten(_find_stuck(stats))]

    async def _find_queue_faults(self, stats: QueueStats) -> list[str]:
        faults = _shorten(
            f"as many jobs wait for model {name!r} as may (INFERQ_MAX_QUEUED)"
            for name, queue in stats.models.items()
            if _count_waiting(queue) >= self._settings.max_queued
        )
        most = await self._producer.read_max_queued_bytes()
        if most and stats.queued_bytes >= _NEARLY_FULL * most:
            faults.append(
                f"the data of jobs takes {stats.queued_bytes} bytes of at most {most} "
                "(INFERQ_MAX_QUEUED_BYTES)"
            )
        return faults


def _find_stuck(stats: QueueStats) -> Iterator[str]:
    for name, queue in stats.models.items():
        waiting, seconds = _count_waiting(queue), queue.oldest_wait_seconds or 0.0
        if waiting and not queue.workers:
            yield f"no live worker serves model {name!r}, for which {_describe_jobs(waiting)}"
        elif waiting and not (queue.running or queue.jobs_per_second) and seconds >= UNTAKEN_SECONDS:
            yield (
                f"{_describe_jobs(waiting)} for model {name!r}, the longest for {seconds:.0f} s, and none of "
                f"its {queue.workers} live workers takes one"
            )


def _describe_unattended(shards: Sequence[int]) -> str:
    return (
        f"no live worker reports to shard {', '.join(map(str, shards))}, whose jobs wait: all proxies and "
        "workers need the same INFERQ_REDIS_URL and INFERQ_SHARDS"
    )


def _count_waiting(queue: QueueNumbers) -> int:
    return sum(queue.waiting.values())


def _describe_jobs(count: int) -> str:
    return "1 job waits" if count == 1 else f"{count} jobs wait"


def _shorten(faults: Iterator[str]) -> list[str]:
    found = list(faults)
    if len(found) > _MOST_NAMED:
        found[_MOST_NAMED:] = [f"{len(found) - _MOST_NAMED} more like this"]
    return found
