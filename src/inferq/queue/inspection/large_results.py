"""Large results, read part by part: no process holds a whole one, and other reads come in between."""

import asyncio

from inferq.errors import BlobNotFoundError, JobNotFoundError
from inferq.jobs import Job
from inferq.queue.blob_access import BlobAccess
from inferq.queue.blob_threads import BlobThreads
from inferq.queue.redis_client.bounded import BoundedRedis
from inferq.queue.schema.decoding import read_end
from inferq.queue.schema.ids import encode_id
from inferq.tensors.envelope import BlobReference, read_reference

PART_BYTES = 128 * 1024
"""One part takes no longer than any other call, also on a slow network."""
PARTS_AT_ONCE = 4
"""Most parts that one process fetches at the same time: other calls need the network too."""


class LargeResults:
    """Reads large results.

    Args:
        redis: The server.
        blobs: The blob store, where some of them lie.
        threads: For calls of the store.
    """

    def __init__(self, redis: BoundedRedis, blobs: BlobAccess, threads: BlobThreads) -> None:
        self._threads = threads
        self._redis = redis
        self._blobs = blobs
        self._fetching = asyncio.Semaphore(PARTS_AT_ONCE)

    async def read_part(self, job: Job, first: int) -> bytes:
        """Reads a part of the large result of a job: at least `PART_BYTES` where it does not end before.

        Args:
            job: A job with a `large_result`.
            first: The byte to begin with.

        Raises:
            JobNotFoundError: The job, as it was read, does not exist any more.
            RedisUnavailableError: Redis does not answer in time.
            StoreUnavailableError: This process has no access to the blob store in which it lies.
        """
        large, keys = job.large_result, self._redis.keys
        if large is not None and large.blob:
            return await self._read_blob(job, read_reference(large.blob), first)
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
            raise _make_error(job)
        return bytes(part)

    async def _read_blob(self, job: Job, reference: BlobReference, first: int) -> bytes:
        async with self._fetching:
            try:
                size = self._blobs.part_bytes
                return await self._threads.call(lambda: self._blobs.read_part(reference, first, size))
            except BlobNotFoundError as error:
                raise _make_error(job) from error


def _make_error(job: Job) -> JobNotFoundError:
    return JobNotFoundError(
        f"The result of job {job.id!r} has gone while it was read: it was deleted, or has expired."
    )
