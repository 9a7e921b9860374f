"""A slow scan for orphans: jobs of outside producers that were popped but never claimed, in no index."""

import time
from typing import cast

from inferq.queue.consumer.access import QueueAccess
from inferq.queue.consumer.claims.served_queues import ServedQueues
from inferq.queue.consumer.recovery.recovery import RecoveryTimes
from inferq.queue.consumer.scan_steps import acquire_step
from inferq.queue.redis_client import scripts
from inferq.queue.redis_client.connection import redis_errors
from inferq.queue.schema.ids import decode_id
from inferq.queue.schema.times import to_milliseconds

STEP_SECONDS = 1.0
"""How often a step is made, by whichever worker comes first."""
LONGEST_STEP_SECONDS = 0.1
"""How long a step may take; with millions of keys a round then takes longer."""
MOST_SUSPECTS = 10
"""Most jobs that one step searches the lists for."""
_KEYS_AT_ONCE = 1000


class OrphanScan:
    """The scan, which all workers share: its cursor, and who makes the next step, are kept in Redis.

    Args:
        access: The server.
        queues: The queues of the models that this worker serves.
        times: How long to wait.
    """

    def __init__(self, access: QueueAccess, queues: ServedQueues, times: RecoveryTimes) -> None:
        self._access = access
        self._queues = queues
        self._times = times
        self._lists: list[bytes] = []  # in which jobs waited when they were listed last

    def acquire_scan_step(self) -> bool:
        """Whether the next step is this worker's: one is due each second, whatever the number of workers.

        Raises:
            RedisUnavailableError: Redis is away.
        """
        with redis_errors():
            return acquire_step(self._access, self._access.keys.scan_step, round(STEP_SECONDS * 900))

    def requeue_orphans(self) -> list[str]:
        """Makes one step of the scan.

        Returns:
            The ids put into a list again. As nothing in Redis tells which model such a job was meant for, it
            goes to the default model if this worker serves it, else to the worker's first.

        Raises:
            RedisUnavailableError: Redis is away.
        """
        with redis_errors():
            suspects = self._find_suspects()
            missing = [
                job_id for job_id in suspects if self._requeue(job_id, are_all_lists=False) == b"missing"
            ]
            if missing:
                self._find_lists()
            return [
                decode_id(job_id)
                for job_id in missing
                if self._requeue(job_id, are_all_lists=True) == b"requeued"
            ]

    def _requeue(self, job_id: bytes, *, are_all_lists: bool) -> bytes:
        default = self._access.settings.default_model
        models = sorted(self._queues.versions, key=lambda model: (model != default, model))
        queues = [self._access.keys.queue(model) for model in models]
        arguments = [
            job_id, to_milliseconds(self._times.missing_seconds), self._access.lifetime_ms,
            int(are_all_lists), *self._lists,
        ]  # fmt: skip
        return cast("bytes", self._access.call(scripts.REQUEUE_ORPHAN, queues, arguments))

    def _find_suspects(self) -> list[bytes]:
        """Scans the next keys; returns the ids of the jobs among them that may be orphans."""
        redis, keys = self._access.redis, self._access.keys
        pipeline = redis.pipeline(transaction=False)
        pipeline.get(keys.scan_cursor)
        pipeline.dbsize()
        stored, size = pipeline.execute()
        cursor = int(stored) if (stored or b"").isdigit() else 0
        keys_left = size * STEP_SECONDS / self._times.scan_round_seconds
        until = time.monotonic() + LONGEST_STEP_SECONDS
        suspects: list[bytes] = []
        while True:
            cursor, found = self._scan(cursor)
            keys_left -= _KEYS_AT_ONCE
            if found:
                suspects += self._access.call(scripts.FIND_ORPHANS, [keys.models], found)
            if not cursor or keys_left <= 0 or len(suspects) >= MOST_SUSPECTS or time.monotonic() > until:
                break
        if cursor:
            self._access.call(scripts.WRITE_AT_OOM, [keys.scan_cursor], ["SET", cursor, "EX", 3600])
        elif stored:
            redis.delete(keys.scan_cursor)
        return suspects[:MOST_SUSPECTS]

    def _scan(self, cursor: int) -> tuple[int, list[bytes]]:
        keys = self._access.keys
        cursor, found = cast(
            "tuple[int, list[bytes]]",
            self._access.redis.scan(cursor, match=keys.any_status, count=_KEYS_AT_ONCE, _type="STRING"),
        )
        before, after = keys.job("*", "status").encode().rsplit(b"*", 1)
        return cursor, [key.removeprefix(before).removesuffix(after) for key in found]

    def _find_lists(self) -> None:
        """Notes the lists of all models, also of those that no worker has announced yet or any more.

        It scans all keys, so that is left until a job is in none of the lists known so far.
        """
        pattern = self._access.keys.any_queue
        self._lists = list(self._access.redis.scan_iter(pattern, count=_KEYS_AT_ONCE, _type="LIST"))
