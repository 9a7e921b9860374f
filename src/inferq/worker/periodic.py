"""A thread that does one thing again and again."""

import threading
import time
from collections.abc import Callable

import structlog

from inferq.errors import RedisUnavailableError
from inferq.queue.redis_client.outage import Outage

log = structlog.get_logger()


class Periodic:
    """Runs an action at a steady pace, also while a model runs: ONNX Runtime releases the interpreter lock.

    Args:
        name: Thread name.
        seconds: Pause between two runs.
        action: What to do; returns whether Redis was asked, and so answered. While Redis is away it fails and
            is done again with the next turn.
        outage: Where that is noted.
    """

    def __init__(self, name: str, seconds: float, action: Callable[[], bool], outage: Outage) -> None:
        self._seconds = seconds
        self._action = action
        self._outage = outage
        self._stopping = threading.Event()
        self._due = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Starts the thread; the first run is at once."""
        self._thread.start()

    def shutdown(self) -> None:
        """Stops the thread; waits for a run under way."""
        self._stopping.set()
        self._due.set()
        self._thread.join()

    def hurry(self) -> None:
        """Makes the next run begin at once, or as soon as one under way is over."""
        self._due.set()

    def _run(self) -> None:
        name = self._thread.name
        while not self._stopping.is_set():
            self._due.clear()
            if self._stopping.is_set():  # told just before that was cleared
                return
            called_at = time.monotonic()
            try:
                if self._action():
                    self._outage.end(name)
                else:
                    self._outage.pass_over(name)
            except RedisUnavailableError as error:
                self._outage.begin(error, called_at, name)
            except Exception:  # whatever one turn meets, the next one must come
                log.exception("turn_failed", thread=name)
            self._due.wait(self._seconds)
