"""A client that follows a job: its state now, then each change, until it ends or the client goes away."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Self

from fastapi.requests import HTTPConnection
from starlette.types import Receive

from inferq.errors import JobNotFoundError, RedisUnavailableError
from inferq.jobs import Job
from inferq.proxy.services.dependencies import notices_of, owner_of, producer_of
from inferq.queue.events.subscriber import EventSubscriber
from inferq.queue.events.waiter import Waiter
from inferq.queue.producer.producer import Producer

LONGEST_JOB_ID = 256

_LONG_SECONDS = 3600.0


async def read_job(producer: Producer, job_id: str, owner: str | None) -> Job:
    """Reads a job for a client.

    Args:
        producer: The queue.
        job_id: What the client calls the job.
        owner: Name of its API key; None where none is needed.

    Raises:
        JobNotFoundError: There is none of this id, or it is another owner's.
        RedisUnavailableError: Redis does not answer in time.
    """
    if len(job_id) > LONGEST_JOB_ID:
        raise JobNotFoundError(
            f"No job has an id of {len(job_id)} characters; the longest has {LONGEST_JOB_ID}."
        )
    return await producer.read(job_id, owner)


class JobSubscription:
    """The successive states of a job. Those that come and go between two looks are not seen.

    Args:
        waiter: Whom changes wake; already put in.
        notices: Where it was put in.
        producer: The queue.
        owner: Name of the client's API key; None where none is needed.
    """

    def __init__(
        self, waiter: Waiter, notices: EventSubscriber, producer: Producer, owner: str | None
    ) -> None:
        self._waiter = waiter
        self._notices = notices
        self._producer = producer
        self._owner = owner
        self._seen: Job | None = None
        self.has_left = False

    @classmethod
    @contextmanager
    def of(cls, connection: HTTPConnection, job_id: str, *, counts_position: bool = False) -> Iterator[Self]:
        """Follows a job for the client of a connection, which is free of it when the context ends.

        Args:
            connection: The client's request or WebSocket.
            job_id: What it calls the job.
            counts_position: Whether a change of the job's place in the queue is a change.
        """
        notices = notices_of(connection)
        with notices.waiting(job_id, counts_position=counts_position) as waiter:
            yield cls(waiter, notices, producer_of(connection), owner_of(connection))

    @property
    def is_over(self) -> bool:
        """Whether nobody waits any more: the client has gone away, or this process is about to stop."""
        return self.has_left or self._notices.is_closed

    @contextmanager
    def heeding(self, receive: Receive) -> Iterator[None]:
        """Notices when the client goes away, while the context lasts. What it sends is passed over.

        Args:
            receive: Of the ASGI call; nobody else may read from it meanwhile.
        """

        async def receive_all() -> None:
            while not (await receive())["type"].endswith(".disconnect"):
                pass
            self.has_left = True
            self._waiter.wake()

        task = asyncio.create_task(receive_all())
        try:
            yield
        finally:
            task.cancel()

    async def state(self) -> Job:
        """Reads the job.

        Raises:
            JobNotFoundError: There is none of this id, or it is another owner's.
            RedisUnavailableError: Redis does not answer in time.
        """
        self._waiter.begin_read()
        self._seen = await read_job(self._producer, self._waiter.job_id, self._owner)
        self._waiter.end_read(self._seen)
        return self._seen

    async def end(self, seconds: float) -> Job | None:
        """Waits until the job has ended. An outage of Redis is waited out.

        Args:
            seconds: Longest wait.

        Returns:
            The job; None if the time is up, or if it is over.

        Raises:
            JobNotFoundError: There is none of this id any more.
        """
        return await self._await(seconds, until_end=True)

    async def changes(self, seconds: float = _LONG_SECONDS) -> AsyncIterator[Job | None]:
        """The states that follow the one that was last seen, until the job has ended, or it is over.

        Args:
            seconds: After so long without any, None comes instead.

        Raises:
            JobNotFoundError: There is none of this id any more.
        """
        while self._seen is None or not self._seen.status.is_final:
            job = await self._await(seconds, until_end=False)
            if self.is_over:
                return
            yield job

    async def _await(self, seconds: float, *, until_end: bool) -> Job | None:
        clock = asyncio.get_running_loop().time
        deadline = clock() + seconds
        while not self.is_over and await self._waiter.woken(deadline - clock()) and not self.is_over:
            told = self._waiter.told
            if until_end and told is not None and not told.is_final:
                continue
            before, job = self._seen, await self._look()
            if job is None:
                continue  # once Redis is back, the waiter is woken again
            if job.status.is_final or (not until_end and _differ(before, job)):
                return job
        return None

    async def _look(self) -> Job | None:
        job = self._waiter.take_read()
        if job is not None and job.is_readable_by(self._owner):
            self._seen = job
            return job
        try:
            return await self.state()
        except RedisUnavailableError:
            return None


def _differ(one: Job | None, other: Job) -> bool:
    """Whether a client is to be told of the other after the one."""
    return one is None or revision_of(one) != revision_of(other)


def revision_of(job: Job) -> str:
    """What is the same for two states of a job only if a client may take one for the other."""
    moment = job.finished_at or job.started_at
    stamp = 0 if moment is None else round(moment.timestamp() * 1000)
    place = f"-{job.queue_position}" if job.queue_position is not None else ""
    return f"{job.status}-{job.attempts}-{stamp}{place}"
