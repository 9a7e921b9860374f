"""The worker's main loop: wait, claim, run, finish."""

import threading
import time
from collections.abc import Mapping
from functools import partial

import structlog

from inferq.jobs import ClaimedJob, InferqError, InvalidInputError, ModelError, Outcome, TimedOutError
from inferq.models.session import Model
from inferq.queue.consumer import Consumer, Popped, new_token
from inferq.queue.outage import Outage
from inferq.settings import Settings
from inferq.worker.watch import Run, Watch

log = structlog.get_logger()


class Loop:
    """Runs one job after the other until told to stop.

    Args:
        consumer: The queue.
        models: The models by name.
        outage: Notes when Redis is away.
        watch: Stops runs that take too long.
        settings: How long a run may take, and shall take at least.
    """

    def __init__(
        self,
        consumer: Consumer,
        models: Mapping[str, Model],
        outage: Outage,
        watch: Watch,
        settings: Settings,
    ) -> None:
        self._consumer = consumer
        self._models = models
        self._outage = outage
        self._watch = watch
        self._settings = settings
        self._held: tuple[ClaimedJob, ...] = ()
        self.stopping = threading.Event()
        self.given_up = threading.Event()
        self.jobs_done = 0
        self.progressed_at = time.monotonic()

    @property
    def held(self) -> tuple[ClaimedJob, ...]:
        """The jobs leased to this worker at this moment."""
        return self._held

    def run(self) -> None:
        """Takes and works until `stopping` is set; gives back what it has not begun."""
        while not self.stopping.is_set():
            jobs = self._take()
            self.progressed_at = time.monotonic()
            self._work(jobs)

    def _take(self) -> list[ClaimedJob]:
        """What waits already, or else what comes within the next second."""
        jobs = self._claim(None)
        if jobs or self.stopping.is_set():
            return jobs
        popped = self._outage.sit_out(self._consumer.wait, self.stopping)
        if popped is None:
            return []
        # what was popped is in no list any more: it must be claimed, and given back if it came too late
        is_late = self.stopping.is_set()
        jobs = self._claim(popped)
        if is_late:
            self._give_back(jobs)
            return []
        return jobs

    def _claim(self, popped: Popped | None) -> list[ClaimedJob]:
        token = new_token()
        give_up = self.given_up if popped else self.stopping
        return self._outage.sit_out(lambda: self._consumer.claim(1, popped, token), give_up) or []

    def timeout_of(self, job: ClaimedJob) -> float:
        """Longest run of a job in seconds: its request's word, else its model's, else the settings'."""
        model = self._models[job.model].document.timeout_seconds
        return job.timeout_seconds or model or self._settings.timeout_seconds

    def _work(self, jobs: list[ClaimedJob]) -> None:
        self._held = tuple(jobs)
        for job in jobs:
            with self._watch.over(job, self.timeout_of(job)) as run:
                outcome = self._attempt(run)
            if not run.is_cancelled:
                self._outage.sit_out(partial(self._finish, outcome), self.given_up)
            self.jobs_done += 1
        self._held = ()

    def _attempt(self, run: Run) -> Outcome:
        job = run.job
        try:
            result = self._models[job.model].predict(job.data, run.handle)
            run.handle.rest(run.started + self._settings.simulated_seconds - time.monotonic())
        except InferqError as error:
            return Outcome(job, error=timed_out(run) if run.stopped else error)
        except Exception as error:  # whatever a model does, the worker lives on
            log.exception("run_failed", job_id=job.id, model=job.model)
            return Outcome(job, error=ModelError(f"The model failed with {type(error).__name__}: {error}"))
        return Outcome(job, error=timed_out(run)) if run.stopped else Outcome(job, result=result)

    def _finish(self, outcome: Outcome) -> None:
        [verdict] = self._consumer.finish([outcome])
        if outcome.error is None:
            log.debug("job_finished", job_id=outcome.job.id, verdict=verdict)
        else:
            level = log.info if isinstance(outcome.error, InvalidInputError) else log.warning
            level(
                "job_failed",
                job_id=outcome.job.id,
                model=outcome.job.model,
                kind=outcome.error.kind,
                error=outcome.error.message,
                verdict=verdict,
            )

    def _give_back(self, jobs: list[ClaimedJob]) -> None:
        if jobs:
            self._outage.sit_out(lambda: self._consumer.release(jobs), self.given_up)


def timed_out(run: Run) -> TimedOutError:
    """What a run's job failed with that took too long."""
    return TimedOutError(f"The job timed out after {run.timeout_seconds:g} s.")
