"""The jobs that are leased to this worker at this moment."""

from collections.abc import Iterable

from inferq.jobs import ClaimedJob


class HeldJobs:
    """Jobs from their claim until their end is stored, by lease.

    One thread works on them. Others read which they are, to renew their leases or to requeue them.
    """

    def __init__(self) -> None:
        self._jobs: dict[tuple[str, str], ClaimedJob] = {}
        self._finished: set[tuple[str, str]] = set()

    def read(self) -> list[ClaimedJob]:
        """Returns all of them, in the order of their claims."""
        return [*self._jobs.values()]

    def add(self, jobs: Iterable[ClaimedJob]) -> None:
        """Adds jobs that were claimed; in the place of those of the same leases, if they were already."""
        for job in jobs:
            self._jobs[job.token, job.id] = job

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
