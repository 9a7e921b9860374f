"""Reads jobs as they are now, one or many at once."""

from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any, cast

from inferq.errors import JobNotFoundError
from inferq.jobs import Job, Status
from inferq.queue.inspection.forecast_reader import ForecastReader
from inferq.queue.inspection.job_filter import JobFilter
from inferq.queue.redis_client import scripts
from inferq.queue.redis_client.bounded import BoundedRedis
from inferq.queue.redis_client.group_commit import MOST_CALLS, GroupCommit
from inferq.queue.redis_client.pipelined import AsyncPipelinedConnection
from inferq.queue.redis_client.script_calls import ScriptCall
from inferq.queue.redis_client.scripts import INLINE_BYTES
from inferq.queue.schema.decoding import decode_job
from inferq.queue.schema.ids import encode_id

MEDIUM_BYTES = 64 * 1024
"""A larger result is not read with its job: the jobs that are read with it would have to wait for it."""
MEDIUM_BYTES_AT_ONCE = 1024 * 1024
"""Most bytes of results above `INLINE_BYTES` that are read together."""
_STATUSES = {status.value.encode(): status for status in Status}
_GONE: list[Any] = [None, None, None, 0, None, None]


class JobReader:
    """Reads jobs, no matter who submitted or ended them.

    A result that is larger than `MEDIUM_BYTES` is not read with its job; see `LargeResults`.

    Args:
        redis: The server.
        forecasts: Tells what is expected of those that have not ended.
    """

    def __init__(self, redis: BoundedRedis, forecasts: ForecastReader) -> None:
        self._redis = redis
        self._forecasts = forecasts
        self._connection = AsyncPipelinedConnection(redis.client)
        self._grouped = GroupCommit(self._read_group)

    async def read(self, job_id: str, owner: str | None = None) -> Job:
        """Reads a job.

        Args:
            job_id: The job's id.
            owner: Name of the API key that asks; None where every job may be read.

        Returns:
            The job as it is now.

        Raises:
            JobNotFoundError: Redis knows no job of this id, or it is another owner's.
            RedisUnavailableError: Redis does not answer in time.
        """
        job = await self._grouped.call(job_id)
        if job is None or not job.is_readable_by(owner):
            raise job_not_found(job_id)
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
        return await self._read(job_ids) if job_ids else []

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

    async def read_known(self, job_ids: Sequence[str]) -> list[Job]:
        """Reads several jobs at once, and returns those of them that Redis knows.

        Raises:
            RedisUnavailableError: Redis does not answer in time.
        """
        return [job for job in await self.read_many(job_ids) if job is not None]

    async def read_statuses(self, job_ids: Sequence[str]) -> dict[str, Status | None]:
        """Reads only the public state of several jobs, in one round trip.

        Args:
            job_ids: The jobs' ids, at least one. Redis serves no one else while it looks them up.

        Returns:
            The state of each id; None where there is none, or one that only an outside program knows.

        Raises:
            RedisUnavailableError: Redis does not answer in time.
        """
        keys = [encode_id(self._redis.keys.job(job_id, "status")) for job_id in job_ids]
        async with self._redis.limit_time():
            found = cast("list[bytes | None]", await self._redis.client.mget(keys))
        return {job_id: _STATUSES.get(stored or b"") for job_id, stored in zip(job_ids, found, strict=True)}

    async def _read_group(self, job_ids: Sequence[str], since: float) -> list[Job | None]:
        return await self._read(job_ids, since, self._connection)

    async def _read(
        self,
        job_ids: Sequence[str],
        since: float | None = None,
        connection: AsyncPipelinedConnection | None = None,
    ) -> list[Job | None]:
        call = ScriptCall(scripts.READ, [self._redis.keys.models], [INLINE_BYTES, *map(encode_id, job_ids)])
        async with self._redis.limit_time(since):
            answers = await self._redis.run(call, connection)
        found = dict(zip(job_ids, answers, strict=True))
        await self._read_medium(found, since)
        jobs = [decode_job(job_id, found[job_id]) for job_id in job_ids]
        if all(job is None or job.status.is_final for job in jobs):
            return jobs
        return await self._forecasts.complete(jobs)

    async def _read_medium(self, found: dict[str, list[Any]], since: float | None) -> None:
        """Adds the results to the script's answers that are too large for a script, but not for one read."""
        medium, room = [], MEDIUM_BYTES_AT_ONCE
        for job_id, answer in found.items():
            if isinstance(answer[1], int) and answer[1] <= min(MEDIUM_BYTES, room):
                room -= answer[1]
                medium.append(job_id)
        if not medium:
            return
        keys = [encode_id(self._redis.keys.job(job_id, "result")) for job_id in medium]
        async with self._redis.limit_time(since, size=MEDIUM_BYTES_AT_ONCE - room):
            results = await self._redis.client.mget(keys)
        for job_id, result in zip(medium, results, strict=True):
            if result is None:  # it has expired meanwhile, or was deleted
                found[job_id] = _GONE
            else:
                found[job_id][1] = result


async def find_one(
    jobs: JobReader, models: Iterable[str], statuses: Sequence[Status], only: JobFilter, owner: str | None
) -> Job | None:
    """Finds the job of a filter that names a whole id, without a scan of any index.

    Args:
        jobs: Reads it.
        models: Models of which it may be one.
        statuses: The states that it may have.
        only: The filter; its `job_id` is not None.
        owner: Name of the API key that asks; None where every job may be read.

    Raises:
        RedisUnavailableError: Redis does not answer in time.
    """
    [job] = await jobs.read_many([only.id_prefix])
    is_found = (
        job is not None
        and job.model in set(models)
        and job.status in statuses
        and job.is_readable_by(owner)
        and only.fits(job)
    )
    return job if is_found else None


def job_not_found(job_id: str) -> JobNotFoundError:
    """The error where Redis knows no job of an id."""
    return JobNotFoundError(
        f"There is no job {job_id!r}: it never existed, or it ended and has expired since."
    )
