"""Reads large results, and the data of jobs, wherever they are."""

from inferq.jobs import Job
from inferq.queue.shards.shard_calls import ShardCalls


class ShardedResults:
    """Reads large results; see `LargeResults`.

    Args:
        calls: Calls the shards.
    """

    def __init__(self, calls: ShardCalls) -> None:
        self._calls = calls

    async def read_part(self, job: Job, first: int) -> bytes:
        """Reads a part of the large result of a job; see `LargeResults.read_part`."""
        return await self._calls.of_job(
            job.id, lambda shard: shard.producer.large_results.read_part(job, first)
        )


class ShardedData:
    """Reads the data of jobs; see `JobDataReader`.

    Args:
        calls: Calls the shards.
    """

    def __init__(self, calls: ShardCalls) -> None:
        self.open = calls.by_id(lambda producer: producer.job_data.open)
