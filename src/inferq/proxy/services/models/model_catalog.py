"""The models that workers have announced, cached with their validators."""

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence

import structlog

from inferq.errors import InvalidModelError, NoWorkerError, RedisUnavailableError
from inferq.jobs import WorkerInfo
from inferq.model_names import get_model_name
from inferq.proxy.services.models.known_models import AnnouncedModel, KnownModels
from inferq.queue import AnyProducer, SharedRead, find_unavailable
from inferq.settings import Settings

FRESH_SECONDS = 1.0
"""How long the cached models are used before they are read from Redis again."""

_UNLOADED = "It was unloaded. POST /v2/repository/models/{}/load loads it again."

log = structlog.get_logger()


class ModelCatalog:
    """Reads the announced models at most once a second, and builds a validator only where one changed.

    Args:
        producer: The queue.
        settings: The default model and the most rows in one job.
    """

    def __init__(self, producer: AnyProducer, settings: Settings) -> None:
        self._producer = producer
        self._settings = settings
        self._models = KnownModels({}, {}, settings.default_model, settings.default_model)
        self._unreadable: dict[str, bytes] = {}
        self._read_at = -FRESH_SECONDS
        self._reading = SharedRead(self._read)

    async def read(self) -> KnownModels:
        """Returns all that is known of the models at this moment.

        Raises:
            RedisUnavailableError: Redis does not answer in time.
        """
        if not self._is_fresh():
            await self._reading.get()
        return self._models

    async def read_again(self) -> KnownModels:
        """Returns the same, read after this call: something is known to have changed.

        Raises:
            RedisUnavailableError: Redis does not answer in time.
        """
        await self._read()
        return self._models

    async def read_announced(self) -> Mapping[str, AnnouncedModel]:
        """Returns all announced models by name.

        Raises:
            RedisUnavailableError: Redis does not answer in time.
        """
        return (await self.read()).announced

    async def read_default_name(self) -> str:
        """Returns the name of the default model.

        This is the setting. Where that is not set and workers serve exactly one model, it is that model.

        Raises:
            RedisUnavailableError: Redis does not answer in time.
        """
        return (await self.read()).default_name

    async def find(self, name: str) -> AnnouncedModel:
        """Finds a model, or a version of it, by name.

        Raises:
            UnknownModelError: No worker has announced it, or it is a queue of workers' own jobs.
            NoWorkerError: Nor any other, and it is the default model.
            ModelUnavailableError: The workers that should serve it cannot.
            RedisUnavailableError: Redis does not answer in time.
        """
        return (await self.locate(name))[1]

    async def locate(self, name: str) -> tuple[str, AnnouncedModel]:
        """Finds the same, and the queue of its jobs; see `KnownModels.locate`.

        Raises:
            InferqError: As `find` does.
        """
        queue, model = (await self.read()).locate(name)
        if model is None:
            raise _make_not_announced_error(name, ())
        return queue, model

    async def find_default(self) -> AnnouncedModel:
        """Finds the default model.

        Raises:
            NoWorkerError: No worker has announced it.
            ModelUnavailableError: The workers that should serve it cannot.
            RedisUnavailableError: Redis does not answer in time.
        """
        models = await self.read()
        name, announced = models.default_name, models.announced
        models.check_available(name)
        if name not in announced:
            raise _make_not_announced_error(name, models.names)
        return announced[name]

    async def _read(self) -> None:
        documents, workers, rollouts = await asyncio.gather(
            self._producer.read_models(), self._read_workers(), self._producer.read_rollouts()
        )
        unloaded = {name: _UNLOADED.format(name) for name, one in rollouts.items() if one.is_unloaded}
        # workers may not have followed yet
        documents = {name: one for name, one in documents.items() if get_model_name(name) not in unloaded}
        announced, unavailable = self._parse_all(documents), find_unavailable(workers or ()) | unloaded
        names = {get_model_name(name) for name in (*announced, *unavailable)}
        default = self._settings.default_model
        is_set = "default_model" in self._settings.model_fields_set
        named = names.pop() if len(names) == 1 and not is_set else default
        served = None if workers is None else frozenset(name for one in workers for name in one.models)
        forms = _find_forms(announced, workers or ())
        self._models = KnownModels(announced, unavailable, named, default, served=served, forms=forms)
        self._read_at = time.monotonic()

    async def _read_workers(self) -> list[WorkerInfo] | None:
        """The live workers; None where another program has overwritten their keys: requests must go on."""
        try:
            return await self._producer.read_workers()
        except RedisUnavailableError:
            return None

    def _is_fresh(self) -> bool:
        return time.monotonic() - self._read_at < FRESH_SECONDS

    def _parse_all(self, documents: Mapping[str, bytes]) -> dict[str, AnnouncedModel]:
        models = {name: self._parse(name, document) for name, document in sorted(documents.items())}
        return {name: model for name, model in models.items() if model is not None}

    def _parse(self, name: str, document: bytes) -> AnnouncedModel | None:
        known = self._models.announced.get(name)
        if known is not None and known.announced == document:
            return known
        if self._unreadable.get(name) == document:
            return None
        try:
            return AnnouncedModel.from_json(document, self._settings.max_rows)
        except InvalidModelError as error:
            self._unreadable[name] = document
            log.error("model_not_readable", model=name, reason=error.message)  # noqa: TRY400 - once, no trace
            return None


def _find_forms(
    announced: Mapping[str, AnnouncedModel], workers: Sequence[WorkerInfo]
) -> dict[str, frozenset[str]]:
    """Returns the forms that all live workers of each model read; where none lives, those of its document."""
    forms = {}
    for name, model in announced.items():
        read = [frozenset(worker.forms) for worker in workers if name in worker.models]
        forms[name] = frozenset.intersection(*read) if read else frozenset(model.document.forms)
    return forms


def _make_not_announced_error(name: str, known: Iterable[str]) -> NoWorkerError:
    if names := ", ".join(known):
        return NoWorkerError(
            f"No worker has announced the default model, {name!r} (INFERQ_DEFAULT_MODEL). Known: {names}."
        )
    return NoWorkerError(f"No worker has announced the model {name!r} yet. Start one and try again.")
