"""In which order claims look for jobs: models in turn, priorities by weight."""

from collections.abc import Mapping

from inferq.jobs import Priority
from inferq.queue.schema.keys import Keys
from inferq.queue.weighted_priorities import WeightedPriorities


class ClaimOrder:
    """The order for the next claim.

    Args:
        keys: Names of the lists.
        lower_priority_share: See `WeightedPriorities`.

    Attributes:
        models: The models to claim from, the next one first.
        lists: Key of each list, in the order for BRPOP, to its model and priority.
        solo_priority: Priority of the list in which a claim met a job that must run alone, and could not
            take it: the list stands still until another claim does. None if there is none.
    """

    def __init__(self, keys: Keys, lower_priority_share: float) -> None:
        self._keys = keys
        self._weights = WeightedPriorities(lower_priority_share)
        self._drawn: tuple[Priority, ...] | None = None
        self.models: list[str] = []
        self._names: set[str] = set()
        self.lists: dict[bytes, tuple[str, Priority]] = {}
        self.solo_priority: Priority | None = None

    def draw_priorities(self) -> tuple[Priority, ...]:
        """The order of priorities for a claim that is sent now."""
        drawn = self.peek_priorities()
        self.use_priorities()
        return drawn

    def peek_priorities(self) -> tuple[Priority, ...]:
        """The same for a claim that may never be sent: the order stays due until `use_priorities`."""
        if self._drawn is None:
            self._drawn = self._weights.next_order()
        return self._drawn

    def use_priorities(self) -> None:
        """Notes that the claim was sent."""
        self._drawn = None

    def follow(self, models: Mapping[str, object]) -> None:
        """Makes claims look at the queues of these models, and of no others; the new ones come last."""
        if models.keys() != self._names:
            kept = [model for model in self.models if model in models]
            self.models = kept + [model for model in models if model not in self._names]
            self._names = set(models)
            self.lists = self._name_lists()

    def move_back(self, model: str) -> None:
        """Puts the model that had its turn behind the others."""
        if model in self._names and self.models[-1] != model:
            self.models = [other for other in self.models if other != model] + [model]
            self.lists = self._name_lists()

    def _name_lists(self) -> dict[bytes, tuple[str, Priority]]:
        return {
            self._keys.list(model, priority).encode(): (model, priority)
            for priority in Priority
            for model in self.models
        }
