"""Removes blobs that no key names: of jobs that ended or expired, and of writers that were killed."""

from dataclasses import dataclass

import structlog

from inferq.blobs import BlobInfo, BlobPart, BlobStore, find_owner, make_id
from inferq.errors import StoreUnavailableError
from inferq.queue.blob_access import BlobAccess
from inferq.queue.consumer.access import QueueAccess
from inferq.queue.consumer.blobs.blob_removal import BlobRemoval
from inferq.queue.consumer.scan_steps import acquire_step
from inferq.queue.redis_client import scripts
from inferq.queue.redis_client.connection import redis_errors
from inferq.queue.schema.decoding import decode_text
from inferq.queue.schema.times import to_milliseconds

STEP_SECONDS = 1.0
"""How often a step is made while a sweep is under way, by whichever worker comes first."""
_LONGEST_REST_SECONDS = 60.0
"""Longest time between two sweeps."""
_CURSOR_SECONDS = 3600

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Progress:
    """How far a sweep is.

    Attributes:
        cursor: Where the store's listing goes on; empty: at its begin.
        blobs: How many it has met.
        bytes: How many bytes they have.
    """

    cursor: str = ""
    blobs: int = 0
    bytes: int = 0


class BlobSweep:
    """The sweep, which all workers share: how far it is, and who makes the next step, is kept in Redis.

    A blob is written before a key names it, so a young one is left alone. An old one that no key names will
    never be named: what wrote it has given up by then. An upload, which no key names, lives for its time.

    Args:
        access: The server.
        blobs: The blob store.
        removal: Removes those that no key names.
    """

    def __init__(self, access: QueueAccess, blobs: BlobAccess, removal: BlobRemoval) -> None:
        self._access = access
        self._blobs = blobs
        self._removal = removal
        self._store = blobs.store
        self._grace_seconds = access.settings.blob_grace_seconds
        self._upload_seconds = access.settings.upload_ttl_seconds
        self._rest_ms = to_milliseconds(min(_LONGEST_REST_SECONDS, self._grace_seconds / 2))
        self._is_foreign = False

    def sweep_next(self) -> None:
        """Makes the next step, if it is due and this worker's; and sees to it whether the store is usable.

        Raises:
            RedisUnavailableError: Redis is away.
            StoreUnavailableError: The store cannot be used.
        """
        store, key = self._store, self._access.keys.blobs_step
        if store is None:
            return
        with redis_errors():
            self._blobs.is_usable = self._belongs_to_us(store)
            if self._blobs.is_usable and acquire_step(
                self._access, key, round(STEP_SECONDS * 900), self._rest_ms
            ):
                self._sweep_page(store)

    def _sweep_page(self, store: BlobStore) -> None:
        before = self._read_progress()
        page = store.list_page(before.cursor)
        self._removal.add(blob.key for blob in page.blobs if self._is_old(blob))
        blobs, size = before.blobs + len(page.blobs), before.bytes + sum(blob.size for blob in page.blobs)
        self._note_progress(_Progress(page.cursor, blobs, size))

    def _is_old(self, blob: BlobInfo) -> bool:
        if blob.age_seconds <= self._grace_seconds:
            return False
        owner = find_owner(blob.key)
        return owner is None or owner[1] is not BlobPart.UPLOAD or blob.age_seconds > self._upload_seconds

    def _belongs_to_us(self, store: BlobStore) -> bool:
        """Whether the store is there, and this queue's: each removes what it does not name."""
        access, key = self._access, self._access.keys.blobs_queue
        if (queue_id := access.redis.get(key)) is None:
            access.call(scripts.WRITE_AT_OOM, [key], ["SET", make_id(), "NX"])
            queue_id = access.redis.get(key)
        try:
            is_ours = isinstance(queue_id, bytes) and store.belongs_to(decode_text(queue_id))
        except StoreUnavailableError:
            self._blobs.is_usable = False
            raise
        if not (is_ours or self._is_foreign):
            log.error("blob_store_of_another_queue", store=store.name)
        self._is_foreign = not is_ours
        return is_ours

    def _read_progress(self) -> _Progress:
        stored = self._access.redis.get(self._access.keys.blobs_cursor)
        cursor, _, numbers = decode_text(stored).partition(" ") if isinstance(stored, bytes) else ("", "", "")
        blobs, _, size = numbers.partition(" ")
        return _Progress(cursor, int(blobs), int(size)) if blobs.isdigit() and size.isdigit() else _Progress()

    def _note_progress(self, progress: _Progress) -> None:
        """Notes where the next step goes on; after the last one there is a rest."""
        access, keys = self._access, self._access.keys
        counts = f"{progress.blobs} {progress.bytes}"
        if progress.cursor:
            value = f"{progress.cursor} {counts}"
            access.call(scripts.WRITE_AT_OOM, [keys.blobs_cursor], ["SET", value, "EX", _CURSOR_SECONDS])
            return
        access.redis.delete(keys.blobs_cursor)
        access.call(scripts.WRITE_AT_OOM, [keys.blobs_usage], ["SET", counts, "EX", _CURSOR_SECONDS])
        access.redis.pexpire(keys.blobs_step, self._rest_ms)
