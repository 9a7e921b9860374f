"""The jobs that are leased to this worker at this moment."""

import time
from collections.abc import Iterable

from inferq.jobs import ClaimedJob


class HeldJobs:
    """Jobs from their claim until their end is stored, by lease.

    One thread works on them. Others read which they are, to renew their leases or to requeue them.
    """

    def __init__(self) -> None:
        self._jobs: dict[tuple[str, str], ClaimedJob] = {}
        self._finished: set[tuple[str, str]] = set()
        self._waiting_since: dict[tuple[str, str], float] = {}
        self._waited_seconds: dict[tuple[str, str], float] = {}

    def read(self) -> list[ClaimedJob]:
        """Returns all of them, in the order of their claims."""
        return [*self._jobs.values()]

    def add(self, jobs: Iterable[ClaimedJob]) -> None:
        """Adds jobs that were claimed; in the place of those of the same leases, if they were already."""
        for job in jobs:
            self._jobs[job.token, job.id] = job

    def note_waiting(self, jobs: Iterable[ClaimedJob]) -> None:
        """Notes that these jobs wait for files from now on."""
        for job in jobs:
            self._waiting_since[job.token, job.id] = time.monotonic()

    def note_ready(self, jobs: Iterable[ClaimedJob], at: float) -> None:
        """Notes that these jobs wait no longer, since this monotonic time."""
        for job in jobs:
            lease = job.token, job.id
            self._waited_seconds[lease] = self.waited_seconds(job, at)
            self._waiting_since.pop(lease, None)

    def waited_seconds(self, job: ClaimedJob, until: float) -> float:
        """Returns how long a job has waited for files.

        Args:
            job: The job.
            until: Monotonic time up to which a wait counts that goes on. A process that hangs looks after no
                files, so that its leases have to end.
        """
        lease = job.token, job.id
        since = self._waiting_since.get(lease)
        return self._waited_seconds.get(lease, 0.0) if since is None else max(0.0, until - since)

    def is_waiting(self, job: ClaimedJob) -> bool:
        """Whether a job waits for files."""
        return (job.token, job.id) in self._waiting_since

    def note_finished(self, jobs: Iterable[ClaimedJob]) -> None:
        """Notes that the runs of these jobs are over: their ends may be stored at any moment."""
        self._finished.update((job.token, job.id) for job in jobs)

    def is_unfinished(self, job: ClaimedJob) -> bool:
        """Whether a job is held and its run is not over."""
        lease = job.token, job.id
        return lease in self._jobs and lease not in self._finished

    def discard(self, jobs: Iterable[ClaimedJob]) -> None:
        """Removes jobs whose ends are stored."""
        for job in jobs:
            lease = job.token, job.id
            self._jobs.pop(lease, None)
            self._finished.discard(lease)
            self._waiting_since.pop(lease, None)
            self._waited_seconds.pop(lease, None)
