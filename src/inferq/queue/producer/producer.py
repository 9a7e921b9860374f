"""The producer's side of the queue: submit a job, read it back, see who serves. Used by the proxy."""

import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import Any, Self, cast

import redis.asyncio

from inferq.errors import JobNotFoundError, JobStateError, RedisUnavailableError
from inferq.jobs import Job, Priority, Status, WorkerInfo
from inferq.queue.inspection.large_results import LargeResults
from inferq.queue.producer.batch import BatchSubmit
from inferq.queue.producer.group_commit import MOST_CALLS, GroupCommit
from inferq.queue.producer.submission import (
    Idempotency,
    Submission,
    ids_of,
    queue_full,
    queue_heavy,
    queue_spoilt,
)
from inferq.queue.redis_client import scripts
from inferq.queue.redis_client.bounded import BoundedRedis
from inferq.queue.redis_client.connection import close_async, connect_async
from inferq.queue.redis_client.pipelined import AsyncPipelinedConnection
from inferq.queue.redis_client.requirements import ServerCheck
from inferq.queue.redis_client.script_calls import ScriptCall
from inferq.queue.redis_client.scripts import INLINE_BYTES
from inferq.queue.schema.decoding import job_from, text_from, time_from, worker_from
from inferq.queue.schema.times import to_milliseconds
from inferq.settings import Settings

CANCELLED_AT_ONCE = 100
"""Most jobs that one script looks at to cancel them."""
_AHEAD_SECONDS = 10.0
"""A heartbeat that is later than this was before the clock was set back: nobody knows when."""
MEDIUM_BYTES = 64 * 1024
"""Larger results are not read with their jobs: whoever reads with others would wait for them."""
MEDIUM_BYTES_AT_ONCE = 1024 * 1024
"""Most bytes of results above `INLINE_BYTES` that are read together."""
_AT_ONCE_TO_DISK = 32
_STATUSES = {status.value.encode(): status for status in Status}


class Producer:
    """Submits jobs and reads them back. Every call ends within `redis_timeout`.

    Args:
        client: An asynchronous client that answers in bytes.
        settings: Limits, lifetimes and the key prefix.

    Attributes:
        link: Its way to Redis, for what else reads there.
        results: Large results.
    """

    def __init__(self, client: redis.asyncio.Redis, settings: Settings) -> None:
        self.link = BoundedRedis(client, settings)
        self.results = LargeResults(self.link)
        self._settings = settings
        self._redis, self._keys = self.link.redis, self.link.keys
        self._bounded, self._call = self.link.bounded, self.link.call
        self._server = ServerCheck(self.link, settings)
        # waiting for the disk takes up to a second, in which others must be able to leave
        in_flight = 1 if settings.durability != "fsync" else _AT_ONCE_TO_DISK
        self._submissions = GroupCommit(
            partial(self._submit, line=AsyncPipelinedConnection(client)), in_flight
        )
        self._reads = GroupCommit(partial(self._read_many, line=AsyncPipelinedConnection(client)))
        self._held_bytes = 0
        self._bulk = BatchSubmit(self.link, self._lifetime_ms, settings.max_queued, self._commit)

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """A producer for the server that the settings name; connects when first used."""
        return cls(connect_async(settings), settings)

    async def close(self) -> None:
        """Closes the connections."""
        await close_async(self._redis)

    async def ping(self) -> None:
        """Returns if Redis answers.

        Raises:
            RedisUnavailableError: It does not.
        """
        async with self._bounded():
            await self._redis.ping()

    async def check_takes_jobs(self) -> None:
        """Returns if a job could be stored now: does what a submit does, and leaves nothing behind.

        Raises:
            RedisUnavailableError: Redis does not answer in time, takes no jobs, or cannot keep our promises.
        """
        await self._server.limits()
        async with self._bounded(takes_jobs=True):
            await self._call(scripts.PROBE, [self._keys.probe], [])

    async def submit(
        self,
        model: str,
        data: bytes,
        priority: Priority = Priority.NORMAL,
        *,
        timeout_seconds: float | None = None,
        owner: str = "",
        webhook: str | None = None,
        idempotency: Idempotency | None = None,
    ) -> str:
        """Stores a job and puts it in line, in one transaction: all of it, or nothing.

        Args:
            model: Name of the model to run.
            data: JSON of the request's `data`.
            priority: Which list it waits in.
            timeout_seconds: Longest run; None for the model's own.
            owner: Name of the API key that may read it; empty for none.
            webhook: URL to which its end is reported; None for nowhere.
            idempotency: By which a repeated request is known; None for a request that is never repeated.

        Returns:
            The job's id: 128 random bits in hex. Of a repeated request the id that it got first.

        Raises:
            QueueFullError: `max_queued` jobs wait for the model already, or their data takes too many bytes.
            BodyTooLargeError: The data could never be stored.
            IdempotencyConflictError: The key was used for another request.
            RedisUnavailableError: Redis does not answer in time, or takes no writes.
        """
        submission = Submission(model, data, priority, timeout_seconds, owner, webhook)
        return await self.submit_one(submission, idempotency)

    async def submit_one(self, submission: Submission, idempotency: Idempotency | None = None) -> str:
        """The same as `submit`, of a submission that is there already."""
        size = len(submission.data)
        limits = await self._server.limits()
        limits.check(size, size)
        self._held_bytes = limits.held_bytes
        if size <= INLINE_BYTES and self.link.has_waited:
            async with self._bounded():
                answer = await self._submissions.call((submission, idempotency))
        elif size <= INLINE_BYTES:
            answer = await self._submissions.call((submission, idempotency))
        else:
            [answer] = await self._submit([(submission, idempotency)])
        return ids_of(answer, [submission.id], f"for model {submission.model!r} ")[0]

    async def submit_all(
        self, submissions: Sequence[Submission], idempotency: Idempotency | None = None
    ) -> list[str]:
        """Stores jobs and puts them in line, in one transaction: all of them, or none.

        Args:
            submissions: The jobs, at least one.
            idempotency: By which a repeated request is known.

        Returns:
            The jobs' ids, in order.

        Raises:
            QueueFullError: With them, more than `max_queued` jobs would wait for a model, or their data would
                take too many bytes.
            BodyTooLargeError: The data could never be stored.
            IdempotencyConflictError: The key was used for another request.
            RedisUnavailableError: Redis does not answer in time, or takes no writes.
        """
        limits = await self._server.limits()
        sizes = [len(one.data) for one in submissions]
        limits.check(max(sizes), sum(sizes))
        return await self._bulk.submit(submissions, limits.held_bytes, idempotency)

    async def _commit(self, arguments: list[Any]) -> list[Any]:
        """Calls the script that accepts many jobs."""
        async with self._bounded(takes_jobs=True):
            if self._settings.durability == "fsync":
                return await self._transact(
                    ScriptCall(scripts.BATCH_COMMIT, [self._keys.models], arguments), {}
                )
            return cast("list[Any]", await self._call(scripts.BATCH_COMMIT, [self._keys.models], arguments))

    async def _submit(
        self,
        submissions: Sequence[tuple[Submission, Idempotency | None]],
        since: float | None = None,
        line: AsyncPipelinedConnection | None = None,
    ) -> list[list[Any]]:
        """Stores jobs in one transaction."""
        arguments: list[Any] = [
            self._lifetime_ms,
            self._settings.max_queued,
            self._held_bytes,
        ]
        large: dict[str, bytes] = {}
        for one, idempotency in submissions:
            data = one.data
            if len(data) > INLINE_BYTES:
                large[self._keys.job(one.id, "data")] = data
                data = b""
            arguments += (one.id, one.model, one.priority, data, one.options(idempotency))
        size = sum(map(len, large.values()))
        async with self._bounded(since, size=size, takes_jobs=True):
            if large or self._settings.durability == "fsync":
                return await self._transact(ScriptCall(scripts.SUBMIT, [self._keys.models], arguments), large)
            return cast("list[Any]", await self._call(scripts.SUBMIT, [self._keys.models], arguments, line))

    async def _transact(self, call: ScriptCall, large: Mapping[str, bytes]) -> list[list[Any]]:
        """Stores large data with its jobs, and waits for the disk, on one connection as WAITAOF wants it."""
        before = [("SET", key, data, "PX", self._lifetime_ms) for key, data in large.items()]
        if self._settings.durability != "fsync":
            answers, _ = await self.link.scripts.run_in_transaction(call, before)
            return cast("list[Any]", answers)
        wait = "WAITAOF", 1, 0, to_milliseconds(self._settings.redis_timeout)
        answers, [synced] = await self.link.scripts.run_in_transaction(call, before, [wait])
        _check_synced(synced)
        return cast("list[Any]", answers)

    async def read(self, job_id: str, owner: str | None = None) -> Job:
        """Reads a job, whoever submitted it and whoever ended it. A large result is left to `results`.

        Args:
            job_id: The job's id.
            owner: Name of the API key that asks; None where every job may be read.

        Returns:
            The job as it is now.

        Raises:
            JobNotFoundError: Redis knows no job of this id, or it is another owner's.
            RedisUnavailableError: Redis does not answer in time.
        """
        job = await self._reads.call(job_id)
        if job is None or not job.is_readable_by(owner):
            raise _not_found(job_id)
        return job

    async def read_many(self, job_ids: Sequence[str]) -> list[Job | None]:
        """Reads several jobs at once.

        Args:
            job_ids: The jobs' ids.

        Returns:
            The job of each id; None where Redis knows none.

        Raises:
            RedisUnavailableError: Redis does not answer in time.
        """
        return await self._read_many(job_ids) if job_ids else []

    async def _read_many(
        self, job_ids: Sequence[str], since: float | None = None, line: AsyncPipelinedConnection | None = None
    ) -> list[Job | None]:
        async with self._bounded(since):
            answers = await self._call(scripts.READ, [self._keys.models], [INLINE_BYTES, *job_ids], line)
        found = dict(zip(job_ids, answers, strict=True))
        await self._read_medium(found, since)
        return [job_from(job_id, found[job_id]) for job_id in job_ids]

    async def _read_medium(self, found: dict[str, list[Any]], since: float | None) -> None:
        """Puts results into the script's answers that are too large for it, but not for all who wait."""
        medium, room = [], MEDIUM_BYTES_AT_ONCE
        for job_id, answer in found.items():
            if isinstance(answer[1], int) and answer[1] <= min(MEDIUM_BYTES, room):
                room -= answer[1]
                medium.append(job_id)
        if not medium:
            return
        async with self._bounded(since, size=MEDIUM_BYTES_AT_ONCE - room):
            results = await self._redis.mget([self._keys.job(job_id, "result") for job_id in medium])
        for job_id, result in zip(medium, results, strict=True):
            if result is None:  # its time was over, or it was deleted
                found[job_id] = [None, None, None, 0, None, None]
            else:
                found[job_id][1] = result

    async def read_in_parts(self, job_ids: Sequence[str]) -> AsyncIterator[list[Job | None]]:
        """Reads any number of jobs, so many at a time that Redis goes on serving others.

        Args:
            job_ids: The jobs' ids.

        Yields:
            The jobs of the next ids; None where Redis knows none.

        Raises:
            RedisUnavailableError: Redis does not answer in time.
        """
        for first in range(0, len(job_ids), MOST_CALLS):
            yield await self.read_many(job_ids[first : first + MOST_CALLS])

    async def statuses(self, job_ids: Sequence[str]) -> list[Status | None]:
        """Reads of several jobs nothing but the public state, in one round trip.

        Args:
            job_ids: The jobs' ids, at least one. Redis serves nobody else while it looks them up.

        Returns:
            The state of each id; None where there is none, or one in a word of an outside program's own.

        Raises:
            RedisUnavailableError: Redis does not answer in time.
        """
        keys = [self._keys.job(job_id, "status") for job_id in job_ids]
        async with self._bounded():
            found = cast("list[bytes | None]", await self._redis.mget(keys))
        return [_STATUSES.get(stored or b"") for stored in found]

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
        arguments = [job_id, to_milliseconds(self._settings.result_ttl), _new_token()]
        async with self._bounded():
            state = await self._call(scripts.CANCEL, [self._keys.models], arguments)
        if state is None or state == b"ended":
            job = await self.read(job_id)
            raise JobStateError(
                f"Job {job_id!r} has ended already: it is {job.status}. There is nothing to cancel."
                if job.status.is_final
                else f"Job {job_id!r} came from outside and cannot be cancelled before a worker takes it."
            )
        return Status.PROCESSING if state == b"leased" else Status.PENDING

    async def cancel_waiting(self, model: str, owner: str | None = None) -> int:
        """Ends all jobs of a model that wait, for their turn or for another try. What is running goes on.

        So many at a time that Redis goes on serving others; jobs that come meanwhile stay.

        Args:
            model: Name of the model, which no worker need serve.
            owner: Name of the API key that asks; None where every job may be cancelled.

        Returns:
            How many jobs this has ended.

        Raises:
            RedisUnavailableError: Redis does not answer in time. Some may have been ended.
        """
        queue, ttl_ms = self._keys.queue(model), to_milliseconds(self._settings.result_ttl)
        async with self._bounded():
            last = await self._redis.get(self._keys.sequence(model)) or 0
        count = 0
        for priority in Priority:
            ended, place = 0, b"-inf"
            while place:
                arguments = [ttl_ms, owner or "", priority, place, last, CANCELLED_AT_ONCE]
                async with self._bounded():
                    ended, place = await self._call(scripts.CANCEL_WAITING, [queue], arguments)
                count += ended
            place = b"0"
            while place:
                arguments = [ttl_ms, model, priority, place, CANCELLED_AT_ONCE]
                async with self._bounded():
                    ended, place = await self._call(scripts.CANCEL_OUTSIDE, [queue], arguments)
                count += ended
        return count

    async def revive(self, job_id: str) -> None:
        """Puts a failed job in line again, as if it had just been submitted.

        Args:
            job_id: The job's id.

        Raises:
            JobStateError: It has not failed, or its data is gone.
            QueueFullError: `max_queued` jobs wait for its model already.
            JobNotFoundError: Redis knows no job of this id.
            RedisUnavailableError: Redis does not answer in time, or takes no writes.
        """
        limits = await self._server.limits()
        arguments = [job_id, self._lifetime_ms, self._settings.max_queued, _new_token(), limits.held_bytes]
        async with self._bounded(takes_jobs=True):
            verdict, *details = await self._call(scripts.RETRY, [self._keys.models], arguments) or [None]
        if verdict is None:
            raise _not_found(job_id)
        if verdict == b"full":
            raise queue_full("", *details)
        if verdict == b"heavy":
            raise queue_heavy(*details)
        if verdict == b"spoilt":
            raise queue_spoilt("", *details)
        if verdict == b"no data":
            raise JobStateError(f"The data of job {job_id!r} is gone. Submit it again.")
        if verdict != b"revived":
            raise JobStateError(f"Job {job_id!r} is {verdict.decode()}; only failed jobs can be tried again.")

    async def drop(self, job_id: str) -> None:
        """Deletes an ended job at once instead of when its time is over.

        Args:
            job_id: The job's id.

        Raises:
            JobStateError: It has not ended.
            JobNotFoundError: Redis knows no job of this id.
            RedisUnavailableError: Redis does not answer in time.
        """
        arguments = [job_id, to_milliseconds(self._settings.result_ttl)]
        async with self._bounded():
            status = await self._call(scripts.DELETE, [self._keys.models], arguments)
        if status is None:
            raise _not_found(job_id)
        if status != b"dropped":
            raise JobStateError(f"Job {job_id!r} is {text_from(status)}; cancel it first.")

    @property
    def _lifetime_ms(self) -> int:
        """How long the keys of a job that has not ended are kept: until it failed as expired and was read."""
        return to_milliseconds(self._settings.job_ttl + self._settings.result_ttl)

    async def announced_models(self) -> dict[str, bytes]:
        """The models that workers have announced.

        Returns:
            Model name to the JSON of its document.

        Raises:
            RedisUnavailableError: Redis does not answer in time.
        """
        async with self._bounded():
            documents = cast("dict[bytes, bytes]", await self._redis.hgetall(self._keys.models))
        return {text_from(name): document for name, document in documents.items()}

    async def max_queued_bytes(self) -> int | None:
        """Most bytes of data that the jobs may have that have not ended; None if there is no such limit.

        None as well while that is not known.
        """
        with suppress(RedisUnavailableError):
            return (await self._server.limits()).held_bytes or None
        return None

    async def models_with_jobs(self) -> set[str]:
        """The models of which jobs are kept, announced or not.

        Raises:
            RedisUnavailableError: Redis does not answer in time.
        """
        async with self._bounded():
            names = cast("set[bytes]", await self._redis.smembers(self._keys.queues))
        return {text_from(name) for name in names}

    async def forget_models(self) -> None:
        """Drops all announcements; live workers make theirs again with their next heartbeat.

        Raises:
            RedisUnavailableError: Redis does not answer in time.
        """
        async with self._bounded():
            await self._redis.delete(self._keys.models)

    async def live_workers(self) -> list[WorkerInfo]:
        """The workers whose heartbeat is fresh, oldest first.

        Raises:
            RedisUnavailableError: Redis does not answer in time.
        """
        async with self._bounded():
            members = cast("list[bytes]", await self._redis.zrange(self._keys.workers, 0, -1))
            ids = [text_from(member) for member in members]
            if not ids:
                return []
            reports = self._redis.pipeline(transaction=False)
            for worker_id in ids:
                reports.hgetall(self._keys.worker(worker_id))
            reports.time()
            *found, (seconds, _) = await reports.execute(raise_on_error=False)
        latest = datetime.fromtimestamp(seconds + _AHEAD_SECONDS, UTC)
        workers = [
            worker
            for worker_id, report in zip(ids, found, strict=True)
            if (worker := worker_from(worker_id, report)) and worker.seen_at and worker.seen_at <= latest
        ]
        return sorted(workers, key=lambda worker: worker.started_at)

    async def last_heartbeat(self) -> datetime | None:
        """When any worker last reported, or None if none ever has.

        Raises:
            RedisUnavailableError: Redis does not answer in time.
        """
        async with self._bounded():
            seen = cast("bytes | None", await self._redis.get(self._keys.workers_seen))
        return time_from(text_from(seen)) if seen else None


def _new_token() -> str:
    """By which a script knows a call that the client library repeats, its answer having been lost."""
    return secrets.token_hex(8)


def _check_synced(synced: list[int] | Exception) -> None:
    """Raises if the disk does not hold what was written before."""
    if isinstance(synced, Exception):
        if "unknown command" in str(synced).lower():
            return  # Redis 7.0: `check_server` has made sure of appendfsync always
        raise synced
    if not synced[0]:
        raise RedisUnavailableError("Redis has not written the job to disk in time. It may run all the same.")


def _not_found(job_id: str) -> JobNotFoundError:
    return JobNotFoundError(
        f"There is no job {job_id!r}: it never existed, or it ended and has expired since."
    )
