"""Jobs whose data names files, which are fetched before they can run."""

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait

from inferq.jobs import ClaimedJob
from inferq.tensors.forms import DataRequest
from inferq.tensors.values import Buffer, RemoteFile

MOST_FETCHED = 8
"""Most jobs whose files are fetched at one time: those of each may take INFERQ_MAX_INPUT_BYTES of memory."""

type Files = Future[dict[str, Buffer]]
"""The files of one job by their URLs, once they are there."""
type Fetch = Callable[[Sequence[RemoteFile]], Files]
"""Begins to fetch the files of one job; see `FileFetcher.fetch`."""
type AwaitedJob = tuple[ClaimedJob, DataRequest]


class AwaitedFiles:
    """Fetches the files of a claim's jobs, those of some of them at one time.

    Args:
        fetch: Begins to fetch the files of one job.
    """

    def __init__(self, fetch: Fetch) -> None:
        self._fetch = fetch
        self._waiting: deque[AwaitedJob] = deque()
        self._under_way: dict[Files, AwaitedJob] = {}

    def __len__(self) -> int:
        """How many jobs have not been taken yet."""
        return len(self._waiting) + len(self._under_way)

    def add(self, job: ClaimedJob, request: DataRequest) -> None:
        """Has the files of a job fetched."""
        self._waiting.append((job, request))
        self._begin()

    def take(self) -> list[tuple[AwaitedJob, Files]]:
        """Waits until the files of some jobs are there, or cannot be had, and returns these jobs."""
        done = wait(self._under_way, return_when=FIRST_COMPLETED).done
        taken = [(self._under_way.pop(files), files) for files in done]
        self._begin()
        return taken

    def close(self) -> None:
        """Ends what is under way."""
        for files in self._under_way:
            files.cancel()

    def _begin(self) -> None:
        while self._waiting and len(self._under_way) < MOST_FETCHED:
            awaited = self._waiting.popleft()
            self._under_way[self._fetch(awaited[1].remote_files)] = awaited
