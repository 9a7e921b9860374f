"""Connections to Redis or Valkey, what their failures mean, and what the server must be like."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import redis
import redis.asyncio
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import ExponentialBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from inferq.jobs import InvalidSettingError, RedisUnavailableError
from inferq.settings import Settings

POOL_CONNECTIONS = 64
"""Most connections a proxy process opens; further requests wait for one of them."""

_FIRST_SUPPORTED = (7, 0)
_FIRST_WITH_WAITAOF = (7, 2)

_BACKOFF = ExponentialBackoff(cap=0.2, base=0.02)
_RETRIES = 3


def masked_url(url: str) -> str:
    """The URL without its password, fit for logs and errors."""
    parts = urlsplit(url)
    if parts.password is None:
        return url
    return parts._replace(netloc=parts.netloc.replace(f":{parts.password}@", ":***@")).geturl()


def connect_async(settings: Settings) -> redis.asyncio.Redis:
    """A pooled asynchronous client. Opens no connection yet.

    Raises:
        InvalidSettingError: The URL is none that redis-py understands.
    """
    with _url_errors(settings):
        pool = redis.asyncio.BlockingConnectionPool.from_url(
            settings.redis_url,
            max_connections=POOL_CONNECTIONS,
            timeout=settings.redis_timeout,
            socket_timeout=settings.redis_timeout,
            socket_connect_timeout=settings.redis_timeout,
            retry=AsyncRetry(_BACKOFF, _RETRIES),
        )
    return redis.asyncio.Redis.from_pool(pool)


def connect(settings: Settings) -> redis.Redis:
    """A pooled synchronous client, safe to share between threads. Opens no connection yet.

    Raises:
        InvalidSettingError: The URL is none that redis-py understands.
    """
    with _url_errors(settings):
        return redis.Redis.from_url(
            settings.redis_url,
            socket_timeout=max(5.0, settings.redis_timeout),
            socket_connect_timeout=settings.redis_timeout,
            retry=Retry(_BACKOFF, _RETRIES),
        )


def connect_blocking(settings: Settings, block_seconds: float) -> redis.Redis:
    """A client for BRPOP alone: for one thread, and without retries, since a repeated BRPOP pops another job.

    Args:
        settings: Where the server is.
        block_seconds: Longest BRPOP; the socket waits longer, so that only the server ends it.

    Raises:
        InvalidSettingError: The URL is none that redis-py understands.
    """
    with _url_errors(settings):
        return redis.Redis.from_url(
            settings.redis_url,
            socket_timeout=block_seconds + 3.0,
            socket_connect_timeout=settings.redis_timeout,
            retry=Retry(_BACKOFF, 0),
        )


@contextmanager
def _url_errors(settings: Settings) -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise InvalidSettingError(
            f"INFERQ_REDIS_URL {masked_url(settings.redis_url)!r} cannot be used: {error}. "
            "Expected something like redis://localhost:6379/0."
        ) from error


@contextmanager
def redis_errors() -> Iterator[None]:
    """Turns every failure of the server or the way to it into `RedisUnavailableError`."""
    try:
        yield
    except redis.exceptions.OutOfMemoryError as error:
        raise RedisUnavailableError(
            "Redis has reached its memory limit (maxmemory) and takes no new jobs. Try again later."
        ) from error
    except (RedisError, TimeoutError, OSError) as error:
        raise RedisUnavailableError(
            f"Redis does not serve us: {str(error).rstrip('.') or type(error).__name__}."
        ) from error


def check_server(client: redis.Redis, durability: str = "server") -> None:
    """Makes sure that the server can keep our promises.

    Args:
        client: A synchronous client.
        durability: The setting of that name.

    Raises:
        InvalidSettingError: The server is older than Redis 7, may evict jobs, or cannot do `fsync`.
        RedisUnavailableError: It does not answer.
    """
    with redis_errors():
        info: dict[str, Any] = client.info()
    version = info.get("redis_version")
    if _version(info) < _FIRST_SUPPORTED:
        raise InvalidSettingError(
            f"The Redis server is version {version}; inferq needs Redis 7 or Valkey 7.2, or newer."
        )
    policy = info.get("maxmemory_policy", "noeviction")
    if int(info.get("maxmemory", 0)) > 0 and policy != "noeviction":
        raise InvalidSettingError(
            f"The Redis server has maxmemory-policy {policy}, which deletes jobs when memory is short. "
            "Set it to noeviction: redis-cli CONFIG SET maxmemory-policy noeviction."
        )
    if durability == "fsync":
        _check_append_only_file(client, info)


def _version(info: dict[str, Any]) -> tuple[int, ...]:
    """The server's version; Valkey names the Redis version that it is compatible with."""
    return tuple(int(part) for part in str(info.get("redis_version", "0")).split(".")[:2])


def _check_append_only_file(client: redis.Redis, info: dict[str, Any]) -> None:
    if not info.get("aof_enabled"):
        raise InvalidSettingError(
            "INFERQ_DURABILITY=fsync needs the server's append-only file, which is off. "
            "Turn it on: redis-cli CONFIG SET appendonly yes."
        )
    if _version(info) >= _FIRST_WITH_WAITAOF:
        return
    with redis_errors():
        policies: Any = client.config_get("appendfsync")
    policy = policies.get("appendfsync")
    if policy != "always":
        raise InvalidSettingError(
            "INFERQ_DURABILITY=fsync needs a server that knows WAITAOF (Redis 7.2, Valkey) or has "
            f"appendfsync always; this one has appendfsync {policy}. "
            "Set it: redis-cli CONFIG SET appendfsync always."
        )
