"""What can be done with a job that was submitted: cancel it, retry it, delete it."""

import secrets
from collections.abc import Sequence
from typing import Any

from inferq.blobs import BlobPart
from inferq.errors import JobStateError
from inferq.jobs import Priority, Status
from inferq.queue.ended_jobs import NoteEnded, decode_changed
from inferq.queue.inspection.job_reader import JobReader, job_not_found
from inferq.queue.producer.data_offload import DataOffload
from inferq.queue.producer.refusals import raise_if_refused
from inferq.queue.redis_client import scripts
from inferq.queue.redis_client.bounded import BoundedRedis
from inferq.queue.redis_client.requirements import ServerCheck
from inferq.queue.redis_client.script_calls import ScriptCall
from inferq.queue.redis_client.scripts import Script
from inferq.queue.schema.blob_references import follow_reference
from inferq.queue.schema.decoding import decode_text
from inferq.queue.schema.ids import encode_id
from inferq.queue.schema.times import get_open_job_ttl_ms, to_milliseconds
from inferq.settings import Settings
from inferq.tensors.envelope import MOST_REFERENCE_BYTES

CANCELLED_AT_ONCE = 100
"""Most jobs that one script reads to cancel them."""


class JobControl:
    """Cancels, retries and deletes jobs.

    Args:
        redis: The server.
        server: What the server can take.
        jobs: Reads jobs.
        offload: Removes what lies in the blob store.
        settings: Lifetimes and limits.
        note_ended: Is told of each job that it ends.
    """

    def __init__(
        self,
        redis: BoundedRedis,
        server: ServerCheck,
        jobs: JobReader,
        offload: DataOffload,
        settings: Settings,
        note_ended: NoteEnded,
    ) -> None:
        self._redis = redis
        self._server = server
        self._jobs = jobs
        self._offload = offload
        self._open_ttl_ms = get_open_job_ttl_ms(settings)
        self._result_ttl_ms = to_milliseconds(settings.result_ttl_seconds)
        self._max_queued = settings.max_queued
        self._note_ended = note_ended

    async def cancel(self, job_id: str) -> Status:
        """Ends a job that has not ended. A waiting one never runs; a running one is stopped.

        Args:
            job_id: The job's id.

        Returns:
            What it was: pending or processing.

        Raises:
            JobStateError: It has ended already.
            JobNotFoundError: Redis knows no job of this id.
            RedisUnavailableError: Redis does not answer in time.
        """
        arguments = [encode_id(job_id), self._result_ttl_ms, new_call_token()]
        async with self._redis.limit_time():
            answer = await self._run(scripts.CANCEL, self._redis.keys.models, arguments)
        state, ended = answer or (b"ended", [])
        self._tell(ended)
        if state == b"ended":
            job = await self._jobs.read(job_id)
            raise JobStateError(
                f"Job {job_id!r} has ended already: it is {job.status}. There is nothing to cancel."
                if job.status.is_final
                else f"Job {job_id!r} came from outside and cannot be cancelled before a worker takes it."
            )
        return Status.PROCESSING if state == b"leased" else Status.PENDING

    async def cancel_waiting(self, model: str, owner: str | None = None) -> int:
        """Ends all waiting jobs of a model, also those that wait for a retry. Running ones go on.

        So many at a time that Redis goes on serving others; jobs that come meanwhile stay.

        Args:
            model: Name of the model, which no worker need serve.
            owner: Name of the API key that asks; None where every job may be cancelled.

        Returns:
            How many jobs this has ended.

        Raises:
            RedisUnavailableError: Redis does not answer in time. Some may have been ended.
        """
        async with self._redis.limit_time():
            last = await self._redis.client.get(self._redis.keys.sequence(model)) or 0
        queue, count = self._redis.keys.queue(model), 0
        for priority in Priority:
            cursor = b"-inf"
            while cursor:
                arguments = [self._result_ttl_ms, owner or "", priority, cursor, last, CANCELLED_AT_ONCE]
                async with self._redis.limit_time():
                    cancelled, cursor, ended = await self._run(scripts.CANCEL_WAITING, queue, arguments)
                count += cancelled
                self._tell(ended)
            cursor = b"0"
            while cursor:
                arguments = [self._result_ttl_ms, model, priority, cursor, CANCELLED_AT_ONCE]
                async with self._redis.limit_time():
                    cancelled, cursor, ended = await self._run(scripts.CANCEL_OUTSIDE, queue, arguments)
                count += cancelled
                self._tell(ended)
        return count

    async def retry(self, job_id: str) -> None:
        """Puts a failed job into its queue again, as if it had just been submitted.

        Args:
            job_id: The job's id.

        Raises:
            JobStateError: It has not failed, or its data is gone.
            QueueFullError: `max_queued` jobs wait for its model already.
            JobNotFoundError: Redis knows no job of this id.
            RedisUnavailableError: Redis does not answer in time, or takes no writes.
        """
        limits = await self._server.read_limits()
        job = encode_id(job_id)
        arguments = [job, self._open_ttl_ms, self._max_queued, new_call_token(), limits.held_bytes]
        async with self._redis.limit_time(adds_jobs=True):
            answer = await self._run(scripts.RETRY, self._redis.keys.models, arguments)
        if not answer:
            raise job_not_found(job_id)
        raise_if_refused(answer)
        verdict = answer[0]
        if verdict == b"no data":
            raise JobStateError(f"The data of job {job_id!r} is gone. Submit it again.")
        if verdict != b"retried":
            raise JobStateError(f"Job {job_id!r} is {verdict.decode()}; only failed jobs can be tried again.")

    async def delete(self, job_id: str) -> None:
        """Deletes an ended job now, instead of when it expires.

        Args:
            job_id: The job's id.

        Raises:
            JobStateError: It has not ended.
            JobNotFoundError: Redis knows no job of this id.
            RedisUnavailableError: Redis does not answer in time.
        """
        blobs = await self._find_blobs(job_id)
        async with self._redis.limit_time():
            arguments = [encode_id(job_id), self._result_ttl_ms, self._open_ttl_ms]
            answer = await self._run(scripts.DELETE, self._redis.keys.models, arguments)
        if answer is None:
            raise job_not_found(job_id)
        status, ended = answer
        self._tell(ended)
        if status != b"deleted":
            raise JobStateError(f"Job {job_id!r} is {decode_text(status)}; cancel it first.")
        await self._offload.delete(blobs)

    async def _find_blobs(self, job_id: str, parts: Sequence[BlobPart] = tuple(BlobPart)) -> list[str]:
        """Returns the keys of what a job has in the blob store."""
        if not self._offload.has_store:
            return []
        async with self._redis.limit_time():
            pipeline = self._redis.client.pipeline(transaction=False)
            for part in parts:
                key = encode_id(self._redis.keys.job(job_id, part))
                pipeline.getrange(key, 0, MOST_REFERENCE_BYTES)
            found = await pipeline.execute(raise_on_error=False)
        return [
            reference.key
            for part, stored in zip(parts, found, strict=True)
            if isinstance(stored, bytes) and (reference := follow_reference(stored, job_id, part))
        ]

    async def delete_result(self, job_id: str) -> None:
        """Deletes the result of a completed job, which stays completed; without effect where it is gone.

        Args:
            job_id: The job's id.

        Raises:
            JobStateError: It has not completed.
            JobNotFoundError: Redis knows no job of this id.
            RedisUnavailableError: Redis does not answer in time.
        """
        blobs = await self._find_blobs(job_id, [BlobPart.RESULT])
        async with self._redis.limit_time():
            status = await self._run(scripts.DELETE_RESULT, self._redis.keys.models, [encode_id(job_id)])
        if status is None:
            raise job_not_found(job_id)
        if status != b"completed":
            raise JobStateError(
                f"Job {job_id!r} is {decode_text(status)}; only completed jobs have a result."
            )
        await self._offload.delete(blobs)

    def _tell(self, ended: Sequence[Sequence[Any]]) -> None:
        if ended:
            self._note_ended(decode_changed(ended))

    async def _run(self, script: Script, key: str, arguments: Sequence[Any]) -> Any:  # noqa: ANN401 - as it answers
        return await self._redis.run(ScriptCall(script, [key], arguments))


def new_call_token() -> str:
    """By which a script knows a call that the client library repeats, as its answer was lost."""
    return secrets.token_hex(8)
