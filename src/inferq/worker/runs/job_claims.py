"""The claims of a processor: which it has sent, and what they have brought."""

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from inferq.jobs import ClaimedJob, Outcome
from inferq.model_names import get_model_name, is_of_workers, is_shadow
from inferq.observability.observer import JobObserver
from inferq.queue import AnyConsumer, AnyPrefetch, Outage, WaitResult
from inferq.worker.runs.executor import Executor
from inferq.worker.runs.finisher import Finisher
from inferq.worker.runs.held_jobs import HeldJobs

_NOTHING_SERVED_SECONDS = 0.2
"""How long a worker that serves no model waits before it looks whether it does."""


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
        return self.count < self.limits.get(self.model, 1)

    def is_full_batch(self, next_limits: Mapping[str, int]) -> bool:
        """Whether it brought all it asked for, of a model that runs several jobs at once.

        Shadow jobs never count so: nothing is claimed before they have run, as a candidate may kill the
        worker, and the jobs that this holds would be blamed too.
        """
        if is_shadow(self.model):
            return False
        is_full = 1 < self.limits.get(self.model, 0) <= self.count
        return is_full and next_limits.get(self.model, 0) > 1


class JobClaims:
    """Claims jobs, and stores in the same round trip how runs before have ended.

    For the processor's thread, but for `receive_prefetched`.

    Args:
        consumer: The queue.
        executor: Plans how many jobs to claim.
        outage: Waits while Redis is away.
        held: The jobs of this worker.
        finisher: Notes the outcomes that were stored.
        observer: Is told of claims.
        stopping: Ends a wait for jobs while Redis is away.
        given_up: Ends all other waits for it.

    Attributes:
        next_limits: How many jobs of each model the next claim asks for; computed ahead, while Redis works.
    """

    def __init__(
        self,
        consumer: AnyConsumer,
        executor: Executor,
        outage: Outage,
        held: HeldJobs,
        finisher: Finisher,
        observer: JobObserver,
        stopping: threading.Event,
        given_up: threading.Event,
    ) -> None:
        self._consumer = consumer
        self._executor = executor
        self._outage = outage
        self._held = held
        self._finisher = finisher
        self._observer = observer
        self._stopping = stopping
        self._given_up = given_up
        self.next_limits: Mapping[str, int] = executor.plan_limits()
        self._latest = _Claim(self.next_limits)
        self._prefetched: tuple[AnyPrefetch, ...] = ()  # sent, and not completed
        self._prefetched_lock = threading.Lock()

    @property
    def has_drained_queue(self) -> bool:
        """Whether the latest claim brought fewer jobs than it asked for, so that no more wait."""
        return self._latest.has_drained_queue

    @property
    def is_full_batch(self) -> bool:
        """Whether the latest claim brought all it asked for, of a model that runs several jobs at once."""
        return self._latest.is_full_batch(self.next_limits)

    @property
    def is_slow_possible(self) -> bool:
        """Whether the next claim may bring a job of a model that runs its jobs one by one."""
        return any(limit == 1 and not is_of_workers(queue) for queue, limit in self.next_limits.items())

    def plan_next(self) -> None:
        """Plans anew how many jobs the next claim asks for."""
        self.next_limits = self._executor.plan_limits()

    def receive_prefetched(self, older_than_seconds: float) -> None:
        """Receives the answers of claims that were sent before the present run; see `Processor`.

        For other threads.

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

    def wait_and_claim(self, outcomes: list[Outcome]) -> tuple[list[ClaimedJob], list[Outcome]]:
        """Stores outcomes, and claims what comes within the next second and what waits behind it.

        Args:
            outcomes: How runs have ended.

        Returns:
            The jobs, and the outcomes that could not be stored.
        """
        if not outcomes:
            self.plan_next()
        limits = self.next_limits
        if not limits:  # all models have gone; others may come
            self._finisher.finish(outcomes)
            self._stopping.wait(_NOTHING_SERVED_SECONDS)
            return [], []
        # they are noted before the wait for the next job, which may last
        note_stored = partial(self._finisher.note_stored, outcomes)
        result = self._outage.retry_until_available(
            lambda: self._consumer.wait_and_claim(limits, outcomes, note_stored=note_stored), self._stopping
        )
        verdicts, jobs, unclaimed = result or WaitResult([], [])
        if verdicts:
            outcomes = []
            self.plan_next()  # only now, since clients wait for the outcomes
        if unclaimed:
            # it is in no list any more: it must be claimed, even if it is requeued at once
            jobs = (
                self._outage.retry_until_available(
                    lambda: self._consumer.claim(limits, unclaimed), self._given_up
                )
                or []
            )
        self._held.add(jobs)
        self._note_claimed(jobs, limits)
        return jobs, outcomes

    def finish_and_claim(self, outcomes: Sequence[Outcome]) -> list[ClaimedJob]:
        """Stores outcomes, and claims what waits now, also a job that must run alone.

        Args:
            outcomes: How runs have ended.
        """
        return self.complete(self.send(self.prepare(outcomes, takes_solo=True)))

    def prepare(self, outcomes: Sequence[Outcome], *, takes_solo: bool = False) -> AnyPrefetch:
        """Makes a claim that is sent later.

        Args:
            outcomes: How runs have ended.
            takes_solo: Whether to take a job that must run alone: never before a run, as it would be blamed
                too if this killed the worker.
        """
        return self._consumer.prepare_prefetch(outcomes, self.next_limits, takes_solo=takes_solo)

    def send(self, claim: AnyPrefetch) -> AnyPrefetch:
        """Sends a claim."""
        claim.send()
        with self._prefetched_lock:
            self._prefetched = (*self._prefetched, claim)
        self.plan_next()
        return claim

    def may_send_before(self, claim: AnyPrefetch) -> bool:
        """Whether to send another claim before this one is answered, so that Redis need not wait for it.

        What this one brings is not known yet. Of several models it could be slow jobs, which would wait here
        behind others, though another worker had time for them. Versions of one model cost about the same.
        """
        if self._stopping.is_set() or claim.is_answered:
            return False
        return len({get_model_name(queue) for queue in self.next_limits if not is_of_workers(queue)}) == 1

    def has_brought_full_batch(self, claim: AnyPrefetch) -> bool:
        """Waits for the answer of a claim, and returns whether it is a full batch; see `is_full_batch`."""
        brought = self._outage.retry_until_available(claim.wait, self._given_up)
        return brought is not None and _Claim(claim.limits, *brought).is_full_batch(self.next_limits)

    def complete(self, claim: AnyPrefetch) -> list[ClaimedJob]:
        """Waits for the answer of a claim, and returns its jobs."""
        verdicts, jobs = self._outage.retry_until_available(claim.answer, self._given_up) or ([], [])
        if verdicts:
            self._finisher.note_stored(claim.outcomes, verdicts)
        with self._prefetched_lock:
            self._prefetched = tuple(other for other in self._prefetched if other is not claim)
            self._held.add(jobs)
        self._note_claimed(jobs, claim.limits)
        return jobs

    def _note_claimed(self, jobs: list[ClaimedJob], limits: Mapping[str, int]) -> None:
        self._latest = _Claim(limits, jobs[0].model if jobs else "", len(jobs))
        if jobs:
            self._observer.jobs_claimed(jobs)
