"""The memory of the server."""

from dataclasses import dataclass
from typing import Any

from inferq.queue.redis_client.bounded import BoundedRedis


@dataclass(frozen=True, slots=True)
class ServerMemory:
    """What the server uses for its data.

    Attributes:
        used_bytes: How much it uses.
        limit_bytes: Its `maxmemory`; None where it has none.
        run_id: By which two shards tell whether they are on the same server.
    """

    used_bytes: int
    limit_bytes: int | None
    run_id: str = ""


async def read_memory(redis: BoundedRedis) -> ServerMemory:
    """Reads how much memory the server uses.

    Raises:
        RedisUnavailableError: Redis does not answer in time.
    """
    async with redis.limit_time():
        info: dict[str, Any] = await redis.client.info("memory", "server")
    limit = int(info.get("maxmemory") or 0) or None
    return ServerMemory(int(info["used_memory"]), limit, str(info.get("run_id", "")))
