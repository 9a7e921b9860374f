"""Every end of a job is counted once, by how it came: what began is what ended and what is open."""

import asyncio

import pytest

from inferq.errors import InvalidInputError, ModelError
from inferq.jobs import Outcome, Priority
from inferq.queue.producer.submission import Submission
from inferq.queue.schema.keys import Keys
from tests.records import turn_clock

DATA = b"[[5.1,3.5,1.4,0.2]]"
KEYS = Keys()


@pytest.fixture
def counts(redis_client):
    """The counts of the model iris, of which it is checked that they add up."""

    def read():
        stored = redis_client.hgetall(KEYS.counts("iris"))
        counts = {field.decode(): int(count) for field, count in stored.items()}
        ends = sum(
            count
            for field, count in counts.items()
            if field in ("completed", "lost") or field.startswith("failed|")
        )
        is_open = sum(redis_client.zcard(KEYS.open("iris", priority)) for priority in Priority)
        sequence = int(redis_client.get(KEYS.sequence("iris")) or 0)
        assert sequence + counts.get("pushed", 0) == ends + is_open
        return counts

    return read


async def test_each_end_is_counted_by_its_kind_however_often_it_is_reported(producer, consumer, counts):
    await producer.submit_batch([Submission("iris", DATA) for _ in range(3)])
    await producer.submit(Submission("iris", DATA, webhook="https://example.com/"))
    jobs = consumer.claim(4)
    outcomes = [
        Outcome(jobs[0], error=InvalidInputError("No.")),
        Outcome(jobs[1], error=ModelError("No.")),
        *(Outcome(job, result=b"1") for job in jobs[2:]),
    ]
    for _ in range(2):
        consumer.finish(outcomes)
    assert counts() == {"failed|invalid-input": 1, "completed": 2, "retries": 1}
    await producer.cancel(jobs[1].id)
    assert counts() == {
        "failed|invalid-input": 1, "failed|cancelled": 1, "completed": 2, "retries": 1,
    }  # fmt: skip


async def test_job_submitted_twice_at_once_is_counted_once(producer, redis_client, counts):
    await producer.submit(Submission("iris", DATA))
    twice = Submission("iris", DATA)
    assert await asyncio.gather(producer.submit(twice), producer.submit(twice)) == [twice.id] * 2
    assert counts() == {}
    assert redis_client.llen("queue:iris") == 2


async def test_job_that_is_retried_begins_and_ends_again(producer, consumer, counts):
    job_id = await producer.submit(Submission("iris", DATA))
    await producer.cancel(job_id)
    await producer.retry(job_id)
    assert counts() == {"failed|cancelled": 1, "retried": 1}
    consumer.finish([Outcome(job, result=b"1") for job in consumer.claim(1)])
    await producer.delete(job_id)
    assert counts() == {"failed|cancelled": 1, "retried": 1, "completed": 1}


async def test_jobs_from_outside_are_counted_when_they_are_seen(producer, consumer, redis_client, counts):
    for job_id in ("fine", "empty", "corrupt"):
        redis_client.lpush("queue:iris", job_id)
    redis_client.set("job:fine:data", DATA)
    redis_client.lpush("job:corrupt:data", "no string")
    assert counts() == {}
    [job] = consumer.claim(3)
    assert counts() == {"pushed": 3, "failed|expired": 1, "failed|invalid-input": 1}
    redis_client.set("job:fine:error", "No.")
    redis_client.set("job:fine:status", "failed")
    assert consumer.finish([Outcome(job, result=b"1")]) == ["stale"]
    assert counts() == {
        "pushed": 3, "failed|expired": 1, "failed|invalid-input": 1, "failed|outside": 1, "stale": 1,
    }  # fmt: skip


@pytest.mark.parametrize("is_claimed", [False, True])
async def test_job_whose_record_is_corrupt_ends_once(producer, consumer, redis_client, counts, is_claimed):
    job_id = await producer.submit(Submission("iris", DATA, Priority.HIGH))
    if is_claimed:
        consumer.claim(1)
        redis_client.zadd(
            "queue:iris:leases", dict.fromkeys(redis_client.zrange("queue:iris:leases", 0, -1), 1)
        )
    redis_client.hset("jobs:records", job_id, "no record")
    for _ in range(2):
        consumer.claim(1)
        consumer.recover()
    lapsed = {"leases_lapsed": 1} if is_claimed else {}
    assert counts() == {"failed|invalid-input": 1, "submitted|high": 1} | lapsed


async def test_job_whose_record_was_deleted_is_counted_as_lost(producer, consumer, redis_client, counts):
    job_id = await producer.submit(Submission("iris", DATA))
    redis_client.hdel("jobs:records", job_id)
    redis_client.delete("queue:iris")
    for _ in range(2):
        consumer.recover()
    assert counts() == {"lost": 1}


@pytest.mark.parametrize("key", ["webhooks", "queue:iris:dead", "queue:iris:retries"])
async def test_index_that_another_program_has_replaced_keeps_no_end_from_being_counted(
    producer, consumer, redis_client, counts, key
):
    jobs = [Submission("iris", DATA, webhook="https://example.com/") for _ in range(4)]
    await producer.submit_batch(jobs)
    done, failed = consumer.claim(2)
    redis_client.set(key, "what")
    consumer.finish([Outcome(done, result=b"1"), Outcome(failed, error=InvalidInputError("No."))])
    await producer.cancel(jobs[2].id)
    if key != "queue:iris:retries":
        await producer.retry(jobs[2].id)
        assert [job.id for job in consumer.claim(2)] == [jobs[3].id, jobs[2].id]
        assert counts().pop("retried") == 1
    ends = {field: count for field, count in counts().items() if field != "retried"}
    assert ends == {"completed": 1, "failed|invalid-input": 1, "failed|cancelled": 1}


async def test_deleted_job_whose_id_is_still_in_a_list_does_not_come_back(
    producer, consumer, redis_client, counts
):
    late, deep = [await producer.submit(Submission("iris", DATA)) for _ in range(2)]
    [claimed] = consumer.claim(1)
    turn_clock(redis_client, 1_000)
    consumer.recover()
    assert consumer.finish([Outcome(claimed, result=b"1")]) == ["late"]
    redis_client.lpush("queue:iris", late)
    await producer.delete(late)
    assert redis_client.llen("queue:iris") == 1
    redis_client.rpush("queue:iris", *["other"] * 10_001)  # an id so deep in a list is not searched for
    await producer.cancel(deep)
    await producer.delete(deep)
    redis_client.lrem("queue:iris", 0, "other")
    assert redis_client.llen("queue:iris") == 1
    assert consumer.claim(1) == []
    assert counts() == {"completed": 1, "failed|cancelled": 1, "late": 1, "leases_lapsed": 1, "recovered": 1}


async def test_a_claim_tells_when_each_job_was_submitted(producer, consumer, redis_client):
    ids = [
        await producer.submit(Submission("iris", DATA, timeout_seconds=timeout)) for timeout in (None, 5.0)
    ]
    redis_client.set("job:pushed:data", DATA)
    redis_client.lpush("queue:iris", "pushed")
    jobs = consumer.claim(3, token="t")
    again = consumer.claim(3, token="t")
    assert [job.id for job in jobs] == [*ids, "pushed"]
    assert jobs == again
    assert [job.submitted_at for job in jobs] == [(await producer.read(job.id)).submitted_at for job in jobs]
