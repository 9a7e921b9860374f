"""Settles attempts: finish (ack a result, nack an error) and requeue."""

import time
from collections.abc import Iterable, Sequence
from itertools import batched, chain, groupby
from operator import itemgetter
from typing import Any, NamedTuple

from inferq.errors import InferqError, ResultTooLargeError
from inferq.jobs import ClaimedJob, Outcome
from inferq.queue.consumer.access import QueueAccess
from inferq.queue.consumer.blobs.result_upload import ResultUpload
from inferq.queue.consumer.blobs.staged_results import STAGED_MS, StagedResults
from inferq.queue.ended_jobs import NoteEnded, decode_changed
from inferq.queue.redis_client import scripts
from inferq.queue.redis_client.connection import redis_errors
from inferq.queue.redis_client.script_calls import ScriptCall
from inferq.queue.redis_client.scripts import INLINE_BYTES
from inferq.queue.retry_policy import RetryPolicy
from inferq.queue.schema.ids import encode_id
from inferq.queue.schema.times import to_milliseconds

KEPT = "kept"
"""The verdict on an outcome that waits in this process, since its shard is away: it is stored later."""
LONGEST_ERROR = 4000
"""Longest error that is stored of an attempt, in characters."""

type _Settlement = tuple[str, str, str, float, int, bool, tuple[Any, ...]]
"""Verdict, token and provenance; seconds and jobs of the run, if it ran; whether the run is counted by this
job; and what the script wants of the job itself."""


class PreparedFinish(NamedTuple):
    """A finish that is sent later.

    Attributes:
        call: The call of the script.
        staged: Large results by the key that they have to be written to before.
    """

    call: ScriptCall
    staged: dict[bytes, bytes]


class Settler:
    """Ends attempts.

    Args:
        access: The server.
        retries: Which failed jobs run again, and when.
        note_ended: Is told of jobs that a worker from outside has ended.

    Attributes:
        staged_results: Writes large results.
    """

    def __init__(self, access: QueueAccess, retries: RetryPolicy, note_ended: NoteEnded) -> None:
        self._access = access
        self._retries = retries
        self._note_ended = note_ended
        self.staged_results = StagedResults(access)

    def finish(self, outcomes: Iterable[Outcome]) -> list[str]:
        """Ends attempts: stores results, fails jobs, or keeps them for another attempt.

        Args:
            outcomes: How each ended. May be repeated if an answer was lost.

        Returns:
            For each what became of it: completed, late, failed, retrying, or stale (not ours any more). One
            whose result the server refuses has failed.

        Raises:
            RedisUnavailableError: Redis is away.
        """
        outcomes = list(outcomes)
        call, staged = self.prepare(outcomes)
        with redis_errors():
            if refused := self.staged_results.write_each(staged):
                call, _ = self.prepare(
                    outcome._replace(
                        result=None, error=ResultTooLargeError(f"Redis refuses the result: {error}.")
                    )
                    if (error := refused.get(self.staged_results.make_key(outcome.job)))
                    else outcome
                    for outcome in outcomes
                )
            return self.read_verdicts(self._access.call(*call))

    def prepare(self, outcomes: Iterable[Outcome]) -> PreparedFinish:
        """Makes a finish that is sent later."""
        staged: dict[bytes, bytes] = {}
        settled: list[_Settlement] = []
        oldest = time.monotonic() - self._access.settings.blob_grace_seconds / 2
        for job, result, error, seconds, jobs, is_first, offloaded_at, made_by in outcomes:
            job_id = encode_id(job.id)
            if offloaded_at is not None and offloaded_at < oldest:
                # Redis was away for long: the blob may be swept before it is named, so the job runs again
                settled.append(("requeued", job.token, "", 0.0, 0, False, (job_id, "", "", 0)))
                continue
            if error is not None:
                is_retried = self._retries.retries(error.kind) and not error.is_final
                verdict = "retry" if is_retried else "failed"
                delay_ms = to_milliseconds(self._retries.draw_delay(job.attempt))
                details = (job_id, _encode_message(error), error.kind, delay_ms)
                settled.append((verdict, job.token, made_by, seconds, jobs, is_first, details))
                continue
            payload = result or b"null"
            if len(payload) > INLINE_BYTES:
                staged[self.staged_results.make_key(job)] = payload
                payload = b""
            settled.append(("completed", job.token, made_by, seconds, jobs, is_first, (job_id, payload)))
        return PreparedFinish(self._call(settled), staged)

    def prepare_upload(self, outcome: Outcome) -> ResultUpload:
        """Makes what stores one result by itself, as is to be done with those over `LARGE_RESULT_BYTES`."""
        job, payload, _, seconds, jobs, is_first, _, made_by = outcome
        details = (encode_id(job.id), b"")
        call = self._call([("completed", job.token, made_by, seconds, jobs, is_first, details)])
        return ResultUpload(
            self._access.redis,
            self._access.keys.prefix,
            job,
            payload or b"null",
            key=self.staged_results.make_key(job),
            ttl_ms=STAGED_MS,
            finish=lambda: self.read_verdicts(self._access.call(*call))[0],
        )

    def requeue(self, jobs: Sequence[ClaimedJob]) -> list[str]:
        """Requeues jobs that were not begun, or not finished in time, without charging an attempt.

        Args:
            jobs: The claimed jobs; they will be the next to be claimed.

        Returns:
            For each: requeued, or stale.

        Raises:
            RedisUnavailableError: Redis is away.
        """
        # what is pushed last is claimed first
        return self._hand_back(jobs[::-1], "requeued", 0.0)[::-1]

    def defer(self, jobs: Sequence[ClaimedJob], delay_seconds: float) -> list[str]:
        """Leaves jobs to others that this worker cannot begin, without charging an attempt.

        Args:
            jobs: The claimed jobs.
            delay_seconds: After which they are queued again, where this worker may meet them once more.

        Returns:
            For each: deferred, or stale.

        Raises:
            RedisUnavailableError: Redis is away.
        """
        return self._hand_back(jobs, "deferred", delay_seconds)

    def _hand_back(self, jobs: Sequence[ClaimedJob], verdict: str, delay_seconds: float) -> list[str]:
        delay_ms = to_milliseconds(delay_seconds)
        settled = [
            (verdict, job.token, "", 0.0, 0, False, (encode_id(job.id), "", "", delay_ms)) for job in jobs
        ]
        if not settled:
            return []
        with redis_errors():
            return self.read_verdicts(self._access.call(*self._call(settled)))

    def read_verdicts(self, answer: list[Any]) -> list[str]:
        """Returns a verdict for each job of a finish.

        Args:
            answer: What the script answers: verdicts, and how many jobs in a row got each. Ends behind them
                are taken out and told, so that nobody is told of them again if it is read again.
        """
        if len(answer) % 2:
            self._note_ended(decode_changed(answer.pop()))
        verdicts: list[str] = []
        for verdict, count in batched(answer, 2, strict=True):
            verdicts += [verdict.decode()] * count
        return verdicts

    def _call(self, settled: Iterable[_Settlement]) -> ScriptCall:
        arguments: list[Any] = [self._access.result_ttl_ms, self._retries.max_attempts]
        for shared, group in groupby(settled, key=itemgetter(0, 1, 2, 3, 4)):
            verdict, token, made_by, run_seconds, run_jobs = shared
            *_, firsts, details = zip(*group, strict=True)
            run = (round(run_seconds * 1_000_000), run_jobs, sum(firsts))
            arguments += (verdict, token, made_by, *run, len(details))
            arguments += chain.from_iterable(details)
        return ScriptCall(scripts.FINISH, [self._access.keys.models], arguments)


def _encode_message(error: InferqError) -> bytes:
    """What is stored of an error: not endless, and in UTF-8, whatever a model or a job's data put into it."""
    text = error.message
    if len(text) > LONGEST_ERROR:
        text = f"{text[:LONGEST_ERROR]}… ({len(text):,} characters)"
    return text.encode("utf-8", "backslashreplace")
