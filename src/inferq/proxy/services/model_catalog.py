"""The models that workers have announced, kept at hand with their validators."""

import asyncio
import time
from collections.abc import Iterable, Mapping

import structlog

from inferq.errors import InvalidModelError, NoWorkerError, RedisUnavailableError
from inferq.jobs import WorkerInfo
from inferq.proxy.services.request_checks import Entry, Models
from inferq.queue.inspection.stats import find_unavailable
from inferq.queue.producer.producer import Producer
from inferq.settings import Settings
from inferq.tensors.signature import ModelDocument
from inferq.tensors.validation import DataValidator

FRESH_SECONDS = 1.0
"""How long what was read from Redis is believed."""

log = structlog.get_logger()


class ModelCatalog:
    """Reads the announced models at most once a second, and builds a validator only where one changed.

    Args:
        producer: The queue.
        settings: The default model and the most rows in one job.
    """

    def __init__(self, producer: Producer, settings: Settings) -> None:
        self._producer = producer
        self._settings = settings
        self._models = Models({}, {}, settings.default_model, settings.default_model)
        self._unreadable: dict[str, bytes] = {}
        self._read_at = -FRESH_SECONDS
        self._reading: asyncio.Task[None] | None = None

    async def entries(self) -> Mapping[str, Entry]:
        """All announced models by name.

        Raises:
            RedisUnavailableError: Redis does not answer in time.
        """
        return (await self.models()).entries

    async def default_name(self) -> str:
        """Name of the default model: the setting's; where that is not set, of the only model if there is one.

        Raises:
            RedisUnavailableError: Redis does not answer in time.
        """
        return (await self.models()).default_name

    async def models(self) -> Models:
        """All that is known of the models at this moment.

        Raises:
            RedisUnavailableError: Redis does not answer in time.
        """
        if not self._is_fresh():
            # all requests share one reading and its failure: in a queue each would wait for Redis anew
            if self._reading is None or self._reading.done():
                self._reading = asyncio.create_task(self._read())
            await asyncio.shield(self._reading)
        return self._models

    async def find(self, name: str) -> Entry | None:
        """The model of this name; None for the default model before any worker has announced one.

        Raises:
            UnknownModelError: It is neither.
            ModelUnavailableError: The workers that should serve it cannot.
            RedisUnavailableError: Redis does not answer in time.
        """
        return (await self.models()).find(name)

    async def known(self, name: str) -> Entry:
        """The model of this name.

        Raises:
            UnknownModelError: No worker has announced it.
            NoWorkerError: Nor any other, and it is the default model.
            ModelUnavailableError: The workers that should serve it cannot.
            RedisUnavailableError: Redis does not answer in time.
        """
        entry = await self.find(name)
        if entry is None:
            raise _not_announced(name, ())
        return entry

    async def default(self) -> Entry:
        """The default model.

        Raises:
            NoWorkerError: No worker has announced it.
            ModelUnavailableError: The workers that should serve it cannot.
            RedisUnavailableError: Redis does not answer in time.
        """
        models = await self.models()
        name, entries = models.default_name, models.entries
        models.check_available(name)
        if name not in entries:
            raise _not_announced(name, entries)
        return entries[name]

    async def _read(self) -> None:
        announced, workers = await asyncio.gather(self._producer.announced_models(), self._workers())
        entries, unavailable = self._entries_of(announced), find_unavailable(workers)
        names = {*entries, *unavailable}
        default = self._settings.default_model
        is_set = "default_model" in self._settings.model_fields_set
        named = names.pop() if len(names) == 1 and not is_set else default
        self._models = Models(entries, unavailable, named, default)
        self._read_at = time.monotonic()

    async def _workers(self) -> list[WorkerInfo]:
        """The live workers; none where another program has spoilt their keys: requests must go on."""
        try:
            return await self._producer.live_workers()
        except RedisUnavailableError:
            return []

    def _is_fresh(self) -> bool:
        return time.monotonic() - self._read_at < FRESH_SECONDS

    def _entries_of(self, announced: dict[str, bytes]) -> dict[str, Entry]:
        entries = {name: self._entry(name, document) for name, document in sorted(announced.items())}
        return {name: entry for name, entry in entries.items() if entry is not None}

    def _entry(self, name: str, announced: bytes) -> Entry | None:
        known = self._models.entries.get(name)
        if known is not None and known.announced == announced:
            return known
        if self._unreadable.get(name) == announced:
            return None
        try:
            document = ModelDocument.from_json(announced)
        except InvalidModelError as error:
            self._unreadable[name] = announced
            log.error("model_not_readable", model=name, reason=error.message)  # noqa: TRY400 - once, no trace
            return None
        return Entry(announced, document, DataValidator(document, self._settings.max_rows))


def _not_announced(name: str, known: Iterable[str]) -> NoWorkerError:
    if names := ", ".join(known):
        return NoWorkerError(
            f"No worker has announced the default model, {name!r} (INFERQ_DEFAULT_MODEL). Known: {names}."
        )
    return NoWorkerError(f"No worker has announced the model {name!r} yet. Start one and try again.")
