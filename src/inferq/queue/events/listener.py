"""The subscription to the channel `events` of one server."""

import asyncio
import time
from typing import Any, Protocol

from inferq.errors import RedisUnavailableError
from inferq.queue.redis_client.bounded import BoundedRedis
from inferq.queue.redis_client.connection import close_async, connect_async, redis_errors
from inferq.queue.redis_client.outage import Outage
from inferq.settings import Settings

_SILENCE_SECONDS = 5.0
_FIRST_PAUSE_SECONDS = 0.05
_LONGEST_PAUSE_SECONDS = 1.0


class EventTarget(Protocol):
    """What a listener tells."""

    def dispatch(self, message: bytes) -> None:
        """Takes a message of the channel."""

    def note_subscribed(self) -> None:
        """Notes that messages come from now on; before, some may have been missed."""

    def __len__(self) -> int:
        """How many jobs messages matter for."""


class EventListener:
    """Listens on a connection of its own, which is renewed as long as messages matter.

    Args:
        redis: The server.
        settings: Where it is.

    Attributes:
        is_subscribed: Whether the subscription is there.
    """

    def __init__(self, redis: BoundedRedis, settings: Settings) -> None:
        self._redis = redis
        self._settings = settings
        self._outage = Outage("events_unavailable", "events_available_again")
        self._failures = 0
        self.is_subscribed = False

    async def listen(self, target: EventTarget) -> None:
        """Keeps the subscription; it is not renewed while no job matters.

        Args:
            target: Is told.
        """
        client = connect_async(self._settings)
        pause = _FIRST_PAUSE_SECONDS
        try:
            while True:
                called_at = time.monotonic()
                try:
                    async with client.pubsub() as subscription:
                        with redis_errors():
                            await self._receive_messages(subscription, target)
                except RedisUnavailableError as error:
                    self.is_subscribed = False
                    if not len(target):
                        return
                    await self._note_failure(error)
                pause = _FIRST_PAUSE_SECONDS if time.monotonic() - called_at > _SILENCE_SECONDS else pause
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
        finally:
            await close_async(client)

    async def _receive_messages(self, subscription: Any, target: EventTarget) -> None:  # noqa: ANN401 - redis-py's PubSub is not typed
        """Receives until the connection fails. One that has been silent for long must answer a ping."""
        await subscription.subscribe(self._redis.keys.events)
        is_pinged = False
        while True:
            message = await subscription.get_message(timeout=_SILENCE_SECONDS)
            if message is None:
                if is_pinged:
                    raise TimeoutError("the subscription does not answer")
                await subscription.ping()
            elif message["type"] == "message":
                target.dispatch(message["data"])
            elif message["type"] == "subscribe":  # again, too, where redis-py has connected again
                self._failures = 0
                self.is_subscribed = True
                self._outage.end(time.monotonic())
                target.note_subscribed()
            is_pinged = message is None

    async def _note_failure(self, error: RedisUnavailableError) -> None:
        """Logs that only the reads are left. Where these fail too, others have logged that."""
        try:
            await self._redis.ping()
        except RedisUnavailableError:
            self._failures = 0
            return
        self._failures += 1
        if self._failures > 1:  # the first may be what is left of an outage that has just ended
            self._outage.begin(error, time.monotonic())
