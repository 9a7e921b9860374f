"""Puts large results where the finish script takes them from: they do not pass through it."""

from collections.abc import Mapping
from typing import Any

from redis.exceptions import OutOfMemoryError, ResponseError

from inferq.jobs import ClaimedJob
from inferq.queue.consumer.access import QueueAccess
from inferq.queue.redis_client import scripts
from inferq.queue.redis_client.error_replies import is_lasting_refusal
from inferq.queue.schema.ids import encode_id

STAGED_MS = 600_000
"""How long a staged result is kept that no finish has taken. A finish that is repeated stages it again."""


class StagedResults:
    """Writes large results beside their jobs.

    Args:
        access: The server.
    """

    def __init__(self, access: QueueAccess) -> None:
        self._access = access

    def make_key(self, job: ClaimedJob) -> bytes:
        """Where the result of an attempt is staged."""
        return encode_id(self._access.keys.staged_result(job.id, job.token))

    def make_commands(self, staged: Mapping[bytes, bytes]) -> list[tuple[Any, ...]]:
        """The commands that write them.

        Args:
            staged: Results by key.
        """
        return [("SET", key, payload, "PX", STAGED_MS) for key, payload in staged.items()]

    def write_each(self, staged: Mapping[bytes, bytes]) -> dict[bytes, ResponseError]:
        """Writes each by itself, and returns those that the server refuses for good, and why.

        Raises:
            RedisError: The server is away, or takes no writes now.
        """
        refused: dict[bytes, ResponseError] = {}
        for key, payload in staged.items():
            try:
                self._access.redis.set(key, payload, px=STAGED_MS)
            except OutOfMemoryError:
                self.write_at_oom({key: payload})
            except ResponseError as error:
                if not is_lasting_refusal(error):
                    raise
                refused[key] = error
        return refused

    def write_at_oom(self, staged: Mapping[bytes, bytes]) -> None:
        """Writes them through a script: that is slow, but works where the server's memory is full."""
        for key, payload in staged.items():
            self._access.call(scripts.WRITE_AT_OOM, [key], ["SET", payload, "PX", STAGED_MS])
