"""Connections to Redis or Valkey, and what their failures mean.

URLs are `redis://`, `rediss://` (TLS; `?ssl_ca_certs=FILE` names the authority) and `unix://` as redis-py has
them, with an ACL user as `redis://user:password@host`. For the primary that Sentinel names, asked again after
each failover: `redis+sentinel://[user:password@]host:port,host:port/service/0`. For the node of a Redis
Cluster that serves the slot of the key prefix: `redis+cluster://[user:password@]host:port,host:port`, which
names some of its nodes, and `rediss+cluster://` with TLS.

An ACL user needs `~{prefix}* &{prefix}events +@read +@write +@connection +@transaction +@scripting +publish
+subscribe +unsubscribe +time +info +dbsize`, for `INFERQ_DURABILITY=fsync` also `+waitaof +config|get`, and
on a Redis Cluster `+cluster|slots`.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, cast

import redis
import redis.asyncio
import redis.asyncio.sentinel
import redis.sentinel
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import ExponentialBackoff
from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    MasterDownError,
    ReadOnlyError,
    RedisError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.retry import Retry

from inferq.errors import InvalidSettingError, RedisUnavailableError
from inferq.queue.redis_client.cluster_nodes import ClusterNodes, find_slot
from inferq.queue.redis_client.error_replies import SlotAwayError, describe_error, is_lasting_refusal
from inferq.queue.redis_client.pipelined import CHUNK_BYTES, split_in_chunks
from inferq.queue.redis_client.redis_url import (
    SENTINEL_SCHEME,
    ClusterUrl,
    SentinelUrl,
    check_database,
    is_cluster_url,
    mask_url,
)
from inferq.queue.redis_client.slot_connection import follow_slot
from inferq.settings import Settings

POOL_CONNECTIONS = 64
"""Most connections a proxy process opens; further requests wait for one of them."""
WORKER_SECONDS = 5.0
"""Shortest time for which a worker waits for Redis to take or to send another byte."""
_SILENT_SECONDS = 2.0
"""The same where one server is one of several."""
SLOWEST_BYTES_PER_SECOND = 1_000_000
"""A network that carries less than this between inferq and Redis cannot be used for large values."""

_BACKOFF = ExponentialBackoff(cap=0.2, base=0.02)
_RETRIES = 3
# answers of a server that is not, or no longer, the primary: only a new connection can reach another one
_NOT_THE_PRIMARY: list[type[Exception]] = [ReadOnlyError, MasterDownError, BusyLoadingError, SlotAwayError]


def transfer_seconds(size: int) -> float:
    """How long the transfer of so many bytes to or from Redis may take, beside the time for an answer."""
    return size / SLOWEST_BYTES_PER_SECOND


def connect_async(settings: Settings) -> redis.asyncio.Redis:
    """A pooled asynchronous client. Opens no connection yet.

    Raises:
        InvalidSettingError: The URL is none of those above.
    """
    options = _make_options(settings, settings.redis_timeout_seconds, AsyncRetry)
    url = settings.redis_url
    with _url_errors(settings):
        if url.startswith(SENTINEL_SCHEME):
            parts = SentinelUrl.parse(url)
            sentinel: Any = redis.asyncio.sentinel.Sentinel(  # type: ignore[no-untyped-call]
                parts.sentinels, sentinel_kwargs=_sentinel_options(settings, AsyncRetry)
            )
            client: redis.asyncio.Redis = sentinel.master_for(parts.service, **parts.credentials, **options)
            _send_in_chunks(client.connection_pool)
            return client
        pool = redis.asyncio.BlockingConnectionPool.from_url(
            _name_one_server(url),
            max_connections=POOL_CONNECTIONS,
            timeout=settings.redis_timeout_seconds,
            **options,
        )
        _follow_slot(pool, settings)
        _check_options(pool, url)
    _send_in_chunks(pool)
    return redis.asyncio.Redis.from_pool(pool)


class _SendCount:
    """How often the connections of one pool have sent anything.

    An attribute of their class would not do: each change of a class empties Python's caches of its methods.
    """

    def __init__(self) -> None:
        self.number = 0


class _ChunkedSend:
    """Sends what is long in chunks, each of which has the socket's timeout; its replies have longer.

    redis-py gives all of it together that time, in which a large value may not pass a slow network.
    """

    socket_timeout: float
    _more_seconds = 0.0
    send_count: _SendCount

    async def send_packed_command(
        self, command: bytes | Iterable[bytes | memoryview], check_health: bool = True
    ) -> None:
        self.send_count.number += 1
        send: Any = super().send_packed_command  # type: ignore[misc]
        self.socket_timeout -= self._more_seconds
        self._more_seconds = 0.0
        parts = [command] if isinstance(command, bytes) else list(command)
        if max(map(len, parts), default=0) <= CHUNK_BYTES:
            await send(parts, check_health)
            return
        for part in parts:
            for chunk in split_in_chunks(part):
                await send([chunk], check_health)
                check_health = False
        # what is sent is not yet received: systems buffer it
        self._more_seconds = transfer_seconds(sum(map(len, parts)))
        self.socket_timeout += self._more_seconds


def _send_in_chunks(pool: redis.asyncio.ConnectionPool) -> None:
    """Lets the connections that a pool will make send large values in chunks."""
    own = pool.connection_class
    pool.connection_class = type(own.__name__, (_ChunkedSend, own), {"send_count": _SendCount()})


async def close_async(client: redis.asyncio.Redis) -> None:
    """Closes a client's connections, those to Sentinels included, which redis-py leaves open."""
    await client.aclose()
    manager = getattr(client.connection_pool, "sentinel_manager", None)
    await client.connection_pool.disconnect()
    for sentinel in manager.sentinels if manager else ():
        await sentinel.aclose()


def connect(settings: Settings) -> redis.Redis:
    """A pooled synchronous client, safe to share between threads. Opens no connection yet.

    Raises:
        InvalidSettingError: The URL is none of those above.
    """
    options = _make_options(settings, max(WORKER_SECONDS, settings.redis_timeout_seconds), Retry)
    url = settings.redis_url
    with _url_errors(settings):
        if url.startswith(SENTINEL_SCHEME):
            parts = SentinelUrl.parse(url)
            sentinel: Any = redis.sentinel.Sentinel(  # type: ignore[no-untyped-call]
                parts.sentinels, sentinel_kwargs=_sentinel_options(settings, Retry)
            )
            return cast("redis.Redis", sentinel.master_for(parts.service, **parts.credentials, **options))
        client = redis.Redis.from_url(_name_one_server(url), **options)
        _follow_slot(client.connection_pool, settings)
        _check_options(client.connection_pool, url)
    return client


def give_up_late_calls(client: redis.Redis, settings: Settings) -> None:
    """Lets a client wait for a server that hangs once, and not for long, as others have their turn then.

    Args:
        client: The client; it was not used yet.
        settings: How long a server may take for an answer.
    """
    options = client.connection_pool.connection_kwargs
    options["socket_timeout"] = max(_SILENT_SECONDS, settings.redis_timeout_seconds)
    options["retry"] = Retry(_BACKOFF, _RETRIES, supported_errors=(RedisConnectionError,))


def _make_options(
    settings: Settings, socket_seconds: float, retry: type[Retry] | type[AsyncRetry]
) -> dict[str, Any]:
    return {
        "socket_timeout": socket_seconds,
        "socket_connect_timeout": settings.redis_timeout_seconds,
        "retry": retry(_BACKOFF, _RETRIES),
        "retry_on_error": _NOT_THE_PRIMARY,
    }


def _sentinel_options(settings: Settings, retry: type[Retry] | type[AsyncRetry]) -> dict[str, Any]:
    # one that is dead must not keep the others from being asked
    seconds = settings.redis_timeout_seconds / 2
    return {"socket_timeout": seconds, "socket_connect_timeout": seconds, "retry": retry(_BACKOFF, 0)}


def _name_one_server(url: str) -> str:
    return ClusterUrl.parse(url).of_first if is_cluster_url(url) else url


def _follow_slot(pool: redis.ConnectionPool | redis.asyncio.ConnectionPool, settings: Settings) -> None:
    """On a Redis Cluster, lets the connections that a pool will make go to the node that serves our slot."""
    if is_cluster_url(settings.redis_url):
        nodes = ClusterNodes(ClusterUrl.parse(settings.redis_url).nodes, find_slot(settings.key_prefix))
        follow_slot(pool, nodes, settings.redis_timeout_seconds / 2)


@contextmanager
def _url_errors(settings: Settings) -> Iterator[None]:
    try:
        check_database(settings.redis_url)
        yield
    except ValueError as error:
        if "@" in settings.redis_url:  # the reason may quote a part of the password
            raise InvalidSettingError(
                "INFERQ_REDIS_URL cannot be used. Expected something like "
                "redis://user:password@localhost:6379/0; in passwords / ? # % @ are %2F %3F %23 %25 %40."
            ) from None
        raise InvalidSettingError(
            f"INFERQ_REDIS_URL {mask_url(settings.redis_url)!r} cannot be used: {error}. "
            "Expected something like redis://localhost:6379/0."
        ) from error


def _check_options(pool: redis.ConnectionPool | redis.asyncio.ConnectionPool, url: str) -> None:
    # redis-py checks what stands behind the ? only when a connection is made; this opens none yet
    try:
        pool.connection_class(**pool.connection_kwargs)
    except TypeError as error:
        option = str(error).rpartition(" ")[2]
        raise ValueError(f"{url.partition(':')[0]}:// has no option {option}") from error


@contextmanager
def redis_errors() -> Iterator[None]:
    """Turns every failure of the server or the network into `RedisUnavailableError`."""
    try:
        yield
    except (RedisError, TimeoutError, OSError) as error:
        raise RedisUnavailableError(describe_error(error)) from error


@contextmanager
def start_errors() -> Iterator[None]:
    """Raises, while a process starts, another error for what waiting does not repair.

    Once the process serves, the same error is an outage: a password or an ACL may be changed back.

    Raises:
        InvalidSettingError: The server refuses the password, the database, or what this user wants to do.
    """
    try:
        yield
    except RedisUnavailableError as error:
        cause = error.__cause__
        if isinstance(cause, AuthenticationError) or is_lasting_refusal(cause):
            raise InvalidSettingError(
                f"INFERQ_REDIS_URL cannot be used: {error.message} Check its user and "
                "password, its database, and what the user may do (SPECIFICATION.md, Settings)."
            ) from error
        raise
