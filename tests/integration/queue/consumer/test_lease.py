"""How long a job stays this worker's."""

import asyncio

from inferq.queue.consumer.consumer import Consumer
from inferq.queue.producer.submission import Submission
from tests.records import turn_clock

DATA = b"[[5.1,3.5,1.4,0.2]]"


async def test_renewed_lease_does_not_lapse(settings, producer, redis_client):
    consumer = Consumer(settings.model_copy(update={"lease_seconds": 300.0}), "worker-1", ["iris"])
    await producer.submit(Submission("iris", DATA))
    [job] = consumer.claim(1)
    for _ in range(6):
        turn_clock(redis_client, 100.0)
        assert consumer.renew({job: 6000.0}) == {job: "renewed"}
        assert consumer.recover().lapsed == 0
    consumer.close()


async def test_overdue_run_is_not_renewed(producer, consumer):
    await producer.submit(Submission("iris", DATA, timeout_seconds=7.5))
    [job] = consumer.claim(1)
    assert job.timeout_seconds == 7.5
    await asyncio.sleep(0.02)
    assert consumer.renew({job: 0.001}) == {job: "overdue"}
