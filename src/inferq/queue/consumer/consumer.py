"""The consumer's side of the queue: wait, claim, renew, finish, recover, report. Used by workers."""

import json
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import batched, chain, groupby, islice
from math import inf
from operator import itemgetter
from textwrap import shorten
from typing import Any, cast

import redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError, OutOfMemoryError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from inferq.errors import InferqError, InvalidInputError, RedisUnavailableError, ResultTooLargeError
from inferq.jobs import ClaimedJob, Outcome, Priority, WorkerInfo
from inferq.queue.consumer.orphans import OrphanScan
from inferq.queue.consumer.prefetch import Answer, PrefetchedClaim
from inferq.queue.consumer.priorities import WeightedPriorities
from inferq.queue.consumer.upload import ResultUpload
from inferq.queue.redis_client import scripts
from inferq.queue.redis_client.connection import connect, redis_errors, start_errors
from inferq.queue.redis_client.error_replies import is_lasting_refusal
from inferq.queue.redis_client.pipelined import REPEATABLE, PipelinedConnection, pack
from inferq.queue.redis_client.requirements import check_server
from inferq.queue.redis_client.scripts import INLINE_BYTES, Script, milliseconds
from inferq.queue.retry_policy import RetryPolicy
from inferq.queue.schema.keys import Keys
from inferq.settings import Settings

BLOCK_SECONDS = 1.0
"""Longest BRPOP: how late a worker notices that it was told to stop."""
_SURE_SHARE = 0.8
"""A BRPOP that has ended within this share of its time has popped something."""
MISSING_SECONDS = 3.0
"""How long a job must be in no list before it counts as lost between BRPOP and claim."""
UNSERVED_SECONDS = 300.0
"""How long a model stays announced that no worker has: workers start anew, one after the other."""
RECOVER_LIMIT = 100
"""Most jobs that one recovery pass handles of each sort."""
_FETCHES = 3
"""So often data is asked for by itself that has been cut off, though the server answers."""
_STAGED_MS = 600_000
"""How long a large result that no `finish` has taken stays. Whoever repeats that sends it again."""
LONGEST_ERROR = 4000
"""Longest error that is stored of an attempt, in characters."""
_MOST_LEFT_OUT = 100
_LONGEST_REASON = 500
_LONGEST_LEASE_SECONDS = 10.0
"""A lease that ends later than this, and than two of our own, was given before the clock was set back."""


_ON_LINE = scripts.FINISH, scripts.WRITE_AT_OOM, scripts.CLAIM
"""Sent behind one another, so that the server must know them beforehand."""

type _Call = tuple[Script, list[str], list[Any]]


@dataclass(frozen=True, slots=True)
class Popped:
    """A job id that BRPOP handed to this worker. Until it is claimed, only `recover` can find it again.

    Attributes:
        id: Job id.
        model: Model of the list it came from.
        priority: Priority of that list.
        token: Fencing token to claim it with.
    """

    id: str
    model: str
    priority: Priority
    token: str


@dataclass(frozen=True, slots=True)
class Recovered:
    """What one recovery pass did.

    Attributes:
        lapsed: Jobs taken back from workers that died.
        due: Jobs whose retry was due.
        missing: Jobs found that were popped but never claimed.
        failed: Jobs that failed for good because their worker died too often.
    """

    lapsed: int = 0
    due: int = 0
    missing: int = 0
    failed: int = 0


class Consumer:
    """Takes jobs from the queue for one worker. Every method raises RedisUnavailableError when Redis is away.

    `take`, a claim of what it returned, and a prepared exchange are for one thread at a time; everything
    else may be called from any.

    Args:
        settings: Where the server is, lifetimes, and the key prefix.
        worker_id: Who claims.
        models: Names of the models it serves.
        versions: The version of each of them, which its jobs are to show; none for one that is left out.
        retries: When a failed job runs again, and how often; the policy for jobs if left out.
    """

    def __init__(
        self,
        settings: Settings,
        worker_id: str,
        models: Sequence[str],
        versions: Mapping[str, str] | None = None,
        *,
        retries: RetryPolicy | None = None,
    ) -> None:
        self._settings = settings
        self._retries = retries or RetryPolicy.for_jobs(settings)
        self._keys = Keys(settings.key_prefix)
        self._worker_id = worker_id
        self._models = list(models)
        self._versions = versions or {}
        self._turns = WeightedPriorities(settings.lower_share)
        self._order: tuple[Priority, ...] = ()
        self._prepared: PrefetchedClaim | None = None
        self._unanswered = ""  # token of a take whose answer was lost
        self._owed: Popped | None = None  # popped, and not known to be claimed
        self._held_up_in: Priority | None = None
        self._awaiting_data: Sequence[ClaimedJob] = ()
        self._neighbour = b""  # another's model, of which ended jobs were forgotten last
        self._redis = connect(settings)
        self._scan = OrphanScan(self._redis, self._keys, self._call)
        self._line = PipelinedConnection(
            self._redis, [("SCRIPT", "LOAD", script.source) for script in _ON_LINE]
        )
        self._lists = {
            self._keys.list(model, priority).encode(): (model, priority)
            for priority in Priority
            for model in self._models
        }

    def close(self) -> None:
        """Closes the connections."""
        self._line.hang_up()
        self._redis.close()

    @property
    def is_held_up(self) -> bool:
        """Whether a job that must run alone stood in the way of a claim.

        The next prepared exchange that may take it looks there first: its list is stopped until then.
        """
        return self._held_up_in is not None

    @property
    def awaiting_data(self) -> Sequence[ClaimedJob]:
        """Jobs that are leased already, whose large data is on its way: their leases have to be renewed."""
        return self._awaiting_data

    def check_server(self) -> None:
        """Makes sure that the server can keep our promises; see `requirements.check_server`."""
        check_server(self._redis, self._settings.durability)

    def announce(self, documents: Mapping[str, bytes]) -> None:
        """Tells the proxies which models are served.

        Args:
            documents: Model name to the JSON of its document; replaces earlier ones of the same name.

        Raises:
            InvalidSettingError: This user may not do that.
        """
        with start_errors(), redis_errors():
            arguments = ["HSET", *(part for pair in documents.items() for part in pair)]
            self._call(scripts.WRITE_AT_OOM, [self._keys.models], arguments)

    def heartbeat(self, worker: WorkerInfo, documents: Mapping[str, bytes], ttl_seconds: float) -> None:
        """Reports that this worker lives, and announces the models that Redis may have lost.

        Models that no worker has had for `UNSERVED_SECONDS` are not announced any more.

        Args:
            worker: The report.
            documents: Model name to the JSON of its document.
            ttl_seconds: How long the report stands.
        """
        report = {
            "host": worker.host,
            "pid": worker.pid,
            "models": " ".join(worker.models),
            "started_at": worker.started_at.isoformat(),
            "jobs_done": worker.jobs_done,
            "left_out": _few(worker.left_out),
        }
        grace_ms = milliseconds(UNSERVED_SECONDS)
        arguments: list[Any] = [worker.id, milliseconds(ttl_seconds), grace_ms, len(report)]
        for pair in (*report.items(), *documents.items()):
            arguments += pair
        with redis_errors():
            self._call(scripts.HEARTBEAT, [self._keys.workers], arguments)

    def retire(self) -> None:
        """Takes back the report: this worker is about to exit."""
        with redis_errors():
            self._redis.delete(self._keys.worker(self._worker_id))
            self._redis.zrem(self._keys.workers, self._worker_id)

    def take(
        self,
        limit: int | Mapping[str, int],
        outcomes: Sequence[Outcome] = (),
        noted: Callable[[list[str]], None] = lambda _: None,
        timeout_seconds: float = BLOCK_SECONDS,
    ) -> list[ClaimedJob] | Popped:
        """Ends attempts, blocks until a job comes, and leases it, all in one round trip.

        Where jobs wait already, it leases those behind it as well. Lists of high priority come first, models
        in turn. The claim goes right behind the BRPOP, so it has to find out what that popped. Where it
        cannot tell, it is to be made again by the id.

        Args:
            limit: Most jobs to take, at least 1; or the same for each model.
            outcomes: How each attempt ended; see `finish`. With large results they take a round trip before.
            noted: Is told what became of them as soon as they are stored: the wait may go on.
            timeout_seconds: Longest wait; less than the 5 s for which the socket waits.

        Returns:
            The jobs, as `claim` does; none if none came. Or an id that is still to be claimed, at once.
        """
        with redis_errors():
            if self._unanswered and (jobs := self._take_again(limit)):
                return jobs
            if self._owed is not None:
                self._put_back(self._owed)
            finish, staged = self._finish_call(outcomes)
            if staged:
                noted(self.finish(outcomes))
                outcomes = ()
            token = new_token()
            sent_on = self._send_take(finish if outcomes else None, limit, token, timeout_seconds)
            if outcomes:
                try:
                    noted(_verdicts(self._line.receive(1, sent_on)[0]))
                except REPEATABLE:
                    noted(self.finish(outcomes))
            try:
                with suppress(NoScriptError):
                    self._line.receive(1, sent_on)
                self._owed = self._popped(self._line.receive(1, sent_on)[0])
                jobs = self._pay(self._claimed(self._line.receive(1, sent_on)[0], token))
            except REPEATABLE:
                jobs = self._take_again(limit)
            popped = self._owed
            if popped is None:
                return jobs
            if not jobs:
                self._owed = None
                return popped
            with suppress(RedisUnavailableError):
                self._put_back(popped)
            return jobs

    def give_back_unanswered(self) -> None:
        """Gives back what a take has got whose answer was lost."""
        with redis_errors():
            if self._unanswered:
                self.release(self._take_again(1))
            if self._owed is not None:
                self._put_back(self._owed)

    def _send_take(
        self, finish: _Call | None, limit: int | Mapping[str, int], token: str, timeout_seconds: float
    ) -> Any:  # noqa: ANN401 - of several classes
        """Returns the connection that it was sent on."""
        if finish is None:
            self._line.check()
        sure_ms = milliseconds(_SURE_SHARE * timeout_seconds)
        trust = scripts.WRITE_AT_OOM, [self._keys.take(token)], ["SET", "1", "PX", sure_ms]
        calls = [finish, trust] if finish else [trust]
        self._unanswered = token
        return self._line.send(
            pack(
                [
                    *map(self._command, calls),
                    ("BRPOP", *self._lists, timeout_seconds),
                    self._command(self._claim_call(limit, token, None, sure_ms=sure_ms)),
                ]
            )
        )

    def _take_again(self, limit: int | Mapping[str, int]) -> list[ClaimedJob]:
        """What was claimed by a take whose answer was lost, or would be claimed now."""
        self._redis.delete(self._keys.take(self._unanswered))  # a server that still waits claims nothing more
        return self._pay(self.claim(limit, token=self._unanswered))

    def _pay(self, jobs: list[ClaimedJob]) -> list[ClaimedJob]:
        """Notes that a take is answered with these jobs."""
        self._unanswered = ""
        if self._owed is not None and self._owed.id in [job.id for job in jobs]:
            self._owed = None
        return jobs

    def _popped(self, answer: Any) -> Popped | None:  # noqa: ANN401 - as BRPOP answers
        if answer is None:
            return None
        key, job_id = answer
        model, priority = self._lists[key]
        self._take_turns(model)
        return Popped(_text(job_id), model, priority, new_token())

    def _put_back(self, popped: Popped) -> None:
        """Puts what was popped in line again, where others were claimed in its place."""
        self.release(self.claim(0, popped))
        self._owed = None

    def _take_turns(self, served: str) -> None:
        """Puts the model that had its turn behind the others."""
        if len(self._models) == 1:
            return
        self._models = [model for model in self._models if model != served] + [served]
        self._lists = {
            self._keys.list(model, priority).encode(): (model, priority)
            for priority in Priority
            for model in self._models
        }

    def claim(
        self, limit: int | Mapping[str, int], popped: Popped | None = None, token: str = ""
    ) -> list[ClaimedJob]:
        """Leases waiting jobs of one model to this worker.

        Args:
            limit: Most jobs to take; or the same for each model. With 0 none but the popped one.
            popped: What `take` returned, if no jobs; it is taken first.
            token: Fencing token; a claim repeated with it, since its reply was lost, gets the same
                jobs.

        Returns:
            The jobs, the oldest first; those of `high` before others, but for the share of the lower
            ones; none if none wait. Models take turns.
        """
        token = token or (popped.token if popped else new_token())
        call = self._claim_call(limit, token, popped)
        with redis_errors():
            return self._claimed(self._call(*call) if popped is None else self._call_on_line(call), token)

    def exchange(
        self,
        outcomes: Sequence[Outcome],
        limit: int | Mapping[str, int],
        token: str,
        *,
        takes_alone: bool = True,
    ) -> Answer:
        """Ends attempts and leases further jobs, in one round trip; see `finish` and `claim`.

        Args:
            outcomes: How each attempt ended.
            limit: Most jobs to take, at least 1; or the same for each model.
            token: Fencing token. The whole exchange may be repeated with it if its reply was lost.
            takes_alone: Whether to take a job that must run alone, since a worker died with it.

        Returns:
            What became of each outcome, and the jobs.
        """
        finish, staged = self._finish_call(outcomes)
        claim = self._claim_call(limit, token, None, takes_alone=takes_alone)
        with redis_errors():
            try:
                return self._answer_of(self._call_together([finish, claim], staged), token)
            except ResponseError as error:
                if not (staged and is_lasting_refusal(error)):
                    raise
            return self.finish(outcomes), self._claimed(self._call(*claim), token)

    def prepare_exchange(
        self, outcomes: Sequence[Outcome], limits: Mapping[str, int], token: str, *, takes_alone: bool = True
    ) -> PrefetchedClaim:
        """Makes an exchange that is sent and waited for later; see `exchange` for the arguments."""
        finish, staged = self._finish_call(outcomes)
        first = None
        if takes_alone:
            first, self._held_up_in = self._held_up_in, None
        claim = self._claim_call(limits, token, None, takes_alone=takes_alone, first=first)
        self._prepared = PrefetchedClaim(
            self._line,
            [*self._staging(staged), self._command(finish), self._command(claim)],
            partial(self._answer_of, token=token),
            lambda replies: self._leased(replies[1], token),
            lambda: self.exchange(outcomes, limits, token, takes_alone=takes_alone),
            outcomes=outcomes,
            limits=limits,
        )
        return self._prepared

    def _answer_of(self, replies: list[Any], token: str) -> Answer:
        verdicts, claims = replies
        return _verdicts(verdicts), self._claimed(claims, token)

    def _next_order(self) -> tuple[Priority, ...]:
        """The order of priorities for a claim: that of an exchange which was not sent is still due."""
        is_due = self._prepared is not None and self._prepared.sent_at == inf
        self._prepared = None
        if not is_due:
            self._order = self._turns.following()
        return self._order

    def _claim_call(
        self,
        limit: int | Mapping[str, int],
        token: str,
        popped: Popped | None,
        *,
        takes_alone: bool = True,
        sure_ms: int = 0,
        first: Priority | None = None,
    ) -> _Call:
        models = [popped.model] if popped else self._models
        order = self._next_order()
        if first:
            order = (first, *(priority for priority in order if priority is not first))
        arguments: list[Any] = [
            int(takes_alone), milliseconds(self._settings.lease_seconds), self._worker_id, token,
            milliseconds(self._settings.job_ttl), milliseconds(self._settings.result_ttl), INLINE_BYTES,
            _bytes(popped.id) if popped else "", popped.priority if popped else "",
            " ".join(order), sure_ms,
        ]  # fmt: skip
        for model in models:
            most = limit if isinstance(limit, int) else limit[model]
            arguments += (model, self._versions.get(model, ""), most)
        return scripts.CLAIM, [self._keys.queue(name) for name in models], arguments

    def _claimed(self, answer: list[Any], token: str) -> list[ClaimedJob]:
        model, ids, found, _, held_up_in = answer
        if held_up_in:
            self._held_up_in = Priority(held_up_in.decode())
        if not ids:
            return []
        jobs = self._leased(answer, token)
        if None in found:
            self._awaiting_data = jobs
            jobs = self._with_data(jobs, [place for place, data in enumerate(found) if data is None])
            self._awaiting_data = ()
        self._take_turns(model.decode())
        return jobs

    def _leased(self, answer: list[Any], token: str) -> list[ClaimedJob]:
        """The jobs that a claim brings; data that is large is still to be fetched, and empty."""
        model, ids, found, unusual = answer[0].decode(), *answer[1:4]
        jobs = [
            ClaimedJob(_text(job_id), model, data or b"", 1, token)
            for job_id, data in zip(ids, found, strict=True)
        ]
        for place, attempt, timeout_ms in batched(unusual, 3, strict=True):
            seconds = timeout_ms / 1000 if timeout_ms else None
            jobs[place] = jobs[place]._replace(attempt=attempt, timeout_seconds=seconds)
        return jobs

    def _with_data(self, jobs: Sequence[ClaimedJob], large: Sequence[int]) -> list[ClaimedJob]:
        """The jobs with the data of those at these places; those whose data cannot be fetched have failed."""
        complete: dict[int, ClaimedJob] = dict(enumerate(jobs))
        unreadable: list[Outcome] = []
        for place, data in zip(large, self._fetch([jobs[place] for place in large]), strict=True):
            if isinstance(data, InferqError):
                unreadable.append(Outcome(complete.pop(place), error=data))
            else:
                complete[place] = jobs[place]._replace(data=data)
        if unreadable:
            self.finish(unreadable)
        return list(complete.values())

    def _fetch(self, jobs: Sequence[ClaimedJob]) -> list[bytes | InferqError]:
        """Their data, or why it cannot be had though the server answers."""
        keys = [_bytes(self._keys.job(job.id, "data")) for job in jobs]
        try:
            return [data or b"" for data in cast("list[bytes | None]", self._redis.mget(keys))]
        except (RedisConnectionError, RedisTimeoutError):
            self._redis.ping()  # else that is what failed
            return [self._fetch_alone(key) for key in keys]

    def _fetch_alone(self, key: bytes) -> bytes | InferqError:
        reason = ""
        for _ in range(_FETCHES):
            try:
                return cast("bytes | None", self._redis.get(key)) or b""
            except (RedisConnectionError, RedisTimeoutError) as error:
                self._redis.ping()
                reason = str(error)
        return InvalidInputError(
            f"The data of this job cannot be read from Redis, though that answers: {reason} "
            "Its limits are client-output-buffer-limit and maxmemory-clients."
        )

    def finish(self, outcomes: Iterable[Outcome]) -> list[str]:
        """Ends attempts: stores results, fails jobs or puts them aside for another try.

        Args:
            outcomes: How each ended. May be repeated if a reply was lost.

        Returns:
            For each what became of it: completed, late, failed, retrying, or stale (not ours any more). One
            whose result the server refuses has failed.
        """
        outcomes = list(outcomes)
        call, staged = self._finish_call(outcomes)
        with redis_errors():
            if refused := self._stage_each(staged):
                call, _ = self._finish_call(
                    Outcome(outcome.job, error=ResultTooLargeError(f"Redis refuses the result: {error}."))
                    if (error := refused.get(self._staged_key(outcome.job)))
                    else outcome
                    for outcome in outcomes
                )
            return _verdicts(self._call(*call))

    def upload(self, outcome: Outcome) -> ResultUpload:
        """What stores the result of an attempt by itself, as is to be done with those over `LARGE_BYTES`."""
        job, result = outcome.job, outcome.result or b"null"
        call = self._settle_call([("completed", job.token, (_bytes(job.id), b""))])
        return ResultUpload(
            self._redis,
            self._keys.prefix,
            job,
            result,
            key=self._staged_key(job),
            ttl_ms=_STAGED_MS,
            finish=lambda: _verdicts(self._call(*call))[0],
        )

    def _finish_call(self, outcomes: Iterable[Outcome]) -> tuple[_Call, dict[Any, bytes]]:
        staged: dict[Any, bytes] = {}
        settled: list[tuple[str, str, tuple[Any, ...]]] = []
        for job, result, error in outcomes:
            job_id = _bytes(job.id)
            if error is not None:
                verdict = "retry" if self._retries.retries(error.kind) else "failed"
                delay = milliseconds(self._retries.draw_delay(job.attempt))
                settled.append((verdict, job.token, (job_id, _message(error), error.kind, delay)))
                continue
            payload = result or b"null"
            if len(payload) > INLINE_BYTES:
                staged[self._staged_key(job)] = payload
                payload = b""
            settled.append(("completed", job.token, (job_id, payload)))
        return self._settle_call(settled), staged

    def release(self, jobs: Sequence[ClaimedJob]) -> list[str]:
        """Gives jobs back that were not begun, or not finished in time, without charging an attempt.

        Args:
            jobs: The claimed jobs; they will be the next to be taken.

        Returns:
            For each: released, or stale.
        """
        settled = [
            ("released", job.token, (_bytes(job.id), "", "", 0))
            for job in reversed(jobs)  # what is given back last is taken first
        ]
        if not settled:
            return []
        with redis_errors():
            return _verdicts(self._call(*self._settle_call(settled)))[::-1]

    def _settle_call(self, settled: Iterable[tuple[str, str, tuple[Any, ...]]]) -> _Call:
        """The call that settles jobs, each given by verdict, token and what the script wants of it."""
        arguments: list[Any] = [self._result_ttl_ms, self._retries.max_attempts]
        for (verdict, token), group in groupby(settled, key=itemgetter(0, 1)):
            details = [detail for _, _, detail in group]
            arguments += (verdict, token, len(details))
            arguments += chain.from_iterable(details)
        return scripts.FINISH, [self._keys.models], arguments

    def _staged_key(self, job: ClaimedJob) -> bytes:
        return _bytes(self._keys.staged_result(job.id, job.token))

    def _stage_each(self, staged: Mapping[Any, bytes]) -> dict[Any, ResponseError]:
        """Puts large results aside; returns those that the server refuses, and why."""
        refused: dict[Any, ResponseError] = {}
        for key, payload in staged.items():
            try:
                self._stage(self._redis, {key: payload})
            except OutOfMemoryError:
                self._stage_at_any_rate({key: payload})
            except ResponseError as error:
                if not is_lasting_refusal(error):
                    raise
                refused[key] = error
        return refused

    def _staging(self, staged: Mapping[Any, bytes]) -> list[tuple[Any, ...]]:
        """The commands that put large results where the finish script takes them from."""
        return [("SET", key, payload, "PX", _STAGED_MS) for key, payload in staged.items()]

    def _stage(self, client: redis.Redis, staged: Mapping[Any, bytes]) -> None:
        for command in self._staging(staged):
            client.execute_command(*command)  # type: ignore[no-untyped-call]

    def _stage_at_any_rate(self, staged: Mapping[Any, bytes]) -> None:
        """The same through a script, which is slow, but gets through where the server's memory is full."""
        for key, payload in staged.items():
            self._call(scripts.WRITE_AT_OOM, [key], ["SET", payload, "PX", _STAGED_MS])

    def renew(self, running: Mapping[ClaimedJob, float]) -> dict[ClaimedJob, str]:
        """Prolongs leases.

        Args:
            running: The jobs being run, each with the longest time in seconds since its claim for which its
                lease may be prolonged.

        Returns:
            For each: renewed, overdue (not prolonged), cancelled, or lost.
        """
        if not running:
            return {}
        arguments: list[Any] = [milliseconds(self._settings.lease_seconds), self._lifetime_ms]
        for job, longest_seconds in running.items():
            arguments += [_bytes(job.id), job.token, milliseconds(longest_seconds)]
        with redis_errors():
            answers = self._call(scripts.RENEW, [self._keys.models], arguments)
        return {job: answer.decode() for job, answer in zip(running, answers, strict=True)}

    def recover(self) -> Recovered:
        """Makes one recovery pass over the queues of this worker's models.

        Of one other model in turn, of which perhaps no worker is left, ended jobs are forgotten in time, and
        those that waited too long are ended.

        Returns:
            What it found, over all models.
        """
        total, kept = [0, 0, 0, 0], set[bytes]()
        arguments: list[Any] = [
            RECOVER_LIMIT, milliseconds(MISSING_SECONDS), milliseconds(self._settings.result_ttl),
            self._retries.max_attempts, milliseconds(self._settings.job_ttl),
            milliseconds(max(2 * self._settings.lease_seconds, _LONGEST_LEASE_SECONDS)),
            milliseconds(self._retries.cap_seconds),
        ]  # fmt: skip
        for model in list(self._models):
            with redis_errors():
                *found, models = self._call(scripts.RECOVER, [self._keys.queue(model)], arguments)
            total = [sum(pair) for pair in zip(total, found, strict=True)]
            kept.update(models)
        others = sorted(kept.difference(map(_bytes, self._models)))
        following = (model for model in others if model > self._neighbour)
        self._neighbour = next(following, others[0] if others else b"")
        if self._neighbour:
            queue: Any = _bytes(self._keys.queue(_text(self._neighbour)))
            with redis_errors():
                job_ttl_ms = milliseconds(self._settings.job_ttl)
                arguments = [self._neighbour, self._result_ttl_ms, job_ttl_ms, RECOVER_LIMIT]
                self._call(scripts.PURGE, [queue], arguments)
        return Recovered(*total)

    def takes_scan_turn(self) -> bool:
        """Whether the next `rescue` is this worker's: one is due a second, whatever the number of workers."""
        with redis_errors():
            return self._scan.takes_turn()

    def rescue(self) -> list[str]:
        """Takes one step of a slow scan for jobs of outside producers that were popped but never claimed.

        Returns:
            The ids put back in line. As nothing in Redis tells which model such a job was meant for, it goes
            to the default model if this worker serves it, else to the worker's first.
        """
        with redis_errors():
            suspects = [_text(job_id) for job_id in self._scan.step()]
            answers = {job_id: self._rescue_one(job_id, are_all_lists=False) for job_id in suspects}
            missing = [job_id for job_id, answer in answers.items() if answer == b"missing"]
            if missing:
                self._scan.find_lists()
            return [
                job_id for job_id in missing if self._rescue_one(job_id, are_all_lists=True) == b"rescued"
            ]

    def _rescue_one(self, job_id: str, *, are_all_lists: bool) -> bytes:
        default = self._settings.default_model
        models = sorted(self._models, key=lambda model: (model != default, model))
        arguments = [
            _bytes(job_id), milliseconds(MISSING_SECONDS), self._lifetime_ms,
            int(are_all_lists), *self._scan.lists,
        ]  # fmt: skip
        return cast(
            "bytes",
            self._call(scripts.RECOVER_ORPHAN, [self._keys.queue(model) for model in models], arguments),
        )

    @property
    def _result_ttl_ms(self) -> int:
        return milliseconds(self._settings.result_ttl)

    @property
    def _lifetime_ms(self) -> int:
        """How long the keys of a job that has not ended are kept: until it failed as expired and was read."""
        return milliseconds(self._settings.job_ttl + self._settings.result_ttl)

    def _call_on_line(self, call: _Call) -> Any:  # noqa: ANN401 - as the script answers
        try:
            return self._line.ask(self._command(call))[0]
        except REPEATABLE:
            return self._call(*call)

    def _command(self, call: _Call) -> tuple[Any, ...]:
        script, keys, arguments = call
        return "EVALSHA", script.digest, len(keys), *keys, self._keys.prefix, *arguments

    def _call(self, script: Script, keys: list[str], arguments: list[Any]) -> Any:  # noqa: ANN401 - as the script answers
        rest = (len(keys), *keys, self._keys.prefix, *arguments)
        try:
            return self._redis.evalsha(script.digest, *rest)
        except NoScriptError:
            return self._redis.eval(script.source, *rest)

    def _call_together(self, calls: Sequence[_Call], staged: Mapping[Any, bytes]) -> list[Any]:
        """The answers of several scripts in one round trip, after large results were put beside them."""
        while True:
            pipeline = self._redis.pipeline(transaction=False)
            self._stage(pipeline, staged)
            for script, keys, arguments in calls:
                pipeline.evalsha(script.digest, len(keys), *keys, self._keys.prefix, *arguments)
            try:
                return pipeline.execute()[len(staged) :]
            except NoScriptError:
                for script, _, _ in calls:
                    self._redis.script_load(script.source)
            except OutOfMemoryError:
                self._stage_at_any_rate(staged)
                staged = {}


def _few(left_out: Mapping[str, str]) -> str:
    """Models and reasons as JSON that a heartbeat can carry."""
    some = islice(left_out.items(), _MOST_LEFT_OUT)
    return json.dumps({name: shorten(reason, _LONGEST_REASON, placeholder=" …") for name, reason in some})


def _verdicts(answer: list[Any]) -> list[str]:
    """A verdict for each job, of verdicts and how many in a row got each."""
    verdicts: list[str] = []
    for verdict, count in batched(answer, 2, strict=True):
        verdicts += [verdict.decode()] * count
    return verdicts


def new_token() -> str:
    """A fencing token for one claim."""
    return secrets.token_hex(16)


def _message(error: InferqError) -> bytes:
    """What is stored of an error: not endless, and in UTF-8, whatever a model or a job's data put into it."""
    text = error.message
    if len(text) > LONGEST_ERROR:
        text = f"{text[:LONGEST_ERROR]}… ({len(text):,} characters)"
    return text.encode("utf-8", "backslashreplace")


def _text(stored: bytes) -> str:
    return stored.decode("utf-8", "surrogateescape")


def _bytes(text: str) -> bytes:
    """Ids from outside may be any bytes; they are carried through Python as surrogate escapes."""
    return text.encode("utf-8", "surrogateescape")
