"""The producer's side of the queue: submit a job, read it back, see who serves. Used by the proxy."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Self, cast

import redis.asyncio
from redis.exceptions import NoScriptError

from inferq.jobs import (
    ErrorKind,
    Job,
    JobNotFoundError,
    Priority,
    QueueFullError,
    RedisUnavailableError,
    Status,
    WorkerInfo,
)
from inferq.queue import scripts
from inferq.queue.connection import connect_async, redis_errors
from inferq.queue.keys import Keys
from inferq.settings import Settings

_META_FIELDS = ("model", "priority", "attempts", "submitted_ms", "started_ms", "ended_ms", "error_kind")


class Producer:
    """Submits jobs and reads them back. Every call ends within `redis_timeout`.

    Args:
        client: An asynchronous client that answers in bytes.
        settings: Limits, lifetimes and the key prefix.
    """

    def __init__(self, client: redis.asyncio.Redis, settings: Settings) -> None:
        self._redis = client
        self._settings = settings
        self._keys = Keys(settings.key_prefix)

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """A producer for the server that the settings name; connects when first used."""
        return cls(connect_async(settings), settings)

    async def close(self) -> None:
        """Closes the connections."""
        await self._redis.aclose()

    async def ping(self) -> None:
        """Returns if Redis answers.

        Raises:
            RedisUnavailableError: It does not.
        """
        async with self._bounded():
            await self._redis.ping()

    async def submit(self, model: str, data: bytes, priority: Priority = Priority.NORMAL) -> str:
        """Stores a job and puts it in line, in one transaction: all of it, or nothing.

        Args:
            model: Name of the model to run.
            data: JSON of the request's `data`.
            priority: Which list it waits in.

        Returns:
            The new job's id: 128 random bits in hex.

        Raises:
            QueueFullError: `max_queued` jobs wait for the model already.
            RedisUnavailableError: Redis does not answer in time, or takes no writes.
        """
        job_id = secrets.token_hex(16)
        async with self._bounded():
            verdict, depth = await self._submit(job_id, model, data, priority)
        if verdict == b"full":
            raise QueueFullError(
                f"{int(depth)} jobs wait for model {model!r} and no more are taken (INFERQ_MAX_QUEUED). "
                "Try again later, or add workers."
            )
        return job_id

    async def _submit(self, job_id: str, model: str, data: bytes, priority: Priority) -> tuple[bytes, bytes]:
        ttl_ms = _milliseconds(self._settings.job_ttl)
        while True:
            transaction = self._redis.pipeline(transaction=True)
            transaction.set(self._keys.job(job_id, "data"), data, px=ttl_ms)
            transaction.evalsha(
                scripts.SUBMIT.digest, 1, self._keys.queue(model),
                self._keys.prefix, job_id, model, priority, ttl_ms, self._settings.max_queued,
            )  # fmt: skip
            try:
                return cast("tuple[bytes, bytes]", (await transaction.execute())[1])
            except NoScriptError:
                await self._redis.script_load(scripts.SUBMIT.source)

    async def read(self, job_id: str) -> Job:
        """Reads a job, whoever submitted it and whoever ended it.

        Args:
            job_id: The job's id.

        Returns:
            The job as it is now.

        Raises:
            JobNotFoundError: Redis knows no job of this id.
            RedisUnavailableError: Redis does not answer in time.
        """
        async with self._bounded():
            snapshot = self._redis.pipeline(transaction=True)
            snapshot.mget(*(self._keys.job(job_id, part) for part in ("status", "result", "error")))
            snapshot.hmget(self._keys.job(job_id, "meta"), *_META_FIELDS)
            snapshot.exists(self._keys.job(job_id, "data"))
            (status, result, error), fields, has_data = await snapshot.execute()
            meta = dict(zip(_META_FIELDS, (field and field.decode() for field in fields), strict=True))
            if status is None and not has_data and meta["model"] is None:
                raise JobNotFoundError(
                    f"There is no job {job_id!r}: it never existed, or it ended and has expired since."
                )
            state = _status(status, has_result=result is not None, has_error=error is not None)
            position = await self._position(job_id, meta) if state is Status.PENDING else None
        return Job(
            id=job_id,
            status=state,
            result=result if state is Status.COMPLETED else None,
            error=_text(error) if state is Status.FAILED else None,
            error_kind=_error_kind(meta["error_kind"]) if state is Status.FAILED else None,
            model=meta["model"],
            attempts=int(meta["attempts"] or 0),
            submitted_at=_time(meta["submitted_ms"]),
            started_at=_time(meta["started_ms"]),
            finished_at=_time(meta["ended_ms"]),
            queue_position=position,
        )

    async def _position(self, job_id: str, meta: dict[str, str | None]) -> int | None:
        model, priority = meta["model"], meta["priority"]
        if model is None or priority is None:
            return None
        arguments = (1, self._keys.queue(model), self._keys.prefix, job_id, priority)
        try:
            position = await self._redis.evalsha(scripts.POSITION.digest, *arguments)
        except NoScriptError:
            position = await self._redis.eval(scripts.POSITION.source, *arguments)
        return cast("int | None", position)

    async def announced_models(self) -> dict[str, bytes]:
        """The models that workers have announced.

        Returns:
            Model name to the JSON of its document.

        Raises:
            RedisUnavailableError: Redis does not answer in time.
        """
        async with self._bounded():
            documents = cast("dict[bytes, bytes]", await self._redis.hgetall(self._keys.models))
        return {name.decode(): document for name, document in documents.items()}

    async def live_workers(self) -> list[WorkerInfo]:
        """The workers whose heartbeat is fresh, oldest first.

        Raises:
            RedisUnavailableError: Redis does not answer in time.
        """
        async with self._bounded():
            members = cast("list[bytes]", await self._redis.zrange(self._keys.workers, 0, -1))
            ids = [member.decode() for member in members]
            if not ids:
                return []
            reports = self._redis.pipeline(transaction=False)
            for worker_id in ids:
                reports.hgetall(self._keys.worker(worker_id))
            found = zip(ids, await reports.execute(), strict=True)
        workers = [_worker(worker_id, report) for worker_id, report in found if report]
        return sorted(workers, key=lambda worker: worker.started_at)

    async def last_heartbeat(self) -> datetime | None:
        """When any worker last reported, or None if none ever has.

        Raises:
            RedisUnavailableError: Redis does not answer in time.
        """
        async with self._bounded():
            seen = cast("bytes | None", await self._redis.get(self._keys.workers_seen))
        return _time(seen.decode()) if seen else None

    @asynccontextmanager
    async def _bounded(self) -> AsyncIterator[None]:
        seconds = self._settings.redis_timeout
        try:
            async with asyncio.timeout(seconds):
                with redis_errors():
                    yield
        except TimeoutError as error:
            raise RedisUnavailableError(f"Redis did not answer within {seconds:g} s.") from error


def _milliseconds(seconds: float) -> int:
    return max(1, round(seconds * 1000))


def _status(stored: bytes | None, *, has_result: bool, has_error: bool) -> Status:
    """The public state, also of jobs that outside programs wrote in part or in words of their own."""
    text = _text(stored)
    if text is not None and text in Status:
        return Status(text)
    if has_result:
        return Status.COMPLETED
    return Status.FAILED if has_error else Status.PENDING


def _text(stored: bytes | None) -> str | None:
    return None if stored is None else stored.decode("utf-8", "replace")


def _time(milliseconds: str | None) -> datetime | None:
    return datetime.fromtimestamp(int(milliseconds) / 1000, UTC) if milliseconds else None


def _error_kind(text: str | None) -> ErrorKind | None:
    return ErrorKind(text) if text else None


def _worker(worker_id: str, report: dict[bytes, bytes]) -> WorkerInfo:
    fields = {name.decode(): value.decode() for name, value in report.items()}
    return WorkerInfo(
        id=worker_id,
        host=fields["host"],
        pid=int(fields["pid"]),
        models=tuple(fields["models"].split()),
        started_at=datetime.fromisoformat(fields["started_at"]),
        seen_at=_time(fields["seen_ms"]),
        jobs_done=int(fields["jobs_done"]),
    )
