"""Tickets that open an event stream once, for browsers, whose `EventSource` cannot send a key.

Redis holds them, so that any proxy may redeem what another one has issued; and of them only the digests, so
that nothing can be opened by reading there.
"""

import hashlib
import secrets
from typing import cast

from inferq.queue.redis_client.bounded import BoundedRedis
from inferq.queue.schema.decoding import decode_text

TICKET_SECONDS = 30
"""How long a ticket can be used."""
_TICKET_BYTES = 24
_LONGEST_TICKET = 64


class StreamTickets:
    """Issues and redeems tickets.

    Args:
        redis: The server.
    """

    def __init__(self, redis: BoundedRedis) -> None:
        self._redis = redis

    async def issue(self, owner: str | None) -> str:
        """Makes a ticket.

        Args:
            owner: Name of the API key that it stands for; None where none is needed: nothing is stored then.

        Raises:
            RedisUnavailableError: Redis does not answer in time, or takes no writes.
        """
        ticket = secrets.token_urlsafe(_TICKET_BYTES)
        if owner is not None:
            async with self._redis.limit_time():
                await self._redis.client.set(self._key(ticket), owner, ex=TICKET_SECONDS)
        return ticket

    async def redeem(self, ticket: str) -> str | None:
        """Uses a ticket up. If the answer of Redis is lost, the ticket may be too.

        Args:
            ticket: What the client has sent.

        Returns:
            Name of the API key that it stands for; None where there is no such ticket (any more).

        Raises:
            RedisUnavailableError: Redis does not answer in time, or takes no writes.
        """
        if len(ticket) > _LONGEST_TICKET:
            return None
        async with self._redis.limit_time():
            owner = cast("bytes | None", await self._redis.client.getdel(self._key(ticket)))
        return None if owner is None else decode_text(owner)

    def _key(self, ticket: str) -> str:
        return self._redis.keys.ticket(hashlib.sha256(ticket.encode("utf-8", "surrogatepass")).hexdigest())
