"""Refuses jobs that plainly cannot be started as soon as they have to be."""

from collections import Counter
from collections.abc import Sequence
from typing import cast

from inferq.errors import ExpiresTooSoonError
from inferq.number_format import format_number
from inferq.queue.inspection.forecast_reader import ForecastReader
from inferq.queue.producer.submission import Idempotency, Submission
from inferq.queue.redis_client.bounded import BoundedRedis

_PLAINLY = 2.0
"""So many times as long as it may wait a job has to be expected to wait, to be refused: estimates err."""
_LONGEST_PAUSE_SECONDS = 3600.0


class StartCheck:
    """Compares what is expected of jobs with how long they may wait.

    Args:
        redis: The server.
        forecasts: Tells what is expected.
    """

    def __init__(self, redis: BoundedRedis, forecasts: ForecastReader) -> None:
        self._redis = redis
        self._forecasts = forecasts

    async def check(self, submissions: Sequence[Submission], idempotency: Idempotency | None) -> None:
        """Checks jobs of one request. Costs nothing where none of them has a time by which it must start.

        Args:
            submissions: The jobs, in the order in which they will be queued.
            idempotency: By which a repeated request is known: that gets the jobs that it got first.

        Raises:
            ExpiresTooSoonError: One of them plainly cannot be started in time.
            RedisUnavailableError: Redis does not answer in time.
        """
        if all(one.expires_in_seconds is None for one in submissions):
            return
        late = await self._find_late(submissions)
        if late is not None and not (idempotency and await self._is_known(idempotency, submissions[0].owner)):
            raise late

    async def _find_late(self, submissions: Sequence[Submission]) -> ExpiresTooSoonError | None:
        forecast = await self._forecasts.read()
        now = self._forecasts.now
        before = Counter[tuple[str, str]]()
        for one in submissions:
            queue = (one.model, one.priority)
            seconds = one.expires_in_seconds
            if seconds is not None:
                span = forecast.expect_new(one.model, one.priority, now, before[queue])
                if span is not None and span.start - now > _PLAINLY * seconds:
                    return _make_error(span.start - now, seconds)
            before[queue] += 1
        return None

    async def _is_known(self, idempotency: Idempotency, owner: str) -> bool:
        key = self._redis.keys.idempotency(cast("str", idempotency.to_option(owner)["key"]))
        async with self._redis.limit_time():
            return bool(await self._redis.client.exists(key))


def _make_error(wait: float, seconds: float) -> ExpiresTooSoonError:
    return ExpiresTooSoonError(
        f"The job would start in about {format_number(wait, 3)} s, and it expires in "
        f"{format_number(seconds)} s (expires_in). Give it more time, try again later, or add workers.",
        retry_after_seconds=min(_LONGEST_PAUSE_SECONDS, max(1.0, wait - seconds)),
        problem={"expected_wait_seconds": round(wait, 3)},
    )
