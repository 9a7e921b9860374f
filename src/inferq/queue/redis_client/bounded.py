"""The producer's way to Redis: every call ends in time, and an outage is told once."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from contextvars import ContextVar
from typing import Any

import redis.asyncio

from inferq.errors import RedisUnavailableError
from inferq.queue.redis_client.connection import redis_errors, transfer_seconds
from inferq.queue.redis_client.error_replies import is_refusal
from inferq.queue.redis_client.outage import Outage
from inferq.queue.redis_client.pipelined import REPEATABLE, AsyncPipelinedConnection
from inferq.queue.redis_client.script_calls import AsyncScriptRunner, ScriptCall
from inferq.queue.redis_client.scripts import Script
from inferq.queue.schema.keys import Keys
from inferq.settings import Settings

_HELD_UP_SECONDS = 0.05
"""A timer that is later than this tells of an event loop that was held up."""
_MOSTLY_LEFT = 0.9
"""A request of whose time for Redis less than this share is left has waited for long."""


class TimeLimit:
    """A context in which all calls together have so many seconds; see `BoundedRedis.one_time_limit`.

    A class, since every request passes it: a generator would take thrice the time.

    Args:
        seconds: How many.

    Attributes:
        seconds: How many are left.
    """

    __slots__ = ("_before", "seconds")

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def __enter__(self) -> None:
        self._before = _allowance.set(self)

    def __exit__(self, *_error: object) -> None:
        _allowance.reset(self._before)


_allowance: ContextVar[TimeLimit | None] = ContextVar("allowance", default=None)


class BoundedRedis:
    """What the parts of the producer's side share.

    Args:
        client: An asynchronous client that answers in bytes.
        settings: The key prefix, and how long a call may take.

    Attributes:
        redis: The client.
        keys: Names of the keys.
        scripts: Runs scripts, without a bound.
    """

    def __init__(self, client: redis.asyncio.Redis, settings: Settings) -> None:
        self.redis = client
        self.keys = Keys(settings.key_prefix)
        self.scripts = AsyncScriptRunner(client, settings.key_prefix)
        self._seconds = settings.redis_timeout
        self._outage = Outage()
        self._refusals = Outage("redis_takes_no_jobs", "redis_takes_jobs_again")

    async def call(
        self,
        script: Script,
        keys: list[str],
        arguments: list[Any],
        line: AsyncPipelinedConnection | None = None,
    ) -> Any:  # noqa: ANN401 - as the script answers
        """Calls a script that may be repeated; for use within `bounded`.

        Args:
            script: The script.
            keys: Its keys.
            arguments: Its arguments after the first, which is the key prefix.
            line: A short way to Redis, for one call at a time. If it is cut, the usual way is taken.

        Returns:
            What the script answers.
        """
        call = ScriptCall(script, keys, arguments)
        if line is not None:
            with suppress(*REPEATABLE):
                return await line.ask(call.by_digest(self.keys.prefix))
        return await self.scripts.run(call)

    def one_time_limit(self, size: int = 0) -> "TimeLimit":
        """Lets all calls within it, together, wait no longer for Redis than one of them would.

        Args:
            size: How many bytes they carry.
        """
        return TimeLimit(self._seconds + transfer_seconds(size))

    @property
    def has_waited(self) -> bool:
        """Whether the request under way has waited for Redis for long already; see `one_time_limit`."""
        allowance = _allowance.get()
        return allowance is not None and allowance.seconds < _MOSTLY_LEFT * self._seconds

    @asynccontextmanager
    async def bounded(
        self, since: float | None = None, *, size: int = 0, takes_jobs: bool = False
    ) -> AsyncIterator[None]:
        """Ends what is done within it after `redis_timeout`, and what so many bytes may take besides.

        Args:
            since: From when that is counted, by the event loop's clock: what is done for several requests.
                None for now, and for the one request whose `one_time_limit` this is in.
            size: How many bytes go to Redis, or come from it.
            takes_jobs: Whether a server that takes no new jobs refuses it.

        Raises:
            RedisUnavailableError: Redis does not answer in time, or refuses.
        """
        loop_time, called_at = asyncio.get_running_loop().time, time.monotonic()
        seconds, allowance = self._seconds + transfer_seconds(size), None
        if since is None:
            since, allowance = loop_time(), _allowance.get()
        if allowance is not None:
            seconds = min(seconds, allowance.seconds)
        try:
            async with _timeout_at(since + seconds, seconds):
                with redis_errors():
                    yield
        except TimeoutError as error:
            unavailable = RedisUnavailableError(f"Redis did not answer within {self._seconds:g} s.")
            self._outage.begin(unavailable, called_at)
            raise unavailable from error
        except RedisUnavailableError as error:
            if not is_refusal(error.__cause__):
                self._outage.begin(error, called_at)
            elif takes_jobs:
                self._refusals.begin(error, called_at)
            raise
        finally:
            if allowance is not None:
                allowance.seconds -= time.monotonic() - called_at
        self._outage.end()
        if takes_jobs:
            self._refusals.end()


@asynccontextmanager
async def _timeout_at(until: float, seconds: float) -> AsyncIterator[None]:
    """`asyncio.timeout_at`, but where the event loop was held up, what came meanwhile is read first."""
    loop = asyncio.get_running_loop()
    handle: asyncio.TimerHandle
    async with asyncio.timeout(None) as timeout:

        def look() -> None:
            nonlocal until, handle
            now = loop.time()
            late = now - until
            if late < _HELD_UP_SECONDS:
                timeout.reschedule(now)
                return
            until = now + min(late, seconds)
            handle = loop.call_at(until, look)

        handle = loop.call_at(until, look)
        try:
            yield
        finally:
            handle.cancel()
