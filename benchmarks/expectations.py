"""Compares when jobs said that they would start and end with when they did."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from statistics import median, quantiles

from benchmarks.processes import BenchmarkError
from inferq.jobs import Job, Status
from inferq.queue.producer.producer import Producer
from inferq.queue.producer.submission import Submission
from inferq.settings import load_settings

_READ_PAUSE_SECONDS = 0.02
_SHORTEST_WAIT_SECONDS = 0.2
"""A job that waits for less is not read often enough to tell."""
_FEWEST_JOBS = 10
_LONGEST_SECONDS = 180.0

type Arrivals = Iterator[tuple[float, Submission]]
"""Jobs in the order in which they come, each with when it comes, seconds after the first."""


@dataclass(frozen=True)
class ExpectationErrors:
    """How far off the expectations of one run were.

    Attributes:
        starts: Of each job that counts, percent of the time until its start.
        ends: The same until its end.
    """

    starts: Sequence[float]
    ends: Sequence[float]

    def __str__(self) -> str:
        worst = quantiles(self.starts, n=10)[-1]
        return (
            f"start {median(self.starts):.1f} % off, end {median(self.ends):.1f} %; "
            f"nine of ten starts at most {worst:.0f} %; {len(self.starts)} jobs"
        )


@dataclass
class _Readings:
    """What one job said while it waited: when it was read, and the two times that it said."""

    at: list[float] = field(default_factory=list)
    starts: list[float] = field(default_factory=list)
    ends: list[float] = field(default_factory=list)


async def observe(url: str, arrivals: Arrivals, warm_up: Sequence[Submission]) -> ExpectationErrors:
    """Submits jobs as they are to come, and reads all the time what those that wait say of themselves.

    Args:
        url: The server, with workers.
        arrivals: The jobs.
        warm_up: Jobs of the same kind, from which the workers learn before.

    Raises:
        BenchmarkError: A job has failed, or too few waited long enough.
    """
    async with _producer(url) as producer:
        await _drain(producer, [await producer.submit(one) for one in warm_up], {})
        await asyncio.sleep(2 * load_settings().heartbeat_seconds)  # so that the workers have told their pace
        readings: dict[str, _Readings] = {}
        coming = asyncio.create_task(_submit(producer, arrivals, readings))
        await _read_until(producer, readings, coming)
        await coming
        jobs = await _drain(producer, list(readings), readings)
    return _compare(jobs, readings)


@asynccontextmanager
async def _producer(url: str) -> AsyncIterator[Producer]:
    producer = Producer.from_settings(load_settings(redis_url=url))
    try:
        yield producer
    finally:
        await producer.close()


async def _submit(producer: Producer, arrivals: Arrivals, readings: dict[str, _Readings]) -> None:
    began = time.monotonic()
    for moment, submission in arrivals:
        await asyncio.sleep(began + moment - time.monotonic())
        readings[await producer.submit(submission)] = _Readings()


async def _read_until(producer: Producer, readings: dict[str, _Readings], coming: asyncio.Task[None]) -> None:
    """Reads all jobs that wait, until all have come."""
    while not coming.done():
        await _read(producer, list(readings), readings)
        await asyncio.sleep(_READ_PAUSE_SECONDS)


async def _drain(producer: Producer, ids: list[str], readings: dict[str, _Readings]) -> list[Job]:
    """Reads the jobs until all have ended, and returns them."""
    deadline, open_ids = time.monotonic() + _LONGEST_SECONDS, ids
    while open_ids:
        if time.monotonic() > deadline:
            raise BenchmarkError(f"{len(open_ids)} jobs have not ended in {_LONGEST_SECONDS:g} s.")
        await asyncio.sleep(_READ_PAUSE_SECONDS)
        open_ids = await _read(producer, open_ids, readings)
    jobs: list[Job] = []
    async for part in producer.read_in_parts(ids):
        jobs += [job for job in part if job is not None]
    if any(job.status is not Status.COMPLETED for job in jobs):
        raise BenchmarkError("A job has failed.")
    return jobs


async def _read(producer: Producer, ids: list[str], readings: dict[str, _Readings]) -> list[str]:
    """Notes what the jobs say that wait, and returns the ids of those that have not ended."""
    open_ids = []
    async for part in producer.read_in_parts(ids):
        now = time.time()
        for job in part:
            if job is None or job.status.is_final:
                continue
            open_ids.append(job.id)
            if job.id in readings and job.expected_start_at and job.expected_end_at:
                of_job = readings[job.id]
                of_job.at.append(now)
                of_job.starts.append(job.expected_start_at.timestamp())
                of_job.ends.append(job.expected_end_at.timestamp())
    return open_ids


def _compare(jobs: Sequence[Job], readings: dict[str, _Readings]) -> ExpectationErrors:
    starts, ends = [], []
    for job in jobs:
        said = readings[job.id]
        if not (job.submitted_at and job.started_at and job.finished_at):
            continue
        submitted, started = job.submitted_at.timestamp(), job.started_at.timestamp()
        if started - submitted < _SHORTEST_WAIT_SECONDS or not said.at:
            continue
        half = (submitted + started) / 2
        nearest = min(range(len(said.at)), key=lambda n: abs(said.at[n] - half))
        at, ended = said.at[nearest], job.finished_at.timestamp()
        if abs(at - half) > half - submitted:  # nothing could be told then
            continue
        starts.append(100 * abs(said.starts[nearest] - started) / (started - at))
        ends.append(100 * abs(said.ends[nearest] - ended) / (ended - at))
    if len(starts) < _FEWEST_JOBS:
        raise BenchmarkError(f"Only {len(starts)} jobs waited long enough.")
    return ExpectationErrors(starts, ends)
