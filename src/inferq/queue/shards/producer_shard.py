"""One shard as a producer sees it: its own producer, and whether it can be used now."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from contextvars import Context
from typing import Self

from inferq.errors import RedisUnavailableError
from inferq.queue.ended_jobs import NoteEnded
from inferq.queue.producer.producer import Producer
from inferq.queue.producer.submit import NoteWaiting
from inferq.queue.redis_client.error_replies import is_refusal
from inferq.settings import Settings

PROBE_SECONDS = 1.0
"""How often a shard that did not answer is asked again, beside the requests."""


class ProducerShard:
    """One shard. One that did not answer is spared, by what can do without it, until it has answered again.

    Args:
        number: Its number.
        settings: Its own settings; see `split_settings`.
        note_ended: See `Producer`.
        note_waiting: See `Producer`.

    Attributes:
        number: See above.
        producer: The producer of this shard alone.
        fault: Why it cannot be used, if that is so.
    """

    def __init__(
        self, number: int, settings: Settings, note_ended: NoteEnded, note_waiting: NoteWaiting
    ) -> None:
        self.number = number
        self.producer = Producer.from_settings(settings, note_ended, note_waiting)
        self.fault: RedisUnavailableError | None = None
        self._is_refusal = False
        self._probing: asyncio.Task[None] | None = None

    @property
    def is_away(self) -> bool:
        """Whether it did not answer."""
        return self.fault is not None and not self._is_refusal

    @property
    def takes_jobs(self) -> bool:
        """Whether it may take jobs: it is neither away, nor has it refused any of late."""
        return self.fault is None

    async def call[T](self, call: Callable[[Self], Awaitable[T]]) -> T:
        """Calls its producer, and notes if the shard does not answer.

        Args:
            call: What to do.

        Raises:
            RedisUnavailableError: The shard does not answer, or refuses; the error names it.
        """
        try:
            return await call(self)
        except RedisUnavailableError as error:
            self._note_failure(error)
            raise self.name_in(error) from error.__cause__

    async def submit[T](self, call: Callable[[Self], Awaitable[T]]) -> T:
        """The same for calls that add jobs.

        Raises:
            NothingSentError: The shard cannot be reached, and nothing of the call has been sent to it.
            RedisUnavailableError: It does not answer, or refuses.
        """
        sends = self.producer.redis.sends
        try:
            return await call(self)
        except RedisUnavailableError as error:
            self._note_failure(error, adds_jobs=True)
            kind = RedisUnavailableError
            if sends is not None and self.producer.redis.sends == sends:
                kind = NothingSentError
            raise self.name_in(error, kind) from error.__cause__

    def name_in(
        self, error: RedisUnavailableError, kind: type[RedisUnavailableError] = RedisUnavailableError
    ) -> RedisUnavailableError:
        """Returns an error that says which shard it is about."""
        return kind(f"Shard {self.number}: {error.message}")

    def _note_failure(self, error: RedisUnavailableError, *, adds_jobs: bool = False) -> None:
        has_answered = error.__cause__ is None or is_refusal(error.__cause__)
        if has_answered and not adds_jobs:
            return  # it serves others
        self.fault, self._is_refusal = error, has_answered
        if self._probing is None or self._probing.done():
            # in a context of its own: what it logs is not about the request that failed
            self._probing = asyncio.create_task(self._probe(), context=Context())

    async def _probe(self) -> None:
        """Asks until the shard can be used again."""
        while self.fault is not None:
            await asyncio.sleep(PROBE_SECONDS)
            try:
                if self._is_refusal:
                    await self.producer.check_takes_jobs()
                else:
                    await self.producer.ping()
            except RedisUnavailableError as error:
                self.fault = error
            else:
                self.fault = None

    async def close(self) -> None:
        """Closes the connections."""
        if self._probing is not None:
            self._probing.cancel()
            with suppress(asyncio.CancelledError):
                await self._probing
        await self.producer.close()


class NothingSentError(RedisUnavailableError):
    """A shard cannot be reached, and nothing has been sent to it: another one may be tried."""
