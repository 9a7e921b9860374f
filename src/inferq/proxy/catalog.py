"""The models that workers have announced, kept at hand with their validators."""

import asyncio
import time
from dataclasses import dataclass

import structlog

from inferq.jobs import InvalidModelError
from inferq.models.signature import ModelDocument
from inferq.models.validation import DataValidator
from inferq.queue.producer import Producer

FRESH_SECONDS = 1.0
"""How long what was read from Redis is believed."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Entry:
    """One announced model.

    Attributes:
        announced: The document as it stands in Redis.
        document: The same, read.
        validator: Checks data against it.
    """

    announced: bytes
    document: ModelDocument
    validator: DataValidator


class Catalog:
    """Reads the announced models at most once a second, and builds a validator only where one changed.

    Args:
        producer: The queue.
        max_rows: Most rows in one job.
    """

    def __init__(self, producer: Producer, max_rows: int) -> None:
        self._producer = producer
        self._max_rows = max_rows
        self._entries: dict[str, Entry] = {}
        self._unreadable: dict[str, bytes] = {}
        self._read_at = -FRESH_SECONDS
        self._reading: asyncio.Task[None] | None = None

    async def entries(self) -> dict[str, Entry]:
        """All announced models by name.

        Raises:
            RedisUnavailableError: Redis does not answer in time.
        """
        if not self._is_fresh():
            # all requests share one reading and its failure: in a queue each would wait for Redis anew
            if self._reading is None or self._reading.done():
                self._reading = asyncio.create_task(self._read())
            await asyncio.shield(self._reading)
        return self._entries

    async def _read(self) -> None:
        self._take_over(await self._producer.announced_models())

    def _is_fresh(self) -> bool:
        return time.monotonic() - self._read_at < FRESH_SECONDS

    def _take_over(self, announced: dict[str, bytes]) -> None:
        entries = {name: self._entry(name, document) for name, document in sorted(announced.items())}
        self._entries = {name: entry for name, entry in entries.items() if entry is not None}
        self._read_at = time.monotonic()

    def _entry(self, name: str, announced: bytes) -> Entry | None:
        known = self._entries.get(name)
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
        return Entry(announced, document, DataValidator(document, self._max_rows))
