"""Renews the leases of the jobs that this worker holds, and learns which of them were cancelled."""

from collections.abc import Sequence
from contextlib import suppress

import structlog

from inferq.errors import RedisUnavailableError
from inferq.jobs import ClaimedJob
from inferq.observability.log_context import log_jobs
from inferq.queue import LARGEST_VALUE_BYTES, AnyConsumer, Outage, transfer_seconds
from inferq.settings import Settings
from inferq.worker.periodic import Periodic
from inferq.worker.processor import Processor
from inferq.worker.runs.executor import Executor
from inferq.worker.runs.watchdog import Watchdog

LONGEST_PAUSE_SECONDS = 1.0
"""Longest pause between two renewals, which is also how late a worker hears that a job was cancelled."""

log = structlog.get_logger()


class LeaseRenewer(Periodic):
    """Renews leases at least three times in their length, but each only for as long as its job may take.

    Args:
        consumer: The queue.
        processor: Who holds the jobs.
        executor: Knows how long a job may run.
        watchdog: Stops the run of jobs that were cancelled.
        settings: Length of a lease, and when a run that does not stop is ended.
        outage: Where it is noted that Redis is away.
    """

    def __init__(
        self,
        consumer: AnyConsumer,
        processor: Processor,
        executor: Executor,
        watchdog: Watchdog,
        settings: Settings,
        outage: Outage,
    ) -> None:
        super().__init__("lease-renewer", min(settings.lease_seconds / 3, LONGEST_PAUSE_SECONDS), outage)
        self._consumer = consumer
        self._processor = processor
        self._executor = executor
        self._watchdog = watchdog
        self._settings = settings

    def run_once(self) -> bool:
        """Renews all leases once, and stops the work on jobs whose lease is not renewed."""
        self._processor.receive_prefetched(LONGEST_PAUSE_SECONDS / 2)
        held = self._processor.held
        for job, answer in self._renew(held).items():
            if answer != "renewed":
                self._stop_work(job, answer)
        return bool(held)

    def note_waits(self, jobs: Sequence[ClaimedJob]) -> None:
        """Has the records of some jobs say now whether these only wait for files. For other threads.

        While Redis is away nothing is noted: a later renewal does it.
        """
        with suppress(RedisUnavailableError):
            self._renew(jobs)

    def _renew(self, jobs: Sequence[ClaimedJob]) -> dict[ClaimedJob, str]:
        longest_seconds = self._longest_seconds(self._processor.held)
        waited_seconds = self._processor.waited_seconds
        waiting = {job for job in jobs if self._processor.is_waiting(job)}
        return self._consumer.renew({job: longest_seconds + waited_seconds(job) for job in jobs}, waiting)

    def _longest_seconds(self, held: list[ClaimedJob]) -> float:
        """Returns the time since their claim after which leases are not renewed any more, but for waits.

        By then the watchdog has ended every run; a process in which even that has failed loses its jobs.
        """
        runs = sum(self._executor.find_timeout(job) for job in held)  # if each has to run by itself
        is_fetching = self._consumer.awaiting_data  # data comes before the runs
        data_bytes = LARGEST_VALUE_BYTES if is_fetching else sum(len(job.data) for job in held)
        transfers = transfer_seconds(data_bytes) + self._processor.storing_seconds
        return runs + transfers + self._settings.run_stop_grace_seconds + self._settings.lease_seconds

    def _stop_work(self, job: ClaimedJob, answer: str) -> None:
        if answer == "cancelled":
            self._watchdog.cancel(job)
        if answer in ("cancelled", "lost"):
            self._processor.stop_storing(job, is_cancelled=answer == "cancelled")
            self._processor.stop_sharing(job)
        if self._processor.is_unfinished(job):
            with log_jobs((job,)):
                log.warning("lease_not_renewed", attempt=job.attempt, reason=answer)
        if answer in ("cancelled", "lost"):
            self._processor.stop_awaiting(job)
