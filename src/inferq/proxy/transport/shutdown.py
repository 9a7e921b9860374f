"""Notifies the application that the process is about to stop, while it still serves.

A server ends the application's lifespan after its last request. But clients that wait for a job, or follow
it for hours, would keep it from reaching that point.
"""

import asyncio
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

type _Handler = Callable[[int, FrameType | None], object]

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


@contextmanager
def before_stopping(action: Callable[[], None]) -> Iterator[None]:
    """Calls an action in the running loop when a signal stops the process. The server gets the signal too.

    This has no effect outside the main thread, which alone receives signals, or where no Python handler is
    set.

    Args:
        action: Called for each signal.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    replaced: dict[signal.Signals, tuple[_Handler, _Handler]] = {}
    for number in _SIGNALS:
        earlier = signal.getsignal(number)
        if callable(earlier):
            handler = _before(loop, action, earlier)
            signal.signal(number, handler)
            replaced[number] = handler, earlier
    try:
        yield
    finally:
        for number, (ours, earlier) in replaced.items():
            if signal.getsignal(number) is ours:
                signal.signal(number, earlier)


def _before(loop: asyncio.AbstractEventLoop, action: Callable[[], None], handler: _Handler) -> _Handler:
    def handle(number: int, frame: FrameType | None) -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(action)
        handler(number, frame)

    return handle
