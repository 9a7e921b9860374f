"""Reads jobs wherever they are."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence

from inferq.errors import RedisUnavailableError
from inferq.jobs import Job, Status
from inferq.queue.redis_client.group_commit import MOST_CALLS
from inferq.queue.shards.producer_shard import ProducerShard
from inferq.queue.shards.shard_calls import ShardCalls

type _Read[T] = Callable[[ProducerShard, Sequence[str]], Awaitable[Mapping[str, T]]]
"""Reads of a shard what it has of these ids."""
type _Found[T] = tuple[dict[str, T], dict[str, RedisUnavailableError]]
"""What was found, by id; and why it is not known, by id, whether there is anything."""


class ShardedJobs:
    """Reads jobs from their shards.

    Args:
        calls: Calls the shards.
    """

    def __init__(self, calls: ShardCalls) -> None:
        self._calls = calls
        self.read = calls.by_id(lambda producer: producer.read)

    async def read_many(self, job_ids: Sequence[str]) -> list[Job | None]:
        """Reads several jobs at once; see `JobReader.read_many`.

        Raises:
            RedisUnavailableError: A shard in which one of them may be does not answer.
        """
        found, faults = await self._find(job_ids, _read_jobs)
        for fault in faults.values():
            raise fault
        return [found.get(job_id) for job_id in job_ids]

    async def read_in_parts(self, job_ids: Sequence[str]) -> AsyncIterator[list[Job | None]]:
        """Reads any number of jobs; see `JobReader.read_in_parts`."""
        for first in range(0, len(job_ids), MOST_CALLS):
            yield await self.read_many(job_ids[first : first + MOST_CALLS])

    async def read_known(self, job_ids: Sequence[str]) -> list[Job]:
        """Reads several jobs at once, and returns those that are found in the shards that answer."""
        found, _ = await self._find(job_ids, _read_jobs)
        return list(found.values())

    async def read_statuses(self, job_ids: Sequence[str]) -> dict[str, Status | None]:
        """Reads the states of several jobs; see `JobReader.read_statuses`.

        Those are left out that may be in a shard that does not answer.
        """
        found, faults = await self._find(job_ids, _read_statuses)
        return {job_id: found.get(job_id) for job_id in job_ids if job_id not in faults}

    async def _find[T](self, job_ids: Sequence[str], read: _Read[T]) -> _Found[T]:
        """Reads of jobs, first where their ids say, then of those that are not there in all other shards."""
        shards = self._calls.shards
        likely: list[list[str]] = [[] for _ in shards]
        for job_id in dict.fromkeys(job_ids):
            shard = self._calls.find(job_id)
            for number in range(len(shards)) if shard is None else (shard.number,):
                likely[number].append(job_id)
        found, faults = await self._read_each(likely, read)
        missing = dict.fromkeys(job_id for job_id in job_ids if job_id not in found and job_id not in faults)
        others = [[job_id for job_id in missing if job_id not in set(ids)] for ids in likely]
        if any(others):
            elsewhere, more_faults = await self._read_each(others, read)
            found, faults = found | elsewhere, faults | more_faults
        return found, {job_id: fault for job_id, fault in faults.items() if job_id not in found}

    async def _read_each[T](self, ids: Sequence[Sequence[str]], read: _Read[T]) -> _Found[T]:
        """Reads of the jobs of these ids in each shard."""
        asked = [shard for shard in self._calls.shards if ids[shard.number]]
        answers = await self._calls.ask(asked, lambda shard: read(shard, ids[shard.number]))
        found: dict[str, T] = {}
        faults: dict[str, RedisUnavailableError] = {}
        for shard, answer in zip(asked, answers, strict=True):
            if isinstance(answer, RedisUnavailableError):
                faults.update(dict.fromkeys(ids[shard.number], answer))
            else:
                found.update(answer)
        return found, faults


async def _read_jobs(shard: ProducerShard, job_ids: Sequence[str]) -> dict[str, Job]:
    return {job.id: job for job in await shard.producer.jobs.read_known(job_ids)}


async def _read_statuses(shard: ProducerShard, job_ids: Sequence[str]) -> dict[str, Status]:
    statuses = await shard.producer.jobs.read_statuses(job_ids)
    return {job_id: status for job_id, status in statuses.items() if status is not None}
