"""Recovery: reclaims jobs of dead workers, retries what is due, finds what was popped but never claimed."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, cast

from inferq.jobs import Job
from inferq.queue.consumer.access import QueueAccess
from inferq.queue.consumer.claims.served_queues import ServedQueues
from inferq.queue.ended_jobs import NoteEnded, decode_changed
from inferq.queue.redis_client import scripts
from inferq.queue.redis_client.connection import redis_errors
from inferq.queue.retry_policy import RetryPolicy
from inferq.queue.schema.ids import decode_id, encode_id
from inferq.queue.schema.times import to_milliseconds

RECOVER_LIMIT = 100
"""Most jobs of each kind that one pass handles."""
_MOST_PASSES = 50
"""Most passes over a queue in a row, where more jobs have not started in time than one pass ends."""


@dataclass(frozen=True, slots=True)
class RecoveryTimes:
    """How long recovery waits before it acts.

    Attributes:
        missing_seconds: How long a job must be in no list before it counts as lost between BRPOP and claim.
        longest_lease_seconds: A lease that ends later than this, and than two of our own, was given before
            the clock was set back.
        scan_round_seconds: How long the scan for orphans takes for all keys, unless they are too many.
    """

    missing_seconds: float = 3.0
    longest_lease_seconds: float = 10.0
    scan_round_seconds: float = 20.0


USUAL_TIMES = RecoveryTimes()


@dataclass(frozen=True, slots=True)
class Recovered:
    """What one recovery pass did.

    Attributes:
        lapsed: Jobs reclaimed from workers that died.
        due: Jobs whose retry was due.
        missing: Jobs found that were popped but never claimed.
        failed: Jobs that failed for good because their worker died too often.
        requeued: Those that had lapsed or were missing, as they wait again.
        lost: Ids of jobs that had not ended and whose record another program has deleted: nothing is left.
    """

    lapsed: int = 0
    due: int = 0
    missing: int = 0
    failed: int = 0
    requeued: tuple[Job, ...] = ()
    lost: tuple[str, ...] = ()


class Recovery:
    """Passes over the queues of this worker's models.

    Args:
        access: The server.
        queues: The queues of the models that this worker serves.
        retries: How often a job may crash its worker, and the longest pause before a retry.
        times: How long to wait.
        note_ended: Is told of each job that it ends, or finds to have ended outside.
    """

    def __init__(
        self,
        access: QueueAccess,
        queues: ServedQueues,
        retries: RetryPolicy,
        times: RecoveryTimes,
        note_ended: NoteEnded,
    ) -> None:
        self._access = access
        self._queues = queues
        self._retries = retries
        self._times = times
        self._note_ended = note_ended
        self._foreign_model = b""  # the one whose ended jobs were removed last

    def recover(self) -> Recovered:
        """Makes a pass, and more where that many jobs have not started in time.

        Of one other model in turn, which perhaps no worker serves any more, it removes ended jobs in time,
        and ends those that waited too long.

        Returns:
            What it found, over all models.

        Raises:
            RedisUnavailableError: Redis is away.
        """
        total, kept, served = [0, 0, 0, 0], set[bytes](), list(self._queues.versions)
        requeued, lost = list[Job](), list[str]()
        for model in served:
            for _ in range(_MOST_PASSES):
                *found, has_more, models, ended, again, vanished = self._call(model)
                total = [sum(pair) for pair in zip(total, found, strict=True)]
                kept.update(models)
                self._tell(ended)
                requeued += decode_changed(again)
                lost += map(decode_id, vanished)
                if not has_more:
                    break
        self._forget_next(kept.difference(map(encode_id, served)))
        lapsed, due, missing, failed = total
        return Recovered(lapsed, due, missing, failed, tuple(requeued), tuple(lost))

    def recover_queue(self, queue: str) -> None:
        """Makes a pass over one queue, which this worker need not serve any more.

        Raises:
            RedisUnavailableError: Redis is away.
        """
        *_, ended, _, _ = self._call(queue)
        self._tell(ended)

    def _call(self, model: str) -> list[Any]:
        settings, times = self._access.settings, self._times
        arguments: list[Any] = [
            RECOVER_LIMIT, to_milliseconds(times.missing_seconds), self._access.result_ttl_ms,
            self._retries.max_attempts, to_milliseconds(settings.job_ttl_seconds),
            to_milliseconds(max(2 * settings.lease_seconds, times.longest_lease_seconds)),
            to_milliseconds(self._retries.cap_seconds),
        ]  # fmt: skip
        with redis_errors():
            return cast(
                "list[Any]",
                self._access.call(scripts.RECOVER, [self._access.keys.queue(model)], arguments),
            )

    def _forget_next(self, models: Collection[bytes]) -> None:
        """Removes ended jobs of the next of the models of others."""
        if not models:
            return
        others = sorted(models)
        self._foreign_model = next((model for model in others if model > self._foreign_model), others[0])
        queue = encode_id(self._access.keys.queue(decode_id(self._foreign_model)))
        arguments = [
            self._foreign_model, self._access.result_ttl_ms,
            to_milliseconds(self._access.settings.job_ttl_seconds), RECOVER_LIMIT,
        ]  # fmt: skip
        with redis_errors():
            ended = self._access.call(scripts.PURGE, [queue], arguments)
        self._tell(ended)

    def _tell(self, ended: Sequence[Sequence[Any]]) -> None:
        if ended:
            self._note_ended(decode_changed(ended))
