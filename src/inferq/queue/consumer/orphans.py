"""A slow scan for jobs of outside producers that were popped but never claimed: no index knows of them."""

import time
from collections.abc import Callable, Sequence
from typing import Any, cast

import redis

from inferq.queue.redis_client import scripts
from inferq.queue.redis_client.scripts import Script
from inferq.queue.schema.keys import Keys

STEP_SECONDS = 1.0
"""How often a step is taken, by whichever worker comes first."""
ROUND_SECONDS = 20.0
"""How long a round over all keys takes, unless there are too many for that."""
LONGEST_STEP_SECONDS = 0.1
"""How long a step may take; with millions of keys a round then takes longer."""
MOST_JOBS = 10
"""Most jobs that one step looks for in the lists."""
_KEYS_AT_ONCE = 1000

type Call = Callable[[Script, list[str], list[Any]], Any]


class OrphanScan:
    """The scan, which all workers share: its turn and its place are kept in Redis.

    Args:
        client: The server.
        keys: Names of its keys.
        call: Calls a script.

    Attributes:
        lists: The lists in which jobs waited when it was last looked at.
    """

    def __init__(self, client: redis.Redis, keys: Keys, call: Call) -> None:
        self._redis = client
        self._keys = keys
        self._call = call
        self.lists: list[bytes] = []

    def takes_turn(self) -> bool:
        """Whether the next step is this worker's."""
        key, step_ms = self._keys.scan_turn, round(STEP_SECONDS * 900)
        if self._call(scripts.WRITE_AT_OOM, [key], ["SET", "1", "NX", "PX", step_ms]) is not None:
            return True
        if self._redis.pttl(key) <= step_ms:
            return False
        # it was set before the clock was set back
        return self._call(scripts.WRITE_AT_OOM, [key], ["SET", "1", "PX", step_ms]) is not None

    def step(self) -> list[bytes]:
        """Looks at the next keys; returns the ids of the jobs among them that may be lost."""
        pipeline = self._redis.pipeline(transaction=False)
        pipeline.get(self._keys.scan_cursor)
        pipeline.dbsize()
        stored, size = pipeline.execute()
        cursor = int(stored) if (stored or b"").isdigit() else 0
        left = size * STEP_SECONDS / ROUND_SECONDS
        until = time.monotonic() + LONGEST_STEP_SECONDS
        suspects: list[bytes] = []
        while True:
            cursor, found = self._scan(cursor)
            left -= _KEYS_AT_ONCE
            suspects += self._suspects(found)
            if not cursor or left <= 0 or len(suspects) >= MOST_JOBS or time.monotonic() > until:
                break
        if cursor:
            self._call(scripts.WRITE_AT_OOM, [self._keys.scan_cursor], ["SET", cursor, "EX", 3600])
        elif stored:
            self._redis.delete(self._keys.scan_cursor)
        return suspects[:MOST_JOBS]

    def find_lists(self) -> None:
        """Notes the lists of all models, also of those that no worker has announced yet or any more.

        It looks at all keys, so that is left until a job is in none of the lists known so far.
        """
        pattern = self._keys.any_queue
        self.lists = list(self._redis.scan_iter(pattern, count=_KEYS_AT_ONCE, _type="LIST"))

    def _scan(self, cursor: int) -> tuple[int, list[bytes]]:
        cursor, found = cast(
            "tuple[int, list[bytes]]",
            self._redis.scan(cursor, match=self._keys.any_status, count=_KEYS_AT_ONCE, _type="STRING"),
        )
        before, after = self._keys.job("*", "status").encode().rsplit(b"*", 1)
        return cursor, [key.removeprefix(before).removesuffix(after) for key in found]

    def _suspects(self, job_ids: Sequence[bytes]) -> list[bytes]:
        if not job_ids:
            return []
        return cast("list[bytes]", self._call(scripts.FIND_ORPHANS, [self._keys.models], list(job_ids)))
