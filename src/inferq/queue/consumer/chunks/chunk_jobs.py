"""Chunks of large jobs in the queue: how they are made, and how far they are."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, cast

from redis.exceptions import OutOfMemoryError

from inferq.errors import QueueFullError
from inferq.jobs import ClaimedJob, Job, Progress
from inferq.queue.blob_access import BlobAccess
from inferq.queue.consumer.access import QueueAccess
from inferq.queue.consumer.chunks.chunk_plan import ChunkPlan
from inferq.queue.redis_client import scripts
from inferq.queue.redis_client.connection import redis_errors
from inferq.queue.redis_client.script_calls import ScriptCall
from inferq.queue.redis_client.scripts import INLINE_BYTES
from inferq.queue.schema.decoding import decode_job
from inferq.queue.schema.ids import encode_id
from inferq.queue.schema.keys import PROGRESS
from inferq.queue.schema.times import to_milliseconds

_MOST_WAITING = 1_000_000_000
"""No chunk is refused since many wait: their number is bounded by the workers."""


class ChunkJobs:
    """Makes chunks, and reads how far they are. For one thread at a time.

    Args:
        access: The server.
        blobs: The blob store.
    """

    def __init__(self, access: QueueAccess, blobs: BlobAccess) -> None:
        self._access = access
        self._blobs = blobs

    def read_job(self, claimed: ClaimedJob) -> Job | None:
        """Reads what a claim does not bring of a large job: its priority and its owner.

        Raises:
            RedisUnavailableError: Redis is away.
        """
        with redis_errors():
            record = self._access.redis.hget(self._access.keys.records, cast("str", encode_id(claimed.id)))
        return decode_job(claimed.id, [b"processing", None, None, 1, record, None])

    def note_plan(self, job_id: str, plan: ChunkPlan) -> bytes:
        """Notes how a job is divided, unless that is noted already.

        Returns:
            What is noted, as `ChunkPlan.parse` reads it.

        Raises:
            RedisUnavailableError: Redis is away.
        """
        access = self._access
        with redis_errors():
            arguments = ["HSETNX", encode_id(job_id), str(plan)]
            access.call(scripts.WRITE_AT_OOM, [access.keys.split_jobs], arguments)
            stored = access.redis.hget(access.keys.split_jobs, cast("str", encode_id(job_id)))
            return cast("bytes", stored or b"")

    def submit(self, job: Job, plan: ChunkPlan, data: Mapping[int, bytes], timeout_seconds: float) -> None:
        """Puts chunks into their queue; one that is there already is left as it is.

        Args:
            job: The large job.
            plan: How it is divided.
            data: The data of each chunk by its index.
            timeout_seconds: Longest run of each.

        Raises:
            QueueFullError: Redis has no memory for them.
            RedisUnavailableError: Redis is away.
        """
        keys, ttl_ms = self._access.keys, self._access.lifetime_ms
        arguments: list[Any] = [ttl_ms, _MOST_WAITING, 0]
        # it may have been removed, where another worker has ended the job: no chunk is to be without it
        before: list[tuple[Any, ...]] = [("HSETNX", keys.split_jobs, encode_id(job.id), str(plan))]
        for index, payload in data.items():
            chunk_id = plan.name_chunk(job.id, index)
            options: dict[str, Any] = {"timeout_ms": to_milliseconds(timeout_seconds), "owner": job.owner}
            stored = self._blobs.offload(chunk_id, payload, self._blobs.write_data)
            if stored is None:
                stored = payload
            else:
                options["blob_bytes"] = len(payload)
            if len(stored) > INLINE_BYTES:
                before.append(("SET", encode_id(keys.job(chunk_id, "data")), stored, "PX", ttl_ms))
                stored = b""
            arguments += (encode_id(chunk_id), plan.queue, job.priority, stored, json.dumps(options))
            arguments += (job.request_id, job.traceparent)
        call = ScriptCall(scripts.SUBMIT, [self._access.keys.models], arguments)
        with redis_errors():
            try:
                self._access.scripts.run_together([call], before)
            except OutOfMemoryError as error:
                raise QueueFullError("Redis has no memory for the chunks of this job.") from error

    def read_states(self, job_id: str, plan: ChunkPlan, indexes: Sequence[int]) -> list[Job | None]:
        """Reads some chunks as the queue knows them; None for one that is not there.

        Args:
            job_id: The large job.
            plan: How it is divided.
            indexes: Which of its chunks.

        Raises:
            RedisUnavailableError: Redis is away.
        """
        if not indexes:
            return []
        keys = self._access.keys
        ids = [plan.name_chunk(job_id, index) for index in indexes]
        with redis_errors():
            pipeline = self._access.redis.pipeline(transaction=False)
            pipeline.mget([encode_id(keys.job(chunk_id, "status")) for chunk_id in ids])
            pipeline.mget([encode_id(keys.job(chunk_id, "error")) for chunk_id in ids])
            pipeline.hmget(keys.records, [cast("str", encode_id(chunk_id)) for chunk_id in ids])
            statuses, errors, records = pipeline.execute()
        return [
            # without a status its time is over, whatever is left of it
            decode_job(chunk_id, [status, None, error, 0, record, None]) if status else None
            for chunk_id, status, error, record in zip(ids, statuses, errors, records, strict=True)
        ]

    def keep(self, chunk_id: str) -> None:
        """Keeps the result of a chunk that is done for as long as its job may run.

        Raises:
            RedisUnavailableError: Redis is away.
        """
        with redis_errors():
            pipeline = self._access.redis.pipeline(transaction=False)
            for part in ("status", "result"):
                key = encode_id(self._access.keys.job(chunk_id, part))
                pipeline.pexpire(cast("str", key), self._access.lifetime_ms)
            pipeline.execute()

    def count_workers(self) -> int:
        """Returns how many workers live, at least 1.

        Raises:
            RedisUnavailableError: Redis is away.
        """
        with redis_errors():
            return max(1, int(self._access.redis.zcard(self._access.keys.workers)))

    def note_progress(self, job_id: str, progress: Progress) -> None:
        """Notes how far a job is, and tells subscribers.

        Raises:
            RedisUnavailableError: Redis is away.
        """
        access = self._access
        key = encode_id(access.keys.job(job_id, PROGRESS))
        done, rows, left_chunks, left_seconds = progress
        noted = f"{done} {rows} {left_chunks} {to_milliseconds(left_seconds)}"
        with redis_errors():
            arguments = ["SET", noted, "PX", to_milliseconds(access.settings.result_ttl_seconds)]
            access.call(scripts.WRITE_AT_OOM, [key], arguments)
            access.redis.publish(access.keys.events, encode_id(f"{job_id}:{PROGRESS}"))
