"""The data of a job as it was posted, read part by part: no process holds a long one."""

import asyncio
from collections.abc import AsyncIterator

from inferq.blobs import BlobPart
from inferq.errors import BlobNotFoundError, JobNotFoundError
from inferq.queue.blob_access import BlobAccess
from inferq.queue.blob_threads import BlobThreads
from inferq.queue.redis_client.bounded import BoundedRedis
from inferq.queue.schema.blob_references import follow_reference
from inferq.queue.schema.ids import encode_id
from inferq.tensors.envelope import BlobReference

PART_BYTES = 128 * 1024
"""One part takes no longer than any other call, also on a slow network."""
PARTS_AT_ONCE = 4
"""Most parts that one process fetches at the same time: other calls need the network too."""


class JobDataReader:
    """Reads the data of jobs.

    Args:
        redis: The server.
        blobs: The blob store, where some of it lies.
        threads: For calls of the store.
    """

    def __init__(self, redis: BoundedRedis, blobs: BlobAccess, threads: BlobThreads) -> None:
        self._threads = threads
        self._redis = redis
        self._blobs = blobs
        self._fetching = asyncio.Semaphore(PARTS_AT_ONCE)

    async def open(self, job_id: str) -> tuple[int, AsyncIterator[bytes]]:
        """Begins to read. The next part is read when it is asked for.

        Args:
            job_id: The job's id.

        Returns:
            The length in bytes, and the data, part by part.

        Raises:
            JobNotFoundError: The job's data is not kept (any more).
            RedisUnavailableError: Redis does not answer in time.
            StoreUnavailableError: This process has no access to the blob store in which the data lies.
        """
        first, length = await self._read_part(job_id, 0)
        reference = follow_reference(first, job_id, BlobPart.DATA)
        if reference is not None:
            first = await self._read_blob(job_id, reference, 0)
            return reference.size, self._read_blob_parts(job_id, reference, first)
        if not length:
            raise JobNotFoundError(
                f"The data of job {job_id!r} is not kept any more: it is removed when a job completes, "
                "and some time after it has failed."
            )
        return length, self._read_parts(job_id, first, length)

    async def _read_parts(self, job_id: str, first: bytes, length: int) -> AsyncIterator[bytes]:
        yield first
        for start in range(PART_BYTES, length, PART_BYTES):
            part, now = await self._read_part(job_id, start)
            if now != length:
                raise _make_error(job_id)
            yield part

    async def _read_blob_parts(
        self, job_id: str, reference: BlobReference, first: bytes
    ) -> AsyncIterator[bytes]:
        yield first
        start = len(first)
        while start < reference.size:
            part = await self._read_blob(job_id, reference, start)
            start += len(part)
            yield part

    async def _read_blob(self, job_id: str, reference: BlobReference, start: int) -> bytes:
        async with self._fetching:
            try:
                size = self._blobs.part_bytes
                return await self._threads.call(lambda: self._blobs.read_part(reference, start, size))
            except BlobNotFoundError as error:
                raise _make_error(job_id) from error

    async def _read_part(self, job_id: str, first: int) -> tuple[bytes, int]:
        """Reads one part, and how long the whole is."""
        key = encode_id(self._redis.keys.job(job_id, "data"))
        async with self._fetching, self._redis.limit_time():
            # at maxmemory, MULTI refuses to read too
            pipeline = self._redis.client.pipeline(transaction=False)
            pipeline.getrange(key, first, first + PART_BYTES - 1)
            pipeline.strlen(key)  # it comes after the other: what was changed before is seen
            part, length = await pipeline.execute()
        return bytes(part), int(length)


def _make_error(job_id: str) -> JobNotFoundError:
    return JobNotFoundError(f"The data of job {job_id!r} has gone while it was read.")
