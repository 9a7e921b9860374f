"""Submits many jobs at once, all or nothing, while Redis goes on serving others.

The jobs are stored part by part, where no one sees them, and then accepted all together. That one step does
no more than what makes a stored job a waiting one. What a proxy leaves behind that dies in between expires.
"""

from collections.abc import Sequence
from contextlib import suppress
from itertools import batched
from typing import Any

from redis.exceptions import OutOfMemoryError

from inferq.errors import RedisUnavailableError
from inferq.queue.producer.data_offload import DataOffload
from inferq.queue.producer.durability import DurableScripts
from inferq.queue.producer.large_data import split_data
from inferq.queue.producer.refusals import get_accepted_ids, raise_if_refused
from inferq.queue.producer.start_check import StartCheck
from inferq.queue.producer.submission import Idempotency, Submission
from inferq.queue.redis_client import scripts
from inferq.queue.redis_client.bounded import BoundedRedis
from inferq.queue.redis_client.requirements import Limits, ServerCheck
from inferq.queue.redis_client.script_calls import ScriptCall
from inferq.queue.schema.times import get_open_job_ttl_ms
from inferq.settings import Settings

_JOBS_AT_ONCE = 200
_KEYS_AT_ONCE = 1000


class BatchSubmit:
    """Submits many jobs.

    Args:
        redis: The server.
        server: What the server can take.
        durable: Runs the script that accepts jobs.
        start_check: Refuses jobs that would not start in time.
        offload: Puts long data into the blob store.
        settings: Lifetimes and limits.
    """

    def __init__(
        self,
        redis: BoundedRedis,
        server: ServerCheck,
        durable: DurableScripts,
        start_check: StartCheck,
        offload: DataOffload,
        settings: Settings,
    ) -> None:
        self._redis = redis
        self._server = server
        self._durable = durable
        self._start_check = start_check
        self._offload = offload
        self._ttl_ms = get_open_job_ttl_ms(settings)
        self._max_queued = settings.max_queued

    async def submit(
        self, submissions: Sequence[Submission], idempotency: Idempotency | None = None
    ) -> list[str]:
        """Stores jobs and appends them to their queues, in one transaction: all of them, or none.

        Args:
            submissions: The jobs, at least one.
            idempotency: By which a repeated request is known.

        Returns:
            The jobs' ids, in order.

        Raises:
            QueueFullError: With them, more than `max_queued` jobs would wait for a model, or their data would
                take too many bytes; or the blob store is full.
            ExpiresTooSoonError: One plainly cannot start within its `expires_in_seconds`.
            BodyTooLargeError: The data could never be stored.
            IdempotencyConflictError: The key was used for another request.
            RedisUnavailableError: Redis does not answer in time, or takes no writes.
        """
        limits = await self._server.read_limits()
        await self._start_check.check(submissions, idempotency)
        stored: list[Submission] = []
        is_refused = True
        try:
            for one in submissions:
                stored.append(await self._offload.offload(one))  # noqa: PERF401 - those so far, if one fails
            commit = self._make_commit(stored, idempotency, limits)
            for part in batched(stored, _JOBS_AT_ONCE, strict=False):
                await self._stage(part)
            is_refused = False  # unless Redis says so; where it says nothing, it may have accepted them
            try:
                answer: list[Any] = await self._durable.run(commit)
            except RedisUnavailableError as error:
                is_refused = isinstance(error.__cause__, OutOfMemoryError)
                raise
            is_refused = answer[0] != b"accepted"
        finally:
            if is_refused:
                with suppress(RedisUnavailableError):  # then they expire
                    await self._delete(stored)
                await self._offload.discard(stored)
        raise_if_refused(answer)
        return get_accepted_ids(answer, [one.id for one in submissions])

    def _make_commit(
        self, stored: Sequence[Submission], idempotency: Idempotency | None, limits: Limits
    ) -> ScriptCall:
        """Makes the call that accepts the jobs, if they can be stored at all."""
        sizes = [len(one.data) for one in stored]
        limits.check(max(sizes), sum(sizes))
        option = "" if idempotency is None else idempotency.encode_option(stored[0].owner)
        arguments: list[Any] = [self._max_queued, option, self._ttl_ms, limits.held_bytes, sum(sizes)]
        for one in stored:
            arguments += (one.id, one.model, one.priority)
        return ScriptCall(scripts.BATCH_COMMIT, [self._redis.keys.models], arguments)

    async def _stage(self, submissions: Sequence[Submission]) -> None:
        """Stores jobs where no one sees them yet."""
        arguments: list[Any] = [self._ttl_ms]
        large = self._redis.client.pipeline(transaction=False)
        for one in submissions:
            data, stores = split_data(one, self._redis.keys, self._ttl_ms)
            for command in stores:
                large.execute_command(*command)
            arguments += (one.id, one.model, one.priority, data, one.encode_options())
            arguments += (one.request_id, one.traceparent)
        size = sum(len(one.data) for one in submissions)
        async with self._redis.limit_time(size=size, adds_jobs=True):
            if large:
                await large.execute()
            await self._redis.run(ScriptCall(scripts.BATCH_STAGE, [self._redis.keys.models], arguments))

    async def _delete(self, submissions: Sequence[Submission]) -> None:
        parts = ("data", "status", "staged")
        keys = (self._redis.keys.job(one.id, part) for one in submissions for part in parts)
        for some in batched(keys, _KEYS_AT_ONCE, strict=False):
            async with self._redis.limit_time():
                await self._redis.client.unlink(*some)
