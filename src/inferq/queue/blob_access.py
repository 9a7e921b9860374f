"""The blob store as the queue uses it: payloads go into it, and references to them into keys of Redis."""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import chain

import structlog

from inferq.blobs import BlobPart, BlobStore, has_storable_id, make_key, open_store
from inferq.errors import BlobNotFoundError, InferqError, StoreUnavailableError
from inferq.settings import Settings
from inferq.tensors.envelope import REFERENCE_BEGIN_BYTES, BlobReference, write_reference
from inferq.tensors.values import Buffer

_AT_ONCE = 8
_IDENTIFY_SECONDS = 2.0
"""So long a heartbeat may wait for the store: one that hangs must not make a worker seem dead."""
_AWAY_SECONDS = 3.0
"""So long a store on a network that could not be used is not asked again: each try may take 5 s and more."""
_LOCAL_PART_BYTES, _REMOTE_PART_BYTES = 128 * 1024, 1024 * 1024
"""How much is read at once where a payload is passed on: on a network each part is a way there and back."""

log = structlog.get_logger()


class BlobAccess:
    """Writes payloads and references, and reads them. All of it may block, so it is for threads.

    Args:
        settings: Which store there is, what goes there, and how durably.

    Attributes:
        store: The store; None where the settings name none.
        is_usable: Whether to write to it; set to False where it is not there any more, or another queue's,
            whose workers would remove what they do not know.
    """

    def __init__(self, settings: Settings) -> None:
        self.store: BlobStore | None = open_store(settings.blob_store)
        self.is_usable = True
        self._longest_in_redis = settings.blob_bytes
        self._reserve_bytes = settings.blob_reserve_bytes
        self._fault = ""
        self._away_reason, self._away_until = "", 0.0
        self._is_data_synced = settings.durability == "fsync"
        self._threads = ThreadPoolExecutor(_AT_ONCE, "blob-calls")
        self._identifying: Future[str] | None = None

    def identify_store(self) -> str:
        """Returns the id of the store; empty where there is none that this process can use.

        It waits 2 s at most, then goes on beside the caller, and a later call returns what it has found.
        """
        if self.store is None or not self.is_usable:
            return ""
        if self._identifying is None:
            self._identifying = self._threads.submit(self.store.identify)
        try:
            return self._identifying.result(_IDENTIFY_SECONDS)
        except TimeoutError:
            self.note_unavailable(f"The blob store {self.store.name} does not answer.")
        except StoreUnavailableError as error:
            self.note_unavailable(error.message)
            self._identifying = None
        return ""

    def check(self) -> None:
        """Returns if the store is there, as far as this process has used it: looking at it does not make it.

        Raises:
            StoreUnavailableError: It is not.
        """
        if self.store is not None and self.store.is_identified:
            self.store.check()
        elif self._fault:
            raise StoreUnavailableError(self._fault)

    @property
    def part_bytes(self) -> int:
        """How much to read at once of a payload that is passed on."""
        return _LOCAL_PART_BYTES if self.store is None or self.store.is_local else _REMOTE_PART_BYTES

    def each[T, R](self, work: Callable[[T], R], items: Sequence[T]) -> list[R]:
        """Does the same for each of several items, at the same time where the store is on a network.

        Args:
            work: What to do.
            items: With what.

        Returns:
            What it has returned for each.
        """
        if self.store is None or self.store.is_local or len(items) == 1:
            return [work(item) for item in items]
        return list(self._threads.map(work, items))

    @property
    def writes_to_memory(self) -> bool:
        """Whether a write is a copy into this machine's memory, which a disk gets later."""
        return self.store is not None and self.store.is_local and not self._is_data_synced

    @property
    def held_bytes(self) -> int:
        """Most bytes of a payload that `write_data_pieces` has in memory besides the piece that it writes."""
        return 0 if self.store is None else self.store.held_bytes

    @property
    def is_at_fault(self) -> bool:
        """Whether the store has not taken what it was given last."""
        return bool(self._fault)

    def note_unavailable(self, reason: str) -> None:
        """Notes that the store has taken something not; says so, once for each reason."""
        if reason != self._fault:
            log.warning("blob_store_unavailable", reason=reason)
        self._fault = reason

    def note_available(self) -> None:
        """Notes that the store has taken something; says so after it had not."""
        if self._fault:
            log.info("blob_store_available_again")
        self._fault = ""

    def takes(self, job_id: str, payload: Buffer) -> bool:
        """Whether a payload belongs into the store."""
        return self.takes_size(job_id, len(payload))

    def takes_size(self, job_id: str, size: int) -> bool:
        """Whether a payload of so many bytes does."""
        if self.store is None or size <= self._longest_in_redis:
            return False
        return self.is_usable and has_storable_id(job_id)

    def offload(self, job_id: str, payload: Buffer, write: Callable[[str, Buffer], bytes]) -> bytes | None:
        """Puts a payload into the store, if it belongs there.

        Args:
            job_id: The job's id.
            payload: Its data, or its result.
            write: `write_data` or `write_result`.

        Returns:
            The reference to it; None where Redis is to hold it: the store takes it not, or has no room.
        """
        if not self.takes(job_id, payload):
            return None
        try:
            reference = write(job_id, payload)
        except InferqError as error:
            self.note_unavailable(error.message)
            return None
        self.note_available()
        return reference

    def write_data(self, job_id: str, payload: Buffer) -> bytes:
        """Writes the data of a job; returns the reference to it.

        Raises:
            QueueFullError: There is no room for it.
            StoreUnavailableError: The store cannot be used.
        """
        key = make_key(job_id, BlobPart.DATA)
        with self._use_store() as store:
            store.write(key, payload, is_synced=self._is_data_synced, reserve_bytes=self._reserve_bytes)
            return write_reference(key, payload, store.identify())

    def write_data_pieces(self, job_id: str, size: int, pieces: Iterator[Buffer]) -> bytes:
        """Writes the data of a job, as `write_data` does, without all of it in memory.

        Args:
            job_id: The job's id.
            size: How many bytes all pieces have.
            pieces: All of it, in order. Where one cannot be had, nothing is left of the others.

        Returns:
            The reference to it.

        Raises:
            QueueFullError: There is no room for it.
            StoreUnavailableError: The store cannot be used.
        """
        key = make_key(job_id, BlobPart.DATA)
        return self._write_pieces(
            key, size, pieces, is_synced=self._is_data_synced, reserve_bytes=self._reserve_bytes
        )

    def write_result(self, job_id: str, payload: Buffer) -> bytes:
        """Writes the result of a job, also into the reserve: what lets the queue drain must get through.

        Returns:
            The reference to it.

        Raises:
            QueueFullError: There is no room for it.
            StoreUnavailableError: The store cannot be used.
        """
        key = make_key(job_id, BlobPart.RESULT)
        with self._use_store() as store:
            store.write(key, payload)
            return write_reference(key, payload, store.identify())

    def write_result_pieces(self, job_id: str, size: int, pieces: Iterator[Buffer]) -> bytes:
        """Writes the result of a job, as `write_result` does, without all of it in memory.

        Args:
            job_id: The job's id.
            size: How many bytes all pieces have.
            pieces: All of it, in order.

        Returns:
            The reference to it.

        Raises:
            QueueFullError: There is no room for it.
            StoreUnavailableError: The store cannot be used.
        """
        return self._write_pieces(make_key(job_id, BlobPart.RESULT), size, pieces)

    def _write_pieces(
        self,
        key: str,
        size: int,
        pieces: Iterator[Buffer],
        *,
        is_synced: bool = False,
        reserve_bytes: int = 0,
    ) -> bytes:
        begin = b""
        while len(begin) < REFERENCE_BEGIN_BYTES and (piece := next(pieces, None)) is not None:
            begin += bytes(piece)
        all_pieces = chain((begin,), pieces)
        with self._use_store() as store:
            store.write_pieces(key, size, all_pieces, is_synced=is_synced, reserve_bytes=reserve_bytes)
            return write_reference(key, begin, store.identify(), size)

    def read(self, reference: BlobReference) -> memoryview:
        """Reads what a reference stands for.

        Raises:
            BlobNotFoundError: It is not there.
            StoreUnavailableError: This process has no access to it.
        """
        with self._use_store(reference) as store:
            return store.read(reference.key, reference.size)

    def read_part(self, reference: BlobReference, first: int, length: int) -> bytes:
        """Reads a part of it; see `read`."""
        with self._use_store(reference) as store:
            return store.read_part(reference.key, reference.size, first, length)

    def delete(self, keys: Sequence[str]) -> None:
        """Deletes blobs; those that are not there count as deleted.

        Raises:
            StoreUnavailableError: The store cannot be used.
        """
        with self._use_store() as store:
            store.delete(keys)

    @contextmanager
    def _use_store(self, reference: BlobReference | None = None) -> Iterator[BlobStore]:
        """Gives the store, if it is that of a reference; one on a network is left alone after a failure."""
        store = self.store
        if store is None:
            raise StoreUnavailableError(
                "The payload lies in a blob store, and this process has none. Set INFERQ_BLOB_STORE as the "
                "other processes of the service have it."
            )
        if time.monotonic() < self._away_until:
            raise StoreUnavailableError(self._away_reason)
        try:
            store_id = store.identify()
            if reference is None or reference.store == store_id:
                yield store
                return
        except BlobNotFoundError:
            raise
        except StoreUnavailableError as error:
            if not store.is_local:
                self._away_reason, self._away_until = error.message, time.monotonic() + _AWAY_SECONDS
            raise
        raise StoreUnavailableError(
            f"The payload lies in the blob store {reference.store!r}, and {store.name} is another one. "
            "Processes of one service need the same (INFERQ_BLOB_STORE)."
        )
