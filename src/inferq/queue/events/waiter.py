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

    __slots__ = (
        *("_deadline", "_future", "_is_woken", "_known", "_position", "_read", "_timer"),
        *("counts_position", "job_id", "told"),
    )

    def __init__(self, job_id: str, *, counts_position: bool = False) -> None:
        self.job_id = job_id
        self.counts_position = counts_position
        self.told: Status | None = None
        self._known: Status | None = None
        self._position: int | None = None
        self._read: Job | None = None
        self._future: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._deadline = 0.0
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
        """Wakes whoever waits if Redis said something else than it knows, or nothing.

        A message may have overtaken that answer, so that it is no more than a reason to read the job.
        """
        if status is None or status is not (self.told or self._known):
            self.tell(None)

    def compare_place(self, job: Job) -> None:
        """Wakes whoever waits if the job still waits, too, but in another place than it was last seen in."""
        if job.status is Status.PENDING and self.is_in_line and job.queue_position != self._position:
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
            self._deadline = loop.time() + seconds
            if self._timer is None or self._timer.when() > self._deadline:
                self.leave()
                self._timer = loop.call_at(self._deadline, self._on_timer, loop)
            self._future = loop.create_future()
            try:
                await self._future
            finally:
                self._future = None
        is_woken, self._is_woken = self._is_woken, False
        return is_woken

    def leave(self) -> None:
        """Ends the use of this waiter."""
        if self._timer is not None:
            self._timer.cancel()

    def _on_timer(self, loop: asyncio.AbstractEventLoop) -> None:
        """Ends the wait whose time is up. The timer of an earlier one is kept: most are woken long before."""
        self._timer = None
        if self._future is None:
            return
        if loop.time() < self._deadline:
            self._timer = loop.call_at(self._deadline, self._on_timer, loop)
        else:
            self._end_wait()

    def _end_wait(self) -> None:
        if self._future is not None and not self._future.done():
            self._future.set_result(None)
