"""A finish that is sent ahead of the wait for its answer."""

import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from redis.exceptions import TimeoutError as RedisTimeoutError

from inferq.errors import RedisUnavailableError
from inferq.jobs import Outcome
from inferq.queue.consumer.access import QueueAccess
from inferq.queue.consumer.claims.prefetch import find_longest_unsent
from inferq.queue.consumer.settle import Settler
from inferq.queue.redis_client.connection import redis_errors
from inferq.queue.redis_client.pipelined import pack


class SentFinish:
    """A finish by itself, where the claim that is sent with it goes to another shard; see `PrefetchedClaim`.

    Args:
        access: The server.
        settler: Makes it, and reads its answer.
        outcomes: What it stores.
    """

    def __init__(self, access: QueueAccess, settler: Settler, outcomes: Sequence[Outcome]) -> None:
        self._access = access
        self._settler = settler
        self._outcomes = outcomes
        finish, staged = settler.prepare(outcomes)
        commands = [*settler.staged_results.make_commands(staged), access.command(finish)]
        self._packed = pack(commands)
        self._reply_count = len(commands)
        self._sent_on: Any = None
        self._send_until = time.monotonic() + find_longest_unsent(access.settings)

    def send(self) -> None:
        """Sends it, if Redis can be reached and it was made just now."""
        if time.monotonic() <= self._send_until:
            with suppress(RedisUnavailableError), redis_errors():
                self._sent_on = self._access.pipelined.send(self._packed)
        self._packed = b""

    @property
    def is_answered(self) -> bool:
        """Whether `receive` would return at once, or has to repeat it."""
        return self._sent_on is None or self._access.pipelined.has_reply(self._sent_on)

    def receive(self) -> list[str]:
        """Waits for the answer; repeats it the usual way where it could not be sent, or the answer was lost.

        Returns:
            What became of each outcome; see `Settler.finish`.

        Raises:
            RedisUnavailableError: Redis is away.
        """
        sent_on, self._sent_on = self._sent_on, None
        if sent_on is not None:
            try:
                with redis_errors():
                    replies = self._access.pipelined.receive(self._reply_count, sent_on)
                    return self._settler.read_verdicts(replies[-1])
            except RedisUnavailableError as error:
                if isinstance(error.__cause__, RedisTimeoutError):
                    raise  # a server that hangs would not answer a repetition either
        return self._settler.finish(self._outcomes)
