"""What happened to the jobs of a model, minute by minute, in the last two hours."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from typing import NamedTuple, Self

from inferq.queue.redis_client import scripts
from inferq.queue.redis_client.bounded import BoundedRedis
from inferq.queue.redis_client.script_calls import ScriptCall

MOST_MINUTES = 120
"""So many minutes are kept."""


@dataclass(frozen=True, slots=True)
class QueueMinute:
    """What happened to the jobs of a model in one minute.

    Attributes:
        at: When the minute began, by the server's clock, UTC.
        submitted: Jobs that were submitted.
        completed: Jobs that completed.
        failed: Jobs that failed, for whatever reason.
        run_seconds: Seconds that jobs ran, of those that ended in it, or attempts of which did.
        waiting: The most jobs that were seen to wait: looked for every second while a worker serves the
            model, and with each submission. It may be 5 % more.
    """

    at: datetime
    submitted: int
    completed: int
    failed: int
    run_seconds: float
    waiting: int


class _Entry(NamedTuple):
    """How far the counts were when a minute began; see `lua/includes/minutes.lua`."""

    minute: int
    submitted: int
    completed: int
    failed: int
    run_us: int
    waiting: int
    most_waiting: int

    @classmethod
    def parse(cls, stored: bytes) -> Self | None:
        """Reads an entry; None if another program wrote it."""
        try:
            return cls(*map(int, stored.split()))
        except (ValueError, TypeError):
            return None


async def read_history(
    redis: BoundedRedis, models: Sequence[str], minutes: int = 60
) -> dict[str, list[QueueMinute]]:
    """Reads the history of some models.

    Args:
        redis: The server.
        models: Names of the models.
        minutes: How many minutes, at most `MOST_MINUTES`, the one that is under way included.

    Returns:
        For each model so many minutes, the oldest first, also those in which nothing happened.

    Raises:
        RedisUnavailableError: Redis does not answer in time.
    """
    if not models:
        return {}
    async with redis.limit_time():
        keys = [redis.keys.queue(model) for model in models]
        now_ms, histories = await redis.run(ScriptCall(scripts.HISTORY, keys, []))
    last = int(now_ms) // 60_000
    return {
        model: _make_minutes(_parse_entries(present, stored), last, min(minutes, MOST_MINUTES))
        # on a Redis Cluster that of the guard key comes last
        for model, (present, stored) in zip(models, histories[: len(models)], strict=True)
    }


def _parse_entries(present: bytes, stored: Sequence[bytes]) -> list[_Entry]:
    """The entries, the oldest first, and last what one of the next minute would be now."""
    return [entry for each in (*reversed(stored), present) if (entry := _Entry.parse(each))]


def _make_minutes(entries: Sequence[_Entry], last: int, count: int) -> list[QueueMinute]:
    """The minutes up to the last.

    Nothing happened in a minute without an entry, so the counts when it began are those of the next entry.
    """
    starts: list[_Entry] = []
    index = 0
    for minute in range(last - count + 1, last + 2):
        while entries[index].minute < minute:
            index += 1
        starts.append(entries[index])
    minutes = range(last - count + 1, last + 1)
    return [
        _make_minute(minute, start, end)
        for minute, (start, end) in zip(minutes, pairwise(starts), strict=True)
    ]


def _make_minute(minute: int, start: _Entry, end: _Entry) -> QueueMinute:
    """One minute. Counts may be less at its end only if another program has deleted them."""
    most = start.most_waiting if start.minute == minute else start.waiting
    return QueueMinute(
        at=datetime.fromtimestamp(60 * minute, UTC),
        submitted=max(0, end.submitted - start.submitted),
        completed=max(0, end.completed - start.completed),
        failed=max(0, end.failed - start.failed),
        run_seconds=max(0, end.run_us - start.run_us) / 1_000_000,
        waiting=max(most, end.waiting),
    )
