"""Claims ahead where there are several shards: outcomes go to others than jobs come from."""

import threading
import time
from collections.abc import Mapping, Sequence

from inferq.errors import RedisUnavailableError
from inferq.jobs import ClaimedJob, Outcome
from inferq.queue.consumer.claims.prefetch import PrefetchedClaim, PrefetchResult
from inferq.queue.consumer.sent_finish import SentFinish
from inferq.queue.shards.consumer_shard import ConsumerShard
from inferq.queue.shards.shard_order import ShardOrder


class ShardedPrefetch:
    """What a `PrefetchedClaim` is on one shard: a claim on the next one, and a finish on each that wants one.

    Where the next shard has nothing, the others are asked when the answer is waited for. None of these calls
    fails since a shard is away: what is to be stored there is kept, and the jobs come from others.

    Args:
        shards: All shards.
        order: Says which one is next.
        outcomes: What it stores.
        limits: How many jobs of each model it asks for.
        takes_solo: Whether to take a job that must run alone, since a worker died with it.
        receiving: Held by the thread that receives answers: these come in the order of sending.

    Attributes:
        outcomes: See above.
        limits: See above.
        sent_at: Monotonic time at which it was sent; infinite before that.
    """

    def __init__(
        self,
        shards: Sequence[ConsumerShard],
        order: ShardOrder,
        outcomes: Sequence[Outcome],
        limits: Mapping[str, int],
        *,
        takes_solo: bool,
        receiving: threading.Lock,
    ) -> None:
        self._order = order
        self._takes_solo = takes_solo
        self._receiving = receiving
        self.outcomes = outcomes
        self.limits = limits
        self.sent_at = float("inf")
        self._verdicts = [""] * len(outcomes)
        self._jobs: list[ClaimedJob] | None = None  # that did not come with the claim
        groups = group_by_shard(outcomes)
        self._target = target = order.choose(takes_solo=takes_solo)
        self._claimed_with: list[int] = []
        self._claim: PrefetchedClaim | None = None
        if target is not None:
            self._claimed_with = groups.pop(target.number, [])
            own = [outcomes[index] for index in self._claimed_with]
            self._claim = target.consumer.prepare_prefetch(own, limits, takes_solo=takes_solo)
        self._finishes: list[tuple[ConsumerShard, list[int], SentFinish]] = []
        for number, indexes in groups.items():
            shard = shards[number]
            finish = shard.consumer.prepare_finish([outcomes[index] for index in indexes])
            self._finishes.append((shard, indexes, finish))

    def send(self) -> None:
        """Sends it to the shards that are there."""
        self.sent_at = time.monotonic()
        for shard, _, finish in self._finishes:
            if shard.health.is_there:
                finish.send()
        if self._claim:
            self._claim.send()

    @property
    def is_answered(self) -> bool:
        """Whether `wait` would return at once, or has to repeat a call."""
        if not self._receiving.acquire(blocking=False):
            return False  # another thread waits
        try:
            return all(finish.is_answered for _, _, finish in self._finishes) and (
                self._claim is None or self._claim.is_answered
            )
        finally:
            self._receiving.release()

    def wait(self) -> tuple[str, int]:
        """Waits until the shards have answered, and asks others for jobs where there are none.

        Returns:
            The model of the jobs that it brings, and their number.
        """
        with self._receiving:
            model, count = self._receive()
        if self._target is not None:
            self._order.note_empty(self._target, is_empty=not count)
        if not count and self._jobs is None:
            try:
                self._jobs = self._order.claim_next(self.limits, takes_solo=self._takes_solo)
            except RedisUnavailableError:
                self._jobs = []
        if self._jobs:
            return self._jobs[0].model, len(self._jobs)
        return model, count

    def answer(self) -> PrefetchResult:
        """Waits until the shards have answered, and fetches large data."""
        self.wait()
        jobs = self._jobs or []
        if self._claim is not None and self._target is not None:
            with self._receiving:
                try:
                    verdicts, claimed = self._claim.answer()
                except RedisUnavailableError as error:
                    self._target.health.note_failure(error, time.monotonic())
                    self._keep_claim()
                else:
                    self._note_verdicts(self._claimed_with, verdicts)
                    jobs = jobs or claimed
                self._claim = None
                self._jobs = jobs
        return PrefetchResult(self._verdicts, jobs)

    def leased(self) -> list[ClaimedJob] | None:
        """The jobs that it brings, before their large data is fetched. For other threads.

        Returns:
            The jobs; None if another thread waits for them, or their shard is away.
        """
        if not self._receiving.acquire(blocking=False):
            return None
        try:
            self._receive()
            if self._claim is None or self._target is None or self._jobs:
                return self._jobs
            return self._target.health.call(self._claim.leased)
        except RedisUnavailableError:
            return None
        finally:
            self._receiving.release()

    def _receive(self) -> tuple[str, int]:
        """Receives what was sent, in order, and once; keeps what cannot be stored."""
        while self._finishes:
            shard, indexes, finish = self._finishes.pop(0)
            try:
                verdicts = shard.health.call(finish.receive)
            except RedisUnavailableError:
                shard.forget_replies()
                verdicts = shard.keep([self.outcomes[index] for index in indexes])
            self._note_verdicts(indexes, verdicts)
        if self._claim is None or self._target is None:
            return "", 0
        try:
            return self._target.health.call(self._claim.wait)
        except RedisUnavailableError:
            self._keep_claim()
            return "", 0

    def _keep_claim(self) -> None:
        claim, self._claim = self._claim, None
        if claim is not None and self._target is not None:
            self._note_verdicts(self._claimed_with, self._target.keep_claim(claim))

    def _note_verdicts(self, indexes: Sequence[int], verdicts: Sequence[str]) -> None:
        for index, verdict in zip(indexes, verdicts, strict=True):
            self._verdicts[index] = verdict


def group_by_shard(outcomes: Sequence[Outcome]) -> dict[int, list[int]]:
    """Returns the indexes of outcomes by the number of the shard of their jobs."""
    groups: dict[int, list[int]] = {}
    for index, outcome in enumerate(outcomes):
        groups.setdefault(outcome.job.shard, []).append(index)
    return groups
