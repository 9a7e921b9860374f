"""Waits for a job with BRPOP, and claims it in the same round trip."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, NamedTuple

from redis.exceptions import NoScriptError, RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from inferq.errors import RedisUnavailableError
from inferq.jobs import ClaimedJob, Outcome
from inferq.queue.consumer.access import QueueAccess
from inferq.queue.consumer.claims.begun_wait import CLIENT_ID, BegunWait
from inferq.queue.consumer.claims.claim import Claimer, Limit, Popped, new_token
from inferq.queue.consumer.claims.claim_order import ClaimOrder
from inferq.queue.consumer.claims.in_doubt import InDoubtClaim
from inferq.queue.consumer.settle import Settler
from inferq.queue.redis_client import scripts
from inferq.queue.redis_client.connection import redis_errors
from inferq.queue.redis_client.pipelined import REPEATABLE, PipelinedConnection, pack
from inferq.queue.redis_client.script_calls import Command, ScriptCall, name_guard
from inferq.queue.schema.ids import decode_id
from inferq.queue.schema.times import to_milliseconds

BLOCK_SECONDS = 1.0
"""Longest BRPOP: how late a worker notices that it was told to stop."""
_SURE_SHARE = 0.8
"""A BRPOP that has ended within this share of its time has popped something."""


class WaitResult(NamedTuple):
    """What `wait_and_claim` brings.

    Attributes:
        verdicts: What became of each outcome, as `finish` says; empty if they are still to be stored.
        jobs: The jobs; none if none came.
        unclaimed: An id that was popped, and has to be claimed by its id, at once; then there are no jobs.
    """

    verdicts: list[str]
    jobs: list[ClaimedJob]
    unclaimed: Popped | None = None


class BlockingClaimer:
    """Waits and claims, for one thread at a time.

    Args:
        access: The server.
        order: Which lists come first.
        claimer: Makes and reads claims.
        settler: Stores outcomes, and requeues what was claimed in vain.
    """

    def __init__(self, access: QueueAccess, order: ClaimOrder, claimer: Claimer, settler: Settler) -> None:
        self._access = access
        self._order = order
        self._claimer = claimer
        self._settler = settler
        self._in_doubt = InDoubtClaim()
        self._control = PipelinedConnection(access.redis)

    @property
    def is_in_doubt(self) -> bool:
        """Whether something may be claimed or popped that this worker does not know of."""
        return not self._in_doubt.is_settled

    def wait_and_claim(
        self,
        limit: Limit,
        outcomes: Sequence[Outcome] = (),
        timeout_seconds: float = BLOCK_SECONDS,
        note_stored: Callable[[list[str]], None] | None = None,
    ) -> WaitResult:
        """Ends attempts, blocks until a job comes, and leases it, all in one round trip.

        Where jobs wait already, it leases those behind it as well. Lists of high priority come first, models
        in turn. The claim goes right behind the BRPOP, so it has to find out what that popped. Where it
        cannot tell, the claim has to be made again by the id.

        Args:
            limit: Most jobs to claim.
            outcomes: How each attempt ended; see `finish`. With large results they take a round trip before.
            timeout_seconds: Longest wait; less than the 5 s for which the socket waits.
            note_stored: Is given the verdicts, if there are outcomes, once these are stored: before the wait.

        Returns:
            See `WaitResult`. Where Redis goes away after the outcomes are stored, there are only verdicts.

        Raises:
            RedisUnavailableError: Redis is away. May be called again: what is in doubt is settled first.
        """
        verdicts: list[str] = []
        note = note_stored or (lambda _: None)
        try:
            with redis_errors():
                if jobs := self._settle_doubt(limit):
                    return WaitResult([], jobs)
                finish, staged = self._settler.prepare(outcomes)
                if staged:
                    verdicts = self._settler.finish(outcomes)
                    note(verdicts)
                is_sent_along = bool(outcomes) and not staged
                token = new_token()
                first = self._access.command(finish) if is_sent_along else None
                sent_on = self._send(first, limit, token, timeout_seconds)
                if is_sent_along:
                    verdicts = self._receive_verdicts(outcomes, sent_on)
                    note(verdicts)
                jobs = self._receive_jobs(limit, token, sent_on)
        except RedisUnavailableError:
            self._access.pipelined.disconnect()  # replies that were not read may still come
            if not verdicts:
                raise
            return WaitResult(verdicts, [])  # the next call settles the rest
        if not jobs:
            return WaitResult(verdicts, [], self._in_doubt.hand_over())
        with suppress(RedisUnavailableError):  # else the next call does it
            self._requeue_popped()
        return WaitResult(verdicts, jobs)

    def begin(self, limit: Limit, timeout_seconds: float) -> BegunWait:
        """Begins to wait for jobs, and to claim them, without waiting for the answer.

        Nothing may be in doubt. From then on something is, until `end` has returned.

        Args:
            limit: Most jobs to claim.
            timeout_seconds: Longest wait.

        Raises:
            RedisUnavailableError: Redis is away.
        """
        token = new_token()
        with redis_errors():
            self._access.pipelined.check_open()
            sent_on = self._send(CLIENT_ID, limit, token, timeout_seconds)
        return BegunWait(self._access, limit, token, sent_on, self._control)

    def end(self, begun: BegunWait, seconds: float) -> list[ClaimedJob]:
        """Returns the jobs of a wait that is over, or was withdrawn.

        Args:
            begun: What `begin` returned.
            seconds: Longest time without an answer.

        Raises:
            RedisUnavailableError: Redis is away. What was claimed is in doubt then.
        """
        try:
            with redis_errors():
                jobs = self._receive_begun(begun, seconds)
                if not jobs and (popped := self._in_doubt.popped):
                    jobs = self._claimer.claim(begun.limit, popped)
                    self._in_doubt.note_requeued()
        except RedisUnavailableError:
            self.give_up()
            raise
        with suppress(RedisUnavailableError):  # else `settle_doubt` does it
            self._requeue_popped()
        return jobs

    def give_up(self) -> None:
        """Closes the connections: a wait that was begun is in doubt from then on."""
        self._access.pipelined.disconnect()
        self._control.disconnect()

    def settle_doubt(self, limit: Limit) -> list[ClaimedJob]:
        """Returns the jobs of a claim whose answer was lost; requeues what was popped, if there are none.

        Args:
            limit: Most jobs to claim.

        Raises:
            RedisUnavailableError: Redis is away. May be called again.
        """
        with redis_errors():
            jobs = self._settle_doubt(limit)
        with suppress(RedisUnavailableError):  # else the next call does it
            self._requeue_popped()
        return jobs

    def requeue_in_doubt(self) -> None:
        """Requeues what may have been claimed by a call whose answer was lost.

        Raises:
            RedisUnavailableError: Redis is away.
        """
        with redis_errors():
            self._settler.requeue(self._settle_doubt(1))
            self._requeue_popped()

    def _settle_doubt(self, limit: Limit) -> list[ClaimedJob]:
        """Repeats a claim whose answer was lost, and returns its jobs; if none, requeues what was popped."""
        jobs = self._claim_again(limit) if self._in_doubt.token else []
        if not jobs:
            self._requeue_popped()
        return jobs

    def _claim_again(self, limit: Limit) -> list[ClaimedJob]:
        """What was claimed by a call whose answer was lost, or would be claimed now."""
        token = self._in_doubt.token
        # a server that still waits on a connection that is lost claims nothing more
        self._access.redis.delete(self._access.keys.pop(token))
        jobs = self._claimer.claim(limit, token=token)
        self._in_doubt.note_claimed(jobs)
        return jobs

    def _requeue_popped(self) -> None:
        """Requeues the popped id, where others were claimed in its place."""
        if popped := self._in_doubt.popped:
            self._settler.requeue(self._claimer.claim(0, popped))
            self._in_doubt.note_requeued()

    def _send(self, first: Command | None, limit: Limit, token: str, timeout_seconds: float) -> Any:  # noqa: ANN401 - of several classes
        """Sends a wait and a claim behind a command, if there is one; returns the connection."""
        access, pipelined = self._access, self._access.pipelined
        if first is None:
            pipelined.check_open()
        sure_ms = to_milliseconds(_SURE_SHARE * timeout_seconds)
        trust = ScriptCall(scripts.WRITE_AT_OOM, [access.keys.pop(token)], ["SET", "1", "PX", sure_ms])
        claim = self._claimer.prepare(limit, token, self._order.draw_priorities(), sure_ms=sure_ms)
        self._in_doubt.begin(token)
        return pipelined.send(
            pack(
                [
                    *([first] if first else ()),
                    access.command(trust),
                    ("BRPOP", *self._order.lists, *name_guard(access.keys.prefix), timeout_seconds),
                    access.command(claim),
                ]
            )
        )

    def _receive_verdicts(self, outcomes: Sequence[Outcome], sent_on: Any) -> list[str]:  # noqa: ANN401 - as above
        try:
            return self._settler.read_verdicts(self._access.pipelined.receive(1, sent_on)[0])
        except REPEATABLE:
            return self._settler.finish(outcomes)

    def _receive_jobs(self, limit: Limit, token: str, sent_on: Any) -> list[ClaimedJob]:  # noqa: ANN401 - as above
        pipelined = self._access.pipelined
        try:
            try:
                pipelined.receive(1, sent_on)
            except NoScriptError:
                with suppress(RedisError):  # for later calls: the claim of this one is made by the id
                    self._access.load_scripts()
            return self._receive_claimed(token, partial(pipelined.receive, 1, sent_on))
        except REPEATABLE:
            return self._claim_again(limit)

    def _receive_begun(self, begun: BegunWait, seconds: float) -> list[ClaimedJob]:
        try:
            begun.receive_head(seconds)
            begun.await_withdrawal(seconds)
            receive = partial(self._access.pipelined.receive, 1, begun.sent_on, seconds)
            return self._receive_claimed(begun.token, receive)
        except RedisTimeoutError:
            raise  # it would not answer a repetition either
        except REPEATABLE:
            self.give_up()  # the other of the two connections may live on, with replies that nobody reads
            return self._claim_again(begun.limit)

    def _receive_claimed(self, token: str, receive: Callable[[], list[Any]]) -> list[ClaimedJob]:
        self._in_doubt.note_popped(self._read_popped(receive()[0]))
        jobs = self._claimer.read(receive()[0], token)
        self._in_doubt.note_claimed(jobs)
        return jobs

    def _read_popped(self, answer: list[bytes] | None) -> Popped | None:
        if answer is None:
            return None
        key, job_id = answer
        model, priority = self._order.lists[key]
        self._order.move_back(model)
        return Popped(decode_id(job_id), model, priority, new_token(), self._claimer.shard)
