"""One shard as a producer sees it: its own producer, and whether it can be used now."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from contextvars import Context
from enum import Enum
from typing import Self

from inferq.errors import RedisUnavailableError
from inferq.queue.ended_jobs import NoteEnded
from inferq.queue.producer.producer import Producer
from inferq.queue.producer.submit import NoteWaiting
from inferq.queue.redis_client.error_replies import is_refusal
from inferq.settings import Settings

PROBE_SECONDS = 1.0
"""How often a shard that did not answer is asked again, beside the requests."""


class _Lack(Enum):
    """What a shard does not do."""

    ANSWER = "answer"
    TAKE_JOBS = "take jobs"
    TELL_OF_MANY = "tell of many jobs"


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
    """

    def __init__(
        self, number: int, settings: Settings, note_ended: NoteEnded, note_waiting: NoteWaiting
    ) -> None:
        self.number = number
        self.producer = Producer.from_settings(settings, note_ended, note_waiting)
        self._faults: dict[_Lack, RedisUnavailableError] = {}
        self._probes: dict[_Lack, Callable[[], Awaitable[object]]] = {
            _Lack.ANSWER: self.producer.ping,
            _Lack.TAKE_JOBS: self.producer.check_takes_jobs,
            _Lack.TELL_OF_MANY: self.producer.read_stats,
        }
        self._probing: asyncio.Task[None] | None = None

    @property
    def fault(self) -> RedisUnavailableError | None:
        """Why it cannot be used, or refuses something, if that is so."""
        return self._faults.get(_Lack.ANSWER) or next(iter(self._faults.values()), None)

    @property
    def is_away(self) -> bool:
        """Whether it did not answer."""
        return _Lack.ANSWER in self._faults

    @property
    def is_left_out(self) -> bool:
        """Whether answers about many jobs lack its own: it is away, or refuses to tell."""
        return self.is_away or _Lack.TELL_OF_MANY in self._faults

    @property
    def takes_jobs(self) -> bool:
        """Whether it may take jobs: it is neither away, nor has it refused anything of late."""
        return not self._faults

    async def call[T](self, call: Callable[[Self], Awaitable[T]], *, can_be_left_out: bool = False) -> T:
        """Calls its producer, and notes if the shard does not answer.

        Args:
            call: What to do.
            can_be_left_out: Whether others are asked the same, and an answer goes without those that refuse.

        Raises:
            RedisUnavailableError: The shard does not answer, or refuses; the error names it.
        """
        try:
            return await call(self)
        except RedisUnavailableError as error:
            self._note_failure(error, _Lack.TELL_OF_MANY if can_be_left_out else None)
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
            self._note_failure(error, _Lack.TAKE_JOBS)
            kind = RedisUnavailableError
            if sends is not None and self.producer.redis.sends == sends:
                kind = NothingSentError
            raise self.name_in(error, kind) from error.__cause__

    def name_in(
        self, error: RedisUnavailableError, kind: type[RedisUnavailableError] = RedisUnavailableError
    ) -> RedisUnavailableError:
        """Returns an error that says which shard it is about."""
        return kind(f"Shard {self.number}: {error.message}")

    def _note_failure(self, error: RedisUnavailableError, refused: _Lack | None) -> None:
        """Notes a failure; `refused` is what it does not do if it has answered, None if it serves others."""
        has_answered = error.__cause__ is None or is_refusal(error.__cause__)
        lack = refused if has_answered else _Lack.ANSWER
        if lack is None:
            return
        self._faults[lack] = error
        if self._probing is None or self._probing.done():
            # in a context of its own: what it logs is not about the request that failed
            self._probing = asyncio.create_task(self._probe(), context=Context())

    async def _probe(self) -> None:
        """Asks until the shard can be used again."""
        while self._faults:
            await asyncio.sleep(PROBE_SECONDS)
            for lack in list(self._faults):
                try:
                    await self._probes[lack]()
                except RedisUnavailableError as error:
                    self._note_failure(error, lack)
                else:
                    del self._faults[lack]

    async def close(self) -> None:
        """Closes the connections."""
        if self._probing is not None:
            self._probing.cancel()
            with suppress(asyncio.CancelledError):
                await self._probing
        await self.producer.close()


class NothingSentError(RedisUnavailableError):
    """A shard cannot be reached, and nothing has been sent to it: another one may be tried."""
