"""Answers scrapes: what Redis knows of the whole service, and what this process has counted."""

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING

from inferq.errors import InvalidSettingError, RedisUnavailableError
from inferq.observability.metrics import REDIS_UP, Reading
from inferq.observability.request_metrics import RequestMetrics
from inferq.proxy.services.service_metrics import describe_service
from inferq.queue import AnyProducer, SharedRead
from inferq.settings import Settings

if TYPE_CHECKING:
    from inferq.observability.exposition import Exposition


class MetricsReader:
    """Reads all metrics of one proxy.

    Args:
        producer: The queue.
        requests: What this process has counted.
        settings: Who may read them.
        process_labels: More labels of what this process tells of itself.

    Raises:
        InvalidSettingError: A key that may read them does not exist.
    """

    def __init__(
        self,
        producer: AnyProducer,
        requests: RequestMetrics,
        settings: Settings,
        process_labels: Mapping[str, str],
    ) -> None:
        self._producer = producer
        self._requests = requests
        self._readers = _parse_names(settings)
        self._process_labels = process_labels
        self._service = SharedRead(self._read_redis)

    def is_open_to(self, owner: str | None) -> bool:
        """Whether a key of this name may read the metrics; None stands for no key."""
        return not self._readers or owner in self._readers

    async def write(self, accept: str, accept_encoding: str) -> "Exposition":
        """Reads the metrics, and writes them in the form that the headers ask for.

        Args:
            accept: The request's header; empty if it has none.
            accept_encoding: The request's header; empty if it has none.
        """
        of_service = await self._service.get()
        # in a thread: the first call imports prometheus_client, and a process may have 10,000 files open
        return await asyncio.to_thread(self._write, of_service, accept, accept_encoding)

    def _write(self, of_service: list[Reading], accept: str, accept_encoding: str) -> "Exposition":
        from inferq.observability.exposition import write_exposition

        return write_exposition(
            self._requests.read(),
            accept,
            accept_encoding,
            of_service=of_service,
            process_labels=self._process_labels,
        )

    async def _read_redis(self) -> list[Reading]:
        producer = self._producer
        try:
            with producer.share_time_limit():
                return list(describe_service(await producer.read_metrics(), await producer.read_memory()))
        except RedisUnavailableError:
            return [Reading(REDIS_UP, (), 0)]


def _parse_names(settings: Settings) -> frozenset[str]:
    names = frozenset(name.strip() for name in settings.metrics_keys.split(",")) - {""}
    known = {pair.partition(":")[0] for pair in settings.api_keys.split(",")}
    if missing := sorted(names - known):
        raise InvalidSettingError(
            f"INFERQ_METRICS_KEYS names {', '.join(missing)}, and INFERQ_API_KEYS has no key of that name. "
            "Add one there (inferq key NAME makes it), or leave the name out."
        )
    return names
