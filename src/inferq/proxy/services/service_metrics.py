"""What Redis counts of the whole service, as metrics."""

from collections.abc import Iterator

from inferq.errors import FailureKind
from inferq.observability import metrics
from inferq.observability.metrics import Reading
from inferq.queue import ModelMetrics, QueueMetrics, ServerMemory

_NO_FAILURES = {("failed", kind.value): 0 for kind in FailureKind}
"""Counted as 0 before the first one: what appears with a 1 has not risen, for Prometheus."""


def describe_service(queue: QueueMetrics, memory: ServerMemory) -> Iterator[Reading]:
    """Yields all that Redis knows, as every proxy tells it.

    Args:
        queue: What Redis counts.
        memory: What the server uses.
    """
    yield Reading(metrics.REDIS_UP, (), 1)
    yield Reading(metrics.REDIS_MEMORY, (), memory.used_bytes)
    if memory.limit_bytes is not None:
        yield Reading(metrics.REDIS_MEMORY_LIMIT, (), memory.limit_bytes)
    yield Reading(metrics.QUEUE_BYTES, (), queue.held_bytes)
    if queue.most_held_bytes is not None:
        yield Reading(metrics.QUEUE_BYTES_LIMIT, (), queue.most_held_bytes)
    for metric, number in (
        (metrics.BLOBS, queue.blobs),
        (metrics.BLOB_BYTES, queue.blob_bytes),
        (metrics.BLOB_FREE_BYTES, queue.blob_free_bytes),
    ):
        if number is not None:
            yield Reading(metric, (), number)
    for state, count in queue.webhooks.items():
        metric = metrics.WEBHOOKS if state == "pending" else metrics.WEBHOOKS_ENDED
        yield Reading(metric, (state,), count)
    yield Reading(metrics.CIRCUIT_BREAKERS, (), queue.open_circuits)
    for model, counted in queue.models.items():
        yield from _describe_jobs(model, counted)
        yield from _describe_runs(model, counted)


def _describe_jobs(model: str, counted: ModelMetrics) -> Iterator[Reading]:
    for priority, count in counted.submitted.items():
        yield Reading(metrics.JOBS_SUBMITTED, (model, priority), count)
    for (outcome, kind), count in (_NO_FAILURES | counted.ended).items():
        yield Reading(metrics.JOBS_ENDED, (model, outcome, kind), count)
    for priority, count in counted.waiting.items():
        yield Reading(metrics.JOBS, (model, "waiting", priority), count)
    yield Reading(metrics.JOBS, (model, "running", ""), counted.running)
    yield Reading(metrics.JOBS, (model, "retrying", ""), counted.retrying)
    yield Reading(metrics.OLDEST_WAIT, (model,), counted.oldest_wait_seconds or 0.0)
    yield Reading(metrics.DEAD_LETTERS, (model,), counted.dead_letters)
    yield Reading(metrics.USER_RETRIES, (model,), counted.user_retries)
    yield Reading(metrics.WAIT, (model,), counted.wait)
    yield Reading(metrics.TOTAL, (model,), counted.total)


def _describe_runs(model: str, counted: ModelMetrics) -> Iterator[Reading]:
    yield Reading(metrics.WORKERS, (model,), counted.workers)
    yield Reading(metrics.RUN, (model,), counted.run)
    yield Reading(metrics.BATCH, (model,), counted.batch)
    for owner, seconds in counted.run_seconds.items():
        yield Reading(metrics.MODEL_RUN_SECONDS, (model, owner), seconds)
    yield Reading(metrics.RETRIES, (model,), counted.retries)
    yield Reading(metrics.LEASES_LAPSED, (model,), counted.leases_lapsed)
    yield Reading(metrics.RECOVERED, (model,), counted.recovered)
    yield Reading(metrics.LATE_FINISHES, (model,), counted.late)
    yield Reading(metrics.STALE_FINISHES, (model,), counted.stale)
