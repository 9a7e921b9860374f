"""What a consumer of one shard among several says of its jobs."""

import pytest

from inferq.jobs import Outcome
from inferq.model_names import QueueName
from inferq.queue.consumer.consumer import Consumer
from inferq.queue.consumer.shadows.shadow_jobs import ShadowSample
from inferq.queue.producer.submission import Submission

SHADOW = str(QueueName("iris", "2", "shadow"))


@pytest.fixture
def third(settings):
    consumer = Consumer(settings, "worker-1", ["iris", SHADOW], shard=3)
    yield consumer
    consumer.close()


async def test_jobs_tell_the_shard_that_they_were_claimed_from(producer, third):
    for _ in range(4):
        await producer.submit(Submission("iris", b"1"))
    [first] = third.wait_and_claim(1).jobs
    [second] = third.claim(1)
    prefetched = third.prepare_prefetch([Outcome(first, b"1")], {"iris": 1})
    prefetched.send()
    [leased] = prefetched.leased()
    [third_job] = prefetched.answer().jobs
    assert {job.shard for job in (first, second, leased, third_job)} == {3}
    assert third.shard_of(first) is third


async def test_id_of_a_shadow_job_tells_the_shard_of_its_primary(producer, third):
    await producer.submit(Submission("iris", b"1"))
    [primary] = third.claim({"iris": 1})
    third.shadow_jobs.submit([ShadowSample(primary, SHADOW, 0.1, 1, 1, 0.0)])
    [shadow] = third.claim({SHADOW: 1})
    assert shadow.id.endswith("-3")
