"""Uploads a large result to the shard of its job, if that is there."""

from inferq.errors import RedisUnavailableError
from inferq.jobs import ClaimedJob, Outcome
from inferq.queue.shards.consumer_shard import ConsumerShard


class ShardUpload:
    """A `ResultUpload` that does not wait for a shard that is away.

    Args:
        shard: The shard.
        outcome: How the attempt ended, with the result.

    Attributes:
        job: The job.
    """

    def __init__(self, shard: ConsumerShard, outcome: Outcome) -> None:
        self._shard = shard
        self._outcome = outcome
        self._upload = shard.consumer.prepare_upload(outcome)
        self.job: ClaimedJob = outcome.job

    @property
    def longest_seconds(self) -> float:
        """How long it may take in all while the server answers."""
        return self._upload.longest_seconds

    def stop(self) -> None:
        """Stops it: the job is cancelled. For other threads."""
        self._upload.stop()

    def limit_attempts(self) -> None:
        """Allows only the present attempt, or one more: the lease is lost. For other threads."""
        self._upload.limit_attempts()

    def store(self) -> str:
        """Stores the result and ends the job, or keeps it until its shard is back.

        Returns:
            What became of the job; `KEPT` if it is kept.

        Raises:
            ResultTooLargeError: The server refuses it, or it cannot be transferred.
        """
        try:
            return self._shard.health.call(self._upload.store)
        except RedisUnavailableError:
            return self._shard.keep([self._outcome])[0]
