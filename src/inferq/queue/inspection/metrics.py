"""Everything that Redis counts of the cluster, in one round trip: jobs, runs, workers, webhooks."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from inferq.errors import StoreUnavailableError
from inferq.jobs import Priority, WorkerInfo
from inferq.queue.blob_access import BlobAccess
from inferq.queue.blob_threads import BlobThreads
from inferq.queue.inspection.stats import count_serving, decode_workers
from inferq.queue.redis_client import scripts
from inferq.queue.redis_client.bounded import BoundedRedis
from inferq.queue.redis_client.requirements import ServerCheck
from inferq.queue.redis_client.script_calls import ScriptCall
from inferq.queue.schema.decoding import decode_text
from inferq.queue.schema.histograms import Histogram, decode_histograms

LOST = "lost"
"""The outcome of a job whose record another program deleted."""
_MOST_COUNT = 2**63 - 1
_LONGEST_SECONDS = 1.0
"""How long to wait for the blob store's free space."""


@dataclass(frozen=True, slots=True)
class ModelMetrics:
    """What is counted of one model. Totals never fall, and are those of all proxies and workers together.

    `sum(submitted.values()) + user_retries == sum(ended.values()) + open` holds at every moment. All of those
    that are open wait, run, or wait for a retry, but for what a worker has just taken out of its list.

    Attributes:
        submitted: Total of jobs by priority, those included that programs from outside pushed, counted when
            a worker first sees them.
        user_retries: Total of failed jobs that began anew since a user asked for it.
        ended: Total of ends by outcome and kind of error: `("completed", "")`, `("failed", kind)`, where the
            kind is `outside` if a worker from outside wrote the end, and `("lost", "")`.
        open: Jobs that have not ended.
        waiting: Ids in the lists, by priority: also those that were pushed from outside and not yet seen.
        running: Jobs that inferq's workers run.
        retrying: Jobs that wait for a retry.
        dead_letters: Failed jobs that can still be read.
        oldest_wait_seconds: How long the longest waiting job has waited; None where none waits.
        workers: Live workers that serve the model.
        wait: Seconds from submission to the first start, of jobs that a worker of inferq ended.
        run: Seconds of the runs that ended such jobs, or attempts of them; one that jobs shared is one.
        total: Seconds from submission to the end, of the same jobs as `wait`.
        batch: Jobs that shared a run, of the same runs as `run`.
        leases_lapsed: Total of leases that their worker did not renew in time.
        recovered: Total of jobs that recovery requeued.
        retries: Total of attempts that failed and were followed by another.
        late: Total of results that counted though the worker's lease had passed on.
        stale: Total of ends that changed nothing, since the job was another's by then or had ended.
        run_seconds: Total of seconds that jobs ran, by the name of their API key; "" where there was none. Of
            a run that they shared, each has an equal part.
    """

    submitted: dict[Priority, int]
    user_retries: int
    ended: dict[tuple[str, str], int]
    open: int
    waiting: dict[Priority, int]
    running: int
    retrying: int
    dead_letters: int
    oldest_wait_seconds: float | None
    workers: int
    wait: Histogram
    run: Histogram
    total: Histogram
    batch: Histogram
    leases_lapsed: int
    recovered: int
    retries: int
    late: int
    stale: int
    run_seconds: dict[str, float]


@dataclass(frozen=True, slots=True)
class QueueMetrics:
    """What is counted of the whole cluster.

    Attributes:
        models: Name to numbers of each model that is announced, or of which jobs are kept.
        workers: The live workers, the oldest first.
        webhooks: Ends of jobs that are to be reported now (`pending`), and the totals of those that were
            (`delivered`) and of those that will never be (`given-up`).
        open_circuits: Receivers of webhooks that did not answer and are spared for a while: the sum over
            all workers, each of which knows its own.
        held_bytes: Bytes of data that the jobs have that have not ended.
        most_held_bytes: How many these may be; None if there is no limit, or it is not known yet.
        blobs: How many blobs the latest sweep has met; None where none has been made of late.
        blob_bytes: How many bytes these have; likewise.
        blob_free_bytes: Free space of the blob store's disk; None where there is none.
    """

    models: dict[str, ModelMetrics]
    workers: list[WorkerInfo]
    webhooks: dict[str, int]
    open_circuits: int
    held_bytes: int
    most_held_bytes: int | None
    blobs: int | None = None
    blob_bytes: int | None = None
    blob_free_bytes: int | None = None


async def read_metrics(
    redis: BoundedRedis, server: ServerCheck, blobs: BlobAccess, threads: BlobThreads
) -> QueueMetrics:
    """Reads all metrics. The cost follows the number of models and workers, not that of jobs.

    Args:
        redis: The server.
        server: Knows its limits.
        blobs: The blob store.
        threads: For calls of the store.

    Raises:
        RedisUnavailableError: Redis does not answer in time.
    """
    most_held_bytes = await server.read_held_bytes()
    async with redis.limit_time():
        models, reports, pending, settled, held_bytes, usage = await redis.run(
            ScriptCall(scripts.METRICS, [redis.keys.models], [])
        )
    workers = decode_workers(reports)
    webhooks = _decode_counts(settled)
    return QueueMetrics(
        models={
            (name := decode_text(model)): _make_metrics(numbers, count_serving(name, workers))
            for model, *numbers in sorted(models)
        },
        workers=workers,
        webhooks={
            "pending": pending,
            "delivered": webhooks.get("delivered", 0),
            "given-up": webhooks.get("given-up", 0),
        },
        open_circuits=sum(worker.open_circuits for worker in workers),
        held_bytes=held_bytes,
        most_held_bytes=most_held_bytes,
        blobs=_parse_number(usage.partition(b" ")[0]),
        blob_bytes=_parse_number(usage.partition(b" ")[2]),
        blob_free_bytes=await _measure_free_bytes(blobs, threads),
    )


async def _measure_free_bytes(blobs: BlobAccess, threads: BlobThreads) -> int | None:
    if blobs.store is None:
        return None
    try:
        return await threads.call(blobs.store.measure_space, _LONGEST_SECONDS)
    except StoreUnavailableError:
        return None


def _parse_number(text: bytes) -> int | None:
    return int(text) if text.isdigit() else None


def _make_metrics(numbers: list[Any], workers: int) -> ModelMetrics:
    *waiting, running, retrying, dead, oldest_ms, is_open, sequence, counts, owners, stored = numbers
    totals, histograms = _decode_counts(counts), decode_histograms(stored)
    return ModelMetrics(
        submitted=_count_submitted(sequence, totals),
        user_retries=totals.get("retried", 0),
        ended=_read_ends(totals),
        open=is_open,
        waiting=dict(zip(Priority, waiting, strict=True)),
        running=running,
        retrying=retrying,
        dead_letters=dead,
        oldest_wait_seconds=None if oldest_ms is None else oldest_ms / 1000,
        workers=workers,
        wait=histograms["wait"],
        run=histograms["run"],
        total=histograms["total"],
        batch=histograms["batch"],
        leases_lapsed=totals.get("leases_lapsed", 0),
        recovered=totals.get("recovered", 0),
        retries=totals.get("retries", 0),
        late=totals.get("late", 0),
        stale=totals.get("stale", 0),
        run_seconds={owner: us / 1_000_000 for owner, us in _decode_counts(owners).items()},
    )


def _count_submitted(sequence: int, totals: Mapping[str, int]) -> dict[Priority, int]:
    """Totals by priority: that of normal jobs is what the others leave, so that they need no count."""
    high, low = (totals.get(f"submitted|{priority}", 0) for priority in (Priority.HIGH, Priority.LOW))
    everything = sequence + totals.get("pushed", 0) - totals.get("retried", 0)
    return {Priority.HIGH: high, Priority.NORMAL: everything - high - low, Priority.LOW: low}


def _read_ends(totals: Mapping[str, int]) -> dict[tuple[str, str], int]:
    ended = {("completed", ""): totals.get("completed", 0)}
    for field, number in sorted(totals.items()):
        outcome, _, kind = field.partition("|")
        if outcome == "failed" or field == LOST:
            ended[outcome, kind] = number
    return ended


def _decode_counts(stored: list[bytes]) -> dict[str, int]:
    """Names and whole numbers of a hash, without what another program wrote that Redis could not count."""
    counts = {}
    for name, number in zip(stored[::2], stored[1::2], strict=True):
        with suppress(ValueError):
            count = int(number)
            if abs(count) <= _MOST_COUNT:
                counts[decode_text(name)] = count
    return counts
