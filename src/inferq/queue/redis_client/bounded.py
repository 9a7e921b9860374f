"""Redis as the proxy uses it: every call ends in time, and an outage is logged once."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager, nullcontext, suppress
from contextvars import ContextVar
from typing import Any

import redis.asyncio

from inferq.errors import RedisUnavailableError
from inferq.queue.redis_client.connection import redis_errors, transfer_seconds
from inferq.queue.redis_client.error_replies import is_refusal
from inferq.queue.redis_client.outage import Outage
from inferq.queue.redis_client.pipelined import REPEATABLE, AsyncPipelinedConnection
from inferq.queue.redis_client.script_calls import AsyncScriptRunner, ScriptCall
from inferq.queue.schema.keys import Keys
from inferq.settings import Settings

_BLOCKED_SECONDS = 0.05
"""A timer that is later than this shows that something has blocked the event loop."""
_MOSTLY_LEFT = 0.9
"""A request that has less than this share of its time for Redis left has waited for long."""


class SharedTimeLimit:
    """A context in which all calls together have so many seconds; see `BoundedRedis.share_time_limit`.

    A class, as every request enters it: a generator would take three times as long.

    Args:
        seconds: How many.

    Attributes:
        seconds: How many are left.
    """

    __slots__ = ("_before", "seconds")

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def __enter__(self) -> None:
        self._before = _shared.set(self)

    def __exit__(self, *_error: object) -> None:
        _shared.reset(self._before)


_shared: ContextVar[SharedTimeLimit | None] = ContextVar("shared_time_limit", default=None)


async def run_side_by_side[T](calls: Sequence[Awaitable[T]]) -> list[T | RedisUnavailableError]:
    """Runs calls to several servers at the same time; within a shared time limit that time counts once.

    Args:
        calls: The calls.

    Returns:
        The answer of each, or why there is none.
    """
    shared, began = _shared.get(), time.monotonic()

    async def run(call: Awaitable[T]) -> T | RedisUnavailableError:
        with nullcontext() if shared is None else SharedTimeLimit(shared.seconds):
            try:
                return await call
            except RedisUnavailableError as error:
                return error

    try:
        return await asyncio.gather(*map(run, calls))
    finally:
        if shared is not None:
            shared.seconds -= time.monotonic() - began


class BoundedRedis:
    """A client of which every call has a time limit.

    Args:
        client: An asynchronous client that answers in bytes.
        settings: The key prefix, and how long a call may take.

    Attributes:
        client: The client. What is done with it belongs into `limit_time`.
        keys: Names of the keys.
        scripts: Runs scripts, without a limit.
    """

    def __init__(self, client: redis.asyncio.Redis, settings: Settings) -> None:
        self.client = client
        self.keys = Keys(settings.key_prefix)
        self.scripts = AsyncScriptRunner(client, settings.key_prefix)
        self._seconds = settings.redis_timeout_seconds
        self._outage = Outage()
        self._refusals = Outage("redis_takes_no_jobs", "redis_takes_jobs_again")

    async def ping(self) -> None:
        """Returns if Redis answers.

        Raises:
            RedisUnavailableError: It does not.
        """
        async with self.limit_time():
            await self.client.ping()

    async def run(self, call: ScriptCall, connection: AsyncPipelinedConnection | None = None) -> Any:  # noqa: ANN401 - as the script answers
        """Runs a script that may be repeated; for use within `limit_time`.

        Args:
            call: The script.
            connection: A connection for one call at a time, which is faster than the pool. If it is lost, the
                pool is used.

        Returns:
            What the script answers.
        """
        if connection is not None:
            with suppress(*REPEATABLE):
                return await connection.execute(call.by_digest(self.keys.prefix))
        return await self.scripts.run(call)

    def share_time_limit(self, size: int = 0) -> SharedTimeLimit:
        """Lets all calls within it, together, wait no longer for Redis than one of them would.

        Args:
            size: How many bytes they carry.
        """
        return SharedTimeLimit(self._seconds + transfer_seconds(size))

    @property
    def sends(self) -> int | None:
        """How often anything was sent to the server; None where that is not counted.

        If it has not grown during a call that failed, this has not reached the server.
        """
        count = getattr(self.client.connection_pool.connection_class, "send_count", None)
        return None if count is None else count.number

    @property
    def has_waited(self) -> bool:
        """Whether the present request has waited for Redis for long already; see `share_time_limit`."""
        shared = _shared.get()
        return shared is not None and shared.seconds < _MOSTLY_LEFT * self._seconds

    @asynccontextmanager
    async def limit_time(
        self, since: float | None = None, *, size: int = 0, adds_jobs: bool = False
    ) -> AsyncIterator[None]:
        """Ends what is done within it after `redis_timeout_seconds`, and the time that the bytes may take.

        Args:
            since: From when that is counted, by the event loop's clock, for what several requests share.
                None for now, and for the one request that the present `share_time_limit` belongs to.
            size: How many bytes go to Redis, or come from it.
            adds_jobs: Whether a server refuses it that takes no new jobs.

        Raises:
            RedisUnavailableError: Redis does not answer in time, or refuses.
        """
        loop_time, called_at = asyncio.get_running_loop().time, time.monotonic()
        seconds, shared = self._seconds + transfer_seconds(size), None
        if since is None:
            since, shared = loop_time(), _shared.get()
        if shared is not None:
            seconds = min(seconds, shared.seconds)
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
            elif adds_jobs:
                self._refusals.begin(error, called_at)
            raise
        finally:
            if shared is not None:
                shared.seconds -= time.monotonic() - called_at
        self._outage.end(called_at)
        if adds_jobs:
            self._refusals.end(called_at)


@asynccontextmanager
async def _timeout_at(until: float, seconds: float) -> AsyncIterator[None]:
    """`asyncio.timeout_at` that first reads what has come in while something blocked the event loop."""
    loop = asyncio.get_running_loop()
    handle: asyncio.TimerHandle
    async with asyncio.timeout(None) as timeout:

        def on_timer() -> None:
            nonlocal until, handle
            now = loop.time()
            late = now - until
            if late < _BLOCKED_SECONDS:
                timeout.reschedule(now)
                return
            until = now + min(late, seconds)
            handle = loop.call_at(until, on_timer)

        handle = loop.call_at(until, on_timer)
        try:
            yield
        finally:
            handle.cancel()
