"""What happens in the whole service, read once for all clients of this process that watch it."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import Context

from pydantic_core import to_json

from inferq.errors import RedisUnavailableError
from inferq.job_json import format_time
from inferq.model_names import is_of_workers
from inferq.queue import ActivitySample, AnyProducer, QueueStats, show_id

SAMPLES_PER_SECOND = 5
"""How often changes are read; every fifth time the numbers are, too."""


class ChangesEvent:
    """The event of a sample of changes, made once for all clients with the same key.

    Args:
        sample: The changes.
    """

    def __init__(self, sample: ActivitySample) -> None:
        self._sample = sample
        self._encoded: dict[str | None, bytes] = {}

    def encode(self, owner: str | None) -> bytes:
        """Returns the event with those jobs that a key of this name may read; None stands for no keys."""
        if owner not in self._encoded:
            jobs = [
                {"job_id": show_id(job.id), "model": job.model, "status": job.status}
                for job in self._sample.jobs
                if job.is_readable_by(owner)
            ]
            self._encoded[owner] = _encode_event("changes", {"counts": self._sample.counts, "jobs": jobs})
        return self._encoded[owner]


class ActivityWatcher:
    """One client's view of the feed. It holds the latest of each event: a slow client skips those between.

    Args:
        snapshot: The event that it begins with.

    Attributes:
        is_over: Whether the client has gone, or this process is about to stop.
    """

    def __init__(self, snapshot: bytes) -> None:
        self._snapshot: bytes | None = snapshot
        self._changes: ChangesEvent | None = None
        self._is_woken = asyncio.Event()
        self._is_woken.set()
        self.is_over = False

    def put(self, snapshot: bytes | None, changes: ChangesEvent | None) -> None:
        """Adds events; each replaces one of its kind that was not taken yet."""
        self._snapshot, self._changes = snapshot or self._snapshot, changes or self._changes
        self._is_woken.set()

    def end(self) -> None:
        """Ends the stream."""
        self.is_over = True
        self._is_woken.set()

    async def take(self, owner: str | None, seconds: float) -> bytes:
        """Waits for events and returns them; nothing where none came in time.

        Args:
            owner: Name of the client's API key; None where none is needed.
            seconds: Longest wait.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._is_woken.wait()
        self._is_woken.clear()
        snapshot, changes = self._snapshot, self._changes
        self._snapshot = self._changes = None
        return (snapshot or b"") + (changes.encode(owner) if changes else b"")


class ActivityFeed:
    """Reads numbers and changes while any client watches, for all of them together.

    Args:
        producer: The queue.
    """

    def __init__(self, producer: AnyProducer) -> None:
        self._producer = producer
        self._watchers: set[ActivityWatcher] = set()
        self._reading: asyncio.Task[None] | None = None
        self._is_closed = False

    def __len__(self) -> int:
        """How many clients watch."""
        return len(self._watchers)

    async def read_snapshot(self) -> bytes:
        """Reads the event of the numbers of now.

        Raises:
            RedisUnavailableError: Redis does not answer in time.
        """
        return _encode_event("snapshot", _describe_stats(await self._producer.read_stats()))

    @contextmanager
    def watch(self, snapshot: bytes) -> Iterator[ActivityWatcher]:
        """Adds a watcher until the context ends.

        Args:
            snapshot: What `read_snapshot` has returned.
        """
        watcher = ActivityWatcher(snapshot)
        watcher.is_over = self._is_closed
        self._watchers.add(watcher)
        if self._reading is None or self._reading.done():
            # in a context of its own: what it logs is not about this client's request
            self._reading = asyncio.create_task(self._read_periodically(), context=Context())
        try:
            yield watcher
        finally:
            self._watchers.discard(watcher)

    def close(self) -> None:
        """Ends all streams: the process is about to stop."""
        self._is_closed = True
        for watcher in self._watchers:
            watcher.end()

    async def aclose(self) -> None:
        """Ends all streams, and the reading."""
        self.close()
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)

    async def _read_periodically(self) -> None:
        clock = asyncio.get_running_loop().time
        sampler, count = self._producer.open_sampler(), 0
        while self._watchers and not self._is_closed:
            began = clock()
            with suppress(RedisUnavailableError):  # that is logged, and the clients see that nothing comes
                sample = await sampler.read()
                changes = ChangesEvent(sample) if any(sample.counts.values()) or sample.jobs else None
                is_due = count % SAMPLES_PER_SECOND == SAMPLES_PER_SECOND - 1
                snapshot = await self.read_snapshot() if is_due else None
                for watcher in self._watchers if snapshot or changes else ():
                    watcher.put(snapshot, changes)
            count += 1
            await asyncio.sleep(max(0.0, began + 1 / SAMPLES_PER_SECOND - clock()))


def _encode_event(name: str, data: dict[str, object]) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (name.encode(), to_json(data))


def _describe_stats(stats: QueueStats) -> dict[str, object]:
    return {
        "at": format_time(stats.at),
        "models": [
            {
                "model": name,
                "waiting": numbers.waiting,
                "running": numbers.running,
                "retrying": numbers.retrying,
                "dead_letters": numbers.failed,
                "workers": numbers.workers,
                "submitted": numbers.submissions,
                "completed": numbers.completions,
                "failed": numbers.failures,
            }
            for name, numbers in stats.models.items()
            if not is_of_workers(name)
        ],
        "workers": [
            {
                "id": show_id(worker.id),
                "host": worker.host,
                "models": worker.models,
                "jobs_done": worker.jobs_done,
                "seen_at": format_time(worker.seen_at),
            }
            for worker in stats.workers
        ],
    }
