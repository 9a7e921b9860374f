"""What operators say of the versions of models, written to all shards."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from inferq.errors import RedisUnavailableError
from inferq.queue.shards.producer_shard import ProducerShard
from inferq.queue.shards.shard_calls import ShardCalls
from inferq.rollout import Rollout

_MOST_TRIES = 20


class _Stored(NamedTuple):
    """What a shard holds."""

    generation: int
    rollouts: Mapping[str, Rollout]


class ShardedRollouts:
    """Reads rollouts where they were changed last, and changes them in all shards, or in none.

    Where one shard is away, nothing is changed: workers that see only that one would not follow.

    Args:
        calls: Calls the shards.
    """

    def __init__(self, calls: ShardCalls) -> None:
        self._calls = calls

    async def read_rollouts(self) -> Mapping[str, Rollout]:
        """Returns the rollouts by model; see `RolloutControl`.

        Raises:
            RedisUnavailableError: No shard answers in time.
        """
        stored = await self._calls.ask_reachable(_read)
        return max(stored.values(), key=lambda one: one.generation).rollouts

    async def read_generation(self) -> int:
        """Returns the generation that workers are to follow: the largest of all shards.

        Raises:
            RedisUnavailableError: No shard answers in time.
        """
        found = await self._calls.ask_reachable(lambda shard: shard.producer.read_generation())
        return max(found.values())

    async def change_rollout(
        self, model: str, change: Callable[[Rollout | None], Rollout | None]
    ) -> tuple[Rollout | None, int]:
        """Changes the rollout of one model; see `RolloutControl`.

        It is changed where it was changed last, and copied to the others until these have what is there: so
        two that change it at the same time leave the same everywhere.

        Raises:
            RedisUnavailableError: A shard does not answer in time, or takes no writes. If it was there before
                this was written to others, repeating the request completes it.
        """
        stored = await self._calls.ask_all(_read)
        lead = max(self._calls.shards, key=lambda shard: stored[shard.number].generation)
        others = [shard for shard in self._calls.shards if shard is not lead]
        rollout, generation = await lead.call(lambda shard: shard.producer.change_rollout(model, change))
        for _ in range(_MOST_TRIES):
            generation = max(generation, *await self._copy(model, rollout, others))
            latest = (await lead.call(lambda shard: shard.producer.read_rollouts())).get(model)
            if latest == rollout:
                return rollout, generation
            rollout = latest
        raise RedisUnavailableError(
            f"What is said of the versions of {model!r} changes all the time. Try again."
        )

    async def _copy(self, model: str, rollout: Rollout | None, shards: Sequence[ProducerShard]) -> list[int]:
        """Writes a rollout to shards; returns their generations."""
        answers = await self._calls.ask_all(
            lambda shard: shard.producer.change_rollout(model, lambda _: rollout), shards
        )
        return [generation for _, generation in answers]

    async def request_reload(self) -> int:
        """Lets all workers read the model repository again; see `RolloutControl`.

        Raises:
            RedisUnavailableError: A shard does not answer in time, or takes no writes.
        """
        await self._calls.ask_all(_read)
        return max(await self._calls.ask_all(lambda shard: shard.producer.request_reload()))


async def _read(shard: ProducerShard) -> _Stored:
    return _Stored(await shard.producer.read_generation(), await shard.producer.read_rollouts())
