"""Outages of Redis: one log line for the begin and the end of each, and retries in between."""

import math
import threading
import time
from collections.abc import Callable

import structlog

from inferq.errors import RedisUnavailableError
from inferq.queue.redis_client.error_replies import is_refusal

_FIRST_PAUSE_SECONDS = 0.05
_LONGEST_PAUSE_SECONDS = 1.0
_RETRYING = "retrying"
"""The caller that retries until Redis is available; there is one in a process."""

log = structlog.get_logger()


class Outage:
    """Whether Redis answers, as one process last saw it.

    A connection that works again ends an outage, for every caller. A server that answers and refuses, as it
    is read-only or cannot save, may serve some callers: this ends once those that it refused have succeeded.

    Args:
        began: What is logged when it no longer does.
        ended: What is logged when it does again.
        longest_seconds: How long calls are repeated that are made while it is away.
        details: What is logged beside that.
    """

    def __init__(
        self,
        began: str = "redis_unavailable",
        ended: str = "redis_available_again",
        longest_seconds: float = math.inf,
        **details: int,
    ) -> None:
        self._began, self._ended = began, ended
        self._longest_seconds = longest_seconds
        self._log = log.bind(**details)
        self._lock = threading.Lock()
        self._is_on = False
        self._failing: set[str] = set()  # "": the connection; else callers that were refused
        self._began_at = self._ended_at = 0.0

    @property
    def available_since(self) -> float:
        """Monotonic time since which Redis is available; the present while it is not."""
        return time.monotonic() if self._is_on else self._ended_at

    def begin(self, error: RedisUnavailableError, called_at: float, caller: str = "") -> None:
        """Notes that a call failed; says so if that is news.

        Args:
            error: Why it failed.
            called_at: Monotonic time at which it was made. One made before Redis was back tells nothing new.
            caller: Who made it.
        """
        with self._lock:
            is_news = not self._is_on and called_at > self._ended_at
            if is_news:
                self._is_on, self._began_at = True, time.monotonic()
            if self._is_on:
                self._failing.add(caller if is_refusal(error.__cause__) else "")
        if is_news:
            self._log.warning(self._began, reason=error.message)

    def end(self, called_at: float, caller: str = "") -> None:
        """Notes that a call succeeded; says so if that is news.

        Args:
            called_at: Monotonic time at which it was made. One made before Redis was away tells nothing new.
            caller: Who made it.
        """
        with self._lock:
            if called_at < self._began_at:
                return
            self._failing -= {"", caller}
            is_news = self._is_on and not self._failing
            if is_news:
                self._is_on = False
                self._ended_at = time.monotonic()
        if is_news:
            self._log.info(self._ended)

    def forget(self, caller: str) -> None:
        """Notes that a caller, which may have been refused, has nothing to call any more.

        Args:
            caller: Which one.
        """
        with self._lock:
            self._failing.discard(caller)

    def retry_until_available[T](
        self, call: Callable[[], T], give_up: threading.Event, longest_seconds: float | None = None
    ) -> T | None:
        """Calls until Redis answers, with growing pauses.

        Args:
            call: What to do; it may run several times, so it must be safe to repeat.
            give_up: Ends the waiting. The call is made at least once all the same.
            longest_seconds: No further call is made after this time; that of the outage if left out.

        Returns:
            What the call returned, or None if that was given up.
        """
        longest = self._longest_seconds if longest_seconds is None else longest_seconds
        pause, until = _FIRST_PAUSE_SECONDS, time.monotonic() + longest
        while True:
            called_at = time.monotonic()
            try:
                answer = call()
            except RedisUnavailableError as error:
                self.begin(error, called_at, _RETRYING)
                if give_up.wait(pause) or time.monotonic() > until:
                    self.forget(_RETRYING)
                    return None
                pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
            else:
                self.end(called_at, _RETRYING)
                return answer
