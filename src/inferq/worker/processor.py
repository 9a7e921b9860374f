"""The worker's main loop: claim, run, finish."""

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import structlog

from inferq.jobs import ClaimedJob, Outcome, Pace
from inferq.observability.log_context import log_jobs
from inferq.observability.observer import NO_OBSERVER, JobObserver
from inferq.queue import Consumer, Outage, PrefetchedClaim, WaitResult
from inferq.worker.executor import Executor
from inferq.worker.finisher import Finisher
from inferq.worker.held_jobs import HeldJobs
from inferq.worker.pace_meter import PaceMeter

_LAST_CALL_SECONDS = 2.0
"""How long an idle worker that is told to stop waits for a server that is away."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Claim:
    """What a claim has asked for, and what it brought.

    Attributes:
        limits: How many jobs it asked for, by model.
        model: Model of the jobs that it brought; empty if there are none.
        count: How many jobs it brought.
    """

    limits: Mapping[str, int]
    model: str = ""
    count: int = 0

    @property
    def has_drained_queue(self) -> bool:
        """Whether it brought fewer jobs than it asked for, so that no more wait."""
        return not self.count or self.count < self.limits[self.model]

    def is_full_batch(self, next_limits: Mapping[str, int]) -> bool:
        """Whether it brought all it asked for, of a model that runs several jobs at once."""
        return self.count > 0 and next_limits[self.model] > 1 and 1 < self.limits[self.model] <= self.count


class Processor:
    """Runs batches of jobs, one after the other, until told to stop.

                      ┌────────────── the claim drained the queue ──────────────┐
                      ▼                                                         │
        start ──▶   idle   ── wait for jobs ──▶  claimed  ── run ──▶  ran  ─────┤
                                                  │  ▲                          │
                               a full batch came  │  └── finish and claim ──────┘
                                                  ▼         (more jobs wait)
                                             prefetching ── run and claim meanwhile, while batches are full

    - idle: No job is here. The worker waits for one in Redis. What the run before gave is stored in the same
      round trip.
    - claimed: A claim brought fewer jobs than it asked for. They are run.
    - ran: What the run gave is stored in the same round trip that claims the next jobs.
    - prefetching: A claim brought a full batch. The next claim is sent before the batch is run, so that
      neither the model nor Redis waits for the other. Where Redis is slower than the model, one more is
      sent before the first is answered.

    When it is told to stop, the run under way ends, its outcomes are stored, and claimed jobs are requeued.

    Args:
        consumer: The queue.
        executor: Runs the jobs.
        outage: Waits while Redis is away.
        observer: Is told of claims and ends.

    Attributes:
        stopping: Set from outside to stop it.
        given_up: Set from outside to end its waiting for a server that is away.
        jobs_done: Attempts that it has run.
        progressed_at: Monotonic time at which it last began to wait or to run.
    """

    def __init__(
        self, consumer: Consumer, executor: Executor, outage: Outage, observer: JobObserver = NO_OBSERVER
    ) -> None:
        self._consumer = consumer
        self._executor = executor
        self._outage = outage
        self._observer = observer
        self._held = HeldJobs()
        self._pace = PaceMeter()
        self._next_limits = executor.plan_limits()  # computed ahead, while Redis works
        self._latest_claim = _Claim(self._next_limits)
        self._prefetched: tuple[PrefetchedClaim, ...] = ()  # sent, and not completed
        self._prefetched_lock = threading.Lock()
        self.stopping = threading.Event()
        self.given_up = threading.Event()
        self._finisher = Finisher(consumer, self._held, outage, self.given_up, observer)
        self.jobs_done = 0
        self.progressed_at = time.monotonic()

    @property
    def held(self) -> list[ClaimedJob]:
        """The jobs leased to this worker at this moment, until their ends are stored."""
        return [*self._held.read(), *self._consumer.awaiting_data]

    def read_paces(self) -> dict[str, Pace]:
        """Returns what the claims of each model cost, once there has been one. For one other thread."""
        return self._pace.read(self._next_limits)

    @property
    def storing_seconds(self) -> float:
        """How long it may take to store the large result that is being stored; 0 if there is none."""
        return self._finisher.storing_seconds

    def stop_storing(self, job: ClaimedJob, *, is_cancelled: bool) -> None:
        """Stops storing a large result; see `Finisher.stop_storing`. For other threads."""
        self._finisher.stop_storing(job, is_cancelled=is_cancelled)

    def is_unfinished(self, job: ClaimedJob) -> bool:
        """Whether a job is held and its run is not over. After that its end may be stored at any moment."""
        return self._held.is_unfinished(job)

    def receive_prefetched(self, older_than_seconds: float = 0.0) -> None:
        """Receives the answers of claims that were sent before the present run, so that their jobs are held.

        For other threads: the run may last, and the jobs claimed meanwhile must be renewed or requeued.

        Args:
            older_than_seconds: Leaves a claim alone that was sent more recently.

        Raises:
            RedisUnavailableError: Redis is away.
        """
        for claim in self._prefetched:
            if time.monotonic() - claim.sent_at >= older_than_seconds:
                jobs = claim.leased()
                with self._prefetched_lock:  # else they may have been run, and are not held any more
                    if jobs is not None and claim in self._prefetched:
                        self._held.discard(outcome.job for outcome in claim.outcomes)
                        self._held.add(jobs)

    def run(self) -> None:
        """Claims and runs until `stopping` is set; requeues what it has not begun."""
        jobs: list[ClaimedJob] = []
        outcomes: list[Outcome] = []
        while not self.stopping.is_set():
            self.progressed_at = time.monotonic()
            outcomes = self._finisher.store_large(outcomes)
            latest, is_blocked = self._latest_claim, self._consumer.is_blocked_by_solo_job
            if not jobs and (is_blocked or (outcomes and not latest.has_drained_queue)):
                jobs, outcomes = self._finish_and_claim(outcomes), []
            elif not jobs:
                jobs, outcomes = self._wait_and_claim(outcomes)
            elif latest.is_full_batch(self._next_limits) and not is_blocked:
                outcomes, jobs = self._run_and_prefetch(jobs, outcomes)
            else:
                self._finisher.finish(outcomes)
                outcomes, jobs = self._run_batch(jobs), []
        self._finisher.finish(self._finisher.store_large(outcomes))
        self._requeue(jobs)
        # if Redis is away for longer, recovery does it
        self._outage.retry_until_available(self._consumer.requeue_in_doubt, self.given_up, _LAST_CALL_SECONDS)

    def _run_batch(self, jobs: list[ClaimedJob]) -> list[Outcome]:
        """Runs the jobs of a claim, and empties the list: who called this may have it for long.

        Returns:
            How they ended, but for those whose results could not wait and are stored already; with the jobs,
            but without their data where it is long.
        """
        with log_jobs(jobs):
            log.debug("jobs_started", model=jobs[0].model, jobs=len(jobs))
        size = sum([len(job.data) for job in jobs])
        began = time.perf_counter()
        stored: set[str] = set()

        def store(outcomes: list[Outcome]) -> None:
            stored.update(outcome.job.id for outcome in outcomes)
            outcomes = self._finisher.note_finished(outcomes, size)
            self._finisher.finish(self._finisher.store_large(outcomes))

        outcomes = self._executor.run(jobs, store)
        self._pace.note_run(jobs[0].model, len(jobs), size, began, time.perf_counter())
        self.jobs_done += len(jobs)
        outcomes = self._finisher.note_finished(outcomes, size)
        if len(outcomes) + len(stored) < len(jobs):  # the others were cancelled, and have ended with that
            kept = stored.union(outcome.job.id for outcome in outcomes)
            self._held.discard(job for job in jobs if job.id not in kept)
        jobs.clear()
        return outcomes

    def _wait_and_claim(self, outcomes: list[Outcome]) -> tuple[list[ClaimedJob], list[Outcome]]:
        """Stores outcomes, and claims what comes within the next second and what waits behind it.

        Returns:
            The jobs, and the outcomes that could not be stored.
        """
        if not outcomes:
            self._next_limits = self._executor.plan_limits()
        self._pace.note_wait()
        limits = self._next_limits
        # they are noted before the wait for the next job, which may last
        note_stored = partial(self._finisher.note_stored, outcomes)
        result = self._outage.retry_until_available(
            lambda: self._consumer.wait_and_claim(limits, outcomes, note_stored=note_stored), self.stopping
        )
        verdicts, jobs, unclaimed = result or WaitResult([], [])
        if verdicts:
            outcomes = []
            self._next_limits = self._executor.plan_limits()  # only now, since clients wait for the outcomes
        if unclaimed:
            # it is in no list any more: it must be claimed, even if it is requeued at once
            jobs = (
                self._outage.retry_until_available(
                    lambda: self._consumer.claim(limits, unclaimed), self.given_up
                )
                or []
            )
        self._held.add(jobs)
        self._note_claimed(jobs, limits)
        return jobs, outcomes

    def _finish_and_claim(self, outcomes: Sequence[Outcome]) -> list[ClaimedJob]:
        return self._complete(self._send(self._prepare(outcomes, takes_solo=True)))

    def _run_and_prefetch(
        self, jobs: list[ClaimedJob], outcomes: list[Outcome]
    ) -> tuple[list[Outcome], list[ClaimedJob]]:
        """Runs a full batch, and others that are claimed meanwhile as long as they are full.

        Returns:
            What the last one gave, and the jobs that were claimed.
        """
        claim = self._send(self._prepare(outcomes, takes_solo=False))
        while True:
            outcomes = self._finisher.store_large(self._run_batch(jobs))
            # a solo job is not claimed ahead: it would be blamed if this run killed the worker
            following = self._prepare(outcomes, takes_solo=False)
            is_sent = self._may_send_before(claim)
            if is_sent:
                self._send(following)
            brought = self._outage.retry_until_available(claim.wait, self.given_up)
            is_full = brought is not None and _Claim(claim.limits, *brought).is_full_batch(self._next_limits)
            goes_on = is_full and not self.stopping.is_set()
            if goes_on and not is_sent:
                self._send(following)  # before anything else, since Redis is idle
            jobs = self._complete(claim)
            if not (goes_on or is_sent):
                return outcomes, jobs
            if not (goes_on and jobs):  # not full, or the data of the jobs could not be fetched
                return [], jobs + self._complete(following)
            claim = following
            self.progressed_at = time.monotonic()

    def _may_send_before(self, claim: PrefetchedClaim) -> bool:
        """Whether to send another claim before this one is answered, so that Redis need not wait for it.

        What this one brings is not known yet. Of several models it could be slow jobs, which would wait here
        behind others, though another worker had time for them.
        """
        return len(self._next_limits) == 1 and not (self.stopping.is_set() or claim.is_answered)

    def _prepare(self, outcomes: Sequence[Outcome], *, takes_solo: bool) -> PrefetchedClaim:
        return self._consumer.prepare_prefetch(outcomes, self._next_limits, takes_solo=takes_solo)

    def _send(self, claim: PrefetchedClaim) -> PrefetchedClaim:
        claim.send()
        with self._prefetched_lock:
            self._prefetched = (*self._prefetched, claim)
        self._next_limits = self._executor.plan_limits()
        return claim

    def _complete(self, claim: PrefetchedClaim) -> list[ClaimedJob]:
        verdicts, jobs = self._outage.retry_until_available(claim.answer, self.given_up) or ([], [])
        if verdicts:
            self._finisher.note_stored(claim.outcomes, verdicts)
        with self._prefetched_lock:
            self._prefetched = tuple(other for other in self._prefetched if other is not claim)
            self._held.add(jobs)
        self._note_claimed(jobs, claim.limits)
        return jobs

    def _note_claimed(self, jobs: list[ClaimedJob], limits: Mapping[str, int]) -> None:
        self._latest_claim = _Claim(limits, jobs[0].model if jobs else "", len(jobs))
        if jobs:
            self._observer.jobs_claimed(jobs)

    def _requeue(self, jobs: list[ClaimedJob]) -> None:
        if jobs:
            self._outage.retry_until_available(lambda: self._consumer.requeue(jobs), self.given_up)
