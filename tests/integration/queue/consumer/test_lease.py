"""How long a job stays this worker's."""

import asyncio

from inferq.queue.consumer.consumer import Consumer
from inferq.queue.producer.submission import Submission

DATA = b"[[5.1,3.5,1.4,0.2]]"


async def test_renewed_lease_does_not_lapse(settings, producer):
    short = settings.model_copy(update={"lease_seconds": 0.3})
    consumer = Consumer(short, "worker-1", ["iris"])
    await producer.submit(Submission("iris", DATA))
    jobs = consumer.claim(1)
    for _ in range(6):
        await asyncio.sleep(0.1)
        assert consumer.renew({jobs[0]: 60.0}) == {jobs[0]: "renewed"}
        assert consumer.recover().lapsed == 0


async def test_overdue_run_is_not_renewed(producer, consumer):
    await producer.submit(Submission("iris", DATA, timeout_seconds=7.5))
    [job] = consumer.claim(1)
    assert job.timeout_seconds == 7.5
    await asyncio.sleep(0.02)
    assert consumer.renew({job: 0.001}) == {job: "overdue"}
