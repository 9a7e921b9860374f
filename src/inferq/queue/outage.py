"""Redis going away and coming back: one log line for each, and patience in between."""

import threading
import time
from collections.abc import Callable

import structlog

from inferq.jobs import RedisUnavailableError

_FIRST_PAUSE_SECONDS = 0.05
_LONGEST_PAUSE_SECONDS = 1.0

log = structlog.get_logger()


class Outage:
    """Whether Redis answers, as one process last saw it.

    Args:
        began: What is logged when it no longer does.
        ended: What is logged when it does again.
    """

    def __init__(self, began: str = "redis_unavailable", ended: str = "redis_available_again") -> None:
        self._began, self._ended = began, ended
        self._lock = threading.Lock()
        self._is_on = False
        self._ended_at = 0.0

    @property
    def over_since(self) -> float:
        """Monotonic time at which Redis was back; the present while it is away."""
        return time.monotonic() if self._is_on else self._ended_at

    def begin(self, error: RedisUnavailableError, called_at: float) -> None:
        """Notes that a call failed; says so if that is news.

        Args:
            error: Why it failed.
            called_at: Monotonic time at which it was made. One made before Redis was back tells nothing new.
        """
        with self._lock:
            is_news = not self._is_on and called_at > self._ended_at
            self._is_on = self._is_on or is_news
        if is_news:
            log.warning(self._began, reason=error.message)

    def end(self) -> None:
        """Notes that a call succeeded; says so if that is news."""
        with self._lock:
            is_news, self._is_on = self._is_on, False
            if is_news:
                self._ended_at = time.monotonic()
        if is_news:
            log.info(self._ended)

    def sit_out[T](self, call: Callable[[], T], give_up: threading.Event) -> T | None:
        """Calls until Redis answers, with growing pauses.

        Args:
            call: What to do; it may run several times, so it must be safe to repeat.
            give_up: Ends the waiting. The call is made at least once all the same.

        Returns:
            What the call returned, or None if `give_up` was set first.
        """
        pause = _FIRST_PAUSE_SECONDS
        while True:
            called_at = time.monotonic()
            try:
                answer = call()
            except RedisUnavailableError as error:
                self.begin(error, called_at)
                if give_up.wait(pause):
                    return None
                pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
            else:
                self.end()
                return answer
