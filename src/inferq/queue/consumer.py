"""The consumer's side of the queue: wait, claim, renew, finish, recover, report. Used by workers."""

import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from random import uniform
from typing import Any, cast

import redis
from redis.exceptions import NoScriptError

from inferq.jobs import ClaimedJob, Outcome, Priority, WorkerInfo
from inferq.queue import scripts
from inferq.queue.connection import check_server, connect, connect_blocking, redis_errors
from inferq.queue.keys import Keys
from inferq.queue.scripts import Script
from inferq.settings import Settings

BLOCK_SECONDS = 1.0
"""Longest BRPOP: how late a worker notices that it was told to stop."""
INLINE_BYTES = 16 * 1024
"""Larger values do not pass through Lua, which copies them: a 600 KB SET takes 15 µs, in Lua 1,286 µs."""
MISSING_SECONDS = 3.0
"""How long a job must be in no list before it counts as lost between BRPOP and claim."""
RECOVER_LIMIT = 100
"""Most jobs that one recovery pass handles of each sort."""
RETRY_BASE_SECONDS = 1.0
RETRY_CAP_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Popped:
    """A job id that BRPOP handed to this worker. Until it is claimed, only `recover` can find it again.

    Attributes:
        id: Job id.
        model: Model of the list it came from.
        priority: Priority of that list.
    """

    id: str
    model: str
    priority: Priority


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

    `wait` is for one thread only; everything else may be called from any.

    Args:
        settings: Where the server is, lifetimes, and the key prefix.
        worker_id: Who claims.
        models: Names of the models it serves.
    """

    def __init__(self, settings: Settings, worker_id: str, models: Sequence[str]) -> None:
        self._settings = settings
        self._keys = Keys(settings.key_prefix)
        self._worker_id = worker_id
        self._models = list(models)
        self._redis = connect(settings)
        self._blocking: redis.Redis | None = None
        self._lists = {
            self._keys.list(model, priority).encode(): (model, priority)
            for priority in Priority
            for model in self._models
        }

    def close(self) -> None:
        """Closes the connections."""
        self._redis.close()
        self._drop_blocking()

    def check_server(self) -> None:
        """Makes sure that the server can keep our promises; see `connection.check_server`."""
        check_server(self._redis)

    def announce(self, documents: Mapping[str, bytes]) -> None:
        """Tells the proxies which models are served.

        Args:
            documents: Model name to the JSON of its document; replaces earlier ones of the same name.
        """
        with redis_errors():
            self._redis.hset(self._keys.models, items=[part for pair in documents.items() for part in pair])

    def heartbeat(self, worker: WorkerInfo, documents: Mapping[str, bytes], ttl_seconds: float) -> None:
        """Reports that this worker lives, and announces the models that Redis may have lost.

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
        }
        arguments: list[Any] = [worker.id, _milliseconds(ttl_seconds), len(report)]
        for pair in (*report.items(), *documents.items()):
            arguments += pair
        with redis_errors():
            self._call(scripts.HEARTBEAT, [self._keys.workers], arguments)

    def retire(self) -> None:
        """Takes back the report: this worker is about to exit."""
        with redis_errors():
            self._redis.delete(self._keys.worker(self._worker_id))
            self._redis.zrem(self._keys.workers, self._worker_id)

    def wait(self, timeout_seconds: float = BLOCK_SECONDS) -> Popped | None:
        """Blocks until a job comes: lists of high priority first, models in turn.

        Args:
            timeout_seconds: Longest wait.

        Returns:
            The id popped, to be claimed at once; None if none came.
        """
        if self._blocking is None:
            self._blocking = connect_blocking(self._settings, timeout_seconds)
        try:
            with redis_errors():
                popped = self._blocking.brpop(list(self._lists), timeout=timeout_seconds)
        except BaseException:
            self._drop_blocking()  # a reply may still be on its way; the next call must not read it
            raise
        if popped is None:
            return None
        key, job_id = cast("tuple[bytes, bytes]", popped)
        model, priority = self._lists[key]
        self._take_turns()
        return Popped(job_id.decode("utf-8", "surrogateescape"), model, priority)

    def _take_turns(self) -> None:
        self._models.append(self._models.pop(0))
        self._lists = {
            self._keys.list(model, priority).encode(): (model, priority)
            for priority in Priority
            for model in self._models
        }

    def _drop_blocking(self) -> None:
        if self._blocking is not None:
            self._blocking.close()
            self._blocking = None

    def claim(self, limit: int, popped: Popped | None = None, token: str | None = None) -> list[ClaimedJob]:
        """Leases waiting jobs of one model to this worker.

        Args:
            limit: Most jobs to take, at least 1.
            popped: What `wait` returned, if anything; it is taken first.
            token: Fencing token; a claim repeated with it, since its reply was lost, gets the same
                jobs.

        Returns:
            The jobs, oldest of the highest priority first; none if none wait.
        """
        token = token or new_token()
        models = [popped.model] if popped else self._models
        arguments: list[Any] = [
            limit, _milliseconds(self._settings.lease_seconds), self._worker_id, token,
            _milliseconds(self._settings.job_ttl), _milliseconds(self._settings.result_ttl), INLINE_BYTES,
            _bytes(popped.id) if popped else "", popped.priority if popped else "", *models,
        ]  # fmt: skip
        with redis_errors():
            model, flat = self._call(scripts.CLAIM, [self._keys.queue(name) for name in models], arguments)
            claims = [
                (flat[i].decode("utf-8", "surrogateescape"), flat[i + 1], flat[i + 2])
                for i in range(0, len(flat), 3)
            ]
            large = self._fetch([job_id for job_id, data, _ in claims if data is None])
        return [
            ClaimedJob(
                job_id, model.decode(), large.get(job_id, b"") if data is None else data, attempt, token
            )
            for job_id, data, attempt in claims
        ]

    def _fetch(self, job_ids: list[str]) -> dict[str, bytes]:
        if not job_ids:
            return {}
        found = self._redis.mget([_bytes(self._keys.job(job_id, "data")) for job_id in job_ids])
        return {
            job_id: data
            for job_id, data in zip(job_ids, cast("list[bytes | None]", found), strict=True)
            if data
        }

    def finish(self, outcomes: Iterable[Outcome]) -> list[str]:
        """Ends attempts: stores results, fails jobs or puts them aside for another try.

        Args:
            outcomes: How each ended. May be repeated if a reply was lost.

        Returns:
            For each what became of it: completed, late, failed, retrying, or stale (not ours any more).
        """
        arguments: list[Any] = []
        staged: dict[Any, bytes] = {}
        for outcome in outcomes:
            job, error, result = outcome.job, outcome.error, outcome.result
            job_id = _bytes(job.id)
            if error is not None:
                verdict = "retry" if error.kind.is_retried else "failed"
                delay = _milliseconds(retry_delay(job.attempt))
                arguments += [job_id, job.token, verdict, error.message, error.kind, delay]
                continue
            payload = result or b"null"
            if len(payload) > INLINE_BYTES:
                staged[_bytes(self._keys.staged_result(job.id, job.token))] = payload
                payload = b""
            arguments += [job_id, job.token, "completed", payload, "", 0]
        return self._settle(arguments, staged)

    def release(self, jobs: Iterable[ClaimedJob]) -> list[str]:
        """Gives jobs back that were not begun, or not finished in time, without charging an attempt.

        Args:
            jobs: The claimed jobs; they will be the next to be taken.

        Returns:
            For each: released, or stale.
        """
        arguments: list[Any] = []
        for job in jobs:
            arguments += [_bytes(job.id), job.token, "released", "", "", 0]
        return self._settle(arguments, {})

    def _settle(self, arguments: list[Any], staged: Mapping[Any, bytes]) -> list[str]:
        if not arguments:
            return []
        ttl_ms = _milliseconds(self._settings.result_ttl)
        with redis_errors():
            for key, payload in staged.items():
                self._redis.set(key, payload, px=ttl_ms)
            verdicts = self._call(
                scripts.FINISH, [self._keys.models], [ttl_ms, self._settings.max_attempts, *arguments]
            )
        return [verdict.decode() for verdict in verdicts]

    def renew(self, jobs: Sequence[ClaimedJob]) -> list[ClaimedJob]:
        """Prolongs leases.

        Args:
            jobs: The jobs being run.

        Returns:
            Those that are no longer ours.
        """
        if not jobs:
            return []
        arguments: list[Any] = [
            _milliseconds(self._settings.lease_seconds),
            _milliseconds(self._settings.job_ttl),
        ]
        for job in jobs:
            arguments += [_bytes(job.id), job.token]
        with redis_errors():
            held = self._call(scripts.RENEW, [self._keys.models], arguments)
        return [job for job, is_held in zip(jobs, held, strict=True) if not is_held]

    def recover(self) -> Recovered:
        """Makes one recovery pass over the queues of this worker's models.

        Returns:
            What it found, over all models.
        """
        total = [0, 0, 0, 0]
        arguments: list[Any] = [
            RECOVER_LIMIT, _milliseconds(MISSING_SECONDS), _milliseconds(self._settings.result_ttl),
            self._settings.max_attempts,
        ]  # fmt: skip
        for model in list(self._models):
            with redis_errors():
                found = self._call(scripts.RECOVER, [self._keys.queue(model)], arguments)
            total = [sum(pair) for pair in zip(total, found, strict=True)]
        return Recovered(*total)

    def _call(self, script: Script, keys: list[str], arguments: list[Any]) -> Any:  # noqa: ANN401 - as the script answers
        rest = (len(keys), *keys, self._keys.prefix, *arguments)
        try:
            return self._redis.evalsha(script.digest, *rest)
        except NoScriptError:
            return self._redis.eval(script.source, *rest)


def new_token() -> str:
    """A fencing token for one claim."""
    return secrets.token_hex(16)


def retry_delay(attempt: int) -> float:
    """How long a job waits before its next try: exponential backoff with full jitter.

    Source: M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.

    Args:
        attempt: The attempt that failed, 1 for the first.

    Returns:
        Seconds, between 0 and `RETRY_BASE_SECONDS` doubled with each attempt, at most `RETRY_CAP_SECONDS`.
    """
    return uniform(0.0, min(RETRY_CAP_SECONDS, RETRY_BASE_SECONDS * 2.0 ** min(attempt - 1, 16)))  # noqa: S311


def _milliseconds(seconds: float) -> int:
    return max(1, round(seconds * 1000))


def _bytes(text: str) -> bytes:
    """Ids from outside may be any bytes; they are carried through Python as surrogate escapes."""
    return text.encode("utf-8", "surrogateescape")
