"""Short writes to the blob store on the event loop, as long as its disk keeps pace."""

import time
from collections.abc import Callable

from inferq.queue.blob_access import BlobAccess

MOST_SHORT_BYTES = 1024 * 1024
_LONGEST_SECONDS = 0.025
"""On a busy machine a process that only waits for its turn takes half of that now and then."""
_AWAY_SECONDS = 10.0


class ShortWrites:
    """Tells whether a write may be done on the event loop, which stands still meanwhile.

    A short write to a folder of this machine is a copy into the system's memory, and takes less time than its
    way to a thread and back. It does not where the disk is behind with what it was given before: as soon as
    one has taken long, all go to threads for a while. So a disk that stalls holds up the event loop once in
    that while, for as long as it stalls. Writes that wait for the disk, and those over a network, are never
    short.

    Args:
        blobs: The blob store.
    """

    def __init__(self, blobs: BlobAccess) -> None:
        self._blobs = blobs
        self._away_until = 0.0

    def allow(self, size: int) -> bool:
        """Whether a write of so many bytes may be done here and now."""
        return (
            size <= MOST_SHORT_BYTES and time.monotonic() >= self._away_until and self._blobs.writes_to_memory
        )

    def watch[T](self, write: Callable[[], T]) -> T:
        """Does a write, and notes if it took long."""
        began = time.monotonic()
        try:
            return write()
        finally:
            now = time.monotonic()
            if now - began > _LONGEST_SECONDS:
                self._away_until = now + _AWAY_SECONDS
