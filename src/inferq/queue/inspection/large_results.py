"""Large results, read part by part: no process holds one, and other readers get their turn in between."""

import asyncio
from collections.abc import AsyncIterator

from inferq.errors import JobNotFoundError
from inferq.jobs import Job
from inferq.queue.redis_client.bounded import BoundedRedis
from inferq.queue.schema.decoding import end_of

PART_BYTES = 128 * 1024
"""One part takes no longer than any other call, also on a slow way to Redis."""
PARTS_AT_ONCE = 4
"""Most parts on their way to one process, however many read: the way to Redis is others' as well."""


class LargeResults:
    """Reads large results.

    Args:
        link: The way to Redis.
    """

    def __init__(self, link: BoundedRedis) -> None:
        self._link = link
        self._turns = asyncio.Semaphore(PARTS_AT_ONCE)

    async def parts(self, job: Job, first: int = 0) -> AsyncIterator[bytes]:
        """Reads the large result of a job. The next part is read when it is asked for.

        Args:
            job: A job with a `large_result`.
            first: The byte to begin with.

        Yields:
            The result's bytes, `PART_BYTES` at a time.

        Raises:
            JobNotFoundError: The job, as it was read, is not there any more.
            RedisUnavailableError: Redis does not answer in time.
        """
        for place in range(first, job.result_bytes, PART_BYTES):
            yield await self.part(job, place)

    async def part(self, job: Job, first: int) -> bytes:
        """Reads one part, from that byte on; see `parts`."""
        large, keys = job.large_result, self._link.keys
        key = keys.job(job.id, "result")
        async with self._turns, self._link.bounded():
            pipeline = self._link.redis.pipeline(transaction=False)  # at maxmemory, MULTI refuses to read too
            pipeline.getrange(key, first, first + PART_BYTES - 1)
            pipeline.strlen(key)  # these come after it: what was changed before is seen
            pipeline.hget(keys.records, job.id)
            part, length, record = await pipeline.execute()
        if large is None or length != large.length or (record and end_of(record) != large.end):
            raise JobNotFoundError(
                f"The result of job {job.id!r} has gone while it was read: it was deleted, or has expired."
            )
        return bytes(part)
