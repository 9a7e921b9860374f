"""Tickets for event streams, each in a shard that its text names."""

import random

from inferq.queue.shards.producer_shard import ProducerShard
from inferq.queue.shards.shard_calls import ShardCalls, ask_first

_MOST_DIGITS = 3


class ShardedTickets:
    """Issues and redeems tickets; see `StreamTickets`. One shard that is away keeps nobody out.

    Args:
        calls: Calls the shards.
    """

    def __init__(self, calls: ShardCalls) -> None:
        self._shards = calls.shards

    async def issue(self, owner: str | None) -> str:
        """Makes a ticket, in a shard that answers.

        Raises:
            RedisUnavailableError: None does, or takes writes.
        """

        async def issue(shard: ProducerShard) -> str:
            ticket = await shard.call(lambda own: own.producer.stream_tickets.issue(owner))
            return f"{ticket}.{shard.number}"

        return await ask_first(random.sample(self._shards, len(self._shards)), issue)

    async def redeem(self, ticket: str) -> str | None:
        """Uses a ticket up.

        Raises:
            RedisUnavailableError: Its shard does not answer in time, or takes no writes.
        """
        secret, _, number = ticket.rpartition(".")
        shard = self._find(number)
        if shard is None:
            return None
        return await shard.call(lambda shard: shard.producer.stream_tickets.redeem(secret))

    def _find(self, number: str) -> ProducerShard | None:
        if not (number.isascii() and number.isdecimal() and len(number) <= _MOST_DIGITS):
            return None
        return self._shards[int(number)] if int(number) < len(self._shards) else None
