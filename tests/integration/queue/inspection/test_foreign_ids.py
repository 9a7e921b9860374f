"""Ids from outside that are no UTF-8: each stands for itself, and none breaks a read."""

import json

import pytest

from inferq.errors import JobNotFoundError
from inferq.job_json import describe_stats, write_job_json
from inferq.jobs import Outcome, Status
from inferq.proxy.services.results.stored_result import StoredResult
from inferq.queue.schema.ids import decode_id

FOREIGN, LOOKALIKE = b"\xff", "\N{REPLACEMENT CHARACTER}".encode()


@pytest.fixture
def finished(consumer, redis_client):
    """Two completed jobs whose ids look the same; the result of each is its number."""
    for job_id in (FOREIGN, LOOKALIKE):
        redis_client.set(b"job:%b:data" % job_id, b"[1]")
        redis_client.lpush("queue:iris", job_id)
    claimed = consumer.claim(2)
    consumer.finish([Outcome(job, result=b"%d" % number) for number, job in enumerate(claimed)])
    return [decode_id(FOREIGN), decode_id(LOOKALIKE)]


async def test_listed_job_is_not_taken_for_another_one(producer, finished):
    jobs = (await producer.listing.read_page(["iris"])).jobs
    assert {job.id: job.result for job in jobs} == dict(zip(finished, [b"0", b"1"], strict=True))
    assert [json.loads(write_job_json(job))["job_id"] for job in jobs] == [LOOKALIKE.decode()] * 2


async def test_listed_job_can_be_read_and_deleted_by_its_id(producer, finished):
    assert (await producer.read(finished[0])).result == b"0"
    await producer.delete(finished[0])
    with pytest.raises(JobNotFoundError):
        await producer.read(finished[0])
    assert (await producer.read(finished[1])).result == b"1"


async def test_waiting_job_can_be_cancelled_and_retried_by_its_id(producer, consumer, redis_client):
    redis_client.set(b"job:%b:data" % FOREIGN, b"[1]")
    redis_client.lpush("queue:iris", FOREIGN)
    job_id = decode_id(FOREIGN)
    consumer.requeue(consumer.claim(1))  # now the queue knows it
    await producer.cancel(job_id)
    statuses = await producer.jobs.read_statuses([job_id, LOOKALIKE.decode()])
    assert statuses == {job_id: Status.FAILED, LOOKALIKE.decode(): None}
    await producer.retry(job_id)
    assert [job.id for job in consumer.claim(2)] == [job_id]


async def test_large_result_of_such_a_job_is_read(producer, consumer, redis_client):
    redis_client.set(b"job:%b:data" % FOREIGN, b"[1]")
    redis_client.lpush("queue:iris", FOREIGN)
    result = b"[%b]" % b",".join([b"1"] * 100_000)
    consumer.finish([Outcome(job, result=result) for job in consumer.claim(1)])
    job = await producer.read(decode_id(FOREIGN))
    assert await StoredResult.open(producer.large_results, job).read() == result


async def test_worker_whose_id_is_no_utf8_is_shown(producer, redis_client):
    report = {"host": "h", "pid": 1, "models": "iris", "started_at": "2026-01-31T12:00:00+00:00"}
    redis_client.zadd("workers", {FOREIGN: 1})
    redis_client.hset(b"worker:" + FOREIGN, mapping=report | {"seen_ms": 1, "jobs_done": 0})
    [worker] = await producer.read_workers()
    assert worker.id == decode_id(FOREIGN)
    [shown] = describe_stats(await producer.read_stats(), None, {})["workers"]
    assert shown["id"] == LOOKALIKE.decode()
