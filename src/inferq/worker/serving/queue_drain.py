"""Queues that are not served any more once their jobs have ended."""

import time
from collections.abc import Mapping
from dataclasses import replace

import structlog

from inferq.queue import AnyConsumer
from inferq.worker.serving.served_models import ServedModels, ServedTable, ServedVersion

_HEARTBEATS = 2
"""After so many, what other workers have reported is newer than that a queue has gone here."""

log = structlog.get_logger()


class QueueDrain:
    """Keeps serving queues that are announced no more until no job of theirs is open, or another worker's.

    Args:
        consumer: The queue.
        served: What is served.
        heartbeat_seconds: Pause between the reports of workers.
    """

    def __init__(self, consumer: AnyConsumer, served: ServedModels, heartbeat_seconds: float) -> None:
        self._consumer = consumer
        self._served = served
        self._patience_seconds = _HEARTBEATS * heartbeat_seconds
        self._begun: dict[str, float] = {}  # when each was announced no more

    def keep(self, planned: ServedTable, before: ServedTable) -> Mapping[str, ServedVersion]:
        """Returns the versions of a new table, and those that it lacks and have to be drained.

        Args:
            planned: The new table.
            before: The present one.
        """
        self._begun = {name: at for name, at in self._begun.items() if name not in planned.versions}
        kept = {name: one for name, one in before.versions.items() if name not in planned.versions}
        for name in kept:
            if name not in self._begun:
                log.info("queue_draining", model=name)
                self._begun[name] = time.monotonic()
        return {**planned.versions, **kept}

    def run_once(self) -> bool:
        """Ceases to serve what is drained; returns whether anything is.

        Raises:
            RedisUnavailableError: Redis is away.
        """
        if not self._begun:
            return False
        names = list(self._begun)
        for name, state in zip(names, self._consumer.withdraw(names), strict=True):
            waited_seconds = time.monotonic() - self._begun[name]
            if state == "drained" or (state == "served" and waited_seconds > self._patience_seconds):
                self._cease(name)
        return True

    def _cease(self, name: str) -> None:
        del self._begun[name]
        table = self._served.table
        versions = {other: version for other, version in table.versions.items() if other != name}
        self._served.table = replace(table, versions=versions)
        self._consumer.serve(self._served.table.name_provenances())
        log.info("queue_drained", model=name)
