"""A part of the worker that does one thing again and again."""

import threading
import time
from abc import ABC, abstractmethod

import structlog

from inferq.errors import RedisUnavailableError
from inferq.queue import Outage

log = structlog.get_logger()


class Periodic(ABC):
    """Runs `run_once` at a steady pace on a thread of its own, also while a model runs.

    ONNX Runtime releases the interpreter lock during a run.

    Args:
        name: Thread name.
        pause_seconds: Pause between two runs.
        outage: Where failed and successful calls to Redis are noted.
    """

    def __init__(self, name: str, pause_seconds: float, outage: Outage) -> None:
        self._pause_seconds = pause_seconds
        self._outage = outage
        self._stopping = threading.Event()
        self._due = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    @abstractmethod
    def run_once(self) -> bool:
        """Does the work of one run. It is repeated after the pause, also where it has failed.

        Returns:
            Whether Redis was called, and so has answered.

        Raises:
            RedisUnavailableError: Redis is away.
        """

    def start(self) -> None:
        """Starts the thread; the first run is at once."""
        self._thread.start()

    def stop(self) -> None:
        """Stops the thread; waits for a run under way."""
        self._stopping.set()
        self._due.set()
        self._thread.join()

    def run_soon(self) -> None:
        """Makes the next run begin at once, or as soon as the present one is over."""
        self._due.set()

    def _run(self) -> None:
        name = self._thread.name
        while not self._stopping.is_set():
            self._due.clear()
            if self._stopping.is_set():  # set just before `_due` was cleared
                return
            called_at = time.monotonic()
            try:
                if self.run_once():
                    self._outage.end(called_at, name)
                else:
                    self._outage.forget(name)
            except RedisUnavailableError as error:
                self._outage.begin(error, called_at, name)
            except Exception:  # one run that fails must not end the later ones
                log.exception("periodic_run_failed", thread=name)
            self._due.wait(self._pause_seconds)
