"""Fetches data that is too large to pass through a script."""

from collections.abc import Callable, Mapping, Sequence
from typing import cast

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from inferq.errors import InferqError, InvalidInputError
from inferq.jobs import ClaimedJob, Outcome
from inferq.queue.consumer.access import QueueAccess
from inferq.queue.consumer.read_groups import group_by_size
from inferq.queue.consumer.settle import Settler
from inferq.queue.schema.ids import encode_id

type NoteSettled = Callable[[Sequence[Outcome], Sequence[str]], None]
"""Is told how attempts ended, and for each what became of it, as `Settler.finish` says."""

_FETCHES = 3
"""How often data is asked for by itself that was cut off, although the server answers."""


def ignore_settled(outcomes: Sequence[Outcome], verdicts: Sequence[str]) -> None:
    """Tells nobody."""


class LargeData:
    """Fetches the data of jobs that are leased already.

    Args:
        access: The server.
        settler: Fails the jobs whose data cannot be fetched.
        note_settled: Is told of these.

    Attributes:
        awaiting: Jobs whose data is on its way at this moment: their leases have to be renewed.
    """

    def __init__(self, access: QueueAccess, settler: Settler, note_settled: NoteSettled) -> None:
        self._access = access
        self._settler = settler
        self._note_settled = note_settled
        self.awaiting: Sequence[ClaimedJob] = ()

    def fetch_into(self, jobs: Sequence[ClaimedJob], large: Mapping[int, int]) -> list[ClaimedJob]:
        """Returns the jobs with the data of some of them.

        Args:
            jobs: The jobs of one claim.
            large: The index of each job that wants its data, and how many bytes that has.

        Returns:
            The jobs in the same order, without those whose data cannot be fetched: they have failed.

        Raises:
            RedisError: The server is away.
        """
        self.awaiting = jobs
        complete: dict[int, ClaimedJob] = dict(enumerate(jobs))
        unreadable: list[Outcome] = []
        for indexes in group_by_size(large):
            for index, data in zip(indexes, self._fetch([jobs[i] for i in indexes]), strict=True):
                if isinstance(data, InferqError):
                    unreadable.append(Outcome(complete.pop(index), error=data))
                else:
                    complete[index] = jobs[index]._replace(data=data)
        if unreadable:
            self._note_settled(unreadable, self._settler.finish(unreadable))
        self.awaiting = ()
        return list(complete.values())

    def _fetch(self, jobs: Sequence[ClaimedJob]) -> list[bytes | InferqError]:
        """Their data, or why it cannot be had although the server answers."""
        redis = self._access.redis
        keys = [encode_id(self._access.keys.job(job.id, "data")) for job in jobs]
        try:
            return [data or b"" for data in cast("list[bytes | None]", redis.mget(keys))]
        except (RedisConnectionError, RedisTimeoutError):
            redis.ping()  # else that is what failed
            return [self._fetch_alone(key) for key in keys]

    def _fetch_alone(self, key: bytes) -> bytes | InferqError:
        redis = self._access.redis
        reason = ""
        for _ in range(_FETCHES):
            try:
                return cast("bytes | None", redis.get(key)) or b""
            except (RedisConnectionError, RedisTimeoutError) as error:
                redis.ping()
                reason = str(error)
        return InvalidInputError(
            f"The data of this job cannot be read from Redis, though that answers: {reason} "
            "Its limits are client-output-buffer-limit and maxmemory-clients."
        )
