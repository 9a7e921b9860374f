"""Lists jobs page by page: first those that have not ended, then the ended, each the latest first.

Those that have not ended come model by model, each model's by sequence number: the last submitted or retried
first. The ended of all models come by the time they ended. A page begins after an entry, not after a number
of entries: changes between two pages move nothing.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from inferq.jobs import Job, Priority, Status
from inferq.queue.inspection.job_reader import JobReader
from inferq.queue.redis_client import scripts
from inferq.queue.redis_client.bounded import BoundedRedis
from inferq.queue.redis_client.script_calls import ScriptCall
from inferq.queue.schema.ids import decode_id

MOST_SCANNED = 10_000
"""Most entries that are scanned for one page: perhaps few of them are jobs of the key that asks."""
LARGEST_PAGE_BYTES = 64 * 1024 * 1024
"""A page ends when its results are longer than this."""

SCANNED_AT_ONCE = 1000
_SCANNED_OF_ALL_INDEXES = 4000
_FEWEST_OF_AN_INDEX = 20
_OPEN = (Status.PENDING, Status.PROCESSING)
_ENDED = (Status.COMPLETED, Status.FAILED)


@dataclass(frozen=True, slots=True)
class Position:
    """An entry of the listing, after which a page begins.

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
class Page:
    """A page of jobs.

    Attributes:
        jobs: The jobs.
        last: The position after which the next page begins; None on the last page.
    """

    jobs: list[Job]
    last: Position | None


@dataclass(frozen=True, slots=True)
class _Section:
    """Indexes that are merged into one order."""

    is_ended: bool
    model: str
    indexes: Sequence[str]
    statuses: Sequence[Status]
    are_leases: bool = False

    def begins_after(self, position: Position) -> bool:
        return (self.is_ended, self.model) > (position.is_ended, position.model)

    def holds(self, position: Position) -> bool:
        return (self.is_ended, self.model) == (position.is_ended, position.model)


@dataclass(frozen=True, slots=True)
class _Scanned:
    """What one script call has scanned of a section.

    Attributes:
        is_end: Whether there are no more entries.
        last: The last entry that was scanned; None if there was none.
        found: The entries that hold a job which is asked for.
    """

    is_end: bool
    last: Position | None
    found: Sequence[Position]


class JobListing:
    """Lists jobs.

    Args:
        redis: The server.
        jobs: Reads the jobs.
    """

    def __init__(self, redis: BoundedRedis, jobs: JobReader) -> None:
        self._redis = redis
        self._jobs = jobs

    async def read_page(
        self,
        models: Iterable[str],
        *,
        status: Status | None = None,
        owner: str | None = None,
        after: Position | None = None,
        limit: int = 50,
    ) -> Page:
        """Reads a page.

        In a listing by status, a job is on one page at most. In the listing of all, a job that ends between
        two pages may come again, among the ended; one that is retried may be missing.

        Args:
            models: Models whose jobs are listed.
            status: Which jobs; None for all. `processing` are those that inferq's own workers run.
            owner: Name of the API key that asks; None where every job may be read.
            after: `last` of the page before; None for the first page.
            limit: Most jobs.

        Returns:
            The page. One before the last holds fewer than `limit` jobs only where `MOST_SCANNED` entries did
            not hold more that the key may read, or where results are large.

        Raises:
            RedisUnavailableError: Redis does not answer in time.
        """
        jobs: dict[str, Job] = {}
        left_to_scan, size = MOST_SCANNED, 0
        cursor = last = after
        for section in self._sections(sorted(models), status):
            if cursor is not None and not (section.holds(cursor) or section.begins_after(cursor)):
                continue
            is_end, count = False, limit + 1
            while not is_end:
                if left_to_scan <= 0:
                    return Page(list(jobs.values()), cursor)
                begin = cursor if cursor is not None and section.holds(cursor) else None
                scanned = await self._scan(section, begin, owner, count)
                is_end = scanned.is_end
                left_to_scan -= count
                for position, job in await self._read(section, scanned.found, owner):
                    if job.id in jobs:
                        continue  # it has ended since it was scanned first
                    if len(jobs) == limit or size > LARGEST_PAGE_BYTES:
                        return Page(list(jobs.values()), last)
                    jobs[job.id], last = job, position
                    size += job.result_bytes
                cursor, count = scanned.last or cursor, SCANNED_AT_ONCE
        return Page(list(jobs.values()), None)

    def _sections(self, models: Sequence[str], status: Status | None) -> Iterator[_Section]:
        keys = self._redis.keys
        if status is Status.PROCESSING:
            for model in models:
                yield _Section(False, model, [keys.leases(model)], (status,), are_leases=True)
        elif status is None or status is Status.PENDING:
            for model in models:
                indexes = [keys.open(model, priority) for priority in Priority]
                yield _Section(False, model, indexes, _OPEN if status is None else (status,))
        indexes = []
        if status in (None, Status.COMPLETED):
            indexes += [keys.completed(model) for model in models]
        if status in (None, Status.FAILED):
            indexes += [keys.dead(model) for model in models]
        if indexes:
            yield _Section(True, "", indexes, _ENDED if status is None else (status,))

    async def _scan(
        self, section: _Section, after: Position | None, owner: str | None, count: int
    ) -> _Scanned:
        """Scans the next entries of a section."""
        share = max(_FEWEST_OF_AN_INDEX, _SCANNED_OF_ALL_INDEXES // len(section.indexes))
        before = ("", "") if after is None else (repr(after.score), after.id)
        limit = SCANNED_AT_ONCE if section.are_leases else min(count, share)
        arguments: list[Any] = [
            owner or "",
            " ".join(section.statuses),
            *before,
            limit,
            int(section.are_leases),
        ]
        async with self._redis.limit_time():
            is_end, score, job_id, found = await self._redis.run(
                ScriptCall(scripts.LIST, section.indexes, arguments)
            )

        def position(score: bytes, job_id: bytes) -> Position:
            return Position(section.is_ended, section.model, float(score), job_id)

        entries = [position(*pair) for pair in zip(found[::2], found[1::2], strict=True)]
        return _Scanned(bool(is_end), position(score, job_id) if score else None, entries)

    async def _read(
        self, section: _Section, found: Sequence[Position], owner: str | None
    ) -> list[tuple[Position, Job]]:
        """Reads the jobs of entries, without those that have changed meanwhile and belong elsewhere now."""
        ids = [decode_id(position.id) for position in found]
        read: list[Job | None] = []
        async for part in self._jobs.read_in_parts(ids):
            read += part
        return [
            (position, job)
            for position, job in zip(found, read, strict=True)
            if job is not None and job.status in section.statuses and job.is_readable_by(owner)
        ]
