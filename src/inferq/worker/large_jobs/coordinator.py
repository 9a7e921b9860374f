"""Runs large jobs as chunks, which idle workers share: makes them, runs some, and joins their results."""

import threading
import time
from collections.abc import Callable
from functools import partial
from math import ceil

import structlog

from inferq.errors import (
    InferqError,
    ModelError,
    QueueFullError,
    StoreUnavailableError,
)
from inferq.jobs import ClaimedJob, Job, Outcome, Progress
from inferq.models.results.joined_result import measure_pieces
from inferq.observability.log_context import log_jobs
from inferq.queue import AnyConsumer, ChunkPlan, Consumer
from inferq.worker.large_jobs.chunk_queues import name_chunk_queue
from inferq.worker.large_jobs.large_job import LargeJob, NotDivisibleError
from inferq.worker.large_jobs.split_run import SplitRun
from inferq.worker.runs.run_errors import make_size_error, make_timeout_error
from inferq.worker.serving.served_models import ServedVersion

_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.005, 0.1
"""Between two looks at the chunks that other workers run, while there are no more to run here."""
_PROGRESS_SECONDS = 0.25
_COUNT_SECONDS = 2.0
_RECOVERY_SECONDS = 1.0
"""Between two recoveries of the chunks' queue: where the model was replaced, no worker does it any more."""
_CHUNKS_AHEAD = 2
"""Of each worker: one that it runs, and one for which it need not wait."""

log = structlog.get_logger()


class Coordinator:
    """Runs one large job at a time, on the thread that claims. It keeps its lease, as of any job that runs.

    Where it dies, the job is recovered, and the next worker goes on with what is done. The chunks of a job
    that has ended are left to `ChunkRemoval`.

    Args:
        consumer: The queue.
        run_chunks: Runs chunks that were claimed on a version of their model, and stores their ends.
        stopping: Set where the worker is to stop: then the job is requeued.
        given_up: Ends the waiting for a server that is away.
    """

    def __init__(
        self,
        consumer: AnyConsumer,
        run_chunks: Callable[[ServedVersion, list[ClaimedJob]], None],
        stopping: threading.Event,
        given_up: threading.Event,
    ) -> None:
        self._consumer = consumer
        self._run_chunks = run_chunks
        self._stopping = stopping
        self._given_up = given_up
        self._shard: Consumer  # that of the job that is run
        self._current: ClaimedJob | None = None
        self._is_lost = False
        self._noted_rows, self._noted_at = -1, 0.0
        self._ran_chunks, self._ran_seconds = 0, 0.0

    def stop(self, job: ClaimedJob) -> None:
        """Ends the work on a job between two chunks, as it is not this worker's any more. For other threads.

        Args:
            job: The job; nothing happens unless it is the one that is run.
        """
        current = self._current
        if current is not None and (current.id, current.token) == (job.id, job.token):
            self._is_lost = True

    def run(self, large: LargeJob) -> Outcome | None:
        """Runs a large job.

        Args:
            large: The job.

        Returns:
            How it ended; None where it was cancelled, is another worker's by now, or is requeued.

        Raises:
            NotDivisibleError: It has to run as a whole.
        """
        claimed = large.claimed
        self._shard = self._consumer.shard_of(claimed)
        self._current, self._is_lost = claimed, False
        self._noted_rows, self._noted_at = -1, 0.0
        self._ran_chunks, self._ran_seconds = 0, 0.0
        started_at = time.monotonic()
        with log_jobs((claimed,)):
            try:
                outcome = self._run(large, started_at)
            except (QueueFullError, StoreUnavailableError) as error:
                raise NotDivisibleError(error.message) from error
            except InferqError as error:
                outcome = Outcome(claimed, error=error)
            except NotDivisibleError:
                raise
            except Exception as error:  # whatever a job has, the worker lives on
                log.exception("large_job_failed", model=claimed.model)
                outcome = Outcome(claimed, error=ModelError(f"{type(error).__name__}: {error}"))
            finally:
                self._current = None
        if outcome is None:
            return None
        seconds = time.monotonic() - started_at
        return outcome._replace(run_seconds=seconds, batch_jobs=1, is_first_of_run=True)

    def _run(self, large: LargeJob, started_at: float) -> Outcome | None:
        deadline = started_at + large.timeout_seconds
        run = self._call(lambda: self._open(large))
        if run is None:
            self._leave(large)
            return None
        log.info("job_divided", model=large.claimed.model, rows=large.decoded.rows, chunks=run.chunks)
        pause, counted_at, recovered_at, workers = _FIRST_PAUSE_SECONDS, 0.0, started_at, 1
        while True:
            self._note_progress(large, run)
            if run.is_complete and (outcome := self._store(large, run)):
                return outcome
            now = time.monotonic()
            if self._is_lost or self._stopping.is_set():
                self._leave(large)
                return None
            if now > deadline:
                raise make_timeout_error(large.timeout_seconds)
            if now - counted_at > _COUNT_SECONDS:
                workers = self._call(self._shard.chunks.count_workers) or 1
                counted_at = now
            self._call(partial(run.submit_ahead, _CHUNKS_AHEAD * workers, deadline - now))
            if self._run_next(large.served):
                pause = _FIRST_PAUSE_SECONDS
            else:
                if now - recovered_at > _RECOVERY_SECONDS:
                    self._call(partial(self._shard.recover_queue, name_chunk_queue(large.served)))
                    recovered_at = now
                self._stopping.wait(pause)
                pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
            self._call(run.check)

    def _run_next(self, served: ServedVersion) -> bool:
        """Runs the next chunk that waits, of this job or of another; returns whether there was one."""
        claimed = self._call(lambda: self._shard.claim({name_chunk_queue(served): 1}))
        if claimed:
            began = time.monotonic()
            self._run_chunks(served, claimed)
            self._ran_chunks += 1
            self._ran_seconds += time.monotonic() - began
        return bool(claimed)

    def _note_progress(self, large: LargeJob, run: SplitRun) -> None:
        now, done = time.monotonic(), run.done_rows
        if done == self._noted_rows or now - self._noted_at < _PROGRESS_SECONDS:
            return
        self._noted_rows, self._noted_at = done, now
        left_seconds = run.left_chunks * self._ran_seconds / self._ran_chunks if self._ran_chunks else 0.0
        progress = Progress(done, large.decoded.rows, run.left_chunks, left_seconds)
        self._call(lambda: self._shard.chunks.note_progress(large.claimed.id, progress))

    def _open(self, large: LargeJob) -> SplitRun | None:
        """Notes how the job is divided, or finds that noted; None where it is not this worker's any more."""
        claimed = large.claimed
        job = self._shard.chunks.read_job(claimed)
        if job is None or job.submitted_at is None:
            return None
        planned = _plan(large, job)
        while not (self._is_lost or self._stopping.is_set()):
            stored = self._shard.chunks.note_plan(claimed.id, planned)
            plan = ChunkPlan.parse(stored)
            if plan is not None and plan.is_alike(planned):
                run = SplitRun(self._shard, job, large, plan, stored)
                run.find_done()
                return run
            # of the job before it was retried by order, or on another version of the model
            if not self._shard.chunk_removal.remove(claimed.id, stored):
                self._stopping.wait(_LONGEST_PAUSE_SECONDS)
        return None

    def _store(self, large: LargeJob, run: SplitRun) -> Outcome | None:
        """Puts the result together; None where parts of it have to be made again."""
        pieces = run.plan_result()
        size = measure_pieces(pieces)
        most = self._shard.access.settings.max_result_bytes
        if size > most:
            raise make_size_error(size, most)
        written = self._call(lambda: run.write_result(pieces, size))
        if written is None:
            return None
        result, is_offloaded = written
        return Outcome(large.claimed, result, offloaded_at=time.monotonic() if is_offloaded else None)

    def _leave(self, large: LargeJob) -> None:
        """Leaves the job to the next worker, where it is still this one's."""
        if not self._is_lost:
            self._call(lambda: self._shard.requeue([large.claimed]))

    def _call[T](self, call: Callable[[], T]) -> T | None:
        """Returns the answer; None where Redis is away for too long, so that the lease will be lost."""
        answers = list[T]()
        self._shard.outage.retry_until_available(lambda: answers.append(call()), self._given_up)
        if not answers:
            self._is_lost = True
            return None
        return answers[0]


def _plan(large: LargeJob, job: Job) -> ChunkPlan:
    rows, submitted_at = large.decoded.rows, job.submitted_at
    return ChunkPlan(
        queue=name_chunk_queue(large.served),
        rows=rows,
        # the result of a single row is not a list, so it could not be joined
        chunks=min(ceil(rows / large.served.model.split_rows), rows // 2),
        made_by=large.served.provenance,
        submitted_ms=round(submitted_at.timestamp() * 1000) if submitted_at else 0,
    )
