"""Threads for what blocks on the blob store."""

import asyncio
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from inferq.errors import StoreUnavailableError

_THREADS = 8
_LONGEST_SECONDS = 30.0
_NICER = 10


class BlobThreads:
    """Runs calls of the blob store beside the event loop.

    The threads are its own: a disk that hangs keeps them, and everything else goes on. The event loop's own
    threads are few, and look up the names of hosts as well.

    Args:
        threads: How many.
        is_yielding: Whether they leave the processors to the event loop where both want them.
    """

    def __init__(self, threads: int = _THREADS, *, is_yielding: bool = False) -> None:
        name, begin = ("copies", _yield_processors) if is_yielding else ("blobs", None)
        self._threads = ThreadPoolExecutor(threads, name, begin)

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


def call_in_own_thread[T](work: Callable[[], T]) -> asyncio.Future[T]:
    """Calls it in a thread of its own, which leaves the processors to the event loop where both want them.

    For what takes as long as a client does. It does not keep the process from ending.

    Args:
        work: What to call.

    Returns:
        What it returns, or raises.
    """
    loop = asyncio.get_running_loop()
    outcome: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: BaseException | None) -> None:
        if outcome.cancelled():
            return
        if error is None:
            outcome.set_result(result)  # type: ignore[arg-type]
        else:
            outcome.set_exception(error)

    def run(work: Callable[[], T]) -> None:
        _yield_processors()
        result, error = None, None
        try:
            result = work()
        except BaseException as found:  # noqa: BLE001 - the future has it
            error = found
        with suppress(RuntimeError):  # the event loop has ended
            loop.call_soon_threadsafe(settle, result, error)
        del work, error  # the error's traceback refers to this frame, which would keep them

    threading.Thread(target=run, args=(work,), name="upload", daemon=True).start()
    return outcome


def _yield_processors() -> None:
    """Raises the niceness of this thread alone, which Linux allows everybody."""
    if sys.platform != "linux":
        return
    with suppress(OSError):  # a sandbox may forbid even that
        nice = os.getpriority(os.PRIO_PROCESS, 0) + _NICER
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), nice)
