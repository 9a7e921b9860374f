"""Who waits for which job in this process, and how they learn of its changes.

One subscription to the channel `events` serves everybody. Messages can be lost, so that once a second, and
whenever the subscription has come about, one small read compares what Redis says of all jobs waited for with
what their waiters last knew. A message joins jobs by commas: of an id with a comma, only the read tells.
"""

import asyncio
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from inferq.errors import RedisUnavailableError
from inferq.jobs import Status
from inferq.queue.events.waiter import Waiter
from inferq.queue.producer.producer import Producer
from inferq.queue.redis_client.connection import close_async, connect_async, redis_errors
from inferq.queue.redis_client.outage import Outage
from inferq.queue.schema.keys import Keys
from inferq.settings import Settings

LOOK_SECONDS = 1.0
"""How often what waiters know is compared with what Redis says."""

_STATUSES_AT_ONCE = 1000
_PLACES_AT_ONCE = 16
_PLACES_PAUSE_SECONDS = 0.016
"""Between groups of places in the queue, each of which wakes so many clients; the ends of jobs come first."""
_SILENCE_SECONDS = 5.0
_FIRST_PAUSE_SECONDS = 0.05
_LONGEST_PAUSE_SECONDS = 1.0


class EventSubscriber:
    """Tells waiters of changes. Takes nothing from Redis until somebody first waits.

    Args:
        producer: Reads the jobs.
        settings: Where the server is.

    Attributes:
        is_heard: Whether the subscription is there.
        is_closed: Whether everybody has been sent away.
    """

    def __init__(self, producer: Producer, settings: Settings) -> None:
        self._producer = producer
        self._settings = settings
        self._channel = Keys(settings.key_prefix).events
        self._waiters: dict[str, set[Waiter]] = {}
        self._listening: asyncio.Task[None] | None = None
        self._looking: asyncio.Task[None] | None = None
        self._counting: asyncio.Task[None] | None = None
        self._is_due = asyncio.Event()
        self._deafness = Outage("events_unheard", "events_heard_again")
        self._failures = 0
        self.is_heard = False
        self.is_closed = False

    @contextmanager
    def waiting(self, job_id: str, *, counts_position: bool = False) -> Iterator[Waiter]:
        """Puts somebody in who waits for a job; whatever happens to it from now on wakes the waiter.

        The job is to be read only after that.

        Args:
            job_id: The job's id.
            counts_position: Whether a change of its place in the queue wakes the waiter too, once a second.
        """
        waiter = Waiter(job_id, counts_position=counts_position)
        self._waiters.setdefault(job_id, set()).add(waiter)
        self._start(counts_position=counts_position)
        try:
            yield waiter
        finally:
            waiter.leave()
            those = self._waiters[job_id]
            those.discard(waiter)
            if not those:
                del self._waiters[job_id]

    def __len__(self) -> int:
        """How many jobs are waited for."""
        return len(self._waiters)

    def close(self) -> None:
        """Wakes everybody, now and from now on as soon as they wait: the process is about to stop."""
        self.is_closed = True
        for waiter in self._everybody():
            waiter.wake()

    async def aclose(self) -> None:
        """Wakes everybody and ends the subscription."""
        self.close()
        tasks = [task for task in (self._listening, self._looking, self._counting) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def hear(self, message: bytes) -> None:
        """Wakes whoever waits for the jobs that a message of the channel names.

        Args:
            message: `id:status` of each, joined by commas. What is odd is passed over.
        """
        if not self._waiters:
            return
        for part in message.decode("utf-8", "replace").split(","):
            job_id, _, status = part.rpartition(":")
            for waiter in self._waiters.get(job_id, ()):
                waiter.tell(Status(status) if status in Status else None)

    def _everybody(self) -> list[Waiter]:
        return [waiter for those in self._waiters.values() for waiter in those]

    def _start(self, *, counts_position: bool) -> None:
        if self.is_closed:
            return
        if self._listening is None or self._listening.done():
            self._listening = asyncio.create_task(self._listen())
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look_again_and_again())
        if counts_position and (self._counting is None or self._counting.done()):
            self._counting = asyncio.create_task(self._count_again_and_again())

    async def _listen(self) -> None:
        """Keeps the subscription; without anybody who waits it is not renewed."""
        client = connect_async(self._settings)
        pause = _FIRST_PAUSE_SECONDS
        try:
            while True:
                called_at = time.monotonic()
                try:
                    async with client.pubsub() as subscription:
                        with redis_errors():
                            await self._hear_all(subscription)
                except RedisUnavailableError as error:
                    self.is_heard = False
                    if not self._waiters:
                        return
                    await self._note_failure(error)
                pause = _FIRST_PAUSE_SECONDS if time.monotonic() - called_at > _SILENCE_SECONDS else pause
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
        finally:
            await close_async(client)

    async def _hear_all(self, subscription: Any) -> None:  # noqa: ANN401 - redis-py's PubSub is not typed
        """Hears until the connection fails. One that has been silent for long must answer a ping."""
        await subscription.subscribe(self._channel)
        is_asked = False
        while True:
            message = await subscription.get_message(timeout=_SILENCE_SECONDS)
            if message is None:
                if is_asked:
                    raise TimeoutError("the subscription does not answer")
                await subscription.ping()
            elif message["type"] == "message":
                self.hear(message["data"])
            elif message["type"] == "subscribe":  # anew, too, where redis-py has connected anew
                self._failures = 0
                self.is_heard = True
                self._deafness.end()
                self._is_due.set()
            is_asked = message is None

    async def _note_failure(self, error: RedisUnavailableError) -> None:
        """Says so if only the looks at Redis are left. Where nothing of it is, others have said that."""
        try:
            await self._producer.ping()
        except RedisUnavailableError:
            self._failures = 0
            return
        self._failures += 1
        if self._failures > 1:  # the first may be what is left of an outage that has just ended
            self._deafness.begin(error, time.monotonic())

    async def _look_again_and_again(self) -> None:
        while self._waiters:
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._is_due.wait()
            self._is_due.clear()
            with suppress(RedisUnavailableError):
                # whoever waits goes on waiting, and is told once it is back
                await self._look(list(self._waiters))

    async def _look(self, job_ids: Sequence[str]) -> None:
        """Compares what Redis says of each job with what those know who wait for it."""
        for first in range(0, len(job_ids), _STATUSES_AT_ONCE):
            group = job_ids[first : first + _STATUSES_AT_ONCE]
            for job_id, status in zip(group, await self._producer.statuses(group), strict=True):
                for waiter in self._waiters.get(job_id, ()):
                    waiter.compare(status)

    async def _count_again_and_again(self) -> None:
        while any(waiter.counts_position for waiter in self._everybody()):
            began = time.monotonic()
            with suppress(RedisUnavailableError):
                await self._count([waiter.job_id for waiter in self._everybody() if waiter.is_in_line])
            await asyncio.sleep(max(0.0, began + LOOK_SECONDS - time.monotonic()))

    async def _count(self, job_ids: Sequence[str]) -> None:
        """Compares the place in the queue that each job has with what those know who wait for it."""
        for first in range(0, len(job_ids), _PLACES_AT_ONCE):
            group = job_ids[first : first + _PLACES_AT_ONCE]
            for job_id, job in zip(group, await self._producer.read_many(group), strict=True):
                for waiter in self._waiters.get(job_id, ()):
                    if waiter.counts_position and job is not None:
                        waiter.compare_place(job)
            await asyncio.sleep(_PLACES_PAUSE_SECONDS)
