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
        self._read_at = -FRESH_SECONDS
        self._reading = asyncio.Lock()

    async def entries(self) -> dict[str, Entry]:
        """All announced models by name.

        Raises:
            RedisUnavailableError: Redis does not answer in time.
        """
        if not self._is_fresh():
            async with self._reading:
                if not self._is_fresh():
                    self._take_over(await self._producer.announced_models())
        return self._entries

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
        try:
            document = ModelDocument.from_json(announced)
        except InvalidModelError:
            log.exception("model_not_readable", model=name)
            return None
        return Entry(announced, document, DataValidator(document, self._max_rows))
