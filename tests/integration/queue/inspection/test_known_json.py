"""Which results are known to be JSON, so that they are not parsed on every read."""

import pytest

from inferq.errors import ModelError
from inferq.jobs import Outcome, Status
from inferq.queue.consumer.consumer import Consumer
from inferq.queue.producer.submission import Submission
from inferq.queue.retry_policy import RetryPolicy

SIZES = [10, 50_000, 100_000]


def result_of(size):
    return b'"%b"' % (b"x" * size)


@pytest.mark.parametrize("size", SIZES)
async def test_result_that_our_worker_stored_is_known_to_be_json(producer, consumer, size):
    job_id = await producer.submit(Submission("iris", b"[1]"))
    consumer.finish([Outcome(job, result=result_of(size)) for job in consumer.claim(1)])
    job = await producer.read(job_id)
    assert (job.status, job.is_form_known) == (Status.COMPLETED, True)


async def test_result_of_a_job_that_was_retried_is_known_to_be_json(producer, settings):
    at_once = RetryPolicy(max_attempts=2, base_seconds=0.0, cap_seconds=0.0)
    consumer = Consumer(settings, "worker-1", ["iris"], retries=at_once)
    job_id = await producer.submit(Submission("iris", b"[1]"))
    [job] = consumer.claim(1)
    assert consumer.finish([Outcome(job, error=ModelError("It failed."))]) == ["retrying"]
    consumer.recover()  # queues what is due
    [job] = consumer.claim(1)
    consumer.finish([Outcome(job, result=b"1")])
    consumer.close()
    job = await producer.read(job_id)
    assert (job.status, job.attempts, job.is_form_known) == (Status.COMPLETED, 2, True)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("is_noticed", [False, True])
@pytest.mark.parametrize("is_claimed", [False, True])
async def test_result_that_a_worker_from_outside_stored_is_not(
    producer, consumer, redis_client, size, is_noticed, is_claimed
):
    job_id = await producer.submit(Submission("iris", b"[1]"))
    claimed = consumer.claim(1) if is_claimed else []
    redis_client.set(f"job:{job_id}:result", b"x" * size)
    redis_client.set(f"job:{job_id}:status", "completed")
    if is_noticed:
        consumer.finish([Outcome(job, result=b"1") for job in claimed] or [])
        consumer.recover()
    job = await producer.read(job_id)
    assert (job.status, job.is_form_known) == (Status.COMPLETED, False)


async def test_result_that_was_stored_beside_a_failure_of_ours_is_not(producer, consumer, redis_client):
    job_id = await producer.submit(Submission("iris", b"[1]"))
    consumer.finish([Outcome(job, error=ModelError("odd")) for job in consumer.claim(1)])
    redis_client.set(f"job:{job_id}:result", "late")
    redis_client.set(f"job:{job_id}:status", "completed")
    job = await producer.read(job_id)
    assert (job.result, job.is_form_known) == (b"late", False)
