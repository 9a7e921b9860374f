"""What operators say of the versions of models, which workers follow."""

from collections.abc import Callable, Mapping
from typing import cast

from inferq.errors import RedisUnavailableError
from inferq.model_names import QueueName
from inferq.queue.redis_client import scripts
from inferq.queue.redis_client.bounded import BoundedRedis
from inferq.queue.redis_client.script_calls import ScriptCall
from inferq.queue.schema.decoding import decode_rollout, decode_rollouts
from inferq.queue.schema.times import COMPARISONS_SECONDS, to_milliseconds
from inferq.rollout import Rollout

_MOST_TRIES = 20
"""So often a change is made anew because another came between: operators are few."""


class RolloutControl:
    """Reads and changes the rollouts that override those of `model.toml`.

    Args:
        redis: The server.
    """

    def __init__(self, redis: BoundedRedis) -> None:
        self._redis = redis

    async def read_rollouts(self) -> Mapping[str, Rollout]:
        """Returns the rollouts by model; what is unreadable is left out.

        Raises:
            RedisUnavailableError: Redis does not answer in time.
        """
        async with self._redis.limit_time():
            stored = cast("dict[bytes, bytes]", await self._redis.client.hgetall(self._redis.keys.rollouts))
        return decode_rollouts(stored)

    async def read_generation(self) -> int:
        """Returns the generation that workers are to follow; 0 where nothing was ever changed.

        Raises:
            RedisUnavailableError: Redis does not answer in time.
        """
        async with self._redis.limit_time():
            stored = await self._redis.client.get(self._redis.keys.generation)
        return int(stored) if stored and stored.isdigit() else 0

    async def change_rollout(
        self, model: str, change: Callable[[Rollout | None], Rollout | None]
    ) -> tuple[Rollout | None, int]:
        """Changes the rollout of one model. Repeated with the same outcome, it changes nothing.

        Args:
            model: Name of the model, without a version.
            change: Makes the new one of the present one; None stands for none. It may be called again, where
                another change came between, and may raise.

        Returns:
            The new one; and the generation that live workers report once they follow it.

        Raises:
            RedisUnavailableError: Redis does not answer in time, or takes no writes.
        """
        for _ in range(_MOST_TRIES):
            async with self._redis.limit_time():
                stored = cast("bytes | None", await self._redis.client.hget(self._redis.keys.rollouts, model))
            before = decode_rollout(stored) if stored else None
            rollout = change(before)
            for version in _find_begun(before, rollout):
                await self._forget_comparisons(str(QueueName(model, version, "shadow")))
            text = rollout.model_dump_json(exclude_defaults=True) if rollout else ""
            call = ScriptCall(
                scripts.WRITE_ROLLOUT, [self._redis.keys.rollouts], [model, stored or b"", text]
            )
            async with self._redis.limit_time():
                generation = await self._redis.run(call)
            if generation is not None:
                return rollout, int(generation)
        raise RedisUnavailableError(
            f"What is said of the versions of {model!r} changes all the time. Try again."
        )

    async def _forget_comparisons(self, queue_name: str) -> None:
        """Lets what a candidate is told of begin anew."""
        keys = [self._redis.keys.queue(queue_name)]
        call = ScriptCall(scripts.FORGET_COMPARISONS, keys, [to_milliseconds(COMPARISONS_SECONDS)])
        async with self._redis.limit_time():
            await self._redis.run(call)

    async def request_reload(self) -> int:
        """Lets all workers read the model repository again.

        Returns:
            The generation that live workers report once they have.

        Raises:
            RedisUnavailableError: Redis does not answer in time, or takes no writes.
        """
        async with self._redis.limit_time():
            call = ScriptCall(scripts.REQUEST_RELOAD, [self._redis.keys.generation], [])
            return int(await self._redis.run(call))


def _find_begun(before: Rollout | None, now: Rollout | None) -> set[str]:
    """Returns the versions that are to be compared from now on, and were not."""
    return set(now.shadow if now else ()).difference(before.shadow if before else ())
