"""What is done with all jobs that a filter finds, a part at a time."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from inferq.errors import ErrorKind, InvalidInputError, JobNotFoundError, JobStateError, QueueFullError
from inferq.jobs import Status
from inferq.queue.inspection.job_filter import JobFilter
from inferq.queue.inspection.job_reader import JobReader, find_one
from inferq.queue.inspection.job_scan import JobScan
from inferq.queue.inspection.scan_cursor import ScanCursor, get_position
from inferq.queue.producer.control import JobControl
from inferq.queue.redis_client.bounded import BoundedRedis
from inferq.queue.schema.ids import decode_id

MOST_SCANNED = 10_000
"""Most entries that one call scans."""
MOST_CHANGED = 1000
"""After so many jobs that were found, a call that changes them ends with the group it is at."""
_SCANNED_AT_ONCE = 500


class JobAction(StrEnum):
    """What can be done with many jobs."""

    RETRY = "retry"
    CANCEL = "cancel"
    DELETE = "delete"

    @property
    def statuses(self) -> tuple[Status, ...]:
        """Which jobs it is for."""
        return _STATUSES[self]


_STATUSES = {
    JobAction.RETRY: (Status.FAILED,),
    JobAction.CANCEL: (Status.PENDING, Status.PROCESSING),
    JobAction.DELETE: (Status.COMPLETED, Status.FAILED),
}


@dataclass(slots=True)
class ActionReport:
    """What one call has done.

    Attributes:
        matched: How many jobs it has found that the action is for.
        changed: With how many it was done.
        skipped: With how many it could not be done, by why: `job-state` (the job has changed, or its data is
            gone), `job-not-found` (it has expired), `queue-full`.
        last: Where the next call goes on; None where there are no more.
    """

    matched: int = 0
    changed: int = 0
    skipped: Counter[ErrorKind] = field(default_factory=Counter)
    last: ScanCursor | None = None


class BulkActions:
    """Retries, cancels or deletes jobs by a filter. Each job changes by itself, as with `JobControl`.

    Args:
        redis: The server.
        jobs: Reads the job of a whole id.
        control: Does it with one job.
    """

    def __init__(self, redis: BoundedRedis, jobs: JobReader, control: JobControl) -> None:
        self._scan = JobScan(redis)
        self._jobs = jobs
        self._actions = {
            JobAction.RETRY: control.retry,
            JobAction.CANCEL: control.cancel,
            JobAction.DELETE: control.delete,
        }

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
        """Does something with the next jobs that fit, the latest first.

        A call that is repeated finds those that are left. Jobs that a call has tried again and that fail
        once more meanwhile are not found by the calls that go on after it.

        Args:
            action: What to do.
            models: Models whose jobs are meant.
            status: Which jobs; None for all that the action is for.
            only: What they must have besides.
            owner: Name of the API key that asks; None where every job may be changed.
            after: `last` of the call before; None to begin.
            is_dry_run: Whether jobs are only counted.

        Raises:
            InvalidInputError: The action is not for such jobs, or `after` is none of this queue.
            RedisUnavailableError: Redis does not answer in time. Some may have been changed.
        """
        statuses = only.choose_statuses([one for one in action.statuses if status in (None, one)])
        if not statuses:
            raise _make_misfit_error(action, status)
        report, left_to_scan, cursor = ActionReport(), MOST_SCANNED, get_position(after)
        if only.job_id is not None:
            report.matched = int(await find_one(self._jobs, models, statuses, only, owner) is not None)
            if report.matched and not is_dry_run:
                await self._change(action, only.job_id, report)
            return report
        for section in self._scan.list_sections(sorted(models), statuses):
            if cursor is not None and not section.reaches_beyond(cursor):
                continue
            is_end = False
            while not is_end:
                if left_to_scan <= 0 or (not is_dry_run and report.matched >= MOST_CHANGED):
                    report.last = cursor
                    return report
                scanned = await self._scan.read_entries(section, cursor, owner, only, _SCANNED_AT_ONCE)
                is_end, cursor = scanned.is_end, scanned.last or cursor
                left_to_scan -= _SCANNED_AT_ONCE
                report.matched += len(scanned.found)
                for position in scanned.found if not is_dry_run else ():
                    await self._change(action, decode_id(position.id), report)
        return report

    async def _change(self, action: JobAction, job_id: str, report: ActionReport) -> None:
        try:
            await self._actions[action](job_id)
        except (JobStateError, JobNotFoundError, QueueFullError) as error:
            report.skipped[error.kind] += 1
        else:
            report.changed += 1


def _make_misfit_error(action: JobAction, status: Status | None) -> InvalidInputError:
    wanted = " or ".join(action.statuses)
    got = f"status {status.value!r}" if status is not None and status not in action.statuses else "an error"
    return InvalidInputError(
        f"{action.value!r} is for jobs that are {wanted}, but the filter asks for {got}. Change one of them."
    )
