"""Waits for a job with BRPOP, and claims it in the same round trip."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from redis.exceptions import NoScriptError, RedisError

from inferq.errors import RedisUnavailableError
from inferq.jobs import ClaimedJob, Outcome
from inferq.queue.consumer.access import QueueAccess
from inferq.queue.consumer.claim import Claimer, Limit, Popped, new_token
from inferq.queue.consumer.claim_order import ClaimOrder
from inferq.queue.consumer.in_doubt import InDoubtClaim
from inferq.queue.consumer.settle import Settler
from inferq.queue.redis_client import scripts
from inferq.queue.redis_client.connection import redis_errors
from inferq.queue.redis_client.pipelined import REPEATABLE, pack
from inferq.queue.redis_client.script_calls import ScriptCall
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
                sent_on = self._send(finish if is_sent_along else None, limit, token, timeout_seconds)
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

    def _send(self, finish: ScriptCall | None, limit: Limit, token: str, timeout_seconds: float) -> Any:  # noqa: ANN401 - of several classes
        """Returns the connection that it was sent on."""
        access, pipelined = self._access, self._access.pipelined
        if finish is None:
            pipelined.check_open()
        sure_ms = to_milliseconds(_SURE_SHARE * timeout_seconds)
        trust = ScriptCall(scripts.WRITE_AT_OOM, [access.keys.pop(token)], ["SET", "1", "PX", sure_ms])
        claim = self._claimer.prepare(limit, token, self._order.draw_priorities(), sure_ms=sure_ms)
        self._in_doubt.begin(token)
        return pipelined.send(
            pack(
                [
                    *map(access.command, [finish, trust] if finish else [trust]),
                    ("BRPOP", *self._order.lists, timeout_seconds),
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
            self._in_doubt.note_popped(self._read_popped(pipelined.receive(1, sent_on)[0]))
            jobs = self._claimer.read(pipelined.receive(1, sent_on)[0], token)
        except REPEATABLE:
            return self._claim_again(limit)
        self._in_doubt.note_claimed(jobs)
        return jobs

    def _read_popped(self, answer: list[bytes] | None) -> Popped | None:
        if answer is None:
            return None
        key, job_id = answer
        model, priority = self._order.lists[key]
        self._order.move_back(model)
        return Popped(decode_id(job_id), model, priority, new_token())
