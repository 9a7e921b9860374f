"""Whether the blob store is there, for those who ask how the service is."""

import asyncio
import time

from inferq.errors import InferqError
from inferq.queue.blob_access import BlobAccess
from inferq.queue.blob_threads import call_in_own_thread
from inferq.queue.redis_client.shared_read import SharedRead

_FRESH_SECONDS = 1.0
_LONGEST_SECONDS = 2.0


class StoreCheck:
    """Asks the blob store at most once a second, however many ask.

    Each call has a thread of its own: of a store that hangs one is kept, and none of those that write.

    Args:
        blobs: The blob store.
    """

    def __init__(self, blobs: BlobAccess) -> None:
        self._blobs = blobs
        self._fault = ""
        self._due_at = 0.0
        self._read = SharedRead(self._ask)

    async def find_fault(self) -> str:
        """Returns within 2 s why the store cannot be used; empty if it can be, or there is none."""
        if self._blobs.store is None:
            return ""
        if time.monotonic() >= self._due_at:
            try:
                async with asyncio.timeout(_LONGEST_SECONDS):
                    await self._read.get()
            except TimeoutError:
                name, seconds = self._blobs.store.name, _LONGEST_SECONDS
                return f"The blob store {name} has not answered within {seconds:.0f} s."
        return self._fault

    async def _ask(self) -> None:
        try:
            await call_in_own_thread(self._blobs.check)
        except InferqError as error:
            self._fault = error.message
        else:
            self._fault = ""
        self._due_at = time.monotonic() + _FRESH_SECONDS
