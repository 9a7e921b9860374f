"""Many jobs in one submit, all or nothing, while Redis goes on serving others.

The jobs are stored bit by bit, where nobody sees them, and then accepted all together: what is done in that
one step is no more than what makes a stored job one in line. What a proxy that dies in between leaves behind
expires.
"""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from itertools import batched
from typing import Any

from redis.exceptions import OutOfMemoryError

from inferq.errors import QueueFullError, RedisUnavailableError
from inferq.queue.producer.submission import Idempotency, Submission, ids_of, time_for_a_place
from inferq.queue.redis_client import scripts
from inferq.queue.redis_client.bounded import BoundedRedis
from inferq.queue.redis_client.scripts import INLINE_BYTES

_AT_ONCE = 200
_KEYS_AT_ONCE = 1000

type Commit = Callable[[list[Any]], Awaitable[list[Any]]]


class BatchSubmit:
    """Submits many jobs.

    Args:
        link: The way to Redis.
        lifetime_ms: How long the keys of a job that has not ended are kept.
        max_queued: Most jobs that may wait for a model.
        commit: Calls the script `commit` with these arguments, as durably as is promised.
    """

    def __init__(self, link: BoundedRedis, lifetime_ms: int, max_queued: int, commit: Commit) -> None:
        self._link = link
        self._lifetime_ms = lifetime_ms
        self._max_queued = max_queued
        self._commit = commit

    async def submit(
        self, submissions: Sequence[Submission], held_bytes: int, idempotency: Idempotency | None = None
    ) -> list[str]:
        """Stores jobs and puts them in line; see `Producer.submit_all`.

        Args:
            submissions: The jobs.
            held_bytes: Most bytes of data that the jobs may have that have not ended; 0 for any number.
            idempotency: By which a repeated request is known.
        """
        option = "" if idempotency is None else idempotency.as_json(submissions[0].owner)
        arguments: list[Any] = [
            self._max_queued,
            option,
            self._lifetime_ms,
            held_bytes,
            sum(len(one.data) for one in submissions),
        ]
        for one in submissions:
            arguments += (one.id, one.model, one.priority)
        is_refused = True
        try:
            for part in batched(submissions, _AT_ONCE, strict=False):
                await self._stage(part)
            is_refused = False  # unless Redis says so; where it says nothing, it may have accepted them
            try:
                answer = await self._commit(arguments)
            except RedisUnavailableError as error:
                is_refused = isinstance(error.__cause__, OutOfMemoryError)
                raise
            is_refused = answer[0] != b"accepted"
        finally:
            if is_refused:
                with suppress(RedisUnavailableError):  # then they expire
                    await self._drop(submissions)
        if answer[0] == b"lost":
            raise RedisUnavailableError("Redis has lost the jobs while they were stored. Submit them again.")
        if answer[0] == b"full":
            raise _full(*answer[1:])
        return ids_of(answer, [one.id for one in submissions], "")

    async def _stage(self, submissions: Sequence[Submission]) -> None:
        arguments: list[Any] = [self._lifetime_ms]
        large = self._link.redis.pipeline(transaction=False)
        for one in submissions:
            data = one.data
            if len(data) > INLINE_BYTES:
                large.set(self._link.keys.job(one.id, "data"), data, px=self._lifetime_ms)
                data = b""
            arguments += (one.id, one.model, one.priority, data, one.options())
        size = sum(len(one.data) for one in submissions)
        async with self._link.bounded(size=size, takes_jobs=True):
            if large:
                await large.execute()
            await self._link.call(scripts.BATCH_STAGE, [self._link.keys.models], arguments)

    async def _drop(self, submissions: Sequence[Submission]) -> None:
        parts = ("data", "status", "staged")
        keys = (self._link.keys.job(one.id, part) for one in submissions for part in parts)
        for some in batched(keys, _KEYS_AT_ONCE, strict=False):
            async with self._link.bounded():
                await self._link.redis.unlink(*some)


def _full(depth: int, ended_per_1000_seconds: int, model: bytes, count: int) -> QueueFullError:
    return QueueFullError(
        f"{depth} jobs wait for model {model.decode('utf-8', 'replace')!r}, and {count} more are too many "
        "(INFERQ_MAX_QUEUED). Try again later or with fewer at once, or add workers.",
        retry_after_seconds=time_for_a_place(ended_per_1000_seconds),
    )
