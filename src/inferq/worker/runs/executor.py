"""Runs claimed jobs: together where that is possible, one by one where one of them fails the batch."""

import time
from collections.abc import Callable, Sequence
from functools import partial

import structlog

from inferq.errors import (
    ErrorKind,
    InferqError,
    ModelError,
)
from inferq.jobs import ClaimedJob, Outcome
from inferq.model_names import is_shadow
from inferq.models.model import Model
from inferq.models.sessions.run_handle import RunHandle
from inferq.observability.log_context import log_jobs
from inferq.observability.observer import NO_OBSERVER, JobObserver
from inferq.observability.traces import Traces
from inferq.settings import Settings
from inferq.worker.large_jobs.large_job import LargeJob, NotDivisibleError, take_large
from inferq.worker.loading.model_pool import ModelPool
from inferq.worker.runs.awaited_files import AwaitedFiles
from inferq.worker.runs.batch import Batch
from inferq.worker.runs.batch_planner import MOST_OUTPUT_BYTES
from inferq.worker.runs.input_fetching import InputFetching
from inferq.worker.runs.job_decoding import decode_job, decode_jobs
from inferq.worker.runs.run_errors import make_size_error, make_timeout_error
from inferq.worker.runs.watchdog import Watchdog, WatchedRun
from inferq.worker.runs.work_tally import WorkTally
from inferq.worker.serving.served_models import NotServedError, ServedModels, ServedVersion

_MOST_SHADOWS = 64
"""Shadow jobs of one claim: the planner does not learn how long their comparisons take."""

log = structlog.get_logger()


class Executor:
    """Runs jobs, and learns from their runs how many of a model are best run at once.

    Args:
        served: The models; each run reads anew what is served.
        watchdog: Stops runs that take too long.
        settings: How long a run may take, and how long a simulated one takes.
        observer: Is told of each run.
        traces: The spans of this process; none if left out.
        pool: Loads models again that were unloaded; None: none ever is.
        fetching: Fetches the files that jobs name; one of its own if left out.

    Attributes:
        divide: Runs a large job in parts, see `Coordinator.run`; None: each runs as a whole.
        awaited: Jobs that were to run, and wait for the files that they name: once these are there, `run`
            takes the jobs again.
    """

    def __init__(
        self,
        served: ServedModels,
        watchdog: Watchdog,
        settings: Settings,
        observer: JobObserver = NO_OBSERVER,
        traces: Traces | None = None,
        pool: ModelPool | None = None,
        fetching: InputFetching | None = None,
    ) -> None:
        self._served = served
        self._watchdog = watchdog
        self._settings = settings
        self._observer = observer
        self._traces = traces or Traces("inferq-worker")
        self._pool = pool
        self._learn_latest: list[Callable[[], None]] = []
        self.awaited = AwaitedFiles((fetching or InputFetching(settings)).fetch)
        self.divide: Callable[[LargeJob], Outcome | None] | None = None

    def plan_limits(self) -> dict[str, int]:
        """Returns how many jobs of each model to claim at once, in view of what runs have cost so far."""
        self._learn()
        table = self._served.table
        versions = table.versions
        if self._pool is not None:
            self._pool.trim(table)
            versions = self._pool.list_ready(table)
        if self.awaited:
            full = self.awaited.full_queues
            versions = {queue: one for queue, one in versions.items() if queue not in full}
        if self._settings.simulated_run_seconds:
            return dict.fromkeys(versions, 1)
        return {queue: self._plan_limit(queue, one) for queue, one in versions.items()}

    def _plan_limit(self, queue: str, served: ServedVersion) -> int:
        if served.is_for_chunks:  # so that all idle workers share them
            return 1
        limit = served.planner.plan_claim()
        return min(limit, _MOST_SHADOWS) if is_shadow(queue) else limit

    def find_timeout(self, job: ClaimedJob) -> float:
        """Returns a job's longest run in seconds: as its request says, else its model, else the settings."""
        served = self._served.table.versions.get(job.model)
        of_model = served and served.document.timeout_seconds
        return job.timeout_seconds or of_model or self._settings.run_timeout_seconds

    def run(
        self, jobs: Sequence[ClaimedJob], store: Callable[[list[Outcome]], None] | None = None
    ) -> list[Outcome]:
        """Runs jobs of one model.

        Args:
            jobs: What one claim brought.
            store: Is given outcomes whose results take too much memory to wait for the others, or that would
                wait for a large job; if left out, all wait.

        Returns:
            How each of the others ended, in any order; without those that were cancelled meanwhile, and those
            that are `awaited` now.

        Raises:
            NotServedError: Their model is not served any more, or is not ready yet; those have not run whose
                outcomes were not stored.
        """
        try:
            return self._run(jobs, store)
        finally:
            self.awaited.forget(jobs)

    def _run(
        self, jobs: Sequence[ClaimedJob], store: Callable[[list[Outcome]], None] | None
    ) -> list[Outcome]:
        self._learn()
        table = self._served.table
        outcomes = list[Outcome]()
        for served, part in table.split(jobs):
            try:
                if self._pool is not None:  # not before, as there may be room for one model alone
                    self._pool.use(served, table)
            except NotServedError:
                if store is not None and outcomes:
                    store(outcomes)
                raise
            except InferqError as error:
                reason = f"The model {served.folder.name!r} cannot be loaded again. {error.message}"
                outcomes += [Outcome(job, error=ModelError(reason)) for job in part]
            else:
                outcomes += self._run_on(served, part, store)
        return outcomes

    def _run_on(
        self,
        served: ServedVersion,
        jobs: Sequence[ClaimedJob],
        store: Callable[[list[Outcome]], None] | None,
    ) -> list[Outcome]:
        if served.is_for_chunks:
            return self.run_chunks(served, jobs)
        model, planner, large = served.model, served.planner, list[LargeJob]()
        tally, outcomes = WorkTally(), list[Outcome]()
        for part in decode_jobs(model, jobs, self.awaited.find_files):
            self._note_failed(part.failed)
            outcomes += part.failed
            for job, request in part.awaited:
                self.awaited.add(job, request.remote_files)
            if self._divides(jobs[0].model):
                large += take_large(served, part.decoded, self.find_timeout)
            tally.add_inputs(part.input_bytes)
            for batch in planner.plan_batches(part.decoded):
                if store is not None and tally.held_bytes > MOST_OUTPUT_BYTES:
                    with tally.storing():
                        store(_note_made_by(outcomes, served))
                    outcomes = []
                ended = self._run_batch(model, batch)
                tally.add_run(batch, ended)
                outcomes += ended
        if measured := tally.measure():  # learned when the next limits are asked for, as clients wait now
            self._learn_latest.append(partial(planner.learn, *measured))
        for one in large:
            if store is not None and outcomes:
                store(_note_made_by(outcomes, served))
                outcomes = []
            outcomes += self._run_large(one)
        return _note_made_by(outcomes, served)

    def _note_failed(self, failed: Sequence[Outcome]) -> None:
        for outcome in failed:
            kind = outcome.error.kind if outcome.error else None
            self._traces.note_run([outcome.job], kind, 0.0)

    def _divides(self, queue: str) -> bool:
        """Whether large jobs of a queue are run in parts; a shadow job runs as a whole."""
        return not (self.divide is None or self._settings.simulated_run_seconds or is_shadow(queue))

    def _run_large(self, large: LargeJob) -> list[Outcome]:
        """Runs a large job in parts; as a whole where that is not possible."""
        large.served.planner.note_size(large.decoded.rows, len(large.claimed.data))
        try:
            outcome = self.divide(large) if self.divide else None
        except NotDivisibleError as error:
            with log_jobs((large.claimed,)):
                log.warning("job_not_divided", model=large.served.model.name, reason=error.reason)
            return self._run_batch(
                large.served.model, Batch([large.claimed], [large.decoded], large.decoded.rows)
            )
        if outcome is None:
            return []
        kind = outcome.error.kind if outcome.error else None
        self._traces.note_run([large.claimed], kind, outcome.run_seconds)
        return [outcome]

    def run_chunks(self, served: ServedVersion, jobs: Sequence[ClaimedJob]) -> list[Outcome]:
        """Runs chunks of large jobs, one by one.

        Args:
            served: What runs them, also where it was replaced since its large job began.
            jobs: The chunks.

        Returns:
            How each of them ended; without those that were cancelled meanwhile.
        """
        model, outcomes = served.model, list[Outcome | None]()
        for job in jobs:
            decoded = decode_job(partial(model.decode_chunk, job.data), job)
            if isinstance(decoded, Outcome):
                outcomes.append(decoded)
            else:
                batch = Batch([job], [decoded], decoded.rows)
                outcomes.append(self._run_single(batch, partial(model.predict_chunk, decoded)))
        return _note_made_by([outcome for outcome in outcomes if outcome is not None], served)

    def _learn(self) -> None:
        while self._learn_latest:
            self._learn_latest.pop()()

    def _run_batch(self, model: Model, batch: Batch) -> list[Outcome]:
        if len(batch) > 1:
            with log_jobs(batch.jobs):
                outcomes = self._run_together(model, batch)
            if outcomes is not None:
                return outcomes
        singles = (
            self._run_single(single, partial(_predict_alone, model, single)) for single in batch.split()
        )
        return [outcome for outcome in singles if outcome is not None]

    def _run_together(self, model: Model, batch: Batch) -> list[Outcome] | None:
        """Returns how the jobs ended; None if the run fails, since it is unknown which job is at fault."""
        results: list[bytes] | None = None
        kind: ErrorKind | None = None
        with self._watchdog.guard(batch.jobs, min(map(self.find_timeout, batch.jobs))) as run:
            try:
                results = model.predict_together(batch.decoded, run.handle)
            except InferqError as error:
                kind = error.kind
                if not run.is_cancelled:
                    log.info("batch_split", model=model.name, jobs=len(batch), error_kind=error.kind)
            except Exception:  # whatever a model does, the worker lives on
                kind = ErrorKind.MODEL_ERROR
                log.exception("batch_failed", model=model.name, jobs=len(batch))
        seconds, count = time.monotonic() - run.started_at, len(batch)
        most = self._settings.max_result_bytes
        outcomes: list[Outcome] | None = None
        if results is not None:
            outcomes = [
                Outcome(job, result, None, seconds, count, index == 0)
                if len(result) <= most
                else Outcome(job, None, make_size_error(len(result), most), seconds, count, index == 0)
                for index, job, result in zip(range(count), batch.jobs, results, strict=True)
            ]
            kind = next((outcome.error.kind for outcome in outcomes if outcome.error), None)
        self._note_run(batch, run, seconds, kind)
        if run.is_cancelled:
            return []
        return outcomes if run.stopped_at is None else None

    def _run_single(self, batch: Batch, predict: Callable[[RunHandle], bytes]) -> Outcome | None:
        """Returns how the only job of a batch ended; None if it was cancelled."""
        [job] = batch.jobs
        with log_jobs(batch.jobs), self._watchdog.guard(batch.jobs, self.find_timeout(job)) as run:
            result, error = self._predict(batch, predict, run)
        seconds = time.monotonic() - run.started_at
        self._note_run(batch, run, seconds, error.kind if error else None)
        if run.is_cancelled:
            return None
        if run.stopped_at:
            result, error = None, make_timeout_error(run.timeout_seconds)
        return Outcome(job, result, error, seconds, batch_jobs=1, is_first_of_run=True)

    def _predict(
        self, batch: Batch, predict: Callable[[RunHandle], bytes], run: WatchedRun
    ) -> tuple[bytes, None] | tuple[None, InferqError]:
        """Returns the result of the only job of a batch, or how it failed."""
        [job] = batch.jobs
        try:
            result = predict(run.handle)
            run.handle.rest(run.started_at + self._settings.simulated_run_seconds - time.monotonic())
        except InferqError as error:
            return None, error
        except Exception as error:  # whatever a model does, the worker lives on
            log.exception("run_failed", model=job.model)
            return None, ModelError(f"The model failed with {type(error).__name__}: {error}")
        most = self._settings.max_result_bytes
        return (result, None) if len(result) <= most else (None, make_size_error(len(result), most))

    def _note_run(self, batch: Batch, run: WatchedRun, seconds: float, kind: ErrorKind | None) -> None:
        """Tells the observer, and the traces, that a run is over.

        Args:
            batch: The jobs that shared it.
            run: The run.
            seconds: How long it took.
            kind: How it failed by itself, if it did.
        """
        self._observer.run_ended(batch.jobs[0].model, len(batch), batch.total_rows, seconds)
        if run.stopped_at is not None:
            kind = ErrorKind.CANCELLED if run.is_cancelled else ErrorKind.TIMED_OUT
        self._traces.note_run(batch.jobs, kind, seconds)


def _predict_alone(model: Model, batch: Batch, handle: RunHandle) -> bytes:
    [result] = model.predict_together(batch.decoded, handle)
    return result


def _note_made_by(outcomes: list[Outcome], served: ServedVersion) -> list[Outcome]:
    """Notes what made outcomes, where that is not what their claims have noted already."""
    made_by = served.provenance
    return [
        outcome if outcome.job.claimed_for == made_by else outcome._replace(made_by=made_by)
        for outcome in outcomes
    ]
