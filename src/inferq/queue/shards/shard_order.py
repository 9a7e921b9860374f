"""In which order a worker claims from the shards."""

import time
from collections.abc import Sequence
from contextlib import suppress

from inferq.errors import RedisUnavailableError
from inferq.jobs import ClaimedJob
from inferq.queue.consumer.claims.claim import Limit
from inferq.queue.shards.consumer_shard import ConsumerShard
from inferq.queue.shards.shard_health import ALL_AWAY

_FIRST_REST_SECONDS, _LONGEST_REST_SECONDS = 0.02, 0.16
"""So long a shard that had nothing is not asked ahead, longer each time: a claim in vain keeps the model
waiting."""


class ShardOrder:
    """Lets shards take turns: after each claim the next one comes first. For the thread that claims.

    Args:
        shards: All shards.
    """

    def __init__(self, shards: Sequence[ConsumerShard]) -> None:
        self._shards = shards
        self._first = 0
        self._rests: dict[int, float] = {}
        self._rested_at: dict[int, float] = {}

    @property
    def solo_shard(self) -> ConsumerShard | None:
        """A shard in which a job waits that must run alone, so that its list stands still; None: in none."""
        return next((shard for shard in self._order() if shard.consumer.is_blocked_by_solo_job), None)

    def claim_next(self, limit: Limit, *, takes_solo: bool = True) -> list[ClaimedJob]:
        """Claims from the first shard that has anything.

        Raises:
            RedisUnavailableError: No shard is there.
        """
        is_any_there = False
        for shard in self._order():
            try:
                jobs = shard.claim(limit, takes_solo=takes_solo)
            except RedisUnavailableError:
                continue
            is_any_there = True
            self.note(shard, jobs)
            if jobs:
                return jobs
        if not is_any_there:
            raise RedisUnavailableError(ALL_AWAY)
        return []

    def choose(self, *, takes_solo: bool) -> ConsumerShard | None:
        """Returns the shard from which to claim ahead, and lets it have had its turn; None: none is there."""
        order = self._order()
        if takes_solo and (solo := self.solo_shard):
            order.insert(0, solo)
        else:
            now = time.monotonic()
            order.sort(key=lambda shard: self._rested_at.get(shard.number, 0.0) > now)
        for shard in order:
            with suppress(RedisUnavailableError):
                shard.settle_doubt()
                self._first = shard.number + 1
                return shard
        return None

    def note(self, shard: ConsumerShard, jobs: Sequence[ClaimedJob]) -> None:
        """Notes what a claim has brought, whose shard has had its turn with that.

        Args:
            shard: Where it was made.
            jobs: The jobs.
        """
        if jobs:
            self._first = shard.number + 1
        self.note_empty(shard, is_empty=not jobs)

    def note_empty(self, shard: ConsumerShard, *, is_empty: bool) -> None:
        """Notes whether a shard had nothing."""
        if not is_empty:
            self._rests.pop(shard.number, None)
            self._rested_at.pop(shard.number, None)
            return
        rest = self._rests.get(shard.number, _FIRST_REST_SECONDS)
        self._rested_at[shard.number] = time.monotonic() + rest
        self._rests[shard.number] = min(2 * rest, _LONGEST_REST_SECONDS)

    def list_next(self) -> list[ConsumerShard]:
        """Returns all shards, the next one first."""
        first = self._first % len(self._shards)
        return [*self._shards[first:], *self._shards[:first]]

    def _order(self) -> list[ConsumerShard]:
        return [shard for shard in self.list_next() if shard.can_claim]
