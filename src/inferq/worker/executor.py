"""Runs claimed jobs: together where that is possible, one by one where one of them fails the batch."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import structlog

from inferq.errors import (
    ErrorKind,
    InferqError,
    InvalidInputError,
    ModelError,
    ResultTooLargeError,
    TimedOutError,
)
from inferq.jobs import ClaimedJob, Outcome
from inferq.models.model import Model
from inferq.models.run_handle import RunHandle
from inferq.observability.log_context import log_jobs
from inferq.observability.observer import NO_OBSERVER, JobObserver
from inferq.observability.traces import Traces
from inferq.settings import Settings
from inferq.worker.batch import Batch
from inferq.worker.batch_planner import MOST_OUTPUT_BYTES, BatchPlanner
from inferq.worker.batch_probe import probe_model
from inferq.worker.watchdog import Watchdog, WatchedRun
from inferq.worker.work_tally import WorkTally

_MOST_INPUT_BYTES = 32 * 1024 * 1024
"""Of inputs in memory together, unless a single job has more: a picture takes fifty times its file."""

log = structlog.get_logger()


@dataclass(slots=True)
class _Part:
    """Some jobs of a claim: how those failed whose data cannot be read, and the others.

    Attributes:
        failed: The former.
        decoded: The latter.
        input_bytes: How much memory their inputs take, as far as these are not smaller than their data.
    """

    failed: list[Outcome]
    decoded: Batch
    input_bytes: int = 0


class Executor:
    """Runs jobs, and learns from their runs how many of a model are best run at once.

    Args:
        models: The models by name, warmed up.
        watchdog: Stops runs that take too long.
        settings: How long a run may take, and how long a simulated one takes.
        observer: Is told of each run.
        traces: The spans of this process; none if left out.
    """

    def __init__(
        self,
        models: Mapping[str, Model],
        watchdog: Watchdog,
        settings: Settings,
        observer: JobObserver = NO_OBSERVER,
        traces: Traces | None = None,
    ) -> None:
        self._watchdog = watchdog
        self._settings = settings
        self._observer = observer
        self._traces = traces or Traces("inferq-worker")
        self._models: dict[str, Model] = {}
        self._planners: dict[str, BatchPlanner] = {}
        self._learn_latest: Callable[[], None] | None = None
        for model in models.values():
            self.add(model)

    def add(self, model: Model, handle: RunHandle | None = None) -> None:
        """Adds a model, after it was probed whether its jobs may share a run.

        Args:
            model: The model, warmed up.
            handle: Lets another thread stop the first run.

        Raises:
            ModelError: It was stopped.
        """
        probe = probe_model(model, handle)
        if probe.reason:
            log.info("model_runs_jobs_one_by_one", model=model.name, reason=probe.reason)
        planner = BatchPlanner(
            model.make_sharing_key,
            self._settings.batch_budget_seconds,
            shares_runs=probe.may_share_runs,
            input_bytes=probe.input_bytes,
            output_bytes=probe.output_bytes,
        )
        for rows, seconds in probe.costs:
            planner.add_cost(rows, seconds)
        self._models[model.name], self._planners[model.name] = model, planner

    def plan_limits(self) -> dict[str, int]:
        """Returns how many jobs of each model to claim at once, in view of what runs have cost so far."""
        self._learn()
        if self._settings.simulated_run_seconds:
            return dict.fromkeys(self._planners, 1)
        return {name: planner.plan_claim() for name, planner in self._planners.items()}

    def find_timeout(self, job: ClaimedJob) -> float:
        """Returns a job's longest run in seconds: as its request says, else its model, else the settings."""
        model = self._models[job.model].document.timeout_seconds
        return job.timeout_seconds or model or self._settings.run_timeout_seconds

    def run(
        self, jobs: Sequence[ClaimedJob], store: Callable[[list[Outcome]], None] | None = None
    ) -> list[Outcome]:
        """Runs jobs of one model.

        Args:
            jobs: What one claim brought.
            store: Is given outcomes whose results take too much memory to wait for the others; if left out,
                all wait.

        Returns:
            How each of the others ended, in any order; without those that were cancelled meanwhile.
        """
        self._learn()
        model, planner = self._models[jobs[0].model], self._planners[jobs[0].model]
        tally, outcomes = WorkTally(jobs), list[Outcome]()
        for part in _decode(model, jobs):
            for failed in part.failed:
                self._traces.note_run([failed.job], ErrorKind.INVALID_INPUT, 0.0)
            outcomes += part.failed
            tally.add_inputs(part.input_bytes)
            for batch in planner.plan_batches(part.decoded):
                if store is not None and tally.held_bytes > MOST_OUTPUT_BYTES:
                    with tally.storing():
                        store(outcomes)
                    outcomes = []
                ended = self._run_batch(model, batch)
                tally.add_run(batch, ended)
                outcomes += ended
        if measured := tally.measure():  # learned when the next limits are asked for, as clients wait now
            self._learn_latest = partial(planner.learn, *measured)
        return outcomes

    def _learn(self) -> None:
        learn, self._learn_latest = self._learn_latest, None
        if learn is not None:
            learn()

    def _run_batch(self, model: Model, batch: Batch) -> list[Outcome]:
        if len(batch) > 1:
            with log_jobs(batch.jobs):
                outcomes = self._run_together(model, batch)
            if outcomes is not None:
                return outcomes
        singles = (self._run_single(model, single) for single in batch.split())
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
                else Outcome(job, None, _make_size_error(result, most), seconds, count, index == 0)
                for index, job, result in zip(range(count), batch.jobs, results, strict=True)
            ]
            kind = next((outcome.error.kind for outcome in outcomes if outcome.error), None)
        self._note_run(batch, run, seconds, kind)
        if run.is_cancelled:
            return []
        return outcomes if run.stopped_at is None else None

    def _run_single(self, model: Model, batch: Batch) -> Outcome | None:
        """Returns how the only job of a batch ended; None if it was cancelled."""
        [job] = batch.jobs
        with log_jobs(batch.jobs), self._watchdog.guard(batch.jobs, self.find_timeout(job)) as run:
            result, error = self._predict(model, batch, run)
        seconds = time.monotonic() - run.started_at
        self._note_run(batch, run, seconds, error.kind if error else None)
        if run.is_cancelled:
            return None
        if run.stopped_at:
            result, error = None, make_timeout_error(run)
        return Outcome(job, result, error, seconds, batch_jobs=1, is_first_of_run=True)

    def _predict(
        self, model: Model, batch: Batch, run: WatchedRun
    ) -> tuple[bytes, None] | tuple[None, InferqError]:
        """Returns the result of the only job of a batch, or how it failed."""
        [job] = batch.jobs
        try:
            [result] = model.predict_together(batch.decoded, run.handle)
            run.handle.rest(run.started_at + self._settings.simulated_run_seconds - time.monotonic())
        except InferqError as error:
            return None, error
        except Exception as error:  # whatever a model does, the worker lives on
            log.exception("run_failed", model=job.model)
            return None, ModelError(f"The model failed with {type(error).__name__}: {error}")
        most = self._settings.max_result_bytes
        return (result, None) if len(result) <= most else (None, _make_size_error(result, most))

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


def _decode(model: Model, jobs: Sequence[ClaimedJob]) -> Iterator[_Part]:
    """Reads the data of jobs, in parts whose inputs take not too much memory."""
    together = model.decode_together([job.data for job in jobs]) if len(jobs) > 1 else None
    if together is not None:
        yield _Part([], Batch(list(jobs), together, sum([one.rows for one in together])))
        return
    part = _Part([], Batch())
    for job in jobs:
        if part.input_bytes > _MOST_INPUT_BYTES:
            yield part
            part = _Part([], Batch())
        try:
            decoded = model.decode(job.data)
        except InvalidInputError as error:
            part.failed.append(Outcome(job, error=error))
        except Exception as error:  # whatever the data does, the worker lives on
            with log_jobs((job,)):
                log.exception("data_not_readable", model=job.model)
            part.failed.append(Outcome(job, error=InvalidInputError(f"The data cannot be read: {error}.")))
        else:
            part.decoded.add(job, decoded)
            part.input_bytes += decoded.input_bytes
    yield part


def _make_size_error(result: bytes, most: int) -> ResultTooLargeError:
    return ResultTooLargeError(
        f"The result has {len(result):,} bytes; at most {most:,} are stored "
        "(INFERQ_MAX_RESULT_BYTES). Ask for less in one job."
    )


def make_timeout_error(run: WatchedRun) -> TimedOutError:
    """Returns the error of a job whose run took too long."""
    return TimedOutError(f"The job timed out after {run.timeout_seconds:g} s.")
