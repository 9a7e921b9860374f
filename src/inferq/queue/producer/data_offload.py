"""Puts long data into the blob store before its job is submitted."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import structlog

from inferq.errors import InvalidInputError, StoreUnavailableError
from inferq.queue.blob_access import BlobAccess
from inferq.queue.blob_threads import BlobThreads
from inferq.queue.producer.data_upload import DataUpload
from inferq.queue.producer.short_writes import MOST_SHORT_BYTES, ShortWrites
from inferq.queue.producer.store_sharing import StoreSharing
from inferq.queue.producer.submission import Submission
from inferq.queue.redis_client.connection import transfer_seconds
from inferq.tensors.envelope import is_reference, read_reference
from inferq.tensors.values import Buffer

_BASE_SECONDS = 30.0
"""How long a write may take beside the transfer: a disk that hangs must not hold up requests for ever."""

_COPYING_THREADS = 2
"""Long writes that do not wait for the disk are work for processors, which the event loop needs more."""

log = structlog.get_logger()


class DataOffload:
    """Writes data to the blob store, beside the event loop where that may take long.

    What was written and never submitted, since the process died or Redis did not answer, is swept by a
    worker.

    Args:
        blobs: The blob store.
        sharing: Tells which models' workers can read it.
    """

    def __init__(self, blobs: BlobAccess, sharing: StoreSharing) -> None:
        self._blobs = blobs
        self._sharing = sharing
        self._threads = BlobThreads()  # of its own: reads need not wait for writes
        self._copying_threads = BlobThreads(_COPYING_THREADS, is_yielding=True)
        self._short_writes = ShortWrites(blobs)

    @property
    def has_store(self) -> bool:
        """Whether there is a blob store."""
        return self._blobs.store is not None

    async def offload(self, submission: Submission) -> Submission:
        """Writes the data of a job to the store, if it belongs there.

        Args:
            submission: The job.

        Returns:
            The job with a reference for its data; or as it was, where Redis is to hold its data: it is
            short, a worker of its model cannot read the store, or the store cannot be used.

        Raises:
            InvalidInputError: Its data is a reference, which only the queue writes.
            QueueFullError: The store has no room for it.
            RedisUnavailableError: Redis does not answer in time.
        """
        data = submission.data
        if submission.blob_bytes:  # it was uploaded
            return submission
        if is_reference(data):
            raise InvalidInputError("data is a reference to a blob store. Send the payload itself.")
        if not self._blobs.takes(submission.id, data) or not await self._sharing.is_shared(submission.model):
            return submission
        try:
            reference = await self._write(submission.id, data)
        except StoreUnavailableError as error:
            self._blobs.note_unavailable(error.message)
            return submission
        self._blobs.note_available()
        return replace(submission, data=reference, blob_bytes=len(data))

    async def open_upload(
        self, submission: Submission, size: int, observe: Callable[[Buffer], object] | None = None
    ) -> DataUpload | None:
        """Begins to write the data of a job to the store while it comes.

        Args:
            submission: The job, whose data is still to come.
            size: How many bytes its data has.
            observe: Is called with each piece of it, by another thread.

        Returns:
            The upload; None where Redis is to hold the data, as `offload` says.

        Raises:
            RedisUnavailableError: Redis does not answer in time.
        """
        if not self._blobs.takes_size(submission.id, size) or not await self._sharing.is_shared(
            submission.model
        ):
            return None
        return DataUpload(self._blobs, submission, size, observe)

    @property
    def is_store_at_fault(self) -> bool:
        """Whether the store has not taken what it was given last."""
        return self._blobs.is_at_fault

    async def _write(self, job_id: str, data: Buffer) -> bytes:
        write = partial(self._blobs.write_data, job_id, data)
        if self._short_writes.allow(len(data)):
            return self._short_writes.watch(write)
        is_copy = len(data) > MOST_SHORT_BYTES and self._blobs.writes_to_memory
        threads = self._copying_threads if is_copy else self._threads
        return await threads.call(write, _BASE_SECONDS + transfer_seconds(len(data)))

    async def discard(self, submissions: Sequence[Submission]) -> None:
        """Removes what `offload` has written of jobs that were refused."""
        await self.delete([read_reference(one.data).key for one in submissions if one.blob_bytes])

    async def delete(self, keys: Sequence[str]) -> None:
        """Removes blobs; where the store cannot be used, a worker does it later."""
        if not keys or not self.has_store:
            return
        try:
            await self._threads.call(lambda: self._blobs.delete(keys))
        except StoreUnavailableError as error:
            log.warning("blobs_not_removed", blobs=len(keys), reason=error.message)

    def close(self) -> None:
        """Ends the threads; those that write do so to the end."""
        self._threads.close()
        self._copying_threads.close()
