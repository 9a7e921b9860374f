"""Threads for what blocks on the blob store."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from inferq.errors import StoreUnavailableError

_THREADS = 8
_LONGEST_SECONDS = 30.0


class BlobThreads:
    """Runs calls of the blob store beside the event loop.

    The threads are its own: a disk that hangs keeps them, and everything else goes on. The event loop's own
    threads are few, and look up the names of hosts as well.
    """

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_THREADS, "blobs")

    async def call[T](self, work: Callable[[], T], seconds: float = _LONGEST_SECONDS) -> T:
        """Calls it in a thread.

        Args:
            work: What to call.
            seconds: How long to wait for it. It is not ended after that.

        Raises:
            StoreUnavailableError: It has not returned by then.
        """
        try:
            async with asyncio.timeout(seconds):
                return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        except TimeoutError as error:
            raise StoreUnavailableError(f"The blob store has not answered within {seconds:.0f} s.") from error

    def close(self) -> None:
        """Ends the threads; those that write do so to the end."""
        self._threads.shutdown(wait=False)
