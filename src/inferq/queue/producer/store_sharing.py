"""Which models' workers can read the blob store of this process."""

import time

import structlog

from inferq.errors import StoreUnavailableError
from inferq.queue.blob_access import BlobAccess
from inferq.queue.blob_threads import BlobThreads
from inferq.queue.inspection.registry import ServiceRegistry
from inferq.queue.redis_client.shared_read import SharedRead

_FRESH_SECONDS = 2.0
_LONGEST_SECONDS = 2.0

log = structlog.get_logger()


class StoreSharing:
    """Compares the id of the store with what the workers announce in their heartbeats.

    Args:
        blobs: The blob store.
        registry: Knows the workers.
        threads: For calls of the store.
    """

    def __init__(self, blobs: BlobAccess, registry: ServiceRegistry, threads: BlobThreads) -> None:
        self._threads = threads
        self._blobs = blobs
        self._registry = registry
        self._is_shared: dict[str, bool] = {}  # by model, as it was when a worker of it lived last
        self._due_at = 0.0
        self._read = SharedRead(self._read_workers)

    async def is_shared(self, model: str) -> bool:
        """Whether all live workers of a model have the store; as it was last, where none lives.

        Raises:
            RedisUnavailableError: Redis does not answer in time.
        """
        if time.monotonic() >= self._due_at:
            await self._read.get()
        return self._is_shared.get(model, False)

    async def _read_workers(self) -> None:
        workers = await self._registry.read_workers()
        try:
            own_id = await self._threads.call(self._blobs.identify_store, _LONGEST_SECONDS)
        except StoreUnavailableError:
            own_id = ""
        found: dict[str, list[str]] = {}
        for worker in workers:
            for model in worker.models:
                found.setdefault(model, [])
                if worker.blob_store != own_id or not own_id:
                    found[model].append(worker.id)
        for model, without in found.items():
            if without and self._is_shared.get(model) is not False:
                log.warning("blobs_stay_in_redis", model=model, workers=without[:10])
            self._is_shared[model] = not without
        self._due_at = time.monotonic() + _FRESH_SECONDS
