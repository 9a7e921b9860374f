"""One shard of a worker's queue: its consumer, and what waits here while it is away."""

import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import partial

import structlog

from inferq.errors import InvalidSettingError, RedisUnavailableError, ResultTooLargeError
from inferq.jobs import ClaimedJob, Outcome
from inferq.queue.consumer.blobs.large_data import NoteSettled
from inferq.queue.consumer.blobs.result_upload import LARGE_RESULT_BYTES
from inferq.queue.consumer.claims.claim import Limit, new_token
from inferq.queue.consumer.claims.prefetch import PrefetchedClaim
from inferq.queue.consumer.consumer import Consumer
from inferq.queue.consumer.settle import KEPT
from inferq.queue.redis_client.connection import give_up_late_calls
from inferq.queue.redis_client.outage import Outage
from inferq.queue.shards.shard_health import ALL_AWAY, ShardHealth
from inferq.queue.shards.shard_mark import check_shard_number

log = structlog.get_logger()


class ConsumerShard:
    """One shard, as a `ShardedConsumer` uses it.

    How runs ended whose shard is away is kept, and stored when it is back. Nothing is claimed from a shard
    of which anything is kept, so that this is never more than what a worker has claimed before.

    Args:
        number: Number of the shard.
        make_consumer: Makes its consumer.
        note_settled: Is told what is stored of what was kept.

    Attributes:
        number: See above.
        health: Whether it answers.
        consumer: Its consumer.
    """

    def __init__(
        self, number: int, make_consumer: Callable[[int, Outage], Consumer], note_settled: NoteSettled
    ) -> None:
        self.number = number
        self.health = ShardHealth(number, self._probe, self.settle)
        self.consumer = consumer = make_consumer(number, self.health.outage)
        give_up_late_calls(consumer.access.redis, consumer.access.settings)
        self._note_settled = note_settled
        self._is_checked = False
        self._obstacle = ""
        self._lock = threading.Lock()
        self._settling = threading.Lock()
        self._lost_tokens: list[str] = []
        self._lost_claims: list[PrefetchedClaim] = []
        self._kept: list[Outcome] = []
        self._unwanted: list[ClaimedJob] = []

    @property
    def can_claim(self) -> bool:
        """Whether jobs may be claimed from it."""
        return self.health.is_there and not self._has_kept

    def call[T](self, call: Callable[[Consumer], T]) -> T:
        """Makes a call.

        Raises:
            RedisUnavailableError: The shard is away.
        """
        return self.health.call(lambda: call(self.consumer))

    def check_server(self) -> None:
        """Makes sure once that the server can keep our promises; see `Consumer.check_server`."""
        if not self._is_checked:
            self.consumer.check_server()
            access = self.consumer.access
            check_shard_number(access.redis, access.settings, self.number)
            self._is_checked = True

    def claim(self, limit: Limit, *, takes_solo: bool) -> list[ClaimedJob]:
        """Claims what waits, without waiting for more. For the thread that claims.

        Raises:
            RedisUnavailableError: The shard is away.
        """
        if self.consumer.waits.is_in_doubt and (
            jobs := self.call(lambda consumer: consumer.waits.settle_doubt(limit))
        ):
            return jobs
        token = new_token()
        try:
            return self.call(lambda consumer: consumer.claim(limit, token=token, takes_solo=takes_solo))
        except RedisUnavailableError:
            with self._lock:
                self._lost_tokens.append(token)
            raise

    def finish(self, outcomes: Sequence[Outcome]) -> list[str]:
        """Stores outcomes; keeps them where that is not possible now.

        Returns:
            For each what became of it; `KEPT` where it is kept.
        """
        try:
            return self.call(lambda consumer: consumer.finish(outcomes))
        except RedisUnavailableError:
            return self.keep(outcomes)

    def requeue(self, jobs: Sequence[ClaimedJob]) -> list[str]:
        """Requeues jobs; keeps that in mind where it is not possible now."""
        try:
            return self.call(lambda consumer: consumer.requeue(jobs))
        except RedisUnavailableError:
            with self._lock:
                self._unwanted += jobs
            self._settle_if_back()
            return [KEPT] * len(jobs)

    def keep(self, outcomes: Sequence[Outcome]) -> list[str]:
        """Keeps outcomes until they can be stored; returns `KEPT` for each."""
        with self._lock:
            self._kept += outcomes
        self._settle_if_back()
        return [KEPT] * len(outcomes)

    def keep_claim(self, claim: PrefetchedClaim) -> list[str]:
        """Keeps a claim whose answer did not come: its outcomes are to be stored, its jobs requeued."""
        self.forget_replies()
        with self._lock:
            self._lost_claims.append(claim)
        self._settle_if_back()
        return [KEPT] * len(claim.outcomes)

    def forget_replies(self) -> None:
        """Closes the connection on which calls are sent ahead: nobody will receive what is still to come."""
        self.consumer.waits.give_up()

    def settle_doubt(self) -> None:
        """Requeues what was claimed by a call whose answer was lost. For the thread that claims.

        Raises:
            RedisUnavailableError: The shard is away.
        """
        if self.consumer.waits.is_in_doubt and (
            jobs := self.call(lambda consumer: consumer.waits.settle_doubt(1))
        ):
            self.requeue(jobs)

    def settle(self) -> None:
        """Stores what is kept, as the shard is back. For any thread."""
        with self._settling:
            try:
                self._settle_claims()
                self._settle_tokens()
                self._settle_outcomes()
                self._settle_unwanted()
            except RedisUnavailableError:
                return  # it is away again, and this is called again

    def close(self) -> None:
        """Closes the connections."""
        self.health.close()
        self.consumer.close()

    @property
    def _has_kept(self) -> bool:
        return bool(self._lost_tokens or self._lost_claims or self._kept or self._unwanted)

    def _settle_if_back(self) -> None:
        # it may have been settled just before this was kept
        if self.health.is_there:
            self.settle()

    def _settle_claims(self) -> None:
        while self._lost_claims:
            claim = self._lost_claims[0]
            verdicts, jobs = self.health.call(claim.answer)
            self._note(claim.outcomes, verdicts)
            with self._lock:
                self._unwanted += jobs
                del self._lost_claims[0]

    def _settle_tokens(self) -> None:
        """Requeues what was claimed by calls whose answers were lost; or would be claimed now."""
        while self._lost_tokens:
            token = self._lost_tokens[0]
            jobs = self.call(lambda consumer, token=token: consumer.claim(1, token=token))  # type: ignore[misc]
            with self._lock:
                self._unwanted += jobs
                del self._lost_tokens[0]

    def _settle_outcomes(self) -> None:
        while some := self._kept[:]:
            large = [outcome for outcome in some if _is_large(outcome)]
            small = [outcome for outcome in some if not _is_large(outcome)]
            for part in filter(None, ([*small], *([outcome] for outcome in large))):
                verdicts = self.health.call(partial(_store, self.consumer, part))
                self._note(part, verdicts)
                with self._lock:
                    self._kept = [one for one in self._kept if all(one is not stored for stored in part)]

    def _settle_unwanted(self) -> None:
        while jobs := self._unwanted[:]:
            self.health.call(partial(self.consumer.requeue, jobs))
            with self._lock:
                del self._unwanted[: len(jobs)]

    def _note(self, outcomes: Sequence[Outcome], verdicts: Sequence[str]) -> None:
        if outcomes:
            self.consumer.remove_settled_blobs(outcomes, verdicts)
            self._note_settled(outcomes, verdicts)

    def _probe(self) -> None:
        """Asks whether it is back, and fit for use.

        Raises:
            RedisUnavailableError: It is not.
        """
        if self._is_checked:
            self.consumer.ping()
            return
        if reason := self._find_obstacle():
            if reason != self._obstacle:
                log.error("shard_not_usable", shard=self.number, reason=reason)
            self._obstacle = reason
            raise RedisUnavailableError(reason)

    def _find_obstacle(self) -> str:
        """Returns why its server cannot be used; empty if it can."""
        try:
            self.check_server()
        except InvalidSettingError as error:
            return error.message
        return ""


def _store(consumer: Consumer, outcomes: Sequence[Outcome]) -> list[str]:
    """Stores outcomes that have no large results, or one that has."""
    if len(outcomes) > 1 or not _is_large(outcomes[0]):
        return consumer.finish(outcomes)
    try:
        return [consumer.prepare_upload(outcomes[0]).store()]
    except ResultTooLargeError as error:
        return consumer.finish([outcomes[0]._replace(result=None, error=error)])


def _is_large(outcome: Outcome) -> bool:
    return len(outcome.result or b"") > LARGE_RESULT_BYTES


def call_each[T](shards: Iterable[ConsumerShard], call: Callable[[ConsumerShard], T]) -> list[T]:
    """Calls shards, and returns the answers of those that are there.

    Raises:
        RedisUnavailableError: None is.
    """
    answers: list[T] = []
    for shard in shards:
        with suppress(RedisUnavailableError):
            answers.append(shard.health.call(partial(call, shard)))
    if not answers:
        raise RedisUnavailableError(ALL_AWAY)
    return answers


def call_first[T](shards: Iterable[ConsumerShard], call: Callable[[ConsumerShard], T]) -> T:
    """Calls the first shard that is there, and returns its answer.

    Raises:
        RedisUnavailableError: None is.
    """
    for shard in shards:
        with suppress(RedisUnavailableError):
            return shard.health.call(partial(call, shard))
    raise RedisUnavailableError(ALL_AWAY)
