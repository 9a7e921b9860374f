"""Runs that must not go on: too long, or cancelled."""

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import structlog

from inferq.errors import RedisUnavailableError
from inferq.jobs import ClaimedJob
from inferq.models.model import RunHandle

_LOOK_SECONDS = 0.05

log = structlog.get_logger()


@dataclass(slots=True)
class WatchedRun:
    """One run of a model, for one job or several.

    Attributes:
        jobs: The jobs.
        timeout_seconds: Longest it may take.
        handle: Stops it.
        started: Monotonic time at its start.
        stopped: Monotonic time at which it was told to stop; None if it was not.
        is_cancelled: Whether that was because its jobs were cancelled, not because of the time.
        cancelled: Those that were.
    """

    jobs: Sequence[ClaimedJob]
    timeout_seconds: float
    handle: RunHandle = field(default_factory=RunHandle)
    started: float = field(default_factory=time.monotonic)
    stopped: float | None = None
    is_cancelled: bool = False
    cancelled: set[ClaimedJob] = field(default_factory=set)

    def stop(self, *, is_cancelled: bool = False) -> None:
        """Tells the run to stop; only the first reason counts."""
        if self.stopped is None:
            self.is_cancelled = is_cancelled
            self.stopped = time.monotonic()
            self.handle.stop()


class Watchdog:
    """Stops a run that takes longer than it may, and contains one that does not stop.

    ONNX Runtime looks at the flag between two nodes of the graph. A run that computes for minutes in one node
    does not see it; past `terminate_seconds` only a new process helps.

    Args:
        terminate_seconds: How long a run may go on after it was told to stop.
        contain: What to do with a run that still goes on; does not return.
    """

    def __init__(self, terminate_seconds: float, contain: Callable[[WatchedRun], None]) -> None:
        self._terminate_seconds = terminate_seconds
        self._contain = contain
        self._run: WatchedRun | None = None
        self._is_busy = threading.Event()
        self._thread = threading.Thread(target=self._look, name="watch", daemon=True)

    def start(self) -> None:
        """Starts the watching thread, which ends with the process."""
        self._thread.start()

    @contextmanager
    def over(self, jobs: Sequence[ClaimedJob], timeout_seconds: float) -> Iterator[WatchedRun]:
        """Watches over what is done within, on behalf of jobs."""
        run = self._run = WatchedRun(jobs, timeout_seconds)
        self._is_busy.set()
        try:
            yield run
        finally:
            self._run = None

    def cancel(self, job: ClaimedJob) -> None:
        """Notes that a job is cancelled, and stops its run once that holds for all jobs in it."""
        run = self._run
        if run is not None and job in run.jobs:
            run.cancelled.add(job)
            if len(run.cancelled) == len(run.jobs):
                run.stop(is_cancelled=True)

    def _look(self) -> None:
        while True:
            self._is_busy.wait()
            run = self._run
            if run is None:
                self._is_busy.clear()
                if self._run is None:
                    continue
                self._is_busy.set()  # one began in between
                continue
            now = time.monotonic()
            if run.stopped is None and now - run.started > run.timeout_seconds:
                run.stop()
            elif run.stopped is not None and now - run.stopped > self._terminate_seconds:
                self._contain(run)
            time.sleep(_LOOK_SECONDS)


def replace_process() -> None:
    """Starts this program anew in the same process: same id, same arguments, nothing left of what hung."""
    log.warning("worker_replaces_itself", pid=os.getpid())
    sys.stderr.flush()
    os.execv(sys.executable, sys.orig_argv)  # noqa: S606 - our own command line


def quietly(call: Callable[[], object], what: str) -> None:
    """Makes one last call before the process ends; recovery does the work if Redis is away."""
    try:
        call()
    except RedisUnavailableError as error:
        log.warning("last_call_failed", what=what, reason=error.message)
