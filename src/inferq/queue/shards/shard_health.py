"""Whether a shard answers; one that does not is left alone, and asked again now and then."""

import threading
import time
from collections.abc import Callable

from inferq.errors import RedisUnavailableError
from inferq.queue.redis_client.outage import Outage

ALL_AWAY = "All shards are away."
"""Where no shard is there, this is what errors say."""
_FIRST_PAUSE_SECONDS = 0.05
_LONGEST_PAUSE_SECONDS = 2.0
_LONGEST_OUTAGE_SECONDS = 5.0
"""What belongs to one job of a shard that is away is given up after so long: others have their turn."""


class ShardHealth:
    """Whether one shard answers, as one process sees it. For any thread.

    A thread that meets a failure is the last one to wait for the shard: a thread of this class asks it
    from then on, with growing pauses, until it answers.

    Args:
        shard: Number of the shard.
        probe: Asks it whether it answers.
        note_back: Is called, on the thread of this class, when it does so again.

    Attributes:
        outage: Says when it is away, and when it is back.
        is_there: Whether it may be called.
    """

    def __init__(self, shard: int, probe: Callable[[], object], note_back: Callable[[], object]) -> None:
        self._shard = shard
        self._probe = probe
        self._note_back = note_back
        self._lock = threading.Lock()
        self._pause = _FIRST_PAUSE_SECONDS
        self._back_at = 0.0
        self._closing = threading.Event()
        self.outage = Outage(
            "shard_unavailable",
            "shard_available_again",
            longest_seconds=_LONGEST_OUTAGE_SECONDS,
            shard=shard,
        )
        self.is_there = True

    def call[T](self, call: Callable[[], T]) -> T:
        """Makes a call, and notes whether it succeeds.

        Raises:
            RedisUnavailableError: The shard is away. It is not called, if that is known.
        """
        if not self.is_there:
            raise RedisUnavailableError(f"Shard {self._shard} is away.")
        called_at = time.monotonic()
        try:
            answer = call()
        except RedisUnavailableError as error:
            self.note_failure(error, called_at)
            raise
        self._note_success(called_at)
        return answer

    def note_failure(self, error: RedisUnavailableError, called_at: float) -> None:
        """Notes that a call failed: from now on none is made until the shard is back.

        Args:
            error: Why it failed.
            called_at: Monotonic time at which it was made. One made before the shard was back tells nothing.
        """
        with self._lock:
            if not self.is_there or called_at < self._back_at:
                return
            self.is_there = False
        self.outage.begin(error, called_at)
        threading.Thread(target=self._wait_for_it, name=f"shard-{self._shard}", daemon=True).start()

    def close(self) -> None:
        """Asks no more whether it is back."""
        self._closing.set()

    def _note_success(self, called_at: float) -> None:
        if self._pause > _FIRST_PAUSE_SECONDS and called_at >= self._back_at:
            self._pause = _FIRST_PAUSE_SECONDS
        self.outage.end(called_at)

    def _wait_for_it(self) -> None:
        while not self._closing.wait(self._pause):
            # it grows on until a call has succeeded: a server may answer this, and refuse the others
            self._pause = min(2 * self._pause, _LONGEST_PAUSE_SECONDS)
            try:
                self._probe()
            except RedisUnavailableError:
                continue
            with self._lock:
                self._back_at = time.monotonic()
                self.is_there = True
            self._note_back()
            return
