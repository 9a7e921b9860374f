"""The signals that tell a worker to stop, heard though its main thread is inside a model for minutes."""

import os
import signal
import threading
from collections.abc import Callable
from types import FrameType


class StopSignals:
    """Calls back, in a thread of its own, when SIGTERM or SIGINT comes.

    Python runs its handlers in the main thread and between two of its own instructions: never within a run of
    ONNX Runtime. What it does at once is to write to the wake-up descriptor (`signal.set_wakeup_fd`).

    Only the main thread can make one. A signal that comes during the call back waits until that has returned.

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
            signal.signal(number, _leave_it_to_the_thread)
        threading.Thread(target=self._listen, name="signals", daemon=True).start()

    def _listen(self) -> None:
        while os.read(self._wakeups, 1):
            self.callback()


def _leave_it_to_the_thread(_number: int, _frame: FrameType | None) -> None:
    return
