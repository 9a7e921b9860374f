"""Submits one job: those that come at the same time travel together."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, cast

from inferq.errors import InferqError, RedisUnavailableError
from inferq.queue.producer.data_offload import DataOffload
from inferq.queue.producer.data_upload import DataUpload
from inferq.queue.producer.durability import DurableScripts
from inferq.queue.producer.large_data import split_data
from inferq.queue.producer.refusals import get_accepted_ids, raise_if_refused
from inferq.queue.producer.start_check import StartCheck
from inferq.queue.producer.submission import Idempotency, Submission
from inferq.queue.redis_client import scripts
from inferq.queue.redis_client.bounded import BoundedRedis
from inferq.queue.redis_client.error_replies import is_refusal
from inferq.queue.redis_client.group_commit import GroupCommit
from inferq.queue.redis_client.pipelined import AsyncPipelinedConnection
from inferq.queue.redis_client.requirements import ServerCheck
from inferq.queue.redis_client.script_calls import Command, ScriptCall
from inferq.queue.redis_client.scripts import INLINE_BYTES
from inferq.queue.schema.times import get_open_job_ttl_ms
from inferq.settings import Settings
from inferq.tensors.values import Buffer

_GROUPS_WAITING_FOR_DISK = 32

type _Request = tuple[Submission, Idempotency | None]
type NoteWaiting = Callable[[str, int], None]
"""Is told how many jobs of a model wait, each time that one of it was accepted."""


def ignore_waiting(model: str, waiting: int) -> None:
    """Tells nobody."""


class JobSubmit:
    """Submits jobs one by one.

    Args:
        redis: The server.
        server: What the server can take.
        durable: Runs the script that accepts jobs.
        start_check: Refuses jobs that would not start in time.
        offload: Puts long data into the blob store.
        settings: Lifetimes and limits.
        note_waiting: Is told how many jobs wait.
    """

    def __init__(
        self,
        redis: BoundedRedis,
        server: ServerCheck,
        durable: DurableScripts,
        start_check: StartCheck,
        offload: DataOffload,
        settings: Settings,
        note_waiting: NoteWaiting = ignore_waiting,
    ) -> None:
        self._redis = redis
        self._server = server
        self._durable = durable
        self._start_check = start_check
        self._offload = offload
        self._note_waiting = note_waiting
        self._ttl_ms = get_open_job_ttl_ms(settings)
        self._max_queued = settings.max_queued
        self._connection = AsyncPipelinedConnection(redis.client)
        # waiting for the disk takes up to a second, in which others must be able to leave
        in_flight = _GROUPS_WAITING_FOR_DISK if durable.waits_for_disk else 1
        self._grouped = GroupCommit(self._send_group, in_flight)

    async def submit(self, submission: Submission, idempotency: Idempotency | None = None) -> str:
        """Stores a job and appends it to its queue, in one transaction: all of it, or nothing.

        Args:
            submission: The job.
            idempotency: By which a repeated request is known; None for a request that is never repeated.

        Returns:
            The job's id. Of a repeated request the id that it got first.

        Raises:
            QueueFullError: `max_queued` jobs wait for the model already, or their data takes too many bytes;
                or the blob store is full.
            ExpiresTooSoonError: It plainly cannot start within `expires_in_seconds`.
            BodyTooLargeError: The data could never be stored.
            IdempotencyConflictError: The key was used for another request.
            RedisUnavailableError: Redis does not answer in time, or takes no writes.
        """
        try:
            limits = await self._server.read_limits()
            if submission.expires_in_seconds is not None:
                await self._start_check.check([submission], idempotency)
            submission = await self._offload.offload(submission)
            size = len(submission.data)
            limits.check(size, size)
        except InferqError:
            await self._offload.discard([submission])  # what was uploaded before
            raise
        try:
            answer = await self._store((submission, idempotency))
        except RedisUnavailableError as error:
            if submission.blob_bytes and is_refusal(error.__cause__):
                await self._discard_refused(submission)
            raise
        if submission.blob_bytes and answer[0] not in (b"accepted", b"known"):
            await self._offload.discard([submission])
        raise_if_refused(answer, f"for model {submission.model!r} ")
        if answer[0] == b"accepted":
            self._note_waiting(submission.model, answer[1])
        return get_accepted_ids(answer, [submission.id])[0]

    async def open_upload(
        self,
        submission: Submission,
        size: int,
        key: str | None = None,  # noqa: ARG002
        observe: Callable[[Buffer], object] | None = None,
    ) -> DataUpload | None:
        """Begins to write long data of a job to the blob store while it comes; `submit` is to follow.

        Args:
            submission: The job, whose data is still to come.
            size: How many bytes its data has.
            key: The request's Idempotency-Key, by which several shards choose where it goes.
            observe: Is called with each piece of it, by another thread.

        Returns:
            The upload; None where the data is to be handed in whole: there is no store for it.

        Raises:
            BodyTooLargeError: It is to be handed in whole, and could never be stored so.
            RedisUnavailableError: Redis does not answer in time, or takes no jobs.
        """
        limits = await self._server.read_limits()
        if self._offload.is_store_at_fault and size <= limits.value_bytes:
            return None  # `offload` tries the store again, and has Redis to fall back on
        upload = await self._offload.open_upload(submission, size, observe)
        if upload is None:
            limits.check(size, size)
        return upload

    async def _store(self, request: _Request) -> list[Any]:
        if len(request[0].data) > INLINE_BYTES:
            [answer] = await self._send([request])
            return answer
        if self._redis.has_waited:
            async with self._redis.limit_time():
                return await self._grouped.call(request)
        return await self._grouped.call(request)

    async def _discard_refused(self, submission: Submission) -> None:
        """Removes what was written of a job, unless an earlier try was accepted whose answer was lost."""
        with suppress(RedisUnavailableError):  # then a worker sweeps it
            async with self._redis.limit_time():
                is_stored = await self._redis.client.exists(self._redis.keys.job(submission.id, "data"))
            if not is_stored:
                await self._offload.discard([submission])

    async def check_takes_jobs(self) -> None:
        """Returns if a job could be stored now: does what a submit does, and leaves nothing behind.

        Raises:
            RedisUnavailableError: Redis does not answer in time, takes no jobs, or cannot keep our promises.
        """
        await self._server.read_limits()
        async with self._redis.limit_time(adds_jobs=True):
            await self._redis.run(ScriptCall(scripts.PROBE, [self._redis.keys.probe], []))

    async def _send_group(self, requests: Sequence[_Request], since: float) -> list[list[Any]]:
        return await self._send(requests, since, self._connection)

    async def _send(
        self,
        requests: Sequence[_Request],
        since: float | None = None,
        connection: AsyncPipelinedConnection | None = None,
    ) -> list[list[Any]]:
        """Stores jobs in one transaction; returns what the script says of each."""
        limits = await self._server.read_limits()
        arguments: list[Any] = [self._ttl_ms, self._max_queued, limits.held_bytes]
        large: list[Command] = []
        for one, idempotency in requests:
            data, stores = split_data(one, self._redis.keys, self._ttl_ms)
            large += stores
            arguments += (one.id, one.model, one.priority, data, one.encode_options(idempotency))
            arguments += (one.request_id, one.traceparent)
        size = sum(len(data) for _, _, data, *_ in large)
        call = ScriptCall(scripts.SUBMIT, [self._redis.keys.models], arguments)
        answers = await self._durable.run(call, large, since=since, size=size, connection=connection)
        return cast("list[list[Any]]", answers)
