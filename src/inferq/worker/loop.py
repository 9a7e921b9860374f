"""The worker's main loop: wait, claim, run, finish."""

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

import structlog

from inferq.jobs import ClaimedJob, InvalidInputError, Outcome, RedisUnavailableError
from inferq.queue.consumer import Consumer, new_token
from inferq.queue.outage import Outage
from inferq.worker.runner import Runner

log = structlog.get_logger()


class Loop:
    """Runs batches of jobs, one after the other, until told to stop.

    What a batch gave is stored in the same round trip that claims the next. Before a batch of many short
    jobs runs, that is sent, so that neither the model nor Redis waits for the other.

    Args:
        consumer: The queue.
        runner: The models.
        outage: Notes when Redis is away.
    """

    def __init__(self, consumer: Consumer, runner: Runner, outage: Outage) -> None:
        self._consumer = consumer
        self._runner = runner
        self._outage = outage
        self._limits = runner.limits()
        self._held: dict[tuple[str, str], ClaimedJob] = {}
        self._under_way: _Exchange | None = None
        self._lock = threading.Lock()
        self.stopping = threading.Event()
        self.given_up = threading.Event()
        self.jobs_done = 0
        self.progressed_at = time.monotonic()

    @property
    def held(self) -> list[ClaimedJob]:
        """The jobs leased to this worker at this moment, until their ends are stored."""
        return list(self._held.values())

    def fetch_what_waits(self, older_than_seconds: float = 0.0) -> None:
        """Takes the answer of an exchange that was sent before the present run, so that its jobs are held.

        For other threads: the run may last, and the jobs claimed meanwhile must be renewed or given back.

        Args:
            older_than_seconds: Leaves an exchange alone that was sent more recently.

        Raises:
            RedisUnavailableError: Redis is away.
        """
        exchange = self._under_way
        if exchange is not None and time.monotonic() - exchange.sent_at >= older_than_seconds:
            jobs = exchange.answer()[1]
            with self._lock:  # else they may have been run, and are not held any more
                if self._under_way is exchange:
                    self._hold(jobs)

    def run(self) -> None:
        """Takes and works until `stopping` is set; gives back what it has not begun."""
        jobs: list[ClaimedJob] = []
        done: list[Outcome] = []
        while not self.stopping.is_set():
            if jobs:
                done, jobs = self._turn(jobs, done)
            elif done:
                jobs, done = self._exchange(done), []
            else:
                jobs = self._take()
            self.progressed_at = time.monotonic()
        if done:
            self._outage.sit_out(lambda: self._finish(done), self.given_up)
        self._give_back(jobs)

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
        self._limits, token = self._runner.limits(), new_token()
        popped = self._outage.sit_out(self._consumer.wait, self.stopping)
        if popped is None:
            return []
        # what was popped is in no list any more: it must be claimed, though it be to give it back at once
        jobs = self._outage.sit_out(lambda: self._consumer.claim(self._limits, popped, token), self.given_up)
        return self._hold(jobs or [])

    def _turn(self, jobs: list[ClaimedJob], done: list[Outcome]) -> tuple[list[Outcome], list[ClaimedJob]]:
        """Runs jobs. Where more of their kind wait, others are claimed meanwhile, and what is done is stored.

        Returns:
            What these jobs gave, and the jobs that were claimed.
        """
        limit = self._limits[jobs[0].model]
        if not 1 < limit <= len(jobs):
            if done:
                self._outage.sit_out(lambda: self._finish(done), self.given_up)
            return self._work(jobs), []
        # no job that must run alone waits meanwhile: should these kill the worker, it would get the blame
        exchange = self._send(done, takes_alone=False)
        self._under_way = exchange
        new = self._work(jobs)
        claimed = self._complete(exchange)
        with self._lock:
            self._under_way = None
        return new, claimed

    def _exchange(self, done: Sequence[Outcome]) -> list[ClaimedJob]:
        return self._complete(self._send(done, takes_alone=True))

    def _send(self, done: Sequence[Outcome], *, takes_alone: bool) -> "_Exchange":
        exchange = _Exchange(self._consumer, done, self._limits, takes_alone=takes_alone)
        exchange.send()
        self._limits = self._runner.limits()  # what the next one will ask for, while Redis is at this one
        return exchange

    def _complete(self, exchange: "_Exchange") -> list[ClaimedJob]:
        answer = self._outage.sit_out(exchange.answer, self.given_up)
        if answer is None:
            return []
        verdicts, jobs = answer
        self._note(exchange.done, verdicts)
        return self._hold(jobs)

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


class _Exchange:
    """Storing what is done and claiming more, which may be sent now and answered later, and repeated."""

    def __init__(
        self, consumer: Consumer, done: Sequence[Outcome], limits: dict[str, int], *, takes_alone: bool
    ) -> None:
        self.done = done
        self._arguments = (done, limits, new_token())
        self._takes_alone = takes_alone
        self._consumer = consumer
        self._receive: Callable[[], tuple[list[str], list[ClaimedJob]]] | None = None
        self._answer: tuple[list[str], list[ClaimedJob]] | None = None
        self._lock = threading.Lock()
        self.sent_at = time.monotonic()

    def send(self) -> None:
        """Sends it, if Redis can be reached; `answer` sends what has not been sent."""
        with suppress(RedisUnavailableError):
            self._receive = self._consumer.send_exchange(*self._arguments, takes_alone=self._takes_alone)

    def answer(self) -> tuple[list[str], list[ClaimedJob]]:
        """Waits for the answer; sends it again where it was lost. Any thread may ask, more than once."""
        with self._lock:
            if self._answer is None:
                self._answer = self._ask()
            return self._answer

    def _ask(self) -> tuple[list[str], list[ClaimedJob]]:
        receive, self._receive = self._receive, None
        if receive is not None:
            with suppress(RedisUnavailableError):
                return receive()
        return self._consumer.exchange(*self._arguments, takes_alone=self._takes_alone)
