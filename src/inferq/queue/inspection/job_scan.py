"""Scans the indexes of jobs: first those that have not ended, then the ended, each the latest first.

Those that have not ended come model by model, each model's by sequence number: the last submitted or retried
first. The ended of all models come by the time they ended.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from inferq.jobs import Priority, Status
from inferq.queue.inspection.job_filter import JobFilter
from inferq.queue.redis_client import scripts
from inferq.queue.redis_client.bounded import BoundedRedis
from inferq.queue.redis_client.script_calls import ScriptCall

_SCANNED_OF_ALL_INDEXES = 4000
_FEWEST_OF_AN_INDEX = 20
_MOST_LEASES = 1000


@dataclass(frozen=True, slots=True)
class Position:
    """An entry of the scan, after which another one can begin.

    Attributes:
        is_ended: Whether it is one of the ended jobs.
        model: Its model; empty for the ended, which are not listed by model.
        score: Sequence number, or when it ended in ms since 1970.
        id: The job's id, as Redis has it.
    """

    is_ended: bool
    model: str
    score: float
    id: bytes


@dataclass(frozen=True, slots=True)
class Section:
    """Indexes that are merged into one order.

    Attributes:
        is_ended: Whether they are those of ended jobs.
        model: Of the jobs; empty for the ended of all models.
        indexes: Their keys.
        statuses: Which of their jobs are wanted.
        are_leases: Whether they are those of claims.
    """

    is_ended: bool
    model: str
    indexes: Sequence[str]
    statuses: Sequence[Status]
    are_leases: bool = False

    def reaches_beyond(self, position: Position) -> bool:
        """Whether it may have entries behind a position."""
        return (self.is_ended, self.model) >= (position.is_ended, position.model)

    def holds(self, position: Position) -> bool:
        """Whether a position is one of its entries."""
        return (self.is_ended, self.model) == (position.is_ended, position.model)


@dataclass(frozen=True, slots=True)
class Scanned:
    """What one script call has scanned of a section.

    Attributes:
        is_end: Whether there are no more entries.
        last: The last entry that was scanned; None if there was none.
        found: The entries that hold a job which is asked for.
    """

    is_end: bool
    last: Position | None
    found: Sequence[Position]


class JobScan:
    """Finds jobs in the indexes, a part at a time.

    Args:
        redis: The server.
    """

    def __init__(self, redis: BoundedRedis) -> None:
        self._redis = redis

    def list_sections(self, models: Sequence[str], statuses: Sequence[Status]) -> Iterator[Section]:
        """Yields the sections that hold jobs of these statuses, in their order.

        Args:
            models: The models, in alphabetical order.
            statuses: Which jobs are wanted.
        """
        keys = self._redis.keys
        open_ones = tuple(status for status in statuses if not status.is_final)
        ended = tuple(status for status in statuses if status.is_final)
        for model in models if open_ones else ():
            if open_ones == (Status.PROCESSING,):
                yield Section(False, model, [keys.leases(model)], open_ones, are_leases=True)
            else:
                yield Section(False, model, [keys.open(model, each) for each in Priority], open_ones)
        indexes = [keys.completed(model) for model in models if Status.COMPLETED in ended]
        indexes += [keys.dead(model) for model in models if Status.FAILED in ended]
        if indexes:
            yield Section(True, "", indexes, ended)

    async def read_entries(
        self, section: Section, after: Position | None, owner: str | None, only: JobFilter, count: int
    ) -> Scanned:
        """Scans the next entries of a section.

        Args:
            section: The section.
            after: The entry after which to begin; None, or one of another section, for the first.
            owner: Name of the API key that asks; None where every job may be read.
            only: What the jobs must have.
            count: Most entries.

        Raises:
            RedisUnavailableError: Redis does not answer in time.
        """
        share = max(_FEWEST_OF_AN_INDEX, _SCANNED_OF_ALL_INDEXES // len(section.indexes))
        is_within = after is not None and section.holds(after)
        arguments: list[Any] = [
            owner or "",
            " ".join(section.statuses),
            *((repr(after.score), after.id) if after is not None and is_within else ("", "")),
            _MOST_LEASES if section.are_leases else min(count, share),
            int(section.are_leases),
            int(section.is_ended),
            only.encode(),
        ]
        async with self._redis.limit_time():
            is_end, score, job_id, found = await self._redis.run(
                ScriptCall(scripts.LIST, section.indexes, arguments)
            )

        def position(score: bytes, job_id: bytes) -> Position:
            return Position(section.is_ended, section.model, float(score), job_id)

        entries = [position(*pair) for pair in zip(found[::2], found[1::2], strict=True)]
        return Scanned(bool(is_end), position(score, job_id) if score else None, entries)
