"""Who waits for which job in this process, and how they are notified of its changes.

One subscription to the channel `events` serves them all. Messages can be lost. So once a second, and whenever
the subscription begins, one small read compares the states in Redis with what the waiters know. A message
joins jobs by commas: changes of an id that has a comma are found by that read only.
"""

import asyncio
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import Context
from typing import Any

from inferq.errors import RedisUnavailableError
from inferq.jobs import Status
from inferq.queue.events.waiter import Waiter
from inferq.queue.inspection.job_reader import JobReader
from inferq.queue.redis_client.bounded import BoundedRedis
from inferq.queue.redis_client.connection import close_async, connect_async, redis_errors
from inferq.queue.redis_client.outage import Outage
from inferq.queue.schema.ids import decode_id
from inferq.settings import Settings

RECONCILE_SECONDS = 1.0
"""How often what waiters know is compared with the states in Redis."""

_STATUSES_AT_ONCE = 1000
_POSITIONS_AT_ONCE = 16
_POSITIONS_PAUSE_SECONDS = 0.016
"""Between groups of queue positions, each of which wakes so many clients; the ends of jobs come first."""
_SILENCE_SECONDS = 5.0
_FIRST_PAUSE_SECONDS = 0.05
_LONGEST_PAUSE_SECONDS = 1.0


class EventSubscriber:
    """Notifies waiters of changes. Opens no connection before the first waiter.

    Args:
        redis: The server.
        jobs: Reads the jobs.
        settings: Where the server is, for the subscription's own connection.

    Attributes:
        is_subscribed: Whether the subscription is there.
        is_closed: Whether no one may wait any more.
    """

    def __init__(self, redis: BoundedRedis, jobs: JobReader, settings: Settings) -> None:
        self._redis = redis
        self._jobs = jobs
        self._settings = settings
        self._waiters: dict[str, set[Waiter]] = {}
        self._listening: asyncio.Task[None] | None = None
        self._reconciling: asyncio.Task[None] | None = None
        self._positioning: asyncio.Task[None] | None = None
        self._is_due = asyncio.Event()
        self._outage = Outage("events_unavailable", "events_available_again")
        self._failures = 0
        self.is_subscribed = False
        self.is_closed = False

    @contextmanager
    def subscribe(self, job_id: str, *, counts_position: bool = False) -> Iterator[Waiter]:
        """Adds a waiter for a job; whatever happens to the job from now on wakes the waiter.

        The job is to be read only after that.

        Args:
            job_id: The job's id.
            counts_position: Whether a change of its queue position wakes the waiter too, once a second.
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
        tasks = [task for task in (self._listening, self._reconciling, self._positioning) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def dispatch(self, message: bytes) -> None:
        """Notifies the waiters for the jobs that a message of the channel names.

        Args:
            message: `id:status` of each, joined by commas. What cannot be read is ignored.
        """
        if not self._waiters:
            return
        for part in decode_id(message).split(","):
            job_id, _, status = part.rpartition(":")
            for waiter in self._waiters.get(job_id, ()):
                waiter.notify(Status(status) if status in Status else None)

    def _all_waiters(self) -> list[Waiter]:
        return [waiter for of_job in self._waiters.values() for waiter in of_job]

    def _start(self, *, counts_position: bool) -> None:
        if self.is_closed:
            return
        # in a context of their own: what they log is not about the request that starts them
        if self._listening is None or self._listening.done():
            self._listening = asyncio.create_task(self._listen(), context=Context())
        if self._reconciling is None or self._reconciling.done():
            self._reconciling = asyncio.create_task(self._reconcile_periodically(), context=Context())
        if counts_position and (self._positioning is None or self._positioning.done()):
            self._positioning = asyncio.create_task(self._read_positions_periodically(), context=Context())

    async def _listen(self) -> None:
        """Keeps the subscription; it is not renewed while there is no waiter."""
        client = connect_async(self._settings)
        pause = _FIRST_PAUSE_SECONDS
        try:
            while True:
                called_at = time.monotonic()
                try:
                    async with client.pubsub() as subscription:
                        with redis_errors():
                            await self._receive_messages(subscription)
                except RedisUnavailableError as error:
                    self.is_subscribed = False
                    if not self._waiters:
                        return
                    await self._note_failure(error)
                pause = _FIRST_PAUSE_SECONDS if time.monotonic() - called_at > _SILENCE_SECONDS else pause
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
        finally:
            await close_async(client)

    async def _receive_messages(self, subscription: Any) -> None:  # noqa: ANN401 - redis-py's PubSub is not typed
        """Receives until the connection fails. One that has been silent for long must answer a ping."""
        await subscription.subscribe(self._redis.keys.events)
        is_pinged = False
        while True:
            message = await subscription.get_message(timeout=_SILENCE_SECONDS)
            if message is None:
                if is_pinged:
                    raise TimeoutError("the subscription does not answer")
                await subscription.ping()
            elif message["type"] == "message":
                self.dispatch(message["data"])
            elif message["type"] == "subscribe":  # again, too, where redis-py has connected again
                self._failures = 0
                self.is_subscribed = True
                self._outage.end(time.monotonic())
                self._is_due.set()
            is_pinged = message is None

    async def _note_failure(self, error: RedisUnavailableError) -> None:
        """Logs that only the reads are left. Where these fail too, others have logged that."""
        try:
            await self._redis.ping()
        except RedisUnavailableError:
            self._failures = 0
            return
        self._failures += 1
        if self._failures > 1:  # the first may be what is left of an outage that has just ended
            self._outage.begin(error, time.monotonic())

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
            for job_id, status in zip(group, await self._jobs.read_statuses(group), strict=True):
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
            for job_id, job in zip(group, await self._jobs.read_many(group), strict=True):
                for waiter in self._waiters.get(job_id, ()):
                    if waiter.counts_position and job is not None:
                        waiter.compare_position(job)
            await asyncio.sleep(_POSITIONS_PAUSE_SECONDS)
