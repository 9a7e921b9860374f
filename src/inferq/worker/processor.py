"""The worker's main loop: wait, claim, run, finish."""

import threading
import time
from collections.abc import Mapping, Sequence

import structlog

from inferq.errors import InvalidInputError, ResultTooLargeError
from inferq.jobs import ClaimedJob, Outcome
from inferq.queue.consumer.blocking_claim import WaitResult
from inferq.queue.consumer.claim import new_token
from inferq.queue.consumer.consumer import Consumer
from inferq.queue.consumer.prefetch import PrefetchedClaim
from inferq.queue.consumer.result_upload import LARGE_BYTES, ResultUpload
from inferq.queue.redis_client.outage import Outage
from inferq.worker.executor import Executor

_LAST_CALL_SECONDS = 2.0
"""How long an idle worker that is told to stop waits for a server that is away."""

log = structlog.get_logger()


class Processor:
    """Runs batches of jobs, one after the other, until told to stop.

    What a batch gave is stored in the same round trip that claims the next. Before a batch of many short
    jobs runs, that is sent, so that neither the model nor Redis waits for the other. Where Redis is slower
    than the model, another is sent before the first is answered.

    Args:
        consumer: The queue.
        runner: The models.
        outage: Notes when Redis is away.
    """

    def __init__(self, consumer: Consumer, runner: Executor, outage: Outage) -> None:
        self._consumer = consumer
        self._runner = runner
        self._outage = outage
        self._limits = runner.limits()
        self._is_drained = True  # whether the latest claim brought less than it asked for
        self._held: dict[tuple[str, str], ClaimedJob] = {}
        self._ended: set[tuple[str, str]] = set()  # those held whose ends are to be stored
        self._asked: Mapping[str, int] = self._limits
        self._under_way: tuple[PrefetchedClaim, ...] = ()
        self._upload: ResultUpload | None = None
        self._lock = threading.Lock()
        self.stopping = threading.Event()
        self.given_up = threading.Event()
        self.jobs_done = 0
        self.progressed_at = time.monotonic()

    @property
    def held(self) -> list[ClaimedJob]:
        """The jobs leased to this worker at this moment, until their ends are stored."""
        return [*self._held.values(), *self._consumer.awaiting_data]

    @property
    def storing_seconds(self) -> float:
        """How long it may take to store the large result that is being stored; 0 if there is none."""
        upload = self._upload
        return upload.longest_seconds if upload else 0.0

    def stop_storing(self, job: ClaimedJob, *, is_cancelled: bool) -> None:
        """Ends the work on a large result whose job is not this worker's any more. For other threads."""
        upload = self._upload
        if upload is None or (upload.job.id, upload.job.token) != (job.id, job.token):
            return
        if is_cancelled:
            upload.stop()
        else:
            upload.try_no_more()

    def is_still_to_end(self, job: ClaimedJob) -> bool:
        """Whether a job is held and its run is not over. After that its end may be stored at any moment."""
        key = job.token, job.id
        return key in self._held and key not in self._ended

    def fetch_what_waits(self, older_than_seconds: float = 0.0) -> None:
        """Takes the answers of exchanges that were sent before the present run, so that their jobs are held.

        For other threads: the run may last, and the jobs claimed meanwhile must be renewed or given back.

        Args:
            older_than_seconds: Leaves an exchange alone that was sent more recently.

        Raises:
            RedisUnavailableError: Redis is away.
        """
        for exchange in self._under_way:
            if time.monotonic() - exchange.sent_at >= older_than_seconds:
                jobs = exchange.leased()
                with self._lock:  # else they may have been run, and are not held any more
                    if jobs is not None and exchange in self._under_way:
                        self._let_go(exchange.outcomes)
                        self._hold(jobs)

    def run(self) -> None:
        """Takes and works until `stopping` is set; gives back what it has not begun."""
        jobs: list[ClaimedJob] = []
        done: list[Outcome] = []
        while not self.stopping.is_set():
            self.progressed_at = time.monotonic()
            done = self._store_large(done)
            if not jobs:
                goes_on = self._consumer.is_blocked_by_solo_job or (done and not self._is_drained)
                jobs, done = (self._claim_with(done), []) if goes_on else self._take(done)
            elif (
                self._is_full(jobs[0].model, len(jobs), self._asked)
                and not self._consumer.is_blocked_by_solo_job
            ):
                done, jobs = self._work_on(jobs, done)
            else:
                self._finish(done)
                done, jobs = self._work(jobs), []
        self._finish(self._store_large(done))
        self._give_back(jobs)
        # if Redis is away for longer, recovery does it
        self._outage.sit_out(self._consumer.requeue_in_doubt, self.given_up, _LAST_CALL_SECONDS)

    def _work(self, jobs: list[ClaimedJob]) -> list[Outcome]:
        log.debug("jobs_started", model=jobs[0].model, jobs=len(jobs))
        done = self._runner.run(jobs)
        self.jobs_done += len(jobs)
        self._ended.update((outcome.job.token, outcome.job.id) for outcome in done)
        if len(done) < len(jobs):  # the others were cancelled, and have ended with that
            kept = {outcome.job.id for outcome in done}
            for job in jobs:
                if job.id not in kept:
                    self._held.pop((job.token, job.id), None)
        return done

    def _take(self, done: list[Outcome]) -> tuple[list[ClaimedJob], list[Outcome]]:
        """Stores outcomes, and takes what comes within the next second, and what waits behind it.

        Returns:
            The jobs, and the outcomes that could not be stored.
        """
        self._limits = limits = self._runner.limits()
        result = self._outage.sit_out(lambda: self._consumer.wait_and_claim(limits, done), self.stopping)
        verdicts, jobs, unclaimed = result or WaitResult([], [])
        if verdicts:
            self._note(done, verdicts)
            done = []
        if unclaimed:
            # it is in no list any more: it must be claimed, though it be to give it back at once
            jobs = self._outage.sit_out(lambda: self._consumer.claim(limits, unclaimed), self.given_up) or []
        return self._receive(jobs, limits), done

    def _is_full(self, model: str, count: int, asked: Mapping[str, int]) -> bool:
        """Whether a claim brought as much as it asked for, of a model that runs several jobs at once."""
        return count > 0 and self._limits[model] > 1 and 1 < asked[model] <= count

    def _work_on(self, jobs: list[ClaimedJob], done: list[Outcome]) -> tuple[list[Outcome], list[ClaimedJob]]:
        """Runs a full batch, and others that are claimed meanwhile as long as they are full.

        Returns:
            What the last one gave, and the jobs that were claimed.
        """
        exchange = self._send(self._prepare(done, takes_solo=False))
        while True:
            done = self._store_large(self._work(jobs))
            # no job that must run alone waits meanwhile: should a run kill the worker, it would get the blame
            following = self._prepare(done, takes_solo=False)
            is_sent = self._is_ahead_of(exchange)
            if is_sent:
                self._send(following)
            brings = self._outage.sit_out(exchange.wait, self.given_up)
            goes_on = brings and self._is_full(*brings, exchange.limits) and not self.stopping.is_set()
            if goes_on and not is_sent:
                self._send(following)  # before anything else: Redis waits for it
            jobs = self._complete(exchange)
            if not (goes_on or is_sent):
                return done, jobs
            if not (goes_on and jobs):  # all that is under way; or their data could not be fetched
                return [], jobs + self._complete(following)
            exchange = following
            self.progressed_at = time.monotonic()

    def _is_ahead_of(self, exchange: PrefetchedClaim) -> bool:
        """Whether Redis, which is at an exchange, is to find another as soon as it has answered.

        What that brings is not known yet. Of several models it could be slow jobs, which would wait here
        behind others, though another worker had time for them.
        """
        return len(self._limits) == 1 and not (self.stopping.is_set() or exchange.is_answered)

    def _claim_with(self, done: Sequence[Outcome]) -> list[ClaimedJob]:
        return self._complete(self._send(self._prepare(done, takes_solo=True)))

    def _prepare(self, done: Sequence[Outcome], *, takes_solo: bool) -> PrefetchedClaim:
        return self._consumer.prepare_prefetch(done, self._limits, new_token(), takes_solo=takes_solo)

    def _send(self, exchange: PrefetchedClaim) -> PrefetchedClaim:
        exchange.send()
        with self._lock:
            self._under_way = (*self._under_way, exchange)
        self._limits = self._runner.limits()  # what the next one will ask for, while Redis is at this one
        return exchange

    def _complete(self, exchange: PrefetchedClaim) -> list[ClaimedJob]:
        verdicts, jobs = self._outage.sit_out(exchange.answer, self.given_up) or ([], [])
        if verdicts:
            self._note(exchange.outcomes, verdicts)
        with self._lock:
            self._under_way = tuple(other for other in self._under_way if other is not exchange)
            return self._receive(jobs, exchange.limits)

    def _receive(self, jobs: list[ClaimedJob], asked: Mapping[str, int]) -> list[ClaimedJob]:
        self._asked = asked
        self._is_drained = not jobs or len(jobs) < asked[jobs[0].model]
        self._hold(jobs)
        return jobs

    def _store_large(self, done: list[Outcome]) -> list[Outcome]:
        """Stores results that may be refused, each by itself, and before them the others.

        Returns:
            What is still to be stored: all if no result is so large, else how those failed that were refused.
        """
        large = [outcome for outcome in done if len(outcome.result or b"") > LARGE_BYTES]
        if not large:
            return done
        self._finish([outcome for outcome in done if outcome not in large])
        return [failed for outcome in large if (failed := self._store(outcome))]

    def _store(self, outcome: Outcome) -> Outcome | None:
        """Stores one large result; returns how its job failed if it is refused."""
        upload = self._upload = self._consumer.prepare_upload(outcome)
        try:
            if verdict := self._outage.sit_out(upload.store, self.given_up):
                self._note([outcome], [verdict])
        except ResultTooLargeError as error:
            return Outcome(outcome.job, error=error)
        finally:
            self._upload = None
        return None

    def _finish(self, done: Sequence[Outcome]) -> None:
        if done and (verdicts := self._outage.sit_out(lambda: self._consumer.finish(done), self.given_up)):
            self._note(done, verdicts)

    def _note(self, done: Sequence[Outcome], verdicts: Sequence[str]) -> None:
        self._let_go(done)
        for outcome, verdict in zip(done, verdicts, strict=True):
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

    def _let_go(self, done: Sequence[Outcome]) -> None:
        for outcome in done:
            key = outcome.job.token, outcome.job.id
            self._held.pop(key, None)
            self._ended.discard(key)

    def _hold(self, jobs: list[ClaimedJob]) -> None:
        for job in jobs:
            self._held[job.token, job.id] = job

    def _give_back(self, jobs: list[ClaimedJob]) -> None:
        if jobs:
            self._outage.sit_out(lambda: self._consumer.requeue(jobs), self.given_up)
