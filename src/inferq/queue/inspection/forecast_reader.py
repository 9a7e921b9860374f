"""Adds to jobs that have not ended when they probably will."""

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime

from inferq.errors import RedisUnavailableError
from inferq.jobs import Job, Pace
from inferq.queue.inspection.forecast import Forecast
from inferq.queue.inspection.paces import average_paces
from inferq.queue.inspection.workload import Workload, read_workload
from inferq.queue.redis_client.bounded import BoundedRedis, run_side_by_side
from inferq.queue.redis_client.shared_read import SharedRead
from inferq.settings import Settings

_FRESH_SECONDS = 0.2
"""How long a forecast is used; what has been taken meanwhile is reckoned with."""
_LARGEST_SHARE = 0.05
"""Most of the time that may be spent on forecasts, should reading the workload take long."""
_MOST_PACES = 1000
"""So many models' paces are kept beyond their workers' lives, those that were seen last."""


class ForecastReader:
    """Makes forecasts, a few times a second at most, which all requests share.

    Args:
        redis: The server.
        settings: The share of lower priorities, which is taken to be that of the workers.

    Attributes:
        find_others: Returns the readers of the other shards that answer, whose jobs the same workers run;
            none where there is one shard.
    """

    def __init__(self, redis: BoundedRedis, settings: Settings) -> None:
        self._redis = redis
        self._share = settings.lower_priority_share
        self._forecast: Forecast | None = None
        self._paces: dict[str, Pace] = {}  # the one seen last is at the end
        self._server_time = 0.0  # less the monotonic clock's
        self._fresh_until = 0.0
        self._reading = SharedRead(self._read)
        self._workload: Workload | None = None
        self._workload_until = 0.0
        self._reading_workload = SharedRead(self._read_workload)
        self._reading_seconds = 0.0
        self.find_others: Callable[[], Sequence[ForecastReader]] = tuple

    @property
    def now(self) -> float:
        """The time by the server's clock, as of the latest forecast; seconds since 1970."""
        return self._server_time + time.monotonic()

    async def read(self) -> Forecast:
        """Returns a forecast of nearly this moment.

        Raises:
            RedisUnavailableError: Redis does not answer in time.
        """
        if self._forecast is not None and time.monotonic() < self._fresh_until:
            return self._forecast
        return await self._reading.get()

    async def complete(self, jobs: Sequence[Job | None]) -> list[Job | None]:
        """Adds to jobs that wait or run what is expected of them; nothing where Redis does not answer."""
        with suppress(RedisUnavailableError):
            forecast = await self.read()
            now = self.now
            return [None if job is None else _complete(job, forecast, now) for job in jobs]
        return list(jobs)

    async def read_workload(self) -> Workload:
        """Returns the workload of nearly this moment, of this shard alone.

        Raises:
            RedisUnavailableError: Redis does not answer in time.
        """
        if self._workload is not None and time.monotonic() < self._workload_until:
            return self._workload
        return await self._reading_workload.get()

    async def _read_workload(self) -> Workload:
        began = time.monotonic()
        async with self._redis.limit_time(asyncio.get_running_loop().time()):
            self._workload = await read_workload(self._redis)
        ended = time.monotonic()
        self._server_time = self._workload.at - (began + ended) / 2
        self._workload_until = ended + _FRESH_SECONDS / 2
        self._reading_seconds = ended - began
        return self._workload

    async def _read(self) -> Forecast:
        reads = [self.read_workload(), *(other.read_workload() for other in self.find_others())]
        workload, *others = await run_side_by_side(reads)
        if isinstance(workload, RedisUnavailableError):
            raise workload
        began = time.monotonic() - self._reading_seconds  # however long another shard took
        # what a shard that does not answer has, no worker takes meanwhile
        there = [other for other in others if isinstance(other, Workload)]
        self._keep_paces(average_paces(workload.workers))
        self._forecast = Forecast(workload, self._share, self._paces, there)
        made = time.monotonic()
        self._fresh_until = made + max(_FRESH_SECONDS, (made - began) / _LARGEST_SHARE)
        return self._forecast

    def _keep_paces(self, latest: dict[str, Pace]) -> None:
        """Keeps what jobs cost, to tell how many workers to start when all of a model have gone."""
        self._paces = {model: pace for model, pace in self._paces.items() if model not in latest} | latest
        for model in list(self._paces)[:-_MOST_PACES]:
            del self._paces[model]


def _complete(job: Job, forecast: Forecast, now: float) -> Job:
    expected = forecast.expect(job, now)
    if expected is None:
        return job
    start = None if expected.start is None else make_moment(expected.start)
    return job._replace(expected_start_at=start, expected_end_at=make_moment(expected.end))


def make_moment(seconds: float) -> datetime | None:
    """Makes a UTC time, to the millisecond, of seconds since 1970; None of one beyond the calendar."""
    try:
        return datetime.fromtimestamp(round(seconds, 3), UTC)
    except (ValueError, OverflowError, OSError):
        return None
