"""Numbers of the queues, and the workers that serve them, in one round trip."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from inferq.jobs import Priority, WorkerInfo
from inferq.model_names import QueueName
from inferq.queue.redis_client import scripts
from inferq.queue.redis_client.bounded import BoundedRedis
from inferq.queue.redis_client.script_calls import ScriptCall
from inferq.queue.schema.decoding import decode_text, decode_worker
from inferq.queue.schema.ids import decode_id


@dataclass(frozen=True, slots=True)
class QueueNumbers:
    """One model's queue.

    Attributes:
        waiting: Waiting jobs, by priority.
        running: Jobs that inferq's workers run.
        retrying: Jobs that wait for a retry.
        failed: Failed jobs that can still be read.
        oldest_wait_seconds: How long the longest waiting job has waited; None where none waits.
        jobs_per_second: How many have ended recently: a mean over about 10 s.
        workers: Live workers that serve the model.
        submissions: How many jobs have ever been submitted.
        completions: How often a job has ever completed.
        failures: How often a job has ever failed for good; more than once where it was retried by order.
    """

    waiting: dict[Priority, int]
    running: int
    retrying: int
    failed: int
    oldest_wait_seconds: float | None
    jobs_per_second: float
    workers: int
    submissions: int
    completions: int
    failures: int


@dataclass(frozen=True, slots=True)
class QueueStats:
    """All queues.

    Attributes:
        models: Name to numbers of each model that is announced, or of which jobs are kept.
        workers: The live workers, the oldest first.
        webhooks_waiting: Ended jobs whose end is still to be reported.
        queued_bytes: Bytes of data that the jobs have that have not ended.
        at: When that was read, by the server's clock, UTC.
        unattended_shards: Numbers of the shards that no worker reports to, where workers report to others.
    """

    models: dict[str, QueueNumbers]
    workers: list[WorkerInfo]
    webhooks_waiting: int
    queued_bytes: int
    at: datetime
    unattended_shards: tuple[int, ...] = ()


async def read_stats(redis: BoundedRedis) -> QueueStats:
    """Reads the numbers. The cost follows the number of models and workers, not that of jobs.

    Raises:
        RedisUnavailableError: Redis does not answer in time.
    """
    async with redis.limit_time():
        queues, reports, webhooks, held, now = await redis.run(
            ScriptCall(scripts.STATS, [redis.keys.models], [])
        )
    workers = decode_workers(reports)
    models = {decode_text(name): numbers for name, *numbers in sorted(queues)}
    return QueueStats(
        {name: _numbers(numbers, count_serving(name, workers)) for name, numbers in models.items()},
        workers,
        webhooks,
        held,
        datetime.fromtimestamp(now / 1000, UTC),
    )


def find_unavailable(workers: Sequence[WorkerInfo]) -> dict[str, str]:
    """Name to reason of the models that live workers have left out, and none serves.

    Args:
        workers: The live workers.
    """
    served = {name for worker in workers for name in worker.models}
    left_out = {name: reason for worker in workers for name, reason in worker.left_out.items()}
    return {name: reason for name, reason in sorted(left_out.items()) if name not in served}


def _numbers(numbers: list[Any], workers: int) -> QueueNumbers:
    *waiting, running, retrying, failed, oldest_ms, rate, submissions, completions, failures = numbers
    return QueueNumbers(
        dict(zip(Priority, waiting, strict=True)),
        running,
        retrying,
        failed,
        None if oldest_ms is None else oldest_ms / 1000,
        float(rate),
        workers,
        submissions,
        completions,
        failures,
    )


def decode_workers(reports: Sequence[tuple[bytes, Sequence[bytes]]]) -> list[WorkerInfo]:
    """Makes workers, the oldest first, of what a script answers for each: its id, and names and values."""
    found = (
        decode_worker(decode_id(worker_id), dict(zip(report[::2], report[1::2], strict=True)))
        for worker_id, report in reports
    )
    return sorted(filter(None, found), key=lambda worker: worker.started_at)


def count_serving(model: str, workers: Sequence[WorkerInfo]) -> int:
    """How many of these workers take jobs of a queue: those that serve its model, or version."""
    name = QueueName.parse(model)
    served = name.base if name else model
    return sum(served in worker.models for worker in workers)
