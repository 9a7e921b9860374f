"""Runs claimed jobs: together where that is possible, and alone where one of them is in the way."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

import structlog

from inferq.errors import InferqError, InvalidInputError, ModelError, ResultTooLargeError, TimedOutError
from inferq.jobs import ClaimedJob, Outcome
from inferq.models.model import Inputs, Model, RunHandle
from inferq.settings import Settings
from inferq.worker.batch_probe import try_together
from inferq.worker.batching import RunCost, plan_jobs, plan_rows
from inferq.worker.watchdog import Watchdog, WatchedRun

_SHORT_RUN_SECONDS = 0.02
"""A model that is as fast as this is tried with many jobs when the worker starts."""
_LONG_RUN_SECONDS = 0.25
"""One slower than this is not tried with several at all."""
_LONGEST_TRIAL_SECONDS = 5.0
_NEW_SHARE = 0.1
"""How much the latest job counts in the mean of rows per job."""

log = structlog.get_logger()


class Executor:
    """Runs jobs, and learns from it how many of a model are best run at once.

    Args:
        models: The models by name, warmed up.
        watch: Stops runs that take too long.
        settings: How long a run may take, and shall take at least.
    """

    def __init__(self, models: Mapping[str, Model], watch: Watchdog, settings: Settings) -> None:
        self._watch = watch
        self._settings = settings
        self._benches: dict[str, _Bench] = {}
        self._latest: Callable[[], None] | None = None
        for model in models.values():
            self.add(model)

    def add(self, model: Model, handle: RunHandle | None = None) -> None:
        """Takes a model on, after it was tried.

        Args:
            model: The model, warmed up.
            handle: Lets another thread stop the first run.

        Raises:
            ModelError: It was stopped.
        """
        self._benches[model.name] = _Bench(model, handle)

    def limits(self) -> dict[str, int]:
        """How many jobs of each model to claim at once, in view of what runs have cost so far."""
        self._learn()
        if self._settings.simulated_seconds:
            return dict.fromkeys(self._benches, 1)
        budget = self._settings.batch_budget
        return {name: bench.jobs_at_once(budget) for name, bench in self._benches.items()}

    def timeout_of(self, job: ClaimedJob) -> float:
        """Longest run of a job in seconds: its request's word, else its model's, else the settings'."""
        model = self._benches[job.model].model.document.timeout_seconds
        return job.timeout_seconds or model or self._settings.timeout_seconds

    def run(self, jobs: Sequence[ClaimedJob]) -> list[Outcome]:
        """Runs jobs of one model.

        Args:
            jobs: What one claim gave.

        Returns:
            How each ended, in any order; without those that were cancelled meanwhile.
        """
        self._learn()
        bench = self._benches[jobs[0].model]
        started = time.perf_counter()
        outcomes, decoded = _decode(bench.model, jobs)
        runs, rows = 0, 0
        for group in bench.groups(decoded, self._settings.batch_budget):
            done = self._run_group(bench, group)
            outcomes += done
            runs += 1
            rows += sum(bench.model.count_rows(inputs) for _, inputs in group)
        if runs:  # learned from when the next limits are asked for: somebody waits for the outcomes
            seconds = time.perf_counter() - started
            self._latest = partial(bench.learn, len(decoded), rows, runs, seconds)
        return outcomes

    def _learn(self) -> None:
        latest, self._latest = self._latest, None
        if latest is not None:
            latest()

    def _run_group(self, bench: "_Bench", group: "_Group") -> list[Outcome]:
        if len(group) > 1:
            done = self._try_together(bench, group)
            if done is not None:
                return done
        outcomes = (self._run_alone(bench.model, job, inputs) for job, inputs in group)
        return [outcome for outcome in outcomes if outcome is not None]

    def _try_together(self, bench: "_Bench", group: "_Group") -> list[Outcome] | None:
        """How the jobs ended; None where something goes wrong, for then nobody knows whose fault it is."""
        jobs = [job for job, _ in group]
        with self._watch.over(jobs, min(self.timeout_of(job) for job in jobs)) as run:
            results = self._predict_together(bench.model, group, run)
        if run.is_cancelled:
            return []
        if results is None or run.stopped is not None:
            return None
        return [self._outcome(job, result) for job, result in zip(jobs, results, strict=True)]

    def _predict_together(self, model: Model, group: "_Group", run: WatchedRun) -> list[bytes] | None:
        try:
            return model.predict_together([inputs for _, inputs in group], run.handle)
        except InferqError as error:
            if not run.is_cancelled:
                log.info("batch_taken_apart", model=model.name, jobs=len(group), reason=error.message)
        except Exception:  # whatever a model does, the worker lives on
            log.exception("batch_failed", model=model.name, jobs=len(group))
        return None

    def _run_alone(self, model: Model, job: ClaimedJob, inputs: Inputs) -> Outcome | None:
        with self._watch.over([job], self.timeout_of(job)) as run:
            outcome = self._attempt(model, job, inputs, run)
        if run.is_cancelled:
            return None
        return Outcome(job, error=timed_out(run)) if run.stopped else outcome

    def _attempt(self, model: Model, job: ClaimedJob, inputs: Inputs, run: WatchedRun) -> Outcome:
        try:
            [result] = model.predict_together([inputs], run.handle)
            run.handle.rest(run.started + self._settings.simulated_seconds - time.monotonic())
        except InferqError as error:
            return Outcome(job, error=error)
        except Exception as error:  # whatever a model does, the worker lives on
            log.exception("run_failed", job_id=job.id, model=job.model)
            return Outcome(job, error=ModelError(f"The model failed with {type(error).__name__}: {error}"))
        return self._outcome(job, result)

    def _outcome(self, job: ClaimedJob, result: bytes) -> Outcome:
        most = self._settings.max_result_bytes
        if len(result) <= most:
            return Outcome(job, result=result)
        return Outcome(
            job,
            error=ResultTooLargeError(
                f"The result has {len(result):,} bytes of JSON; at most {most:,} are stored "
                "(INFERQ_MAX_RESULT_BYTES). Ask for less in one job."
            ),
        )


type _Group = list[tuple[ClaimedJob, Inputs]]


class _Bench:
    """A model, and what is known of the cost of its runs."""

    def __init__(self, model: Model, handle: RunHandle | None) -> None:
        self.model = model
        self._cost = RunCost()
        self._rows_per_job = 1.0
        self._is_shared = model.document.batched
        try:
            self._try_out(handle)
        except ModelError as error:
            if handle is not None and handle.is_stopped:
                raise
            self._run_one_by_one(error.message)

    def _try_out(self, handle: RunHandle | None) -> None:
        """Measures a run, and one of several jobs; looks whether those change each other's results."""
        sample = self.model.sample()
        rows = max(1, self.model.count_rows(sample))
        _, seconds = self._timed(sample, handle)
        self._cost.add(rows, seconds)
        if self.model.dependence:
            self._run_one_by_one(f"{self.model.dependence}; batch = true in model.toml passes over that")
            return
        if not self._is_shared:
            return
        if seconds > _LONG_RUN_SECONDS:
            self._run_one_by_one(f"it takes {seconds:.2g} s, too long to try it with several")
            return
        trial = RunHandle()
        timer = threading.Timer(_LONGEST_TRIAL_SECONDS, trial.stop)  # made-up values may make a loop endless
        timer.start()
        try:
            is_large = seconds < _SHORT_RUN_SECONDS
            verdict = try_together(partial(self.model.run, handle=trial), sample, is_large=is_large)
        finally:
            timer.cancel()
        if trial.is_stopped:
            self._run_one_by_one("the trial took too long")
            return
        if verdict.rows:
            self._cost.add(verdict.rows, verdict.seconds)
        if verdict.reason:
            self._run_one_by_one(verdict.reason)

    def _run_one_by_one(self, reason: str) -> None:
        self._is_shared = False
        log.info("model_runs_jobs_one_by_one", model=self.model.name, reason=reason)

    def _timed(self, inputs: Inputs, handle: RunHandle | None) -> tuple[Inputs, float]:
        started = time.perf_counter()
        outputs = self.model.run(inputs, handle)
        return outputs, time.perf_counter() - started

    def rows_at_once(self, budget_seconds: float) -> int:
        return plan_rows(self._cost.line(), self._cost.most_rows, budget_seconds)

    def jobs_at_once(self, budget_seconds: float) -> int:
        if self._is_shared:
            return plan_jobs(self.rows_at_once(budget_seconds), self._rows_per_job)
        line = self._cost.line()
        seconds = line.seconds(self._rows_per_job)
        return plan_jobs(int(budget_seconds / seconds), 1.0) if seconds else 1

    def groups(self, decoded: _Group, budget_seconds: float) -> Iterator[_Group]:
        """Jobs that can share a run: alike in all but the number of rows, and not too many of those."""
        if not self._is_shared:
            yield from ([one] for one in decoded)
            return
        alike: dict[object, _Group] = {}
        for one in decoded:
            alike.setdefault(self.model.sharing_key(one[1]), []).append(one)
        most_rows = 2 * self.rows_at_once(budget_seconds)
        for group in alike.values():
            yield from self._pack(group, most_rows)

    def _pack(self, group: _Group, most_rows: int) -> Iterator[_Group]:
        pack: _Group = []
        rows = 0
        for job, inputs in group:
            count = self.model.count_rows(inputs)
            if pack and rows + count > most_rows:
                yield pack
                pack, rows = [], 0
            pack.append((job, inputs))
            rows += count
        if pack:
            yield pack

    def learn(self, jobs: int, rows: int, runs: int, seconds: float) -> None:
        """Notes what some runs have cost."""
        self._rows_per_job += _NEW_SHARE * (rows / jobs - self._rows_per_job)
        self._cost.add(max(1, rows // runs), seconds / runs)


def _decode(model: Model, jobs: Sequence[ClaimedJob]) -> tuple[list[Outcome], _Group]:
    together = model.decode_together([job.data for job in jobs]) if len(jobs) > 1 else None
    if together is not None:
        return [], list(zip(jobs, together, strict=True))
    failed: list[Outcome] = []
    decoded: _Group = []
    for job in jobs:
        try:
            decoded.append((job, model.decode(job.data)))
        except InvalidInputError as error:
            failed.append(Outcome(job, error=error))
        except Exception as error:  # whatever comes from outside, the worker lives on
            log.exception("data_not_readable", job_id=job.id, model=job.model)
            failed.append(Outcome(job, error=InvalidInputError(f"The data cannot be read: {error}.")))
    return failed, decoded


def timed_out(run: WatchedRun) -> TimedOutError:
    """What a run's job failed with that took too long."""
    return TimedOutError(f"The job timed out after {run.timeout_seconds:g} s.")
