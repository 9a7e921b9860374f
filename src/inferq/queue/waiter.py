"""Somebody who waits for changes of a job."""

import asyncio

from inferq.jobs import Job, Status


class Waiter:
    """Somebody who waits for changes of one job.

    Args:
        job_id: The job's id.
        counts_position: Whether changes of its place in the queue matter too.

    Attributes:
        told: What the job has become, as far as one was told since `begin_read`; None if nobody said so.
    """

    __slots__ = ("_future", "_is_woken", "_known", "_position", "_read", "counts_position", "job_id", "told")

    def __init__(self, job_id: str, *, counts_position: bool = False) -> None:
        self.job_id = job_id
        self.counts_position = counts_position
        self.told: Status | None = None
        self._known: Status | None = None
        self._position: int | None = None
        self._read: Job | None = None
        self._future: asyncio.Future[None] | None = None
        self._is_woken = False

    def begin_read(self) -> None:
        """Notes that the job is about to be read: what was told before is part of what will be seen."""
        self.told = self._known = self._read = None

    def end_read(self, job: Job) -> None:
        """Notes what has been seen. Without it the next look at Redis wakes whoever waits."""
        self._known, self._position = job.status, job.queue_position

    def take_read(self) -> Job | None:
        """Hands out the job, once, if whoever woke this waiter has read it already."""
        job, self._read = self._read, None
        if job is not None:
            self.end_read(job)
        return job

    @property
    def is_in_line(self) -> bool:
        """Whether the job's place in the queue is to be read."""
        return self.counts_position and (self.told or self._known) is Status.PENDING

    def tell(self, status: Status | None) -> None:
        """Notes that the job's status has become another, and wakes whoever waits.

        Args:
            status: What it has become; None where that cannot be told without reading the job.
        """
        self.told, self._read = status, None
        self.wake()

    def compare(self, status: Status | None) -> None:
        """Wakes whoever waits if Redis says something else than it knows, or nothing."""
        if status is None or status is not (self.told or self._known):
            self.tell(status)

    def compare_job(self, job: Job | None) -> None:
        """The same, of a job that was read with its place in the queue."""
        if job is None or job.status is not (self.told or self._known):
            self.tell(None if job is None else job.status)
        elif job.queue_position != self._position:
            self._read = job
            self.wake()

    def wake(self) -> None:
        """Ends the present wait, or the next one at once."""
        self._is_woken = True
        self._end_wait()

    async def woken(self, seconds: float) -> bool:
        """Waits.

        Args:
            seconds: Longest wait.

        Returns:
            Whether it was woken; False when the time is up.
        """
        if not self._is_woken:
            loop = asyncio.get_running_loop()
            self._future = loop.create_future()
            timer = loop.call_later(seconds, self._end_wait)
            try:
                await self._future
            finally:
                timer.cancel()
                self._future = None
        is_woken, self._is_woken = self._is_woken, False
        return is_woken

    def _end_wait(self) -> None:
        if self._future is not None and not self._future.done():
            self._future.set_result(None)
