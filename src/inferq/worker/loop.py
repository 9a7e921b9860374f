"""The worker's main loop: wait, claim, run, finish."""

import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import structlog

from inferq.jobs import ClaimedJob, InvalidInputError, Outcome
from inferq.queue.consumer import Consumer, new_token
from inferq.queue.outage import Outage
from inferq.worker.runner import Runner

log = structlog.get_logger()


class Loop:
    """Runs batches of jobs, one after the other, until told to stop.

    What a batch gave is stored in the same round trip that claims the next. While one of many short jobs
    runs, that is done on the side, so that neither the model nor Redis waits for the other.

    Args:
        consumer: The queue.
        runner: The models.
        outage: Notes when Redis is away.
    """

    def __init__(self, consumer: Consumer, runner: Runner, outage: Outage) -> None:
        self._consumer = consumer
        self._runner = runner
        self._outage = outage
        self._aside = ThreadPoolExecutor(1, "exchange")
        self._held: dict[tuple[str, str], ClaimedJob] = {}
        self.stopping = threading.Event()
        self.given_up = threading.Event()
        self.jobs_done = 0
        self.progressed_at = time.monotonic()

    @property
    def held(self) -> list[ClaimedJob]:
        """The jobs leased to this worker at this moment, until their ends are stored."""
        return list(self._held.values())

    def run(self) -> None:
        """Takes and works until `stopping` is set; gives back what it has not begun."""
        jobs: list[ClaimedJob] = []
        done: list[Outcome] = []
        while not self.stopping.is_set():
            if jobs:
                ahead = self._start_exchange(jobs, done)
                done = self._work(jobs)
                jobs = ahead.result() if ahead else []
            elif done:
                jobs, done = self._exchange(done), []
            else:
                jobs = self._take()
            self.progressed_at = time.monotonic()
        if done:
            self._outage.sit_out(lambda: self._finish(done), self.given_up)
        self._give_back(jobs)
        self._aside.shutdown()

    def _work(self, jobs: list[ClaimedJob]) -> list[Outcome]:
        done = self._runner.run(jobs)
        self.jobs_done += len(jobs)
        if len(done) < len(jobs):  # the others were cancelled, and have ended with that
            kept = {outcome.job.id for outcome in done}
            for job in jobs:
                if job.id not in kept:
                    self._held.pop((job.token, job.id), None)
        return done

    def _take(self) -> list[ClaimedJob]:
        """What comes within the next second, and what waits behind it."""
        popped = self._outage.sit_out(self._consumer.wait, self.stopping)
        if popped is None:
            return []
        # what was popped is in no list any more: it must be claimed, though it be to give it back at once
        token, limits = new_token(), self._runner.limits()
        jobs = self._outage.sit_out(lambda: self._consumer.claim(limits, popped, token), self.given_up)
        return self._hold(jobs or [])

    def _start_exchange(
        self, jobs: Sequence[ClaimedJob], done: list[Outcome]
    ) -> Future[list[ClaimedJob]] | None:
        """Stores and claims on the side while these jobs run, if there is anything to store or to expect."""
        limit = self._runner.limit_of(jobs[0].model)
        if 1 < limit <= len(jobs):
            # a job that must run alone cannot wait here: should these kill the worker, it would get the blame
            return self._aside.submit(self._exchange, done, takes_alone=False)
        return self._aside.submit(self._store, done) if done else None

    def _exchange(self, done: Sequence[Outcome], *, takes_alone: bool = True) -> list[ClaimedJob]:
        token, limits = new_token(), self._runner.limits()

        def exchange() -> list[ClaimedJob]:
            if self.stopping.is_set():
                return self._store(done)
            verdicts, jobs = self._consumer.exchange(done, limits, token, takes_alone=takes_alone)
            self._note(done, verdicts)
            return self._hold(jobs)

        return self._outage.sit_out(exchange, self.given_up) or []

    def _store(self, done: Sequence[Outcome]) -> list[ClaimedJob]:
        self._outage.sit_out(lambda: self._finish(done), self.given_up)
        return []

    def _finish(self, done: Sequence[Outcome]) -> None:
        self._note(done, self._consumer.finish(done))

    def _note(self, done: Sequence[Outcome], verdicts: Sequence[str]) -> None:
        for outcome, verdict in zip(done, verdicts, strict=True):
            self._held.pop((outcome.job.token, outcome.job.id), None)
            if outcome.error is not None:
                level = log.info if isinstance(outcome.error, InvalidInputError) else log.warning
                level(
                    "job_failed",
                    job_id=outcome.job.id,
                    model=outcome.job.model,
                    kind=outcome.error.kind,
                    error=outcome.error.message,
                    verdict=verdict,
                )
        log.debug("jobs_finished", verdicts=verdicts)

    def _hold(self, jobs: list[ClaimedJob]) -> list[ClaimedJob]:
        for job in jobs:
            self._held[job.token, job.id] = job
        return jobs

    def _give_back(self, jobs: list[ClaimedJob]) -> None:
        if jobs:
            self._outage.sit_out(lambda: self._consumer.release(jobs), self.given_up)
