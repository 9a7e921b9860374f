"""Claims ahead: a round trip that finishes jobs and claims others while the model runs."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, NamedTuple

from redis.exceptions import OutOfMemoryError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from inferq.errors import RedisUnavailableError
from inferq.jobs import ClaimedJob, Outcome
from inferq.queue.consumer.access import QueueAccess
from inferq.queue.consumer.claims.claim import Claimer, Limit, new_token
from inferq.queue.consumer.claims.claim_order import ClaimOrder
from inferq.queue.consumer.settle import Settler
from inferq.queue.redis_client.connection import redis_errors
from inferq.queue.redis_client.error_replies import is_lasting_refusal
from inferq.queue.redis_client.pipelined import PipelinedConnection, pack
from inferq.queue.redis_client.script_calls import ScriptCall
from inferq.settings import Settings

_LONGEST_UNSENT_SECONDS = 60.0


def find_longest_unsent(settings: Settings) -> float:
    """Returns for how many seconds what stores outcomes may wait to be sent: its blobs may be swept."""
    return min(_LONGEST_UNSENT_SECONDS, settings.blob_grace_seconds / 4)


class PrefetchResult(NamedTuple):
    """What a finish and a claim in one round trip bring.

    Attributes:
        verdicts: What became of each outcome.
        jobs: The jobs that were claimed.
    """

    verdicts: list[str]
    jobs: list[ClaimedJob]


class PrefetchedClaim:
    """A finish and a claim, packed when they are made, to be sent later, and waited for later still.

    Where they could not be sent, or the answer was lost, they are repeated the usual way. One thread sends
    them and asks for the answer; any may wait for it, more than once, but not before that of another that was
    sent earlier. Meanwhile others may be sent.

    Args:
        pipelined: The connection it is sent on. From then until `wait` has returned, nothing else may be but
            others of this class.
        commands: What is sent; the last two are the calls that finish and claim.
        on_send: Called when it is sent.
        read: Makes the result of those two replies. Raises a RedisError where large data cannot be fetched.
        peek: The jobs that they bring, without large data.
        repeat: Makes finish and claim at once.
        outcomes: What it stores.
        limits: How many jobs of each model it asks for.
        unsent_seconds: How long after this it may be sent; later it is made anew, by `repeat`.

    Attributes:
        outcomes: See above.
        limits: See above.
        sent_at: Monotonic time at which it was sent; infinite before that.
    """

    def __init__(
        self,
        pipelined: PipelinedConnection,
        commands: Sequence[tuple[Any, ...]],
        *,
        on_send: Callable[[], None],
        read: Callable[[list[Any]], PrefetchResult],
        peek: Callable[[list[Any]], list[ClaimedJob]],
        repeat: Callable[[], PrefetchResult],
        outcomes: Sequence[Outcome],
        limits: Mapping[str, int],
        unsent_seconds: float,
    ) -> None:
        self._pipelined = pipelined
        self._packed = pack(commands)
        self._reply_count = len(commands)
        self._on_send = on_send
        self._read = read
        self._peek = peek
        self._repeat = repeat
        self._lock = threading.Lock()
        self._sent_on: Any = None
        self._replies: list[Any] = []
        self._answer: PrefetchResult | None = None
        self._send_until = time.monotonic() + unsent_seconds
        self.outcomes = outcomes
        self.limits = limits
        self.sent_at = float("inf")

    def send(self) -> None:
        """Sends it, if Redis can be reached and it was made just now: what it stores may be swept later."""
        self.sent_at = time.monotonic()
        self._on_send()
        if self.sent_at <= self._send_until:
            with suppress(RedisUnavailableError), redis_errors():
                self._sent_on = self._pipelined.send(self._packed)
        self._packed = b""  # it may be large, and a repetition is packed anew

    @property
    def is_answered(self) -> bool:
        """Whether `wait` would return at once, or has to repeat the calls."""
        if not self._lock.acquire(blocking=False):
            return False  # another thread waits
        try:
            return self._sent_on is None or self._pipelined.has_reply(self._sent_on)
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
            jobs = self._answer.jobs
            return jobs[0].model if jobs else "", len(jobs)

    def answer(self) -> PrefetchResult:
        """Waits until Redis has answered.

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
            return self._answer.jobs if self._answer else self._peek(self._replies)
        finally:
            self._lock.release()

    def _ask(self) -> None:
        sent_on, self._sent_on = self._sent_on, None
        if sent_on is not None:
            try:
                with redis_errors():
                    self._replies = self._pipelined.receive(self._reply_count, sent_on)[-2:]
            except RedisUnavailableError as error:
                if isinstance(error.__cause__, RedisTimeoutError):
                    raise  # a server that hangs would not answer a repetition either
            else:
                return
        self._answer = self._repeat()


class Prefetcher:
    """Finishes and claims in one round trip, at once or ahead.

    Args:
        access: The server.
        order: Which lists come first.
        claimer: Makes and reads claims.
        settler: Makes finishes.
    """

    def __init__(self, access: QueueAccess, order: ClaimOrder, claimer: Claimer, settler: Settler) -> None:
        self._access = access
        self._order = order
        self._claimer = claimer
        self._settler = settler

    def prepare_prefetch(
        self, outcomes: Sequence[Outcome], limits: Mapping[str, int], *, takes_solo: bool = True
    ) -> PrefetchedClaim:
        """Makes a finish and a claim that are sent and waited for later.

        Args:
            outcomes: How each attempt ended; see `finish`.
            limits: Most jobs to claim of each model, at least 1.
            takes_solo: Whether to take a job that must run alone, since a worker died with it.
        """
        token = new_token()
        finish, staged = self._settler.prepare(outcomes)
        priorities = self._order.peek_priorities()
        if takes_solo and (first := self._order.solo_priority):
            priorities = (first, *(priority for priority in priorities if priority is not first))
            self._order.solo_priority = None
        claim = self._claimer.prepare(limits, token, priorities, takes_solo=takes_solo)
        commands = [
            *self._settler.staged_results.make_commands(staged),
            *map(self._access.command, (finish, claim)),
        ]
        return PrefetchedClaim(
            self._access.pipelined,
            commands,
            on_send=self._order.use_priorities,
            read=partial(self._read, token=token),
            peek=lambda replies: self._claimer.read_leased(replies[1], token),
            repeat=lambda: self.finish_and_claim(outcomes, limits, token, takes_solo=takes_solo),
            outcomes=outcomes,
            limits=limits,
            unsent_seconds=find_longest_unsent(self._access.settings),
        )

    def finish_and_claim(
        self, outcomes: Sequence[Outcome], limit: Limit, token: str = "", *, takes_solo: bool = True
    ) -> PrefetchResult:
        """Finishes and claims at once.

        Args:
            outcomes: How each attempt ended; see `finish`.
            limit: Most jobs to claim.
            token: Fencing token, if the same was sent before and its answer was lost.
            takes_solo: Whether to take a job that must run alone, since a worker died with it.

        Raises:
            RedisUnavailableError: Redis is away.
        """
        token = token or new_token()
        finish, staged = self._settler.prepare(outcomes)
        claim = self._claimer.prepare(limit, token, self._order.draw_priorities(), takes_solo=takes_solo)
        with redis_errors():
            try:
                return self._read(self._call_together([finish, claim], staged), token)
            except ResponseError as error:
                if not (staged and is_lasting_refusal(error)):
                    raise
            verdicts = self._settler.finish(outcomes)
            return PrefetchResult(verdicts, self._claimer.read(self._access.call(*claim), token))

    def _read(self, replies: list[Any], token: str) -> PrefetchResult:
        verdicts, claimed = replies
        return PrefetchResult(self._settler.read_verdicts(verdicts), self._claimer.read(claimed, token))

    def _call_together(self, calls: Sequence[ScriptCall], staged: Mapping[bytes, bytes]) -> list[Any]:
        """The answers of several scripts in one round trip, after large results were staged."""
        run_together, staged_results = self._access.scripts.run_together, self._settler.staged_results
        try:
            return run_together(calls, before=staged_results.make_commands(staged))
        except OutOfMemoryError:
            staged_results.write_at_oom(staged)
            return run_together(calls)
