"""Waits for jobs of all shards at once."""

import select
import time
from contextlib import suppress

from inferq.errors import RedisUnavailableError
from inferq.jobs import ClaimedJob
from inferq.queue.consumer.claims.begun_wait import BegunWait
from inferq.queue.consumer.claims.claim import Limit
from inferq.queue.shards.consumer_shard import ConsumerShard
from inferq.queue.shards.shard_health import ALL_AWAY
from inferq.queue.shards.shard_order import ShardOrder

_LATE_SECONDS = 0.25
"""So much later than it was told to a wait may end."""
_WITHDRAW_SECONDS = 1.0
"""How long a shard may take to end a wait that is withdrawn; then it counts as away."""


class ShardsWait:
    """Waits on each shard's own connection, as `BlockingClaimer` does on one. For the thread that claims.

    As soon as one brings jobs, the others are withdrawn, so that no job comes to a worker that is busy. What
    one of them has brought in that instant is requeued at once.

    Args:
        order: The shards.
    """

    def __init__(self, order: ShardOrder) -> None:
        self._order = order
        self._begun: dict[ConsumerShard, BegunWait] = {}

    def wait(self, limit: Limit, seconds: float) -> list[ClaimedJob]:
        """Waits until a shard has jobs, and claims them.

        Args:
            limit: Most jobs to claim.
            seconds: Longest wait.

        Returns:
            The jobs, all of one shard; none if none came.

        Raises:
            RedisUnavailableError: No shard is there.
        """
        until = time.monotonic() + seconds + _LATE_SECONDS
        for shard in self._order.list_next():
            if shard.can_claim:
                self._begin(shard, limit, seconds)
        if not self._begun:
            raise RedisUnavailableError(ALL_AWAY)
        jobs: list[ClaimedJob] = []
        while self._begun and not jobs and (left := until - time.monotonic()) > 0:
            self._poll(left)
            for shard in [one for one in self._order.list_next() if one in self._begun]:
                if not jobs and self._begun[shard].is_answered:
                    jobs = self._end(shard)
        self._withdraw()
        return jobs

    def _begin(self, shard: ConsumerShard, limit: Limit, seconds: float) -> None:
        try:
            shard.settle_doubt()
            self._begun[shard] = shard.call(lambda consumer: consumer.waits.begin(limit, seconds))
        except RedisUnavailableError:
            shard.forget_replies()

    def _end(self, shard: ConsumerShard) -> list[ClaimedJob]:
        """Returns what a wait has brought that is over; none where its shard goes away: that is in doubt."""
        begun = self._begun.pop(shard)
        try:
            jobs = shard.call(lambda consumer: consumer.waits.end(begun, _WITHDRAW_SECONDS))
        except RedisUnavailableError:
            shard.forget_replies()
            return []
        self._order.note(shard, jobs)
        return jobs

    def _withdraw(self) -> None:
        """Ends all waits that are under way, and requeues what they bring."""
        for begun in self._begun.values():
            with suppress(RedisUnavailableError):  # `_end` meets that too
                begun.withdraw(_WITHDRAW_SECONDS)
        for shard in list(self._begun):
            if jobs := self._end(shard):
                shard.requeue(jobs)

    def _poll(self, seconds: float) -> None:
        """Waits until one of the connections has something to be read, or is lost."""
        if any(begun.is_answered for begun in self._begun.values()):
            return
        poll = select.poll()
        for begun in self._begun.values():
            poll.register(begun.fileno(), select.POLLIN)
        poll.poll(seconds * 1000)
