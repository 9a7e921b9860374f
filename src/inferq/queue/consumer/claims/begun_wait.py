"""A wait for jobs that is under way, and can be withdrawn."""

import time
from contextlib import suppress
from typing import Any

from redis.exceptions import NoScriptError, RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from inferq.queue.consumer.access import QueueAccess
from inferq.queue.consumer.claims.claim import Limit
from inferq.queue.redis_client.connection import redis_errors
from inferq.queue.redis_client.pipelined import PipelinedConnection, pack

CLIENT_ID = ("CLIENT", "ID")
"""The command that goes first, so that another connection can name this one."""
_UNBLOCK_PAUSE_SECONDS = 0.005


class BegunWait:
    """A BRPOP and a claim that were sent, until they are answered. For one thread.

    Args:
        access: The server.
        limit: Most jobs to claim.
        token: Fencing token of the claim.
        sent_on: The connection that they were sent on.
        control: Another connection to the same server.

    Attributes:
        limit: See above.
        token: See above.
        sent_on: See above.
    """

    def __init__(
        self,
        access: QueueAccess,
        limit: Limit,
        token: str,
        sent_on: Any,  # noqa: ANN401 - of several classes
        control: PipelinedConnection,
    ) -> None:
        self._access = access
        self._control = control
        self._withdrawn_on: Any = None
        self._client_id: int | None = None
        self._has_trust = False
        self.limit = limit
        self.token = token
        self.sent_on = sent_on

    def fileno(self) -> int:
        """The socket on which the answer comes, as `select` wants it; -1 where the connection is lost."""
        return self._access.pipelined.fileno(self.sent_on)

    @property
    def is_answered(self) -> bool:
        """Whether BRPOP is answered, or the connection is lost. Returns at once."""
        pipelined = self._access.pipelined
        while not self._has_trust:
            if not pipelined.has_reply(self.sent_on):
                return False
            try:
                self._receive_next(None)
            except RedisError:
                return True  # that is met again where the rest is received
        return pipelined.has_reply(self.sent_on)

    def receive_head(self, seconds: float) -> None:
        """Receives what is answered before BRPOP.

        Args:
            seconds: Longest time without an answer.

        Raises:
            RedisError: The connection is lost, or no answer came.
        """
        while not self._has_trust:
            self._receive_next(seconds)

    def withdraw(self, seconds: float) -> None:
        """Lets the server end the wait. What it has popped is not claimed from now on.

        Args:
            seconds: Longest time without an answer.

        Raises:
            RedisUnavailableError: Redis is away.
        """
        with redis_errors():
            self.receive_head(seconds)
            self._control.check_open()  # it may not have been used since the server was started anew
            self._withdrawn_on = self._control.send(
                pack([("DEL", self._access.keys.pop(self.token)), ("CLIENT", "UNBLOCK", self._client_id)])
            )

    def await_withdrawal(self, seconds: float) -> None:
        """Waits until the server has ended the wait, if it was told to.

        Args:
            seconds: Longest time without an answer.

        Raises:
            RedisError: The connection is lost, or no answer came.
        """
        if self._withdrawn_on is None:
            return
        until = time.monotonic() + seconds
        _, is_unblocked = self._control.receive(2, self._withdrawn_on, seconds)
        # what goes another way may have arrived before the BRPOP
        while not is_unblocked and not self._access.pipelined.has_reply(self.sent_on, _UNBLOCK_PAUSE_SECONDS):
            if time.monotonic() > until:
                raise RedisTimeoutError("the wait cannot be ended")  # the server may be another one by now
            sent_on = self._control.send(pack([("CLIENT", "UNBLOCK", self._client_id)]))
            [is_unblocked] = self._control.receive(1, sent_on, seconds)

    def _receive_next(self, seconds: float | None) -> None:
        pipelined = self._access.pipelined
        if self._client_id is None:
            [self._client_id] = pipelined.receive(1, self.sent_on, seconds)
            return
        self._has_trust = True
        try:
            pipelined.receive(1, self.sent_on, seconds)
        except NoScriptError:
            with suppress(RedisError):  # for later calls: the claim of this one is made by the id
                self._access.load_scripts()
