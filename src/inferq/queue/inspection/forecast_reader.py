"""Adds to jobs that have not ended when they probably will."""

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime

from inferq.errors import RedisUnavailableError
from inferq.jobs import Job
from inferq.queue.inspection.forecast import Forecast
from inferq.queue.inspection.workload import read_workload
from inferq.queue.redis_client.bounded import BoundedRedis
from inferq.queue.redis_client.shared_read import SharedRead
from inferq.settings import Settings

_FRESH_SECONDS = 0.2
"""How long a forecast is used; what has been taken meanwhile is reckoned with."""
_LARGEST_SHARE = 0.05
"""Most of the time that may be spent on forecasts, should reading the workload take long."""


class ForecastReader:
    """Makes forecasts, a few times a second at most, which all requests share.

    Args:
        redis: The server.
        settings: The share of lower priorities, which is taken to be that of the workers.
    """

    def __init__(self, redis: BoundedRedis, settings: Settings) -> None:
        self._redis = redis
        self._share = settings.lower_priority_share
        self._forecast: Forecast | None = None
        self._server_time = 0.0  # less the monotonic clock's
        self._fresh_until = 0.0
        self._reading = SharedRead(self._read)

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

    async def _read(self) -> Forecast:
        began = time.monotonic()
        async with self._redis.limit_time(asyncio.get_running_loop().time()):
            workload = await read_workload(self._redis)
        ended = time.monotonic()
        self._server_time = workload.at - (began + ended) / 2
        self._forecast = Forecast(workload, self._share)
        made = time.monotonic()
        self._fresh_until = made + max(_FRESH_SECONDS, (made - began) / _LARGEST_SHARE)
        return self._forecast


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
