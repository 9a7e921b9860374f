"""The signals that tell a worker to stop, received even while its main thread is inside a model."""

import os
import signal
import threading
from collections.abc import Callable
from types import FrameType


class StopSignals:
    """Calls a function, on a thread of its own, when SIGTERM or SIGINT comes.

    Python runs signal handlers in the main thread between two of its own instructions: never within a run of
    ONNX Runtime. But it writes to the wake-up descriptor at once (`signal.set_wakeup_fd`).

    Only the main thread can create it. A signal that comes during the call is handled after it has returned.

    Args:
        callback: What is called.

    Attributes:
        callback: See above; may be replaced at any time.
    """

    def __init__(self, callback: Callable[[], object]) -> None:
        self.callback = callback
        self._wakeups, wakeup = os.pipe()
        os.set_blocking(wakeup, False)
        signal.set_wakeup_fd(wakeup, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, _ignore)
        threading.Thread(target=self._listen, name="signals", daemon=True).start()

    def _listen(self) -> None:
        while os.read(self._wakeups, 1):
            self.callback()


def _ignore(_number: int, _frame: FrameType | None) -> None:
    return
