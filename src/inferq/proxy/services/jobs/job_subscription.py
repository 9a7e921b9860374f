"""A client that follows a job: its state now, then each change until it ends or the client disconnects."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Self

from fastapi.requests import HTTPConnection
from starlette.types import Receive

from inferq.errors import JobNotFoundError, RedisUnavailableError
from inferq.jobs import Job
from inferq.observability.log_context import add_log_job
from inferq.proxy.services.dependencies import get_owner, get_services
from inferq.queue import AnyProducer, EventSubscriber, Waiter

LONGEST_JOB_ID = 256

_LONG_SECONDS = 3600.0


async def read_job(producer: AnyProducer, job_id: str, owner: str | None) -> Job:
    """Reads a job for a client.

    Args:
        producer: The queue.
        job_id: The id that the client gave.
        owner: Name of its API key; None where none is needed.

    Raises:
        JobNotFoundError: No job has this id, or it belongs to another owner.
        RedisUnavailableError: Redis does not answer in time.
    """
    if len(job_id) > LONGEST_JOB_ID:
        raise JobNotFoundError(
            f"No job has an id of {len(job_id)} characters; the longest has {LONGEST_JOB_ID}."
        )
    add_log_job(job_id)
    return await producer.read(job_id, owner)


class JobSubscription:
    """The successive states of a job. States that come and go between two reads are not seen.

    Args:
        waiter: Is woken by changes; already registered with the subscriber.
        subscriber: Receives the events of all jobs.
        producer: The queue.
        owner: Name of the client's API key; None where none is needed.
    """

    def __init__(
        self, waiter: Waiter, subscriber: EventSubscriber, producer: AnyProducer, owner: str | None
    ) -> None:
        self._waiter = waiter
        self._subscriber = subscriber
        self._producer = producer
        self._owner = owner
        self._last: Job | None = None
        self.has_left = False

    @classmethod
    @contextmanager
    def open(
        cls, connection: HTTPConnection, job_id: str, *, counts_position: bool = False
    ) -> Iterator[Self]:
        """Follows a job for the client of a connection, until the context ends.

        Args:
            connection: The client's request or WebSocket.
            job_id: The id that it gave.
            counts_position: Whether a change of the job's position in the queue is a change.
        """
        services = get_services(connection)
        subscriber = services.subscriber
        with subscriber.subscribe(job_id, counts_position=counts_position) as waiter:
            yield cls(waiter, subscriber, services.producer, get_owner(connection))

    @property
    def is_over(self) -> bool:
        """Whether the client has disconnected, or this process is about to stop."""
        return self.has_left or self._subscriber.is_closed

    @contextmanager
    def watch_client(self, receive: Receive) -> Iterator[None]:
        """Notices when the client disconnects, while the context lasts. What it sends is ignored.

        Args:
            receive: Of the ASGI call; nothing else may read from it meanwhile.
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

    async def read(self) -> Job:
        """Reads the job.

        Raises:
            JobNotFoundError: No job has this id, or it belongs to another owner.
            RedisUnavailableError: Redis does not answer in time.
        """
        self._waiter.begin_read()
        self._last = await read_job(self._producer, self._waiter.job_id, self._owner)
        self._waiter.end_read(self._last)
        return self._last

    async def wait_for_end(self, seconds: float) -> Job | None:
        """Waits until the job has ended. While Redis is unavailable, it goes on waiting.

        Args:
            seconds: Longest wait.

        Returns:
            The job; None if the time is up, or if the subscription is over.

        Raises:
            JobNotFoundError: No job has this id any more.
        """
        return await self._wait(seconds, until_end=True)

    async def follow(self, seconds: float = _LONG_SECONDS) -> AsyncIterator[Job | None]:
        """Yields the states after the last one that was read, until the job has ended or this is over.

        Args:
            seconds: After so long without a change, None is yielded.

        Raises:
            JobNotFoundError: No job has this id any more.
        """
        while self._last is None or not self._last.status.is_final:
            job = await self._wait(seconds, until_end=False)
            if self.is_over:
                return
            yield job

    async def _wait(self, seconds: float, *, until_end: bool) -> Job | None:
        clock = asyncio.get_running_loop().time
        deadline = clock() + seconds
        while not self.is_over and await self._waiter.wait(deadline - clock()) and not self.is_over:
            told = self._waiter.notified
            if until_end and told is not None and not told.is_final:
                continue
            before, job = self._last, await self._read_if_possible()
            if job is None:
                continue  # the waiter is woken again as soon as Redis is available
            if job.status.is_final or (not until_end and _differs(before, job)):
                return job
        return None

    async def _read_if_possible(self) -> Job | None:
        job = self._waiter.take_read()
        if job is not None and job.is_readable_by(self._owner):
            self._last = job
            return job
        try:
            return await self.read()
        except RedisUnavailableError:
            return None


def _differs(before: Job | None, now: Job) -> bool:
    return before is None or compute_revision(before) != compute_revision(now)


def compute_revision(job: Job) -> str:
    """Returns a text that differs between two states of a job if a client has to be told of the change."""
    moment = job.finished_at or job.started_at
    stamp = 0 if moment is None else round(moment.timestamp() * 1000)
    position = f"-{job.queue_position}" if job.queue_position is not None else ""
    progress = f"-{job.progress.done}" if job.progress is not None else ""
    return f"{job.status}-{job.attempts}-{stamp}{position}{progress}"


def name_event(job: Job, before: Job | None) -> str:
    """Returns what a change of a job is called: `end`; `progress`, of a large job; or `status`.

    Args:
        job: The job now.
        before: The state that the client knows; None for none.
    """
    if job.status.is_final:
        return "end"
    if before is None or job.progress is None:
        return "status"
    earlier, now = before._replace(progress=None), job._replace(progress=None)
    return "progress" if compute_revision(earlier) == compute_revision(now) else "status"
