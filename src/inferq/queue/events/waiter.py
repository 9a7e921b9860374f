"""A subscriber to one job's changes."""

import asyncio

from inferq.jobs import Job, Status


class Waiter:
    """A subscriber to one job's changes. One coroutine waits; others wake it.

    Args:
        job_id: The job's id.
        counts_position: Whether changes of its position in the queue matter too.

    Attributes:
        notified: The job's latest status, as far as a message has named one since `begin_read`; else None.
    """

    __slots__ = (
        *("_deadline", "_future", "_is_woken", "_known", "_position", "_read", "_timer"),
        *("counts_position", "job_id", "notified"),
    )

    def __init__(self, job_id: str, *, counts_position: bool = False) -> None:
        self.job_id = job_id
        self.counts_position = counts_position
        self.notified: Status | None = None
        self._known: Status | None = None
        self._position: int | None = None
        self._read: Job | None = None
        self._future: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._deadline = 0.0
        self._is_woken = False

    def begin_read(self) -> None:
        """Notes that the job is about to be read: the read will show what messages have told before."""
        self.notified = self._known = self._read = None

    def end_read(self, job: Job) -> None:
        """Notes what has been read. Without it the next comparison with Redis wakes this waiter."""
        self._known, self._position = job.status, job.queue_position

    def take_read(self) -> Job | None:
        """Returns the job, once, if it was read already to wake this waiter."""
        job, self._read = self._read, None
        if job is not None:
            self.end_read(job)
        return job

    @property
    def is_queued(self) -> bool:
        """Whether the job's position in the queue is to be read."""
        return self.counts_position and (self.notified or self._known) is Status.PENDING

    def notify(self, status: Status | None) -> None:
        """Notes that the job's status has changed, and wakes this waiter.

        Args:
            status: The new status; None where it is not known without reading the job.
        """
        self.notified, self._read = status, None
        self.wake()

    def compare(self, status: Status | None) -> None:
        """Wakes this waiter if Redis has another status than it knows, or none.

        A message may have overtaken that answer, so it is only a reason to read the job.
        """
        if status is None or status is not (self.notified or self._known):
            self.notify(None)

    def compare_position(self, job: Job) -> None:
        """Wakes this waiter if the job still waits, too, but has another position than it knows."""
        if job.status is Status.PENDING and self.is_queued and job.queue_position != self._position:
            self._read = job
            self.wake()

    def wake(self) -> None:
        """Ends the present wait, or the next one at once."""
        self._is_woken = True
        self._end_wait()

    async def wait(self, seconds: float) -> bool:
        """Waits until this waiter is woken.

        Args:
            seconds: Longest wait.

        Returns:
            Whether it was woken; False when the time is up.
        """
        if not self._is_woken:
            loop = asyncio.get_running_loop()
            self._deadline = loop.time() + seconds
            if self._timer is None or self._timer.when() > self._deadline:
                self.close()
                self._timer = loop.call_at(self._deadline, self._on_timer, loop)
            self._future = loop.create_future()
            try:
                await self._future
            finally:
                self._future = None
        is_woken, self._is_woken = self._is_woken, False
        return is_woken

    def close(self) -> None:
        """Stops the timer; to be called when no one waits any more."""
        if self._timer is not None:
            self._timer.cancel()

    def _on_timer(self, loop: asyncio.AbstractEventLoop) -> None:
        """Ends the wait whose time is up. The timer of an earlier wait is reused: most end long before it."""
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
