"""The hash of all jobs' records: what goes when, and what other programs may make of it."""

import pytest

from inferq.jobs import InvalidInputError, JobNotFoundError, Outcome, RedisUnavailableError, Status
from inferq.queue.consumer import Consumer
from inferq.queue.submission import Submission
from tests.records import change_record
from tests.servers import wait_until

DATA = b"[[5.1,3.5,1.4,0.2]]"


def complete(consumer, count=1):
    jobs = consumer.claim(count)
    assert len(jobs) == count
    assert consumer.finish([Outcome(job, result=b"1") for job in jobs]) == ["completed"] * count


def make_due(client):
    """Makes every ended job's time be over, as far as the records go."""
    for entry in client.zrange("jobs:ended", 0, -1):
        client.zadd("jobs:ended", {entry: 1})


async def test_records_of_ended_jobs_go_when_their_time_is_over(producer, consumer, redis_client):
    ids = [await producer.submit("iris", DATA) for _ in range(5)]
    complete(consumer, 3)
    [failed] = consumer.claim(1)
    consumer.finish([Outcome(failed, error=InvalidInputError("No."))])
    consumer.recover()
    assert redis_client.hlen("jobs") == 5

    make_due(redis_client)
    consumer.recover()

    assert redis_client.hkeys("jobs") == [ids[-1].encode()]
    assert not redis_client.exists("jobs:ended")


async def test_workers_remove_as_many_records_as_they_add(producer, consumer, redis_client):
    for _ in range(10):
        await producer.submit("iris", DATA)
        complete(consumer)
        make_due(redis_client)
    assert redis_client.hlen("jobs") <= 2


async def test_record_of_a_job_that_began_anew_stays(producer, consumer, redis_client):
    job_id = await producer.submit("iris", DATA)
    await producer.cancel(job_id)
    await producer.revive(job_id)
    make_due(redis_client)
    consumer.recover()
    complete(consumer)
    change_record(redis_client, job_id, ended_ms=7)  # another end than the one that was noted
    make_due(redis_client)
    consumer.recover()
    assert (await producer.read(job_id)).attempts == 1


async def test_ended_job_is_known_as_long_as_its_status(producer, consumer, redis_client):
    job_id = await producer.submit("iris", DATA)
    complete(consumer)
    redis_client.delete(f"job:{job_id}:status", f"job:{job_id}:result")

    with pytest.raises(JobNotFoundError):
        await producer.read(job_id)
    with pytest.raises(JobNotFoundError):
        await producer.drop(job_id)
    again = await producer.submit_one(Submission("iris", DATA, id=job_id))
    assert (again, (await producer.read(job_id)).status) == (job_id, Status.PENDING)
    complete(consumer)


async def test_all_keys_of_records_expire_where_nothing_happens_any_more(producer, consumer, redis_client):
    await producer.submit("iris", DATA)
    assert redis_client.ttl("jobs") > 0
    complete(consumer)
    consumer.recover()
    assert min(redis_client.ttl("jobs"), redis_client.ttl("jobs:ended")) > 0


@pytest.mark.parametrize("is_batch", [False, True])
async def test_records_in_a_key_of_the_wrong_type_refuse_jobs_and_lose_none(
    producer, settings, redis_client, is_batch
):
    consumer = Consumer(settings, "worker-1", ["iris"])
    waiting = await producer.submit("iris", DATA)
    redis_client.rename("jobs", "kept")
    redis_client.set("jobs", "no hash")

    with pytest.raises(RedisUnavailableError, match="'jobs'"):
        await (producer.submit_all([Submission("iris", DATA)]) if is_batch else producer.submit("iris", DATA))
    assert (await producer.read(waiting)).status is Status.PENDING
    with pytest.raises(RedisUnavailableError, match="WRONGTYPE"):
        consumer.claim(1)
    assert redis_client.lrange("queue:iris", 0, -1) == [waiting.encode()]

    redis_client.rename("kept", "jobs")
    complete(consumer)
    assert (await producer.read(waiting)).status is Status.COMPLETED
    consumer.close()


@pytest.mark.parametrize("odd", ["no record", "queued|||||||||||||{", "|" * 13, "leased|||||||||||||[]"])
async def test_open_job_with_an_odd_record_fails_once_recovery_meets_it(
    producer, consumer, redis_client, odd
):
    job_id = await producer.submit("iris", DATA)
    redis_client.brpop(["queue:iris"])
    redis_client.hset("jobs", job_id, odd)

    def ends():
        consumer.recover()
        return redis_client.get(f"job:{job_id}:status") == b"failed" or not redis_client.exists(
            "queue:iris:open:normal"
        )

    wait_until(ends, what="the end of the job")
    good = await producer.submit("iris", DATA)
    complete(consumer)
    assert (await producer.read(good)).status is Status.COMPLETED


async def test_odd_entries_among_the_ended_are_passed_over(producer, consumer, redis_client):
    redis_client.zadd("jobs:ended", {"odd": 1, "1[": 1, "1[[]]": 1, "1[7]": 1, "1{}": 1})
    await producer.submit("iris", DATA)
    complete(consumer)
    for _ in range(3):
        consumer.recover()
    assert redis_client.zrange("jobs:ended", 0, 9, withscores=True)[0][1] > 1
