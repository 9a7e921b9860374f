"""Lists the jobs of several shards in one order; does something with the jobs of all."""

from collections.abc import Iterable, Mapping

from inferq.jobs import Job, Status
from inferq.queue.inspection.job_filter import ANY_JOB, JobFilter
from inferq.queue.inspection.job_scan import Position
from inferq.queue.inspection.listing import LARGEST_PAGE_BYTES, Page
from inferq.queue.inspection.scan_cursor import ScanCursor, ShardPositions, get_position, make_stale_error
from inferq.queue.producer.bulk_actions import ActionReport, JobAction
from inferq.queue.shards.producer_shard import ProducerShard
from inferq.queue.shards.shard_calls import ShardCalls


class ShardedListing:
    """Lists and changes jobs. Those of a shard that is away are left out, and come when it is back.

    Args:
        calls: Calls the shards.
    """

    def __init__(self, calls: ShardCalls) -> None:
        self._calls = calls

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
        """Reads a page; see `JobListing.read_page`. Jobs that have not ended come by their submission.

        Raises:
            InvalidInputError: `after` is none of these shards.
            RedisUnavailableError: No shard that has more answers in time.
        """
        names, begun = list(models), self._begin(after)
        pages = await self._calls.ask_reachable(
            lambda shard: shard.producer.listing.read_page(
                names,
                status=status,
                only=only,
                owner=owner,
                after=begun.positions[shard.number],
                limit=limit,
            ),
            self._find_unfinished(begun),
        )
        if only.job_id is not None:
            return Page([job for page in pages.values() for job in page.jobs], None)
        return merge_pages(pages, begun, limit)

    async def act(
        self,
        action: JobAction,
        models: Iterable[str],
        *,
        status: Status | None = None,
        only: JobFilter,
        owner: str | None = None,
        after: ScanCursor | None = None,
        is_dry_run: bool = False,
    ) -> ActionReport:
        """Does something with the next jobs that fit, of each shard; see `BulkActions.act`.

        Raises:
            InvalidInputError: The action is not for such jobs, or `after` is none of these shards.
            RedisUnavailableError: No shard that has more answers in time.
        """
        names, begun = list(models), self._begin(after)
        reports = await self._calls.ask_reachable(
            lambda shard: shard.producer.act_on_jobs(
                action,
                names,
                status=status,
                only=only,
                owner=owner,
                after=begun.positions[shard.number],
                is_dry_run=is_dry_run,
            ),
            self._find_unfinished(begun),
        )
        return merge_reports(reports, begun)

    def _begin(self, after: ScanCursor | None) -> ShardPositions:
        count = len(self._calls.shards)
        if after is None:
            return ShardPositions((None,) * count)
        if not isinstance(after, ShardPositions) or len(after.positions) != count:
            raise make_stale_error()
        return after

    def _find_unfinished(self, begun: ShardPositions) -> list[ProducerShard]:
        return [shard for shard in self._calls.shards if shard.number not in begun.ended]


def merge_pages(pages: Mapping[int, Page], begun: ShardPositions, limit: int) -> Page:
    """Makes one page of those of the shards, each of which begins where this one does.

    Args:
        pages: Number of a shard to its page, of those that have answered.
        begun: Where the page begins.
        limit: Most jobs.
    """
    jobs: list[Job] = []
    taken, size = dict.fromkeys(pages, 0), 0
    while len(jobs) < limit and size <= LARGEST_PAGE_BYTES:
        heads = [number for number, page in pages.items() if taken[number] < len(page.jobs)]
        if not heads or any(page.last is not None and number not in heads for number, page in pages.items()):
            break  # what comes next in one of them is not known
        first = min(heads, key=lambda number: _order(pages[number], taken[number]))
        jobs.append(pages[first].jobs[taken[first]])
        size += jobs[-1].result_bytes
        taken[first] += 1
    positions, ended = list(begun.positions), set(begun.ended)
    for number, page in pages.items():
        if taken[number] < len(page.jobs):
            if taken[number]:
                positions[number] = page.positions[taken[number] - 1]
        elif page.last is None:
            ended.add(number)
        else:
            positions[number] = get_position(page.last)
    return Page(jobs, _make_cursor(positions, ended, pages))


def _order(page: Page, index: int) -> tuple[bool, str, float]:
    """By which jobs of several shards are listed: sequence numbers are each shard's own."""
    job, position = page.jobs[index], page.positions[index]
    if position.is_ended:
        return True, "", -position.score
    return False, position.model, -(job.submitted_at.timestamp() if job.submitted_at else 0.0)


def merge_reports(reports: Mapping[int, ActionReport], begun: ShardPositions) -> ActionReport:
    """Adds up what was done in the shards."""
    merged = ActionReport()
    positions, ended = list(begun.positions), set(begun.ended)
    for number, report in reports.items():
        merged.matched += report.matched
        merged.changed += report.changed
        merged.skipped.update(report.skipped)
        if report.last is None:
            ended.add(number)
        else:
            positions[number] = get_position(report.last)
    merged.last = _make_cursor(positions, ended, reports)
    return merged


def _make_cursor(
    positions: list[Position | None], ended: set[int], answered: Mapping[int, object]
) -> ShardPositions | None:
    """Where to go on; None once those that have answered have no more: the others cannot be waited for."""
    return None if ended.issuperset(answered) else ShardPositions(tuple(positions), frozenset(ended))
