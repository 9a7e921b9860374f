"""Lists jobs page by page: first those that have not ended, then the ended, each the latest first.

See `job_scan` for the order. A page begins after an entry, not after a number of entries: changes between two
pages move nothing.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from inferq.jobs import Job, Status
from inferq.queue.inspection.job_filter import ANY_JOB, JobFilter
from inferq.queue.inspection.job_reader import JobReader, find_one
from inferq.queue.inspection.job_scan import JobScan, Position, Section
from inferq.queue.inspection.scan_cursor import ScanCursor, get_position
from inferq.queue.redis_client.bounded import BoundedRedis
from inferq.queue.schema.ids import decode_id

MOST_SCANNED = 10_000
"""Most entries that are scanned for one page: perhaps few of them are jobs of the key that asks, or fit."""
LARGEST_PAGE_BYTES = 64 * 1024 * 1024
"""A page ends when its results are longer than this."""

SCANNED_AT_ONCE = 500
"""For so many entries Redis takes a few milliseconds."""


@dataclass(frozen=True, slots=True)
class Page:
    """A page of jobs.

    Attributes:
        jobs: The jobs.
        last: Where the next page begins; None on the last page.
        positions: Of each job, where a page after it would begin; empty where one was asked for by its id.
    """

    jobs: list[Job]
    last: ScanCursor | None
    positions: Sequence[Position] = ()


class JobListing:
    """Lists jobs.

    Args:
        redis: The server.
        jobs: Reads the jobs.
    """

    def __init__(self, redis: BoundedRedis, jobs: JobReader) -> None:
        self._scan = JobScan(redis)
        self._jobs = jobs

    async def read_page(
        self,
        models: Iterable[str],
        *,
        status: Status | None = None,
        only: JobFilter = ANY_JOB,
        owner: str | None = None,
        after: ScanCursor | None = None,
        limit: int = 50,
    ) -> Page:
        """Reads a page.

        In a listing by status, a job is on one page at most. In the listing of all, a job that ends between
        two pages may come again, among the ended; one that is retried may be missing.

        Args:
            models: Models whose jobs are listed.
            status: Which jobs; None for all. `processing` are those that inferq's own workers run.
            only: What they must have besides.
            owner: Name of the API key that asks; None where every job may be read.
            after: `last` of the page before; None for the first page.
            limit: Most jobs.

        Returns:
            The page. One before the last holds fewer than `limit` jobs only where `MOST_SCANNED` entries did
            not hold more that fit and that the key may read, or where results are large.

        Raises:
            InvalidInputError: `after` is none of this queue.
            RedisUnavailableError: Redis does not answer in time.
        """
        statuses = only.choose_statuses([status] if status else list(Status))
        if only.job_id is not None:
            job = await find_one(self._jobs, models, statuses, only, owner)
            return Page([] if job is None else [job], None)
        jobs: dict[str, Job] = {}
        positions: list[Position] = []
        left_to_scan, size = MOST_SCANNED, 0
        cursor = last = get_position(after)
        for section in self._scan.list_sections(sorted(models), statuses):
            if cursor is not None and not section.reaches_beyond(cursor):
                continue
            is_end, count = False, min(limit + 1, SCANNED_AT_ONCE)
            while not is_end:
                if left_to_scan <= 0:
                    return Page(list(jobs.values()), cursor, positions)
                scanned = await self._scan.read_entries(section, cursor, owner, only, count)
                is_end = scanned.is_end
                left_to_scan -= count
                for position, job in await self._read(section, scanned.found, only, owner):
                    if job.id in jobs:
                        continue  # it has ended since it was scanned first
                    if len(jobs) == limit or size > LARGEST_PAGE_BYTES:
                        return Page(list(jobs.values()), last, positions)
                    jobs[job.id], last = job, position
                    positions.append(position)
                    size += job.result_bytes
                cursor, count = scanned.last or cursor, SCANNED_AT_ONCE
        return Page(list(jobs.values()), None, positions)

    async def _read(
        self, section: Section, found: Sequence[Position], only: JobFilter, owner: str | None
    ) -> list[tuple[Position, Job]]:
        """Reads the jobs of entries, without those that have changed meanwhile and belong elsewhere now."""
        ids = [decode_id(position.id) for position in found]
        read: list[Job | None] = []
        async for part in self._jobs.read_in_parts(ids):
            read += part
        return [
            (position, job)
            for position, job in zip(found, read, strict=True)
            if job is not None
            and job.status in section.statuses
            and job.is_readable_by(owner)
            and only.fits(job)
        ]
