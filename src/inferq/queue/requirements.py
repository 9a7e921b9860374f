"""What the server must be like, so that our promises hold."""

from typing import Any

import redis

from inferq.jobs import InvalidSettingError, RedisUnavailableError
from inferq.queue.connection import redis_errors, start_errors

_FIRST_SUPPORTED = (7, 0)
_FIRST_WITH_WAITAOF = (7, 2)


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
    with start_errors(), redis_errors():
        policies: Any = client.config_get("appendfsync")
    policy = policies.get("appendfsync")
    if policy != "always":
        raise InvalidSettingError(
            "INFERQ_DURABILITY=fsync needs a server that knows WAITAOF (Redis 7.2, Valkey) or has "
            f"appendfsync always; this one has appendfsync {policy}. "
            "Set it: redis-cli CONFIG SET appendfsync always."
        )
