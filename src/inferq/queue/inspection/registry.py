"""Which models and workers have announced themselves."""

from datetime import UTC, datetime
from typing import cast

from inferq.jobs import WorkerInfo
from inferq.queue.redis_client.bounded import BoundedRedis
from inferq.queue.schema.decoding import decode_text, decode_time, decode_worker
from inferq.queue.schema.ids import decode_id, encode_id

_AHEAD_SECONDS = 10.0
"""A heartbeat further in the future comes from before the clock was set back: its age is not known."""


class ServiceRegistry:
    """Reads what workers have announced. Every method raises RedisUnavailableError without an answer in time.

    Args:
        redis: The server.
    """

    def __init__(self, redis: BoundedRedis) -> None:
        self._redis = redis

    async def read_models(self) -> dict[str, bytes]:
        """The models that workers have announced.

        Returns:
            Model name to the JSON of its document.
        """
        async with self._redis.limit_time():
            documents = cast("dict[bytes, bytes]", await self._redis.client.hgetall(self._redis.keys.models))
        return {decode_text(name): document for name, document in documents.items()}

    async def read_models_with_jobs(self) -> set[str]:
        """The models of which jobs are kept, announced or not."""
        async with self._redis.limit_time():
            names = cast("set[bytes]", await self._redis.client.smembers(self._redis.keys.queues))
        return {decode_text(name) for name in names}

    async def forget_models(self) -> None:
        """Removes all announcements; live workers make theirs again with their next heartbeat."""
        async with self._redis.limit_time():
            await self._redis.client.delete(self._redis.keys.models)

    async def read_workers(self) -> list[WorkerInfo]:
        """The workers whose heartbeat is fresh, oldest first."""
        keys, client = self._redis.keys, self._redis.client
        async with self._redis.limit_time():
            ids = cast("list[bytes]", await client.zrange(keys.workers, 0, -1))
            if not ids:
                return []
            reports = client.pipeline(transaction=False)
            for worker_id in ids:
                reports.hgetall(encode_id(keys.worker(decode_id(worker_id))))
            reports.time()
            *found, (seconds, _) = await reports.execute(raise_on_error=False)
        latest = datetime.fromtimestamp(seconds + _AHEAD_SECONDS, UTC)
        workers = [
            worker
            for worker_id, report in zip(ids, found, strict=True)
            if (worker := decode_worker(decode_id(worker_id), report))
            and worker.seen_at
            and worker.seen_at <= latest
        ]
        return sorted(workers, key=lambda worker: worker.started_at)

    async def read_last_heartbeat(self) -> datetime | None:
        """When any worker last reported, or None if none ever has."""
        async with self._redis.limit_time():
            seen = cast("bytes | None", await self._redis.client.get(self._redis.keys.workers_seen))
        return decode_time(decode_text(seen)) if seen else None
