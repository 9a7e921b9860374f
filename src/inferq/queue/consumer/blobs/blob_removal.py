"""Removes blobs that no key names any more, a moment after that was so."""

import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import batched

from redis.exceptions import ResponseError

from inferq.blobs import find_owner
from inferq.queue.blob_access import BlobAccess
from inferq.queue.consumer.access import QueueAccess
from inferq.queue.redis_client.connection import redis_errors
from inferq.queue.schema.blob_references import follow_reference
from inferq.queue.schema.ids import encode_id
from inferq.tensors.envelope import MOST_REFERENCE_BYTES

DELAY_SECONDS = 3.0
"""A server that is killed may lose the last two seconds: then a key is there again, and its blob must be."""
_KEYS_AT_ONCE = 200
_MOST_WAITING = 100_000
"""Of more keys the oldest are left to a later sweep: it seems that nothing can be removed now."""
_WRONG_TYPE = "WRONGTYPE"


class BlobRemoval:
    """Keeps keys of blobs until they may be removed. What it has kept when a process dies is swept.

    Args:
        access: The server.
        blobs: The blob store.
    """

    def __init__(self, access: QueueAccess, blobs: BlobAccess) -> None:
        self._access = access
        self._store = blobs.store
        self._waiting: deque[tuple[float, str]] = deque(maxlen=_MOST_WAITING)

    def add(self, keys: Iterable[str]) -> None:
        """Adds blobs that are not needed any more. For any thread."""
        due_at = time.monotonic() + DELAY_SECONDS
        self._waiting.extend((due_at, key) for key in keys)

    def remove_due(self) -> int:
        """Removes those that were added long enough ago, unless a key names them again. For one thread.

        Returns:
            How many it has removed.

        Raises:
            RedisUnavailableError: Redis is away. Then they are tried again.
            StoreUnavailableError: The store cannot be used; likewise.
        """
        if self._store is None:
            return 0
        now, count = time.monotonic(), 0
        due = [key for due_at, key in list(self._waiting) if due_at <= now]
        for some in batched(due, _KEYS_AT_ONCE, strict=False):
            unnamed = list(self._find_unnamed(some))
            self._store.delete(unnamed)
            count += len(unnamed)
            for _ in range(min(len(some), len(self._waiting))):
                self._waiting.popleft()
        return count

    def _find_unnamed(self, keys: Sequence[str]) -> Iterator[str]:
        owners = [owner for key in keys if (owner := find_owner(key))]
        pipeline = self._access.redis.pipeline(transaction=False)
        for job_id, part in owners:
            pipeline.getrange(encode_id(self._access.keys.job(job_id, part)), 0, MOST_REFERENCE_BYTES)
        with redis_errors():
            found = pipeline.execute(raise_on_error=False)
            for answer in found:
                if isinstance(answer, Exception) and not _is_of_wrong_type(answer):
                    raise answer
        for key, (job_id, part), stored in zip(keys, owners, found, strict=True):
            reference = follow_reference(stored, job_id, part) if isinstance(stored, bytes) else None
            if reference is None or reference.key != key:
                yield key


def _is_of_wrong_type(answer: Exception) -> bool:
    """Whether another program has made something else of a key: then it names nothing."""
    return isinstance(answer, ResponseError) and str(answer).startswith(_WRONG_TYPE)
