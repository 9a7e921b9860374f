"""Large results, read part by part: no process holds a whole one, and other reads come in between."""

import asyncio
from collections.abc import AsyncIterator

from inferq.errors import JobNotFoundError
from inferq.jobs import Job
from inferq.queue.redis_client.bounded import BoundedRedis
from inferq.queue.schema.decoding import read_end
from inferq.queue.schema.ids import encode_id

PART_BYTES = 128 * 1024
"""One part takes no longer than any other call, also on a slow network."""
PARTS_AT_ONCE = 4
"""Most parts that one process fetches at the same time: other calls need the network too."""


class LargeResults:
    """Reads large results.

    Args:
        redis: The server.
    """

    def __init__(self, redis: BoundedRedis) -> None:
        self._redis = redis
        self._fetching = asyncio.Semaphore(PARTS_AT_ONCE)

    async def read_parts(self, job: Job, first: int = 0) -> AsyncIterator[bytes]:
        """Reads the large result of a job. The next part is read when it is asked for.

        Args:
            job: A job with a `large_result`.
            first: The byte to begin with.

        Yields:
            The result's bytes, `PART_BYTES` at a time.

        Raises:
            JobNotFoundError: The job, as it was read, does not exist any more.
            RedisUnavailableError: Redis does not answer in time.
        """
        for start in range(first, job.result_bytes, PART_BYTES):
            yield await self.read_part(job, start)

    async def read_part(self, job: Job, first: int) -> bytes:
        """Reads one part, from that byte on; see `read_parts`."""
        large, keys = job.large_result, self._redis.keys
        job_id, key = encode_id(job.id), encode_id(keys.job(job.id, "result"))
        async with self._fetching, self._redis.limit_time():
            pipeline = self._redis.client.pipeline(
                transaction=False
            )  # at maxmemory, MULTI refuses to read too
            pipeline.getrange(key, first, first + PART_BYTES - 1)
            pipeline.strlen(key)  # these come after it: what was changed before is seen
            pipeline.hget(keys.records, job_id)
            part, length, record = await pipeline.execute()
        if large is None or length != large.length or (record and read_end(record) != large.end):
            raise JobNotFoundError(
                f"The result of job {job.id!r} has gone while it was read: it was deleted, or has expired."
            )
        return bytes(part)
