"""What happened to the jobs of a model, minute by minute."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from inferq.errors import InvalidInputError
from inferq.jobs import Outcome
from inferq.queue.inspection.history import MOST_MINUTES
from inferq.queue.producer.submission import Submission
from tests.servers import wait_until

DATA = b"[[5.1,3.5,1.4,0.2]]"
KEY = "queue:iris:history"


@pytest.fixture(autouse=True)
def minute_that_goes_on(redis_client):
    """What a test does is of one minute of the server's clock."""
    wait_until(lambda: redis_client.time()[0] % 60 < 50, what="a minute that does not end soon")


@pytest.fixture
def let_minutes_pass(redis_client):
    """Makes the history look as if so many minutes had passed."""

    def turn(minutes):
        for index, entry in enumerate(redis_client.lrange(KEY, 0, -1)):
            minute, rest = entry.split(b" ", 1)
            redis_client.lset(KEY, index, b"%d %b" % (int(minute) - minutes, rest))

    return turn


async def test_each_minute_has_what_happened_in_it(producer, consumer, let_minutes_pass):
    await producer.submit_batch([Submission("iris", DATA) for _ in range(3)])
    let_minutes_pass(2)
    consumer.recover()
    jobs = consumer.claim(3)
    consumer.finish([Outcome(job, b"1", None, 1.5, 2, index == 0) for index, job in enumerate(jobs[:2])])
    let_minutes_pass(10)
    consumer.finish([Outcome(jobs[2], error=InvalidInputError("No."))])
    await producer.submit(Submission("iris", DATA))

    minutes = (await producer.read_history(["iris"], 20))["iris"]

    told = [(each.submitted, each.completed, each.failed, each.run_seconds) for each in minutes]
    nothing = (0, 0, 0, 0.0)
    assert told == [
        *[nothing] * 7, (3, 0, 0, 0.0), nothing, (0, 2, 0, 1.5), *[nothing] * 9, (1, 0, 1, 0.0),
    ]  # fmt: skip
    assert [each.waiting for each in minutes] == [0] * 7 + [3, 3, 3] + [0] * 9 + [1]
    assert datetime.now(UTC) - minutes[-1].at < timedelta(minutes=2)
    assert {later.at - earlier.at for earlier, later in pairwise(minutes)} == {timedelta(minutes=1)}


async def test_most_that_waited_is_told_though_fewer_are_left(producer, consumer):
    for count in (1, 60, 40):
        await producer.submit_batch([Submission("iris", DATA) for _ in range(count)])
    consumer.finish([Outcome(job, b"1") for job in consumer.claim(100)])
    [minute] = (await producer.read_history(["iris"], 1))["iris"]
    assert (minute.submitted, minute.completed, minute.waiting) == (101, 100, 101)


async def test_job_that_a_user_retries_is_not_submitted_again(producer, consumer):
    job_id = await producer.submit(Submission("iris", DATA))
    await producer.cancel(job_id)
    await producer.retry(job_id)
    [minute] = (await producer.read_history(["iris"], 1))["iris"]
    assert (minute.submitted, minute.failed) == (1, 1)


async def test_two_hours_are_kept(producer, consumer, redis_client, let_minutes_pass):
    for _ in range(MOST_MINUTES + 5):
        await producer.submit(Submission("iris", DATA))
        let_minutes_pass(1)
    minutes = (await producer.read_history(["iris"], 1_000))["iris"]
    assert len(minutes) == MOST_MINUTES
    *submitted, latest = [minute.submitted for minute in minutes]
    # a minute of the real clock may begin meanwhile: then nothing was submitted in one
    assert (latest, submitted.count(0) <= 1, set(submitted) <= {0, 1}) == (0, True, True)
    assert redis_client.llen(KEY) == MOST_MINUTES + 1
    assert 0 < redis_client.ttl(KEY) <= 60 * (MOST_MINUTES + 1)


async def test_history_of_a_model_without_jobs_is_empty_minutes(producer):
    minutes = (await producer.read_history(["iris", "other"], 3))["other"]
    assert [(minute.submitted, minute.waiting) for minute in minutes] == [(0, 0)] * 3
    assert await producer.read_history([]) == {}


async def test_clock_that_is_set_back_begins_a_new_history(producer, let_minutes_pass):
    await producer.submit(Submission("iris", DATA))
    let_minutes_pass(-5)
    await producer.submit(Submission("iris", DATA))
    minutes = (await producer.read_history(["iris"], 3))["iris"]
    assert [minute.submitted for minute in minutes] == [0, 0, 1]


async def test_clock_that_is_set_back_a_little_loses_no_history(producer, let_minutes_pass, redis_client):
    await producer.submit(Submission("iris", DATA))
    let_minutes_pass(-1)
    await producer.submit(Submission("iris", DATA))
    let_minutes_pass(1)
    assert redis_client.llen(KEY) == 1
    assert [each.submitted for each in (await producer.read_history(["iris"], 1))["iris"]] == [2]


async def test_corrupt_history_hides_not_what_is_counted(producer, consumer, redis_client):
    await producer.submit(Submission("iris", DATA))
    redis_client.rpush(KEY, "odd", b"\xff", "1 2 3")
    assert [each.submitted for each in (await producer.read_history(["iris"], 2))["iris"]] == [0, 1]
    redis_client.lset(KEY, 0, redis_client.lindex(KEY, 0).split()[0] + b" odd")
    await producer.submit(Submission("iris", DATA))
    redis_client.set(KEY, "odd")
    await producer.submit(Submission("iris", DATA))
    assert [each.submitted for each in (await producer.read_history(["iris"], 2))["iris"]] == [0, 0]
