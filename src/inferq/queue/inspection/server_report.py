"""What the server says of itself, for the checks in `inferq.doctor`."""

import time
from dataclasses import dataclass
from typing import Any, cast

from redis.exceptions import ResponseError

from inferq.queue.redis_client.bounded import BoundedRedis
from inferq.queue.redis_client.requirements import ServerFault, find_faults
from inferq.settings import Settings

_SAMPLES = 15
_CONFIGURATION = ("appendfsync", "save", "proto-max-bulk-len")


@dataclass(frozen=True, slots=True)
class ServerReport:
    """A server as it is now.

    Attributes:
        name: `Redis` or `Valkey`.
        version: Its version.
        faults: What keeps it from keeping our promises.
        policy: Its `maxmemory-policy`.
        used_bytes: Memory that it uses.
        limit_bytes: Its `maxmemory`; 0 for none.
        machine_bytes: Memory of its machine; 0 if it does not tell.
        has_append_only_file: Whether it writes one.
        appendfsync: Its setting of that name; None if this user may not ask.
        save: When it writes snapshots, as its setting of that name; empty: never; None as above.
        failed_writes: What it could not write to disk the last time: `append-only file`, `snapshot`.
        is_replica: Whether it follows another server.
        replicas: How many servers follow it.
        is_cluster: Whether it belongs to a Redis Cluster.
        value_bytes: Longest value that it takes; None if this user may not ask.
        delays: How long answers took, the shortest first, s.
        clock_offset_seconds: How far its clock is ahead of this machine's.
    """

    name: str
    version: str
    faults: tuple[ServerFault, ...]
    policy: str
    used_bytes: int
    limit_bytes: int
    machine_bytes: int
    has_append_only_file: bool
    appendfsync: str | None
    save: str | None
    failed_writes: tuple[str, ...]
    is_replica: bool
    replicas: int
    is_cluster: bool
    value_bytes: int | None
    delays: tuple[float, ...]
    clock_offset_seconds: float


async def read_server_report(redis: BoundedRedis, settings: Settings) -> ServerReport:
    """Asks the server what it is, and measures how fast it answers and what its clock says.

    Raises:
        RedisUnavailableError: It does not answer in time, or refuses.
    """
    configuration: dict[str, str] = {}
    async with redis.limit_time():
        info: dict[str, Any] = await redis.client.info()
        try:
            configuration = cast("dict[str, str]", await redis.client.config_get(*_CONFIGURATION))
        except ResponseError:  # not every user may ask
            configuration = {}
    samples = sorted([await _measure(redis) for _ in range(_SAMPLES)])
    failed = {"append-only file": "aof_last_write_status", "snapshot": "rdb_last_bgsave_status"}
    value_bytes = configuration.get("proto-max-bulk-len")
    return ServerReport(
        name="Valkey" if info.get("server_name") == "valkey" else "Redis",
        version=str(info.get("valkey_version") or info.get("redis_version")),
        faults=tuple(find_faults(info, configuration, settings.durability)),
        policy=str(info.get("maxmemory_policy", "noeviction")),
        used_bytes=int(info.get("used_memory") or 0),
        limit_bytes=int(info.get("maxmemory") or 0),
        machine_bytes=int(info.get("total_system_memory") or 0),
        has_append_only_file=bool(info.get("aof_enabled")),
        appendfsync=configuration.get("appendfsync"),
        save=configuration.get("save"),
        failed_writes=tuple(what for what, name in failed.items() if info.get(name, "ok") != "ok"),
        is_replica=info.get("role") == "slave",
        replicas=int(info.get("connected_slaves") or 0),
        is_cluster=bool(info.get("cluster_enabled")),
        value_bytes=None if value_bytes is None else int(value_bytes),
        delays=tuple(delay for delay, _ in samples),
        clock_offset_seconds=samples[0][1],  # the quickest answer tells it best
    )


async def _measure(redis: BoundedRedis) -> tuple[float, float]:
    """Asks for the time; returns how long that took, and how far the server's clock is ahead of ours, s."""
    async with redis.limit_time():
        asked_at, begun = time.time(), time.perf_counter()
        seconds, microseconds = await redis.client.time()
        delay = time.perf_counter() - begun
    return delay, seconds + microseconds / 1e6 - asked_at - delay / 2
