"""What happens in all queues, sample by sample."""

import pytest

from inferq.errors import InvalidInputError
from inferq.jobs import Outcome, Status
from inferq.queue.inspection.activity import MOST_CHANGED
from inferq.queue.producer.submission import Submission
from tests.servers import wait_until

DATA = b"[[5.1,3.5,1.4,0.2]]"


@pytest.fixture
async def sampler(producer):
    sampler = producer.open_sampler()
    await sampler.read()
    return sampler


def expect(sample, pending=0, processing=0, completed=0, failed=0):
    assert list(sample.counts.values()) == [pending, processing, completed, failed]
    assert len(sample.jobs) == len({(job.id, job.status) for job in sample.jobs})
    return {(job.id, job.status) for job in sample.jobs}


async def test_first_sample_tells_nothing_of_what_was_before(producer, consumer):
    await producer.submit(Submission("iris", DATA))
    sampler = producer.open_sampler()
    assert expect(await sampler.read()) == set()


def until_next_millisecond(redis_client):
    """Waits until the server's clock has gone on: within one, a status that comes back is not told again."""
    before = redis_client.time()[1] // 1000
    wait_until(lambda: redis_client.time()[1] // 1000 != before, what="the next millisecond")


async def test_each_change_is_told_once_with_model_and_owner(producer, consumer, sampler, redis_client):
    one = await producer.submit(Submission("iris", DATA, owner="ann"))
    two = await producer.submit(Submission("iris", DATA))
    sample = await sampler.read()
    assert expect(sample, pending=2) == {(one, Status.PENDING), (two, Status.PENDING)}
    assert {(job.id, job.model, job.owner) for job in sample.jobs} == {
        (one, "iris", "ann"),
        (two, "iris", ""),
    }

    claimed = {job.id: job for job in consumer.claim(2)}
    assert expect(await sampler.read(), processing=2) == {
        (one, Status.PROCESSING),
        (two, Status.PROCESSING),
    }

    consumer.finish(
        [Outcome(claimed[one], result=b"1"), Outcome(claimed[two], error=InvalidInputError("No."))]
    )
    assert expect(await sampler.read(), completed=1, failed=1) == {
        (one, Status.COMPLETED),
        (two, Status.FAILED),
    }

    until_next_millisecond(redis_client)
    await producer.retry(two)
    assert expect(await sampler.read(), pending=1) == {(two, Status.PENDING)}
    await producer.cancel(two)
    assert expect(await sampler.read(), failed=1) == {(two, Status.FAILED)}
    assert expect(await sampler.read()) == set()


async def test_change_is_told_once_though_many_samples_are_of_its_millisecond(sampler, monkeypatch):
    changes = [[b"one", b"iris", b"completed", b""]], [[b"two", b"iris", b"pending", b""]]
    answers = iter(
        [(5, [], changes[0]), (5, [], [*changes[0], *changes[1]]), (5, [], [*changes[0], *changes[1]])]
    )

    async def answer(_):
        return next(answers)

    monkeypatch.setattr(sampler._redis, "run", answer)
    told = [[job.id for job in (await sampler.read()).jobs] for _ in range(3)]
    assert told == [["one"], ["two"], []]


async def test_jobs_that_came_and_went_are_counted_in_every_status(producer, consumer, sampler):
    ids = await producer.submit_batch([Submission("iris", DATA) for _ in range(5)])
    consumer.finish([Outcome(job, result=b"1") for job in consumer.claim(5)])
    told = expect(await sampler.read(), pending=5, processing=5, completed=5)
    assert told == {(job_id, Status.COMPLETED) for job_id in ids}


async def test_of_many_changes_some_of_each_model_and_status_are_named(producer, consumer, sampler):
    await producer.submit_batch([Submission("iris", DATA) for _ in range(300)])
    await producer.submit(Submission("other", DATA))
    consumer.finish([Outcome(job, result=b"1") for job in consumer.claim(100)])
    consumer.claim(100)
    sample = await sampler.read()
    expect(sample, pending=301, processing=200, completed=100)
    assert len(sample.jobs) == MOST_CHANGED
    assert {(job.model, job.status) for job in sample.jobs} == {
        ("iris", Status.PENDING),
        ("iris", Status.PROCESSING),
        ("iris", Status.COMPLETED),
        ("other", Status.PENDING),
    }


async def test_corrupt_keys_break_no_sample(producer, consumer, sampler, redis_client):
    await producer.submit(Submission("iris", DATA))
    for key in ("completed", "dead", "leases", "counts", "open:high"):
        redis_client.set(f"queue:iris:{key}", "odd")
    redis_client.zadd("queue:iris:open:normal", {b"\xff": 10**9})
    redis_client.hset("jobs:records", b"\xff", "odd")
    expect(await sampler.read(), pending=1)


async def test_jobs_that_workers_make_for_themselves_are_no_activity(producer, consumer, sampler):
    own = await producer.submit(Submission("iris@3~shadow", DATA))
    job_id = await producer.submit(Submission("iris@3", DATA))
    sample = await sampler.read()
    assert expect(sample, pending=1) == {(job_id, Status.PENDING)}
    await producer.cancel(own)
    assert expect(await sampler.read()) == set()
