"""What the server needs so that our promises hold, and how much it can take."""

import asyncio
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import redis
import structlog
from redis.exceptions import ResponseError

from inferq.errors import BodyTooLargeError, InvalidSettingError, RedisUnavailableError
from inferq.queue.redis_client.bounded import BoundedRedis
from inferq.queue.redis_client.connection import redis_errors, start_errors
from inferq.settings import Settings

LARGEST_VALUE_BYTES = 512 * 1024 * 1024
"""Most that a server takes if no one has changed `proto-max-bulk-len`."""

_FIRST_SUPPORTED = (7, 0)
_FIRST_WITH_WAITAOF = (7, 2)
_FRESH_SECONDS = 60.0
"""How long the answers of the server are used; while it is unfit, each request asks again."""
_CONFIGURATION = ("appendfsync", "proto-max-bulk-len", "client-query-buffer-limit")
_ROOM_FOR_COMMAND_BYTES = 64 * 1024

log = structlog.get_logger()


def check_server(client: redis.Redis, durability: str = "server") -> None:
    """Makes sure that the server can keep our promises.

    Args:
        client: A synchronous client.
        durability: The setting of that name.

    Raises:
        InvalidSettingError: The server is older than Redis 7, may evict jobs, or cannot do `fsync`; or it
            refuses the password, the database, or the command.
        RedisUnavailableError: It does not answer, or is loading its data.
    """
    with start_errors(), redis_errors():
        info: dict[str, Any] = client.info()
    if int(info.get("loading", 0)):  # its append-only file, if it has one, is reported as off until then
        raise RedisUnavailableError("Redis is loading its data from disk.")
    configuration: dict[str, Any] = {}
    if _needs_configuration(info, durability):
        with start_errors(), redis_errors():
            configuration = client.config_get("appendfsync")  # type: ignore[assignment]
    _check(info, configuration, durability)


@dataclass(frozen=True, slots=True)
class Limits:
    """What the server can take.

    Attributes:
        held_bytes: Most bytes of data that the jobs may have that have not ended; 0 for any number.
        held_by: Where that limit comes from.
        value_bytes: Longest data of one job.
    """

    held_bytes: int
    held_by: str
    value_bytes: int

    def check(self, longest: int, total: int) -> None:
        """Refuses what could never be stored, however long its client waits.

        Args:
            longest: Bytes of the longest data among the jobs of a request.
            total: Bytes of all of them.

        Raises:
            BodyTooLargeError: It is more than fits.
        """
        if longest > self.value_bytes:
            raise BodyTooLargeError(
                f"The data takes {longest} bytes, and the Redis server takes no value of more than "
                f"{self.value_bytes} (proto-max-bulk-len, client-query-buffer-limit). Send less in one job."
            )
        if total > self.held_bytes > 0:
            raise BodyTooLargeError(
                f"The data takes {total} bytes, and all jobs that have not ended may have "
                f"{self.held_bytes} together ({self.held_by}). Send less in one request."
            )


class ServerCheck:
    """What the server of a proxy can take: asked when first needed, then once a minute, beside the requests.

    Args:
        redis: The server.
        settings: How durable jobs are to be, and what they may take.
    """

    def __init__(self, redis: BoundedRedis, settings: Settings) -> None:
        self._redis = redis
        self._settings = settings
        self._limits: Limits | None = None
        self._fault: InvalidSettingError | None = None
        self._asking: asyncio.Task[None] | None = None
        self._due_at = 0.0

    async def read_limits(self) -> Limits:
        """What the server can take.

        Raises:
            RedisUnavailableError: It is not as it must be, or has never answered.
        """
        if time.monotonic() >= self._due_at:
            if self._asking is None or self._asking.done():
                self._asking = asyncio.create_task(self._ask())
                self._asking.add_done_callback(_ignore_result)
            if self._limits is None:
                await asyncio.shield(self._asking)
        if self._fault is not None:
            raise RedisUnavailableError(self._fault.message)
        assert self._limits is not None  # noqa: S101 - it has answered
        return self._limits

    async def read_held_bytes(self) -> int | None:
        """Most bytes of data that the jobs may have that have not ended; None if there is no such limit.

        None as well while that is not known.
        """
        with suppress(RedisUnavailableError):
            return (await self.read_limits()).held_bytes or None
        return None

    async def _ask(self) -> None:
        async with self._redis.limit_time():
            info: dict[str, Any] = await self._redis.client.info()
            configuration: dict[str, Any] = {}
            try:
                configuration = dict(await self._redis.client.config_get(*_CONFIGURATION))  # type: ignore[arg-type]
            except ResponseError:  # not every user may ask
                if _needs_configuration(info, self._settings.durability):
                    raise
        if int(info.get("loading", 0)):
            raise RedisUnavailableError("Redis is loading its data from disk.")
        self._limits = None
        try:
            _check(info, configuration, self._settings.durability)
        except InvalidSettingError as error:
            if self._fault is None:
                log.error("redis_server_unfit", reason=error.message)  # noqa: TRY400 - a setting, no fault of ours
            self._fault, self._due_at = error, 0.0
            return
        self._fault = None
        self._limits = self._make_limits(info, configuration)
        self._due_at = time.monotonic() + _FRESH_SECONDS

    def _make_limits(self, info: dict[str, Any], configuration: dict[str, Any]) -> Limits:
        value = min(
            int(configuration.get("proto-max-bulk-len", LARGEST_VALUE_BYTES)),
            int(configuration.get("client-query-buffer-limit", 2 * LARGEST_VALUE_BYTES)),
        )
        memory = int(info.get("maxmemory") or 0)
        held, source = self._settings.max_queued_bytes, "INFERQ_MAX_QUEUED_BYTES"
        if not held:
            machine = int(info.get("total_system_memory") or 0)
            held = (memory or machine) // 2
            of_what = "maxmemory" if memory else "the memory of its machine"
            source += f", by default half of the Redis server's {of_what}"
        elif memory and memory < held:
            held, source = memory, "maxmemory of the Redis server"
        return Limits(held, source, max(1, value - _ROOM_FOR_COMMAND_BYTES))


def _ignore_result(asking: asyncio.Task[None]) -> None:
    """Ignores how it failed: those that wait for it get the error, the others use what was known."""
    if not asking.cancelled():
        asking.exception()


@dataclass(frozen=True, slots=True)
class ServerFault:
    """What keeps the server from keeping our promises.

    Attributes:
        part: What it is about: `version`, `eviction` or `durability`.
        reason: What is wrong, in a sentence.
        remedy: What to do, in a sentence.
    """

    part: str
    reason: str
    remedy: str


def find_faults(
    info: Mapping[str, Any], configuration: Mapping[str, Any], durability: str
) -> Iterator[ServerFault]:
    """Finds what keeps a server from keeping our promises.

    Args:
        info: What it answers to INFO.
        configuration: What it answers to CONFIG GET, as far as this user may ask.
        durability: The setting of that name.
    """
    if _version(info) < _FIRST_SUPPORTED:
        yield ServerFault(
            "version",
            f"The Redis server is version {info.get('redis_version')}.",
            "Use Redis 7 or Valkey 7.2, or newer, as inferq needs it.",
        )
    policy = info.get("maxmemory_policy", "noeviction")
    if int(info.get("maxmemory", 0)) > 0 and policy != "noeviction":
        yield ServerFault(
            "eviction",
            f"The Redis server has maxmemory-policy {policy}, which deletes jobs when memory is short.",
            "Set it to noeviction: redis-cli CONFIG SET maxmemory-policy noeviction.",
        )
    if durability == "fsync":
        yield from _find_faults_of_fsync(info, configuration)


def _check(info: Mapping[str, Any], configuration: Mapping[str, Any], durability: str) -> None:
    for fault in find_faults(info, configuration, durability):
        raise InvalidSettingError(f"{fault.reason} {fault.remedy}")


def _version(info: Mapping[str, Any]) -> tuple[int, ...]:
    """The server's version; Valkey names the Redis version that it is compatible with."""
    return tuple(int(part) for part in str(info.get("redis_version", "0")).split(".")[:2])


def _needs_configuration(info: Mapping[str, Any], durability: str) -> bool:
    return durability == "fsync" and _version(info) < _FIRST_WITH_WAITAOF


def _find_faults_of_fsync(info: Mapping[str, Any], configuration: Mapping[str, Any]) -> Iterator[ServerFault]:
    if not info.get("aof_enabled"):
        yield ServerFault(
            "durability",
            "INFERQ_DURABILITY=fsync needs the server's append-only file, which is off.",
            "Turn it on: redis-cli CONFIG SET appendonly yes.",
        )
        return
    policy = configuration.get("appendfsync")
    if _version(info) < _FIRST_WITH_WAITAOF and policy != "always":
        yield ServerFault(
            "durability",
            "INFERQ_DURABILITY=fsync needs a server that knows WAITAOF (Redis 7.2, Valkey) or has "
            f"appendfsync always; this one has appendfsync {policy}.",
            "Set it: redis-cli CONFIG SET appendfsync always.",
        )
