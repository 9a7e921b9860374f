"""Who waits for which job in this process, and how they are notified of its changes.

One subscription to the channel `events` of each server serves them all. Messages can be lost. So once a
second, and whenever a subscription begins, one small read compares the states in Redis with what the waiters
know. A message joins jobs by commas: changes of an id that has a comma are found by that read only.
"""

import asyncio
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import Context
from typing import Protocol

from inferq.errors import RedisUnavailableError
from inferq.jobs import Job, Status
from inferq.queue.events.listener import EventListener
from inferq.queue.events.waiter import Waiter
from inferq.queue.schema.ids import decode_id
from inferq.queue.schema.keys import PROGRESS

RECONCILE_SECONDS = 1.0
"""How often what waiters know is compared with the states in Redis."""

_STATUSES_AT_ONCE = 1000
_POSITIONS_AT_ONCE = 16
_POSITIONS_PAUSE_SECONDS = 0.016
"""Between groups of queue positions, each of which wakes so many clients; the ends of jobs come first."""


class ReadableJobs(Protocol):
    """What reads the jobs."""

    async def read_statuses(self, job_ids: Sequence[str]) -> dict[str, Status | None]:
        """Reads the states of jobs."""

    async def read_known(self, job_ids: Sequence[str]) -> list[Job]:
        """Reads those of these jobs that can be read now."""


class EventSubscriber:
    """Notifies waiters of changes. Opens no connection before the first waiter.

    Args:
        jobs: Reads the jobs.
        listeners: Listen to the servers.

    Attributes:
        is_closed: Whether no one may wait any more.
    """

    def __init__(self, jobs: ReadableJobs, listeners: Sequence[EventListener]) -> None:
        self._jobs = jobs
        self._listeners = listeners
        self._waiters: dict[str, set[Waiter]] = {}
        self._listening: dict[EventListener, asyncio.Task[None]] = {}
        self._reconciling: asyncio.Task[None] | None = None
        self._positioning: asyncio.Task[None] | None = None
        self._is_due = asyncio.Event()
        self.is_closed = False

    @property
    def is_subscribed(self) -> bool:
        """Whether all subscriptions are there."""
        return all(listener.is_subscribed for listener in self._listeners)

    @contextmanager
    def subscribe(self, job_id: str, *, counts_position: bool = False) -> Iterator[Waiter]:
        """Adds a waiter for a job; whatever happens to the job from now on wakes the waiter.

        The job is to be read only after that.

        Args:
            job_id: The job's id.
            counts_position: Whether a change of its queue position wakes the waiter too, once a second, and
                its progress, if it is a large job.
        """
        waiter = Waiter(job_id, counts_position=counts_position)
        self._waiters.setdefault(job_id, set()).add(waiter)
        self._start(counts_position=counts_position)
        try:
            yield waiter
        finally:
            waiter.close()
            of_job = self._waiters[job_id]
            of_job.discard(waiter)
            if not of_job:
                del self._waiters[job_id]

    def __len__(self) -> int:
        """How many jobs have a waiter."""
        return len(self._waiters)

    def close(self) -> None:
        """Wakes all waiters, and each new one at once: the process is about to stop."""
        self.is_closed = True
        for waiter in self._all_waiters():
            waiter.wake()

    async def aclose(self) -> None:
        """Wakes all waiters and ends the subscription."""
        self.close()
        tasks = [task for task in (self._reconciling, self._positioning) if task is not None]
        tasks += self._listening.values()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def dispatch(self, message: bytes) -> None:
        """Notifies the waiters for the jobs that a message of the channel names.

        Args:
            message: `id:status` of each, joined by commas; `id:progress` where more rows of a large job are
                done. What cannot be read is ignored.
        """
        if not self._waiters:
            return
        for part in decode_id(message).split(","):
            job_id, _, status = part.rpartition(":")
            for waiter in self._waiters.get(job_id, ()):
                if status != PROGRESS:
                    waiter.notify(Status(status) if status in Status else None)
                elif waiter.counts_position:
                    waiter.notify(None)

    def note_subscribed(self) -> None:
        """Compares all states soon: before this, messages may have been missed."""
        self._is_due.set()

    def _all_waiters(self) -> list[Waiter]:
        return [waiter for of_job in self._waiters.values() for waiter in of_job]

    def _start(self, *, counts_position: bool) -> None:
        if self.is_closed:
            return
        # in a context of their own: what they log is not about the request that starts them
        for listener in self._listeners:
            if listener not in self._listening or self._listening[listener].done():
                self._listening[listener] = asyncio.create_task(listener.listen(self), context=Context())
        if self._reconciling is None or self._reconciling.done():
            self._reconciling = asyncio.create_task(self._reconcile_periodically(), context=Context())
        if counts_position and (self._positioning is None or self._positioning.done()):
            self._positioning = asyncio.create_task(self._read_positions_periodically(), context=Context())

    async def _reconcile_periodically(self) -> None:
        while self._waiters:
            with suppress(TimeoutError):
                async with asyncio.timeout(RECONCILE_SECONDS):
                    await self._is_due.wait()
            self._is_due.clear()
            with suppress(RedisUnavailableError):
                # the waiters go on waiting, and are notified once it is back
                await self._reconcile(list(self._waiters))

    async def _reconcile(self, job_ids: Sequence[str]) -> None:
        """Compares the state of each job in Redis with what its waiters know."""
        for first in range(0, len(job_ids), _STATUSES_AT_ONCE):
            group = job_ids[first : first + _STATUSES_AT_ONCE]
            for job_id, status in (await self._jobs.read_statuses(group)).items():
                for waiter in self._waiters.get(job_id, ()):
                    waiter.compare(status)

    async def _read_positions_periodically(self) -> None:
        while any(waiter.counts_position for waiter in self._all_waiters()):
            began = time.monotonic()
            with suppress(RedisUnavailableError):
                await self._read_positions(
                    [waiter.job_id for waiter in self._all_waiters() if waiter.is_queued]
                )
            await asyncio.sleep(max(0.0, began + RECONCILE_SECONDS - time.monotonic()))

    async def _read_positions(self, job_ids: Sequence[str]) -> None:
        """Compares the queue position of each job in Redis with what its waiters know."""
        for first in range(0, len(job_ids), _POSITIONS_AT_ONCE):
            group = job_ids[first : first + _POSITIONS_AT_ONCE]
            for job in await self._jobs.read_known(group):
                for waiter in self._waiters.get(job.id, ()):
                    if waiter.counts_position:
                        waiter.compare_position(job)
            await asyncio.sleep(_POSITIONS_PAUSE_SECONDS)
