"""Lists jobs page by page: those that have not ended, then the ended, the latest first.

Those that have not ended come model by model, each model's by sequence number: the last submitted or
revived first. The ended of all models come by the time they ended. What takes place while somebody pages
moves nothing: a page begins after an entry, not after a number of them.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from inferq.jobs import Job, Priority, Status
from inferq.queue.producer.producer import Producer
from inferq.queue.redis_client import scripts

MOST_LOOKS = 10_000
"""Most entries that are looked at for one page, of which few may be the asking key's."""
LARGEST_PAGE_BYTES = 64 * 1024 * 1024
"""A page ends when its results are longer than this."""

_MOST_AT_ONCE = 1000
_MOST_OF_ALL_INDEXES = 4000
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
        id: The job's id, as it stands in Redis.
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
        last: Where the next page begins; None on the last one.
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


class JobListing:
    """Lists jobs.

    Args:
        producer: The queue.
    """

    def __init__(self, producer: Producer) -> None:
        self._producer = producer
        self._link = producer.link

    async def page(
        self,
        models: Iterable[str],
        *,
        status: Status | None = None,
        owner: str | None = None,
        after: Position | None = None,
        limit: int = 50,
    ) -> Page:
        """Reads a page.

        A job is on one page at most of a listing by status. In the listing of all, one that ends while
        somebody pages may come once more, among the ended; one that is tried again may be missing.

        Args:
            models: Models whose jobs are listed.
            status: Which jobs; None for all. `processing` are those that inferq's own workers run.
            owner: Name of the API key that asks; None where every job may be read.
            after: `last` of the page before; None for the first page.
            limit: Most jobs.

        Returns:
            The page. It holds fewer than `limit` jobs, but for the last one, only where `MOST_LOOKS` entries
            did not hold more that the key may read, or where results are large.

        Raises:
            RedisUnavailableError: Redis does not answer in time.
        """
        jobs: dict[str, Job] = {}
        looks, size = MOST_LOOKS, 0
        place = last = after
        for section in self._sections(sorted(models), status):
            if place is not None and not (section.holds(place) or section.begins_after(place)):
                continue
            is_over, count = False, limit + 1
            while not is_over:
                if looks <= 0:
                    return Page(list(jobs.values()), place)
                begin = place if place is not None and section.holds(place) else None
                is_over, looked_at, found = await self._look(section, begin, owner, count)
                looks -= count
                for position, job in await self._read(section, found, owner):
                    if job.id in jobs:
                        continue  # it ended between two looks
                    if len(jobs) == limit or size > LARGEST_PAGE_BYTES:
                        return Page(list(jobs.values()), last)
                    jobs[job.id], last = job, position
                    size += job.result_bytes
                place, count = looked_at or place, _MOST_AT_ONCE
        return Page(list(jobs.values()), None)

    def _sections(self, models: Sequence[str], status: Status | None) -> Iterator[_Section]:
        keys = self._link.keys
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

    async def _look(
        self, section: _Section, after: Position | None, owner: str | None, count: int
    ) -> tuple[bool, Position | None, list[Position]]:
        """Looks at the next entries.

        Returns:
            Whether there are no more; the last one looked at; those that hold a job which is wanted.
        """
        share = max(_FEWEST_OF_AN_INDEX, _MOST_OF_ALL_INDEXES // len(section.indexes))
        before = ("", "") if after is None else (repr(after.score), after.id)
        limit = _MOST_AT_ONCE if section.are_leases else min(count, share)
        arguments: list[Any] = [
            owner or "",
            " ".join(section.statuses),
            *before,
            limit,
            int(section.are_leases),
        ]
        async with self._link.bounded():
            is_over, score, job_id, found = await self._link.call(
                scripts.LIST, list(section.indexes), arguments
            )

        def position(score: bytes, job_id: bytes) -> Position:
            return Position(section.is_ended, section.model, float(score), job_id)

        entries = [position(*pair) for pair in zip(found[::2], found[1::2], strict=True)]
        return bool(is_over), position(score, job_id) if score else None, entries

    async def _read(
        self, section: _Section, found: Sequence[Position], owner: str | None
    ) -> list[tuple[Position, Job]]:
        """The jobs of entries; of those that have changed meanwhile, only what still belongs there."""
        ids = [position.id.decode("utf-8", "replace") for position in found]
        read: list[Job | None] = []
        async for part in self._producer.read_in_parts(ids):
            read += part
        return [
            (position, job)
            for position, job in zip(found, read, strict=True)
            if job is not None and job.status in section.statuses and job.is_readable_by(owner)
        ]
