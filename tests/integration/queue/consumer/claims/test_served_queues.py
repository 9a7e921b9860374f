"""What a worker claims from changes while it works."""

import pytest

from inferq.jobs import Outcome, Status
from inferq.queue.consumer.consumer import Consumer
from inferq.queue.producer.submission import Submission

DATA = b"[[5.1,3.5,1.4,0.2]]"


@pytest.fixture
def consumer(settings):
    """A consumer whose leases lapse at once."""
    short = settings.model_copy(update={"lease_seconds": 0.01})
    consumer = Consumer(short, "worker-1", ["iris"], {"iris": "1"})
    yield consumer
    consumer.close()


async def test_queue_that_is_served_from_now_on_is_claimed_from_and_recovered(producer, consumer):
    job_id = await producer.submit(Submission("digits", DATA))
    assert consumer.claim(10) == []
    consumer.serve({"digits": "7"})
    [job] = consumer.claim(10)
    assert (job.id, job.model, job.claimed_for) == (job_id, "digits", "7")
    while not consumer.recover().lapsed:
        pass
    assert [job.id for job in consumer.claim(10)] == [job_id]


async def test_claim_takes_from_the_queues_of_its_limits_alone(producer, consumer):
    for model in ("iris", "digits"):
        await producer.submit(Submission(model, DATA))
    consumer.serve({"iris": "1", "digits": "7"})
    assert [job.model for job in consumer.wait_and_claim({"digits": 5}).jobs] == ["digits"]
    assert consumer.wait_and_claim({"digits": 5}, timeout_seconds=0.01).jobs == []
    assert [job.model for job in consumer.finish_and_claim([], {"iris": 5}).jobs] == ["iris"]


@pytest.mark.parametrize("limit", [0, {"iris": 0}])
async def test_claim_of_no_job_ends_with_none(producer, consumer, limit):
    job_id = await producer.submit(Submission("iris", DATA))
    assert consumer.claim(limit) == []
    assert [job.id for job in consumer.claim(1)] == [job_id]


async def test_claim_that_is_repeated_tells_the_version_of_the_first(producer, consumer):
    await producer.submit(Submission("iris", DATA))
    token = "0" * 32
    consumer.claim(10, token=token)
    consumer.serve({"iris": "2"})
    [job] = consumer.claim(10, token=token)
    assert job.claimed_for == "1"


async def test_jobs_that_run_as_their_queue_ceases_to_be_served_still_end(producer, consumer):
    job_id = await producer.submit(Submission("iris", DATA))
    [job] = consumer.claim(10)
    consumer.serve({})
    assert consumer.finish([Outcome(job, result=b"{}")]) == ["completed"]
    assert (await producer.read(job_id)).status is Status.COMPLETED
