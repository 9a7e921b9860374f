"""The producer's way to Redis: every call ends in time, and an outage is told once."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import redis.asyncio
from redis.exceptions import NoScriptError, OutOfMemoryError

from inferq.jobs import RedisUnavailableError
from inferq.queue.connection import redis_errors
from inferq.queue.keys import Keys
from inferq.queue.line import REPEATABLE, AsyncLine
from inferq.queue.outage import Outage
from inferq.queue.scripts import Script
from inferq.settings import Settings


class Link:
    """What the parts of the producer's side share.

    Args:
        client: An asynchronous client that answers in bytes.
        settings: The key prefix, and how long a call may take.

    Attributes:
        redis: The client.
        keys: Names of the keys.
    """

    def __init__(self, client: redis.asyncio.Redis, settings: Settings) -> None:
        self.redis = client
        self.keys = Keys(settings.key_prefix)
        self._seconds = settings.redis_timeout
        self._outage = Outage()

    async def call(
        self, script: Script, keys: list[str], arguments: list[Any], line: AsyncLine | None = None
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
        rest = (len(keys), *keys, self.keys.prefix, *arguments)
        if line is not None:
            with suppress(*REPEATABLE):
                return await line.ask(("EVALSHA", script.digest, *rest))
        try:
            return await self.redis.evalsha(script.digest, *rest)
        except NoScriptError:
            return await self.redis.eval(script.source, *rest)

    @asynccontextmanager
    async def bounded(self, since: float | None = None) -> AsyncIterator[None]:
        """Ends what is done within it after `redis_timeout`.

        Args:
            since: From when that is counted, by the event loop's clock; None for now.

        Raises:
            RedisUnavailableError: Redis does not answer in time, or refuses.
        """
        seconds, called_at = self._seconds, time.monotonic()
        try:
            until = seconds + (asyncio.get_running_loop().time() if since is None else since)
            async with asyncio.timeout_at(until):
                with redis_errors():
                    yield
        except TimeoutError as error:
            unavailable = RedisUnavailableError(f"Redis did not answer within {seconds:g} s.")
            self._outage.begin(unavailable, called_at)
            raise unavailable from error
        except RedisUnavailableError as error:
            if not isinstance(error.__cause__, OutOfMemoryError):
                self._outage.begin(error, called_at)
            raise
        self._outage.end()
