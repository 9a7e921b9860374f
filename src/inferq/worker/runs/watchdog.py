"""The watchdog: stops runs that take too long or whose jobs were cancelled."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from inferq.jobs import ClaimedJob
from inferq.models.sessions.run_handle import RunHandle

CHECK_SECONDS = 0.05


@dataclass(slots=True)
class WatchedRun:
    """One run of a model, for one job or several.

    Attributes:
        jobs: The jobs.
        timeout_seconds: Longest time it may take.
        handle: Stops it.
        started_at: Monotonic time at its start.
        stopped_at: Monotonic time at which it was told to stop; None if it was not.
        is_cancelled: Whether that was because its jobs were cancelled, not because of the time.
        cancelled_jobs: Those that were cancelled.
    """

    jobs: Sequence[ClaimedJob]
    timeout_seconds: float
    handle: RunHandle = field(default_factory=RunHandle)
    started_at: float = field(default_factory=time.monotonic)
    stopped_at: float | None = None
    is_cancelled: bool = False
    cancelled_jobs: set[ClaimedJob] = field(default_factory=set)

    def stop(self, *, is_cancelled: bool = False) -> None:
        """Tells the run to stop; only the first reason counts."""
        if self.stopped_at is None:
            self.is_cancelled = is_cancelled
            self.stopped_at = time.monotonic()
            self.handle.stop()


class Watchdog:
    """Stops a run that takes longer than it may, and reports one that does not stop.

    ONNX Runtime checks between two nodes of the graph whether it is to stop. A run that computes for minutes
    in one node does not see it; after `run_stop_grace_seconds` only a new process helps.

    Args:
        run_stop_grace_seconds: How long a run may go on after it was told to stop.
        on_hung_run: Called with a run that still goes on; does not return.
    """

    def __init__(self, run_stop_grace_seconds: float, on_hung_run: Callable[[WatchedRun], None]) -> None:
        self._run_stop_grace_seconds = run_stop_grace_seconds
        self._on_hung_run = on_hung_run
        self._run: WatchedRun | None = None
        self._is_stopping = False
        self._is_busy = threading.Event()
        self._thread = threading.Thread(target=self._check_runs, name="watchdog", daemon=True)

    def start(self) -> None:
        """Starts the watching thread."""
        self._thread.start()

    def stop(self) -> None:
        """Stops the watching thread; no run must be under way."""
        self._is_stopping = True
        self._is_busy.set()
        self._thread.join()

    @property
    def is_busy(self) -> bool:
        """Whether its thread checks a run, and does not sleep until the next one begins."""
        return self._is_busy.is_set()

    @contextmanager
    def guard(self, jobs: Sequence[ClaimedJob], timeout_seconds: float) -> Iterator[WatchedRun]:
        """Watches the run that is made within, for these jobs."""
        run = self._run = WatchedRun(jobs, timeout_seconds)
        self._is_busy.set()
        try:
            yield run
        finally:
            self._run = None

    def cancel(self, job: ClaimedJob) -> None:
        """Notes that a job is cancelled, and stops its run once all jobs in it are."""
        run = self._run
        if run is not None and job in run.jobs:
            run.cancelled_jobs.add(job)
            if len(run.cancelled_jobs) == len(run.jobs):
                run.stop(is_cancelled=True)

    def _check_runs(self) -> None:
        while not self._is_stopping:
            self._is_busy.wait()
            run = self._run
            if run is None:
                self._is_busy.clear()
                if self._run is not None or self._is_stopping:  # set in between
                    self._is_busy.set()
                continue
            now = time.monotonic()
            if run.stopped_at is None and now - run.started_at > run.timeout_seconds:
                run.stop()
            elif run.stopped_at is not None and now - run.stopped_at > self._run_stop_grace_seconds:
                self._on_hung_run(run)
            time.sleep(CHECK_SECONDS)
