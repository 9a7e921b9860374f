"""In which order claims look for jobs: models in turn, priorities by weight."""

from collections.abc import Sequence

from inferq.jobs import Priority
from inferq.queue.schema.keys import Keys
from inferq.queue.weighted_priorities import WeightedPriorities


class ClaimOrder:
    """The order for the next claim.

    Args:
        keys: Names of the lists.
        models: Names of the models that this worker serves.
        lower_priority_share: See `WeightedPriorities`.

    Attributes:
        models: The models, the next one first.
        lists: Key of each list, in the order for BRPOP, to its model and priority.
        solo_priority: Priority of the list in which a claim met a job that must run alone, and could not
            take it: the list stands still until another claim does. None if there is none.
    """

    def __init__(self, keys: Keys, models: Sequence[str], lower_priority_share: float) -> None:
        self._keys = keys
        self._weights = WeightedPriorities(lower_priority_share)
        self._drawn: tuple[Priority, ...] | None = None
        self.models = list(models)
        self.lists = self._name_lists()
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

    def move_back(self, model: str) -> None:
        """Puts the model that had its turn behind the others."""
        if len(self.models) > 1:
            self.models = [other for other in self.models if other != model] + [model]
            self.lists = self._name_lists()

    def _name_lists(self) -> dict[bytes, tuple[str, Priority]]:
        return {
            self._keys.list(model, priority).encode(): (model, priority)
            for priority in Priority
            for model in self.models
        }
