"""A round trip of a worker that stores what is done and claims more, and need not be waited for."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from inferq.errors import RedisUnavailableError
from inferq.jobs import ClaimedJob, Outcome
from inferq.queue.redis_client.connection import redis_errors
from inferq.queue.redis_client.pipelined import PipelinedConnection, pack

type Answer = tuple[list[str], list[ClaimedJob]]
"""What became of each outcome, and the jobs that were claimed."""


class PrefetchedClaim:
    """An exchange, packed when it is made, to be sent later, and waited for later still.

    Where it could not be sent, or its answer was lost, it is repeated the usual way. One thread sends it and
    asks for its answer; any may wait for that, more than once, but not before that of another that was sent
    earlier. Meanwhile others may be sent.

    Args:
        line: The connection it is sent on. From then until `wait` has returned, only other exchanges may be.
        commands: What is sent; the last two are the calls that finish and claim.
        read: Makes the answer of those two replies. Raises a RedisError where more must be fetched in vain.
        peek: The jobs that they bring, without what must be fetched.
        repeat: Makes the whole exchange at once.
        outcomes: What it stores.
        limits: How many jobs of each model it asks for.

    Attributes:
        outcomes: See above.
        limits: See above.
        sent_at: Monotonic time at which it was sent; infinite before that.
    """

    def __init__(
        self,
        line: PipelinedConnection,
        commands: Sequence[tuple[Any, ...]],
        read: Callable[[list[Any]], Answer],
        peek: Callable[[list[Any]], list[ClaimedJob]],
        repeat: Callable[[], Answer],
        *,
        outcomes: Sequence[Outcome],
        limits: Mapping[str, int],
    ) -> None:
        self._line = line
        self._packed = pack(commands)
        self._reply_count = len(commands)
        self._read = read
        self._peek = peek
        self._repeat = repeat
        self._lock = threading.Lock()
        self._sent_on: Any = None
        self._replies: list[Any] = []
        self._answer: Answer | None = None
        self.outcomes = outcomes
        self.limits = limits
        self.sent_at = float("inf")

    def send(self) -> None:
        """Sends it, if Redis can be reached."""
        self.sent_at = time.monotonic()
        with suppress(RedisUnavailableError), redis_errors():
            self._sent_on = self._line.send(self._packed)
        self._packed = b""  # it may be large, and a repetition is packed anew

    @property
    def is_answered(self) -> bool:
        """Whether `wait` would return at once, or has to repeat the exchange."""
        if not self._lock.acquire(blocking=False):
            return False  # another thread waits
        try:
            return self._sent_on is None or self._line.has_answer(self._sent_on)
        finally:
            self._lock.release()

    def wait(self) -> tuple[str, int]:
        """Waits until Redis has answered, and does no more: Redis need not wait for this worker to go on.

        Returns:
            The model of the jobs that it brings, and their number.

        Raises:
            RedisUnavailableError: Redis is away. May be called again.
        """
        with self._lock:
            if not self._replies and self._answer is None:
                self._ask()
            if self._answer is None:
                model, ids, *_ = self._replies[1]
                return model.decode(), len(ids)
            jobs = self._answer[1]
            return jobs[0].model if jobs else "", len(jobs)

    def answer(self) -> Answer:
        """Waits until Redis has answered.

        Returns:
            What became of each outcome, and the jobs.

        Raises:
            RedisUnavailableError: Redis is away. May be called again.
        """
        self.wait()
        if self._answer is None:
            with redis_errors():
                self._answer = self._read(self._replies)
        return self._answer

    def leased(self) -> list[ClaimedJob] | None:
        """The jobs that it brings, before their large data is fetched. For other threads.

        Returns:
            The jobs; None if another thread waits for them.

        Raises:
            RedisUnavailableError: Redis is away. May be called again.
        """
        if not self._lock.acquire(blocking=False):
            return None
        try:
            if not self._replies and self._answer is None:
                self._ask()
            return self._answer[1] if self._answer else self._peek(self._replies)
        finally:
            self._lock.release()

    def _ask(self) -> None:
        sent_on, self._sent_on = self._sent_on, None
        if sent_on is not None:
            with suppress(RedisUnavailableError), redis_errors():
                self._replies = self._line.receive(self._reply_count, sent_on)[-2:]
                return
        self._answer = self._repeat()
