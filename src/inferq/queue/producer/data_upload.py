"""The data of one job on its way into the blob store: written while it comes, and never held as a whole."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from queue import SimpleQueue
from traceback import clear_frames
from types import TracebackType
from typing import Self

from inferq.errors import InvalidInputError, StoreUnavailableError
from inferq.queue.blob_access import BlobAccess
from inferq.queue.blob_threads import call_in_own_thread
from inferq.queue.producer.submission import Submission
from inferq.queue.redis_client.connection import transfer_seconds
from inferq.tensors.values import Buffer

_PIECE_BYTES = 1024 * 1024
"""So much is gathered before the thread that writes is woken up."""
_MOST_PIECES = 4
_HELD_BYTES = (_MOST_PIECES + 2) * _PIECE_BYTES
"""Most of one upload that is in memory before the store has it: what is gathered may be longer by a part."""
_BASE_SECONDS = 30.0
"""How long the store may take for a piece, and beside the transfer for the end."""
_GIVEN_UP: Sequence[Buffer] = [b""]
"""In the place of pieces: no more will come."""


class DataUpload:
    """One upload, as a context: what ends it with an error leaves nothing of it in the store.

    The store is written to by a thread, which is the upload's own for as long as its client takes. Where the
    store is slower than the client, `add` waits.

    Args:
        blobs: The blob store.
        submission: The job.
        size: How many bytes its data has.
        observe: Is called with each piece of it, by that thread.
    """

    def __init__(
        self,
        blobs: BlobAccess,
        submission: Submission,
        size: int,
        observe: Callable[[Buffer], object] | None = None,
    ) -> None:
        self._blobs = blobs
        self._submission = submission
        self._size = size
        self._observe = observe
        self._added = 0
        self._gathered: list[Buffer] = []
        self._gathered_bytes = 0
        self._pieces: SimpleQueue[Sequence[Buffer] | None] = SimpleQueue()
        self._unwritten = 0  # pieces, in that queue and in the thread
        self._loop = asyncio.get_running_loop()
        self._has_moved = asyncio.Event()
        self._written = call_in_own_thread(self._write)
        self._written.add_done_callback(lambda _: self._has_moved.set())

    @property
    def held_bytes(self) -> int:
        """Most of it that is in memory."""
        return _HELD_BYTES + self._blobs.held_bytes

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None and not self._written.done():
            self._pieces.put(_GIVEN_UP)
            await asyncio.wait([self._written], timeout=_BASE_SECONDS)
        if self._written.done() and (fault := self._written.exception()):  # raised before, or it is this one
            # its frames hold pieces and parts, and refer back to it: those would wait for a collection
            clear_frames(fault.__traceback__)

    async def add(self, part: Buffer) -> None:
        """Adds the next bytes; waits while the store is behind.

        Raises:
            InvalidInputError: It is more than was announced.
            QueueFullError: The store has no room for the data.
            StoreUnavailableError: It cannot be used, or does not take it in time.
        """
        self._added += len(part)
        if self._added > self._size:
            raise self._make_length_error()
        self._gathered.append(part)
        self._gathered_bytes += len(part)
        if self._gathered_bytes >= _PIECE_BYTES:
            await self._pass_on()

    async def finish(self) -> Submission:
        """Returns once all of it is in the store.

        Returns:
            The job, with a reference for its data.

        Raises:
            InvalidInputError: It is less than was announced.
            QueueFullError: See `add`.
            StoreUnavailableError: See `add`.
        """
        if self._added != self._size:
            raise self._make_length_error()
        await self._pass_on()
        self._pieces.put(None)
        await self._wait(_BASE_SECONDS + transfer_seconds(self._size), until_written=True)
        self._submission.data, self._submission.blob_bytes = self._written.result(), self._size
        return self._submission

    async def _pass_on(self) -> None:
        """Passes on what is gathered."""
        if self._unwritten >= _MOST_PIECES:
            await self._wait(_BASE_SECONDS)
        if self._written.done():  # before its end, so it has failed
            self._written.result()
        self._pieces.put(self._gathered)
        self._unwritten += 1
        self._gathered, self._gathered_bytes = [], 0

    async def _wait(self, seconds: float, *, until_written: bool = False) -> None:
        """Waits until the store has taken a piece, or all."""
        try:
            async with asyncio.timeout(seconds):
                while not self._written.done() and (until_written or self._unwritten >= _MOST_PIECES):
                    self._has_moved.clear()
                    await self._has_moved.wait()
        except TimeoutError as error:
            reason = f"The blob store has not taken what it was given within {seconds:.0f} s."
            self._blobs.note_unavailable(reason)
            raise StoreUnavailableError(f"{reason} Try again later.") from error

    def _make_length_error(self) -> InvalidInputError:
        return InvalidInputError(
            f"{self._added:,} bytes of data have come, and {self._size:,} were announced. Send all of it, "
            "and nothing else."
        )

    def _note_written(self) -> None:
        self._unwritten -= 1
        self._has_moved.set()

    def _write(self) -> bytes:
        """Writes all that comes; for the thread."""
        try:
            reference = self._blobs.write_data_pieces(self._submission.id, self._size, self._take_pieces())
        except StoreUnavailableError as error:
            self._blobs.note_unavailable(error.message)
            raise
        self._blobs.note_available()
        return reference

    def _take_pieces(self) -> Iterator[Buffer]:
        while (pieces := self._pieces.get()) is not None:
            if pieces is _GIVEN_UP:
                raise _GivenUpError
            for piece in pieces:
                if self._observe is not None:
                    self._observe(piece)
                yield piece
            self._loop.call_soon_threadsafe(self._note_written)


class _GivenUpError(Exception):
    """The client has gone, or what it sends is refused."""
