"""Shadow jobs of a queue of several shards: each is in the shard of its primary."""

from collections.abc import Sequence
from functools import partial

from inferq.errors import RedisUnavailableError
from inferq.queue.consumer.shadows.shadow_jobs import ShadowSample
from inferq.queue.shards.consumer_shard import ConsumerShard, call_each, call_first


class ShardedShadowJobs:
    """Submits shadow jobs; see `ShadowJobs`.

    Args:
        shards: All shards.
    """

    def __init__(self, shards: Sequence[ConsumerShard]) -> None:
        self._shards = shards

    def submit(self, samples: Sequence[ShadowSample]) -> int:
        """Submits shadow jobs; returns how many were not accepted, also since their shard is away."""
        refused = 0
        for shard in self._shards:
            own = [sample for sample in samples if sample.job.shard == shard.number]
            if not own:
                continue
            try:
                refused += shard.health.call(partial(shard.consumer.shadow_jobs.submit, own))
            except RedisUnavailableError:
                refused += len(own)
        return refused

    def cancel_waiting(self, queue_name: str) -> None:
        """Cancels the shadow jobs of a queue that wait in shards that are there.

        Raises:
            RedisUnavailableError: None is.
        """
        call_each(self._shards, lambda shard: shard.consumer.shadow_jobs.cancel_waiting(queue_name))


class ShardedShadowFindings:
    """Counts what shadow jobs find; see `ShadowFindings`. What belongs to a job is counted in its shard.

    Args:
        shards: All shards.
    """

    def __init__(self, shards: Sequence[ConsumerShard]) -> None:
        self._shards = shards

    def note_skipped(self, queue_name: str, number: int) -> None:
        """Counts jobs that were drawn and not submitted: in the first shard that is there.

        Raises:
            RedisUnavailableError: None is.
        """
        call_first(
            self._shards, lambda shard: shard.consumer.shadow_findings.note_skipped(queue_name, number)
        )

    def is_harmful(self, queue_name: str) -> bool:
        """Whether the candidate has killed workers, or run into its time limit, as jobs of any shard show.

        Raises:
            RedisUnavailableError: No shard is there.
        """
        return any(
            call_each(self._shards, lambda shard: shard.consumer.shadow_findings.is_harmful(queue_name))
        )
