"""Jobs whose data names files: a worker holds them until the files are there, and runs others meanwhile."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from urllib.parse import urlsplit

from inferq.jobs import ClaimedJob
from inferq.tensors.values import Buffer, RemoteFile

_MOST_FETCHED = 8
"""Most jobs whose files are fetched or in memory: those of each may take INFERQ_MAX_INPUT_BYTES."""
_MOST_OF_ONE_HOST = 6
"""Most of these whose first file is at one host, so that one that hangs does not take all."""
_MOST_OF_ONE_QUEUE = 64
"""With so many jobs that wait, no more are claimed of their queue: those of others go on."""

type Files = Future[dict[str, Buffer]]
"""The files of one job by their URLs, once they are there."""
type Fetch = Callable[[Sequence[RemoteFile]], Files]
"""Begins to fetch the files of one job; see `FileFetcher.fetch`."""


@dataclass(slots=True)
class _AwaitedJob:
    """A job and its files.

    Attributes:
        job: The job.
        remote_files: What it names.
        host: Where the first of them is.
        files: Them; None until their fetch has begun.
        is_given_up: Whether nobody waits for the job any more.
    """

    job: ClaimedJob
    remote_files: Sequence[RemoteFile]
    host: str
    files: Files | None = None
    is_given_up: bool = False

    @property
    def is_ready(self) -> bool:
        """Whether the job could run."""
        # in this order: who gives it up says so before it ends the fetch
        return self.files is not None and self.files.done() and not self.is_given_up


class AwaitedFiles:
    """Fetches the files of jobs, those of some of them at one time, while other jobs run.

    For one thread, but for `give_up`.

    Args:
        fetch: Begins to fetch the files of one job.
    """

    def __init__(self, fetch: Fetch) -> None:
        self._fetch = fetch
        self._awaited: dict[tuple[str, str], _AwaitedJob] = {}
        self._taken: dict[tuple[str, str], Files] = {}

    def __len__(self) -> int:
        """How many jobs wait, or could run."""
        return len(self._awaited)

    def __contains__(self, job: ClaimedJob) -> bool:
        """Whether a job waits, or could run."""
        return (job.token, job.id) in self._awaited

    def is_under_way(self, job: ClaimedJob) -> bool:
        """Whether the fetch for a job that waits has begun."""
        one = self._awaited.get((job.token, job.id))
        return one is not None and one.files is not None

    @property
    def has_ready(self) -> bool:
        """Whether some job could run."""
        return any(one.is_ready for one in self._awaited.values())

    @property
    def full_queues(self) -> set[str]:
        """The queues of which no more is to be claimed now."""
        counts = Counter(one.job.model for one in self._awaited.values())
        return {queue for queue, count in counts.items() if count >= _MOST_OF_ONE_QUEUE}

    def add(self, job: ClaimedJob, remote_files: Sequence[RemoteFile]) -> None:
        """Has the files of a job fetched."""
        self._awaited[job.token, job.id] = _AwaitedJob(job, remote_files, _host_of(remote_files[0].url))
        self._begin()

    def wait(self, seconds: float) -> None:
        """Waits until some job could run, at most so long."""
        under_way = [one.files for one in self._awaited.values() if one.files is not None]
        wait(under_way, seconds, FIRST_COMPLETED)

    def take(self) -> tuple[list[ClaimedJob], list[ClaimedJob]]:
        """Takes jobs out that need not wait any more, without waiting.

        Returns:
            Jobs of one queue and shard that are to run, as `find_files` has their files, or one that must run
            alone; and such as were given up.
        """
        given_up = [one.job for one in self._awaited.values() if one.is_given_up]
        for job in given_up:
            files = self._awaited.pop((job.token, job.id)).files
            if files is not None:
                files.cancel()  # its fetch may have begun while it was given up
        ready = [one for one in self._awaited.values() if one.is_ready]
        jobs = [one.job for one in ready if _run_of(one.job) == _run_of(ready[0].job)]
        if jobs and jobs[0].runs_alone:
            del jobs[1:]
        for job in jobs:
            files = self._awaited.pop((job.token, job.id)).files
            assert files is not None  # noqa: S101 - it is done
            self._taken[job.token, job.id] = files
        self._begin()
        return jobs, given_up

    def find_files(self, job: ClaimedJob) -> Files | None:
        """Returns the files of a job that was taken; None if they have not been fetched."""
        return self._taken.get((job.token, job.id))

    def forget(self, jobs: Iterable[ClaimedJob]) -> None:
        """Frees the files of jobs that have run."""
        if self._taken:
            for job in jobs:
                self._taken.pop((job.token, job.id), None)
            self._begin()

    def give_up(self, job: ClaimedJob) -> None:
        """Ends the fetch for a job that was cancelled, or is not held any more. For other threads."""
        if one := self._awaited.get((job.token, job.id)):
            one.is_given_up = True
            if one.files is not None:
                one.files.cancel()

    def close(self) -> list[ClaimedJob]:
        """Ends all that is under way, and returns the jobs that have not run."""
        jobs = [one.job for one in self._awaited.values()]
        for job in jobs:
            self.give_up(job)
        self._awaited.clear()
        return jobs

    def _begin(self) -> None:
        """Begins to fetch, the oldest jobs first, as much as may be under way at one time."""
        begun = [one.host for one in self._awaited.values() if one.files is not None]
        room, of_host = _MOST_FETCHED - len(begun) - len(self._taken), Counter(begun)
        for one in self._awaited.values():
            if room <= 0:
                return
            if one.files is None and not one.is_given_up and of_host[one.host] < _MOST_OF_ONE_HOST:
                one.files = self._fetch(one.remote_files)
                of_host[one.host] += 1
                room -= 1


def _host_of(url: str) -> str:
    return urlsplit(url).netloc


def _run_of(job: ClaimedJob) -> tuple[str, int, bool]:
    return job.model, job.shard, job.runs_alone
