"""How many jobs wait in which shard, as far as submits have told of late."""

import time

_FRESH_SECONDS = 1.0
"""A figure that is older is not used: the shard may have been emptied since."""
_MOST_MODELS = 1000


class ShardBacklogs:
    """The latest figures of each model, by shard.

    Args:
        shards: How many shards there are.
    """

    def __init__(self, shards: int) -> None:
        self._shards = shards
        self._waiting: dict[str, list[int]] = {}
        self._noted_at: dict[str, list[float]] = {}

    def note(self, shard: int, model: str, waiting: int) -> None:
        """Notes how many jobs of a model wait in a shard."""
        figures = self._find(model)
        figures[shard] = waiting
        self._noted_at[model][shard] = time.monotonic()

    def add(self, shard: int, model: str, jobs: int) -> None:
        """Notes that so many more are about to go there."""
        self._find(model)[shard] = self.get(shard, model) + jobs
        self._noted_at[model][shard] = time.monotonic()

    def get(self, shard: int, model: str) -> int:
        """Returns how many jobs of a model wait in a shard; 0 where that was not told of late."""
        figures = self._waiting.get(model)
        if figures is None or time.monotonic() - self._noted_at[model][shard] > _FRESH_SECONDS:
            return 0
        return figures[shard]

    def _find(self, model: str) -> list[int]:
        if model not in self._waiting:
            if len(self._waiting) >= _MOST_MODELS:  # names may come from clients
                self._waiting.clear()
                self._noted_at.clear()
            self._waiting[model] = [0] * self._shards
            self._noted_at[model] = [0.0] * self._shards
        return self._waiting[model]
