"""How scripts that accept jobs are run: as durably as the setting `durability` promises."""

import asyncio
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

from inferq.errors import RedisUnavailableError
from inferq.queue.redis_client.bounded import BoundedRedis
from inferq.queue.redis_client.pipelined import AsyncPipelinedConnection
from inferq.queue.redis_client.script_calls import Command, ScriptCall
from inferq.queue.schema.times import to_milliseconds
from inferq.settings import Settings

_LARGE_BYTES = 2 * 1024 * 1024
_MOST_LARGE = 2
"""So many large values are sent at a time: the server writes what it received to its append-only file at one
go, and serves nobody meanwhile."""


class DurableScripts:
    """Runs scripts that accept jobs.

    Args:
        redis: The server.
        settings: Whether to wait for the disk (`durability`), and for how long (`redis_timeout_seconds`).

    Attributes:
        waits_for_disk: Whether each run waits until the server's disk holds the jobs.
    """

    def __init__(self, redis: BoundedRedis, settings: Settings) -> None:
        self._redis = redis
        self.waits_for_disk = settings.durability == "fsync"
        self._large = asyncio.Semaphore(_MOST_LARGE)
        self._wait = "WAITAOF", 1, 0, to_milliseconds(settings.redis_timeout_seconds)

    async def run(
        self,
        call: ScriptCall,
        before: Sequence[Command] = (),
        *,
        since: float | None = None,
        size: int = 0,
        connection: AsyncPipelinedConnection | None = None,
    ) -> Any:  # noqa: ANN401 - as the script answers
        """Runs a script, in one transaction with other commands.

        Args:
            call: The script.
            before: Commands that come before it; with size bytes, which do not pass through Lua.
            since: See `BoundedRedis.limit_time`.
            size: The same.
            connection: The connection to use if there is nothing but the script; see `BoundedRedis.run`.

        Returns:
            What the script answers.

        Raises:
            RedisUnavailableError: Redis does not answer in time, takes no writes, or did not write to disk.
        """
        turn = self._large if size > _LARGE_BYTES else nullcontext()
        async with turn, self._redis.limit_time(since, size=size, adds_jobs=True):
            if self.waits_for_disk:  # on the same connection, as WAITAOF needs it
                answer, [synced] = await self._redis.scripts.run_in_transaction(call, before, [self._wait])
                _check_synced(synced)
                return answer
            if before:
                answer, _ = await self._redis.scripts.run_in_transaction(call, before)
                return answer
            return await self._redis.run(call, connection)


def _check_synced(synced: list[int] | Exception) -> None:
    """Raises if the disk does not hold what was written before."""
    if isinstance(synced, Exception):
        if "unknown command" in str(synced).lower():
            return  # Redis 7.0: `check_server` has made sure of appendfsync always
        raise synced
    if not synced[0]:
        raise RedisUnavailableError("Redis has not written the job to disk in time. It may run all the same.")
