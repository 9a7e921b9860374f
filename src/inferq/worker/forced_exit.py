"""How a process ends whose main thread is inside a model and cannot be interrupted."""

import os
import sys
import threading
import time
from collections.abc import Callable

import structlog

from inferq.errors import RedisUnavailableError
from inferq.jobs import Outcome
from inferq.observability.log_context import log_jobs
from inferq.observability.observer import JobObserver
from inferq.queue import AnyConsumer
from inferq.worker.processor import Processor
from inferq.worker.runs.run_errors import make_timeout_error
from inferq.worker.runs.watchdog import WatchedRun

_LAST_CALLS_SECONDS = 2.0
"""How long requeuing jobs may take after the grace period."""

log = structlog.get_logger()


class ForcedExit:
    """Ends the process from another thread, after its jobs were requeued.

    Args:
        consumer: The queue.
        processor: Who holds the jobs.
        worker_id: This worker's id, for the log.
        shutdown_seconds: The grace period.
        observer: Is told of a job that fails.
    """

    def __init__(
        self,
        consumer: AnyConsumer,
        processor: Processor,
        worker_id: str,
        shutdown_seconds: float,
        observer: JobObserver,
    ) -> None:
        self._consumer = consumer
        self._processor = processor
        self._worker_id = worker_id
        self._shutdown_seconds = shutdown_seconds
        self._observer = observer

    def stop_within_grace_period(self) -> None:
        """Lets the run under way finish within the grace period, then ends the process. Does not return."""
        self._processor.stopping.set()
        time.sleep(self._shutdown_seconds)
        self._processor.given_up.set()
        exit_after(_LAST_CALLS_SECONDS)
        try_last_call(self._processor.receive_prefetched, "receive prefetched jobs")
        held = self._processor.held
        with log_jobs(held):
            log.warning("grace_period_over", worker_id=self._worker_id, jobs=len(held))
        try_last_call(lambda: self._consumer.requeue(held), "requeue jobs")
        try_last_call(self._consumer.retire, "retire")
        os._exit(0)

    def replace_hung_process(self, run: WatchedRun) -> None:
        """Fails the job of a run that does not stop, requeues the other jobs, and starts the program anew.

        Of several jobs in the run it is unknown which one hangs. They are left to recovery, as if they had
        killed the worker, so that each runs by itself next time.

        Args:
            run: The run; it was told to stop.
        """
        with log_jobs(run.jobs):
            log.error("run_hung", model=run.jobs[0].model, timeout_seconds=run.timeout_seconds)
        try_last_call(self._processor.receive_prefetched, "receive prefetched jobs")
        others = [job for job in self._processor.held if job not in run.jobs]
        if len(run.jobs) == 1 and not run.is_cancelled:
            seconds = time.monotonic() - run.started_at
            failed = Outcome(
                run.jobs[0], None, make_timeout_error(run.timeout_seconds), seconds, 1, is_first_of_run=True
            )
            try_last_call(lambda: self._finish(failed), "fail the job")
        try_last_call(lambda: self._consumer.requeue(others), "requeue jobs")
        try_last_call(self._consumer.retire, "retire")
        if self._processor.stopping.is_set():
            os._exit(0)
        replace_process()

    def _finish(self, outcome: Outcome) -> None:
        self._observer.jobs_ended([outcome], self._consumer.finish([outcome]))


def exit_after(seconds: float) -> None:
    """Ends the process after a time at the latest, even if Redis hangs; recovery then does the rest."""
    timer = threading.Timer(seconds, os._exit, (0,))
    timer.daemon = True
    timer.start()


def try_last_call(call: Callable[[], object], purpose: str) -> None:
    """Makes one last call before the process ends; if Redis is away, recovery does the work.

    Args:
        call: The call.
        purpose: What it is for, for the log.
    """
    try:
        call()
    except RedisUnavailableError as error:
        log.warning("last_call_failed", purpose=purpose, reason=error.message)


def replace_process() -> None:
    """Starts this program anew in the same process: same id, same arguments, nothing left of what hung."""
    log.warning("worker_replaces_itself", pid=os.getpid())
    sys.stderr.flush()
    os.execv(sys.executable, sys.orig_argv)  # noqa: S606 - our own command line
