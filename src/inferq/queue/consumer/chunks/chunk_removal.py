"""Removes the chunks of large jobs that have ended."""

from collections.abc import Iterator, Sequence
from itertools import batched
from typing import Any, cast

from inferq.blobs import BlobPart
from inferq.queue.consumer.access import QueueAccess
from inferq.queue.consumer.blobs.blob_removal import BlobRemoval
from inferq.queue.consumer.chunks.chunk_plan import ChunkPlan
from inferq.queue.consumer.scan_steps import acquire_step
from inferq.queue.redis_client import scripts
from inferq.queue.redis_client.connection import redis_errors
from inferq.queue.schema.blob_references import follow_reference
from inferq.queue.schema.ids import decode_id, encode_id
from inferq.queue.schema.record import parse_record

STEP_SECONDS = 1.0
"""How often this is done, by whichever worker comes first."""
_CANCELLED_MS = 3000
"""By then a worker has learned that the chunk it runs is cancelled, and has stopped."""
_CHUNKS_AT_ONCE = 100


class ChunkRemoval:
    """Cancels and deletes chunks that no job needs any more, with what they have in the blob store.

    The plan of a large job is in Redis until all of its chunks are gone, so that any worker can do this.

    Args:
        access: The server.
        blobs: Removes blobs.
    """

    def __init__(self, access: QueueAccess, blobs: BlobRemoval) -> None:
        self._access = access
        self._blobs = blobs

    def remove_unneeded(self) -> int:
        """Removes the chunks of jobs that have ended, or were retried by order since.

        Returns:
            How many jobs have no chunks left.

        Raises:
            RedisUnavailableError: Redis is away.
        """
        redis, keys = self._access.redis, self._access.keys
        with redis_errors():
            stored = cast("dict[bytes, bytes]", redis.hgetall(keys.split_jobs))
            if not stored or not acquire_step(self._access, keys.split_step, round(STEP_SECONDS * 900)):
                return 0
            records = cast(
                "list[bytes | None]",
                redis.hmget(keys.records, [cast("str", job_id) for job_id in stored]),
            )
        return sum(
            self.remove(decode_id(job_id), text)
            for (job_id, text), record in zip(stored.items(), records, strict=True)
            if not _needs(record, ChunkPlan.parse(text))
        )

    def remove(self, job_id: str, stored: bytes) -> bool:
        """Removes all chunks of a job, if its plan is still this one.

        Args:
            job_id: The large job.
            stored: Its plan, as it is in Redis.

        Returns:
            Whether all are gone: not those that ran until now, whose workers have yet to learn of it.

        Raises:
            RedisUnavailableError: Redis is away.
        """
        plan, left = ChunkPlan.parse(stored), 0
        ids = [plan.name_chunk(job_id, index) for index in range(plan.chunks)] if plan else []
        for some in batched(ids, _CHUNKS_AT_ONCE, strict=False):
            left += self._remove(job_id, stored, some)
        if not left:
            self._remove(job_id, stored, [])
        return not left

    def remove_chunk(self, job_id: str, stored: bytes, chunk_id: str) -> bool:
        """Removes one chunk of a job; see `remove`."""
        return not self._remove(job_id, stored, [chunk_id])

    def _remove(self, job_id: str, stored: bytes, chunk_ids: Sequence[str]) -> int:
        """Removes some chunks, or where none are named the plan; returns how many are left of them."""
        shared = [encode_id(job_id), stored, self._access.result_ttl_ms, _CANCELLED_MS]
        keys = [self._access.keys.split_jobs]
        with redis_errors():
            left, begins = self._access.call(
                scripts.REMOVE_CHUNKS, keys, [*shared, *map(encode_id, chunk_ids)]
            )
        self._blobs.add(_find_blobs(begins))
        return int(left)


def _needs(record: bytes | None, plan: ChunkPlan | None) -> bool:
    """Whether a job with this record has not ended, and is still divided so."""
    fields = parse_record(record)
    if plan is None or fields.get("state", "ended") == "ended":
        return False
    return fields.get("submitted_ms") == str(plan.submitted_ms)


def _find_blobs(begins: list[Any]) -> Iterator[str]:
    for chunk_id, part, begin in batched(begins, 3, strict=True):
        if reference := follow_reference(begin, decode_id(chunk_id), BlobPart(decode_id(part))):
            yield reference.key
