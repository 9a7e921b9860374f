"""Results of chunks, read piece by piece, and the result of a large job that is made of them."""

from collections.abc import Callable, Iterator
from typing import cast

from inferq.blobs import BlobPart
from inferq.errors import BlobNotFoundError, InferqError, JobNotFoundError
from inferq.jobs import ClaimedJob
from inferq.queue.blob_access import BlobAccess
from inferq.queue.consumer.access import QueueAccess
from inferq.queue.redis_client.connection import redis_errors
from inferq.queue.schema.blob_references import find_reference
from inferq.queue.schema.ids import encode_id
from inferq.tensors.envelope import BlobReference
from inferq.tensors.values import Buffer

PIECE_BYTES = 1024 * 1024
"""Of results of chunks in memory at the same time, where there is a blob store."""


class ChunkResult:
    """The result of one chunk, wherever it lies.

    Args:
        access: The server.
        blobs: The blob store.
        chunk_id: The chunk.
    """

    def __init__(self, access: QueueAccess, blobs: BlobAccess, chunk_id: str) -> None:
        self._access = access
        self._blobs = blobs
        self._id = chunk_id
        self._key = encode_id(access.keys.job(chunk_id, "result"))
        self._reference: BlobReference | None = None
        self._is_located = False

    def read(self, first: int, length: int) -> bytes:
        """Reads a part of it; less where it ends.

        Raises:
            JobNotFoundError: It is gone.
            RedisUnavailableError: Redis is away.
            StoreUnavailableError: This process has no access to it.
        """
        if not self._is_located:
            with redis_errors():
                begin = cast("bytes", self._access.redis.getrange(cast("str", self._key), 0, 1023))
            self._reference = find_reference(begin, self._id, BlobPart.RESULT)
            self._is_located = True
        if self._reference is not None:
            try:
                return self._blobs.read_part(self._reference, first, length)
            except BlobNotFoundError as error:
                raise JobNotFoundError(
                    f"The result of chunk {self._id!r} is gone: {error.message}"
                ) from error
        with redis_errors():
            found = cast(
                "bytes", self._access.redis.getrange(cast("str", self._key), first, first + length - 1)
            )
        if not found and length:
            raise JobNotFoundError(f"The result of chunk {self._id!r} is gone.")
        return found

    def read_pieces(self, first: int, length: int) -> Iterator[bytes]:
        """Reads a part of it, so many bytes at a time that memory for few is needed.

        Raises:
            JobNotFoundError: It is gone.
            RedisUnavailableError: Redis is away.
            StoreUnavailableError: This process has no access to it.
        """
        for start in range(first, first + length, PIECE_BYTES):
            yield self.read(start, min(PIECE_BYTES, first + length - start))


class JoinedResults:
    """Stores what large jobs result in.

    Args:
        access: The server.
        blobs: The blob store.
    """

    def __init__(self, access: QueueAccess, blobs: BlobAccess) -> None:
        self._access = access
        self._blobs = blobs

    def open_chunk(self, chunk_id: str) -> ChunkResult:
        """Returns the result of a chunk, to be read."""
        return ChunkResult(self._access, self._blobs, chunk_id)

    def write(
        self, job: ClaimedJob, size: int, make_pieces: Callable[[], Iterator[Buffer]]
    ) -> tuple[bytes, bool]:
        """Writes a result that is made of pieces: into the blob store, if it belongs there.

        Args:
            job: The large job.
            size: How many bytes all pieces have.
            make_pieces: Begins to read them. May be called again.

        Returns:
            The reference to it, and True; or where Redis is to hold it, the result itself, and False.

        Raises:
            JobNotFoundError: A piece is gone.
            RedisUnavailableError: Redis is away.
        """
        if self._blobs.takes_size(job.id, size):
            try:
                reference = self._blobs.write_result_pieces(job.id, size, make_pieces())
            except JobNotFoundError:
                raise
            except InferqError as error:
                self._blobs.note_unavailable(error.message)
            else:
                self._blobs.note_available()
                return reference, True
        return b"".join(make_pieces()), False
