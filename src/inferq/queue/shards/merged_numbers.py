"""Numbers of several shards as one."""

from collections.abc import Iterable, Mapping, Sequence
from functools import reduce

from inferq.jobs import Priority
from inferq.queue.inspection.history import QueueMinute
from inferq.queue.inspection.memory import ServerMemory
from inferq.queue.inspection.stats import QueueNumbers, QueueStats, count_serving
from inferq.queue.shards.merged_registry import merge_workers


def merge_stats(by_shard: Mapping[int, QueueStats]) -> QueueStats:
    """Adds up the numbers of each model; a worker is there once, and serves the jobs of all shards."""
    stats = list(by_shard.values())
    workers = merge_workers(one.workers for one in stats)
    names = sorted({name for one in stats for name in one.models})
    return QueueStats(
        {
            name: _add_numbers(
                [one.models[name] for one in stats if name in one.models], count_serving(name, workers)
            )
            for name in names
        },
        workers,
        sum(one.webhooks_waiting for one in stats),
        sum(one.queued_bytes for one in stats),
        max(one.at for one in stats),
        tuple(number for number, one in by_shard.items() if workers and not one.workers),
    )


def _add_numbers(numbers: Sequence[QueueNumbers], workers: int) -> QueueNumbers:
    return QueueNumbers(
        waiting=add_by_priority(one.waiting for one in numbers),
        running=sum(one.running for one in numbers),
        retrying=sum(one.retrying for one in numbers),
        failed=sum(one.failed for one in numbers),
        oldest_wait_seconds=find_longest(one.oldest_wait_seconds for one in numbers),
        jobs_per_second=sum(one.jobs_per_second for one in numbers),
        workers=workers,
        submissions=sum(one.submissions for one in numbers),
        completions=sum(one.completions for one in numbers),
        failures=sum(one.failures for one in numbers),
    )


def add_by_priority(counts: Iterable[dict[Priority, int]]) -> dict[Priority, int]:
    """Adds counts up by priority."""
    every = list(counts)
    return {priority: sum(one[priority] for one in every) for priority in Priority}


def find_longest(waits: Iterable[float | None]) -> float | None:
    """Returns the longest wait; None where nothing waits."""
    return max((wait for wait in waits if wait is not None), default=None)


def add_known(numbers: Sequence[int | None]) -> int | None:
    """Adds numbers up; None where one of them is not known, or has no limit."""
    known = [number for number in numbers if number is not None]
    return sum(known) if len(known) == len(numbers) else None


def merge_memory(memories: Sequence[ServerMemory]) -> ServerMemory:
    """Adds up what all servers use, each once: nodes of a cluster may have several shards."""
    servers = {memory.run_id: memory for memory in memories}.values()
    return ServerMemory(
        sum(memory.used_bytes for memory in servers), add_known([memory.limit_bytes for memory in servers])
    )


def merge_history(histories: Sequence[dict[str, list[QueueMinute]]]) -> dict[str, list[QueueMinute]]:
    """Adds up what happened in each minute, for as many minutes as were asked for.

    The most jobs that waited in each shard may have waited at different moments: together they were fewer.
    """
    models = list(histories[0])
    merged: dict[str, list[QueueMinute]] = {}
    for model in models:
        by_minute: dict[float, list[QueueMinute]] = {}
        for minute in (minute for history in histories for minute in history[model]):
            by_minute.setdefault(minute.at.timestamp(), []).append(minute)
        count = len(histories[0][model])  # the clocks of two servers may be in different minutes
        latest = sorted(by_minute.items())[-count:]
        merged[model] = [reduce(_add_minutes, minutes) for _, minutes in latest]
    return merged


def _add_minutes(one: QueueMinute, other: QueueMinute) -> QueueMinute:
    return QueueMinute(
        one.at,
        one.submitted + other.submitted,
        one.completed + other.completed,
        one.failed + other.failed,
        one.run_seconds + other.run_seconds,
        one.waiting + other.waiting,
    )
