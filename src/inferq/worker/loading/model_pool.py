"""Which models are in memory, where there may be more than fit: idle ones are unloaded, and loaded again."""

import time
from collections.abc import Callable, Mapping
from weakref import WeakKeyDictionary

import structlog

from inferq.errors import InvalidModelError
from inferq.models.model import Model
from inferq.worker.loading.load_failures import FILES_CHANGED
from inferq.worker.loading.released_memory import trim_memory
from inferq.worker.serving.served_models import NotServedError, ServedTable, ServedVersion

_PATIENCE_SECONDS = 60.0
"""How long jobs wait whose model has gone while it was unloaded: it may come back, or others may serve it."""

log = structlog.get_logger()


class ModelPool:
    """Keeps so many models in memory, those that were used last. For the thread that runs jobs.

    One whose files have changed while it was unloaded is not what jobs were meant for, and may do harm: its
    jobs wait until it has been loaded as new models are.

    Args:
        most: How many, at least 1.
        load: Loads a model again, within limits.
        load_anew: Has a model loaded as a new one by its name, on another thread; returns at once.
    """

    def __init__(
        self, most: int, load: Callable[[ServedVersion], Model], load_anew: Callable[[str], None]
    ) -> None:
        self._most = most
        self._load = load
        self._load_anew = load_anew
        self._used_at = WeakKeyDictionary[Model, float]()
        self._missed = WeakKeyDictionary[Model, float]()  # when each was last announced

    def list_ready(self, table: ServedTable) -> Mapping[str, ServedVersion]:
        """Returns the versions that are served, by queue, without those whose jobs have to wait."""
        if not self._missed:
            return table.versions
        return {
            queue: served
            for queue, served in table.versions.items()
            if not any(self._is_missed(runner, table) for runner in table.list_runners(queue))
        }

    def use(self, served: ServedVersion, table: ServedTable) -> None:
        """Makes sure that a model is in memory.

        Args:
            served: What is to run.
            table: What is served.

        Raises:
            NotServedError: Its jobs have to wait, as it cannot be loaded as it was.
            InvalidModelError: It has gone for good.
        """
        model, name = served.model, served.folder.name
        self._used_at[model] = time.monotonic()
        if model.is_loaded:
            return
        self.trim(table, self._most - 1)
        try:
            again = self._load_again(served)
        except InvalidModelError as error:
            if model not in self._missed:
                log.warning("model_not_loaded_again", model=name, reason=error.message)
                self._missed[model] = time.monotonic()
                self._load_anew(name)
            if self._is_missed(served, table):
                raise NotServedError(name) from error
            raise
        self._missed.pop(model, None)
        model.load_again(again)
        log.info("model_loaded_again", model=name)

    def trim(self, table: ServedTable, most: int | None = None) -> None:
        """Unloads the models that were not used for longest, where there are too many.

        Args:
            table: What is served.
            most: How many may stay, if not as many as usual.
        """
        served = {version.model: version for version in table.versions.values()}
        loaded = [model for model in served if model.is_loaded]
        excess = len(loaded) - (self._most if most is None else most)
        if excess <= 0:
            return
        announced = _list_announced(table)
        # of the others, nobody could load them again: their files have gone, or are broken now
        may_go = [one for one in loaded if one in announced and served[one].folder.name not in table.left_out]
        may_go.sort(key=lambda model: self._used_at.get(model, 0.0))
        for model in may_go[:excess]:
            model.unload()
            log.info("model_unloaded", model=served[model].folder.name)
        if may_go:
            trim_memory()

    def _load_again(self, served: ServedVersion) -> Model:
        again = self._load(served)
        if again.document.digest != served.document.digest:
            raise InvalidModelError(FILES_CHANGED)
        return again

    def _is_missed(self, served: ServedVersion, table: ServedTable) -> bool:
        """Whether jobs of a version have to wait until it is loaded anew."""
        model = served.model
        missed_at = self._missed.get(model)
        if missed_at is None:
            return False
        if model in _list_announced(table):
            self._missed[model] = time.monotonic()
            return True
        return time.monotonic() < missed_at + _PATIENCE_SECONDS


def _list_announced(table: ServedTable) -> set[Model]:
    return {table.versions[queue].model for queue in table.documents if queue in table.versions}
