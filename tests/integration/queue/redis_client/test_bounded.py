"""How long a call to Redis may take."""

import asyncio
import time

import pytest

from inferq.errors import RedisUnavailableError
from inferq.queue.producer.producer import Producer


async def test_event_loop_that_is_held_up_is_no_outage(settings):
    producer = Producer.from_settings(settings.model_copy(update={"redis_timeout_seconds": 0.2}))
    await producer.ping()
    for _ in range(5):
        calls = [asyncio.create_task(call) for call in (producer.ping(), producer.jobs.read_statuses(["x"]))]
        await asyncio.sleep(0)  # they have begun
        time.sleep(0.4)  # noqa: ASYNC251 - what holds the loop up
        assert await asyncio.gather(*calls) == [None, {"x": None}]
    await producer.close()


async def test_redis_that_hangs_is_said_to_in_time(settings, redis_client):
    producer = Producer.from_settings(settings.model_copy(update={"redis_timeout_seconds": 0.3}))
    await producer.ping()
    redis_client.execute_command("CLIENT", "PAUSE", 1500, "ALL")
    began = time.monotonic()
    with pytest.raises(RedisUnavailableError, match=r"did not answer within 0\.3 s"):
        await producer.ping()
    assert time.monotonic() - began < 1
    await producer.close()
