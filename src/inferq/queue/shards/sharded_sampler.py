"""Samples of what happens in several shards."""

from collections.abc import Sequence
from itertools import chain, zip_longest

from inferq.jobs import Status
from inferq.queue.inspection.activity import MOST_CHANGED, ActivitySample, ActivitySampler
from inferq.queue.shards.producer_shard import ProducerShard
from inferq.queue.shards.shard_calls import ShardCalls


class ShardedSampler:
    """Reads one sample after the other; see `ActivitySampler`.

    Args:
        calls: Calls the shards.
    """

    def __init__(self, calls: ShardCalls) -> None:
        self._calls = calls
        self._samplers: dict[ProducerShard, ActivitySampler] = {
            shard: shard.producer.open_sampler() for shard in calls.shards
        }

    async def read(self) -> ActivitySample:
        """Reads what has happened in the shards that answer since the call before.

        Raises:
            RedisUnavailableError: None answers. The next call tells of this time too, as for one of them.
        """
        answers = await self._calls.ask_reachable(lambda shard: self._samplers[shard].read())
        return merge_samples(list(answers.values()))


def merge_samples(samples: Sequence[ActivitySample]) -> ActivitySample:
    """Adds the counts up, and names jobs of all shards in turn."""
    counts = {status: sum(sample.counts[status] for sample in samples) for status in Status}
    in_turn = chain.from_iterable(zip_longest(*(sample.jobs for sample in samples)))
    return ActivitySample(counts, [job for job in in_turn if job is not None][:MOST_CHANGED])
