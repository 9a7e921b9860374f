"""How long a call to Redis may take."""

import asyncio
import time

import pytest

from inferq.errors import RedisUnavailableError
from inferq.queue.producer.producer import Producer
from inferq.settings import Settings
from tests.integration.queue.calls import eventually


async def test_event_loop_that_is_held_up_is_no_outage(settings):
    producer = Producer.from_settings(settings.model_copy(update={"redis_timeout_seconds": 1.0}))
    await eventually(producer.ping)
    for _ in range(3):
        calls = [asyncio.create_task(call) for call in (producer.ping(), producer.jobs.read_statuses(["x"]))]
        await asyncio.sleep(0)  # they have begun
        time.sleep(1.5)  # noqa: ASYNC251 - what holds the loop up
        assert await asyncio.gather(*calls) == [None, {"x": None}]
    await producer.close()


async def test_redis_that_hangs_is_said_to_in_time(own_redis_server):
    settings = Settings(redis_url=own_redis_server.url, redis_timeout_seconds=0.3)
    producer = Producer.from_settings(settings)
    await eventually(producer.ping)
    own_redis_server.hang()
    with pytest.raises(RedisUnavailableError, match=r"did not answer within 0\.3 s"):
        async with asyncio.timeout(60):
            await producer.ping()
    own_redis_server.go_on()
    await producer.close()
