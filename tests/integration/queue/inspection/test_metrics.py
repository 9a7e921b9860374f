"""All that Redis counts, as it is read in one call."""

import os
from datetime import UTC, datetime

import pytest

from inferq.errors import InvalidInputError, ModelError
from inferq.jobs import Outcome, Priority, WorkerInfo
from inferq.queue.producer.submission import Submission
from inferq.queue.webhook_outbox import DeliveryOutcome, DeliveryVerdict, WebhookOutbox
from tests.records import change_record, record, turn_clock
from tests.servers import wait_until

DATA = b"[[5.1,3.5,1.4,0.2]]"


@pytest.fixture
def read_metrics(producer, consumer):
    """Reads those of the model iris, of which it is checked that they add up."""
    consumer.announce({"iris": b"{}"})

    async def read():
        iris = (await producer.read_metrics()).models["iris"]
        began, ended = sum(iris.submitted.values()) + iris.user_retries, sum(iris.ended.values())
        assert began == ended + iris.open
        assert iris.open == sum(iris.waiting.values()) + iris.running + iris.retrying
        return iris

    return read


def bucket_of(histogram):
    """The bound of the only bucket that has something."""
    [index] = [index for index, count in enumerate(histogram.counts) if count]
    return histogram.bounds[index]


async def test_jobs_are_counted_by_priority_and_by_how_they_ended(
    producer, consumer, redis_client, read_metrics
):
    await producer.submit_batch([Submission("iris", DATA) for _ in range(4)])
    await producer.submit(Submission("iris", DATA, Priority.HIGH))
    cancelled = await producer.submit(Submission("iris", DATA, Priority.LOW))
    redis_client.set("job:pushed:data", DATA)
    redis_client.lpush("queue:iris:low", "pushed")
    await producer.cancel(cancelled)
    await producer.retry(cancelled)
    done, bad, broken, *_running = consumer.claim(5)
    outcomes = [
        Outcome(done, result=b"1"),
        Outcome(bad, error=InvalidInputError("No.")),
        Outcome(broken, error=ModelError("No.")),
    ]
    for _ in range(2):
        consumer.finish(outcomes)
    consumer.finish([Outcome(job, result=b"1") for job in consumer.claim(1) if job.id == "pushed"])
    consumer.claim(1)

    iris = await read_metrics()

    assert iris.submitted == {Priority.HIGH: 1, Priority.NORMAL: 4, Priority.LOW: 2}
    assert iris.user_retries == 1
    assert iris.ended == {
        ("completed", ""): 2, ("failed", "cancelled"): 1, ("failed", "invalid-input"): 1,
    }  # fmt: skip
    assert (iris.open, iris.running, iris.retrying, iris.retries) == (4, 3, 1, 1)
    assert (iris.dead_letters, iris.late, iris.stale, iris.oldest_wait_seconds) == (1, 0, 0, None)


async def test_times_are_those_from_submission_to_start_and_end(
    producer, consumer, redis_client, read_metrics
):
    for _ in range(2):
        await producer.submit(Submission("iris", DATA, owner="ann"))
    plain, failing = consumer.claim(2)
    for job in (plain, failing):
        submitted_ms = int(record(redis_client, job.id)["submitted_ms"])
        change_record(
            redis_client, job.id, submitted_ms=submitted_ms - 65_000, started_ms=submitted_ms - 58_000
        )
    consumer.finish([Outcome(plain, result=b"1"), Outcome(failing, error=ModelError("No."))])
    iris = await read_metrics()
    assert bucket_of(iris.wait) == 10.0
    assert bucket_of(iris.total) == 300.0
    assert 7.0 <= iris.wait.total < 8.0
    assert 65.0 <= iris.total.total < 125.0

    turn_clock(redis_client, 700)
    consumer.recover()
    [failing] = consumer.claim(1)
    consumer.finish([Outcome(failing, result=b"1")])
    iris = await read_metrics()
    assert 7.0 <= iris.wait.total / 2 < 8.0, "the first start counts, not that of the retry"
    assert sum(iris.total.counts) == 2


async def test_run_is_counted_once_and_its_time_is_shared_by_its_jobs(producer, consumer, read_metrics):
    for owner in ("ann", "ann", "bob", ""):
        await producer.submit(Submission("iris", DATA, owner=owner))
    jobs = consumer.claim(4)
    shared = [Outcome(job, b"1", None, 2.0, 4, index == 0) for index, job in enumerate(jobs)]
    for part in (shared[2:], shared[:2], shared):  # in several calls, as large results come, and again
        consumer.finish(part)
    iris = await read_metrics()
    assert (sum(iris.run.counts), bucket_of(iris.run), iris.run.total) == (1, 2.5, 2.0)
    assert (sum(iris.batch.counts), bucket_of(iris.batch), iris.batch.total) == (1, 4.0, 4.0)
    assert iris.run_seconds == {"ann": 1.0, "bob": 0.5, "": 0.5}


async def test_runs_that_took_the_same_time_are_counted_each(producer, consumer, read_metrics):
    await producer.submit_batch([Submission("iris", DATA) for _ in range(3)])
    consumer.finish([Outcome(job, b"1", None, 0.25, 1, is_first_of_run=True) for job in consumer.claim(3)])
    iris = await read_metrics()
    assert (sum(iris.run.counts), iris.run.total, iris.run_seconds) == (3, 0.75, {"": 0.75})
    assert (sum(iris.batch.counts), iris.batch.total) == (3, 3.0)


async def test_job_that_never_ran_counts_no_run(producer, consumer, read_metrics):
    await producer.submit(Submission("iris", DATA))
    consumer.finish([Outcome(job, error=InvalidInputError("No.")) for job in consumer.claim(1)])
    iris = await read_metrics()
    assert (sum(iris.run.counts), sum(iris.batch.counts), iris.run_seconds) == (0, 0, {})
    assert sum(iris.total.counts) == 1


async def test_failed_attempt_counts_its_run(producer, consumer, read_metrics):
    await producer.submit(Submission("iris", DATA))
    [job] = consumer.claim(1)
    for _ in range(2):
        consumer.finish([Outcome(job, None, ModelError("No."), 0.25, 1, is_first_of_run=True)])
    iris = await read_metrics()
    assert (sum(iris.run.counts), iris.run_seconds, sum(iris.total.counts)) == (1, {"": 0.25}, 0)


async def test_end_from_a_worker_that_lost_the_job_is_late_or_stale_once(
    producer, consumer, redis_client, read_metrics
):
    await producer.submit_batch([Submission("iris", DATA) for _ in range(2)])
    late, stale = consumer.claim(2)
    turn_clock(redis_client, 1_000)
    consumer.recover()
    for _ in range(2):
        consumer.finish([Outcome(late, result=b"1"), Outcome(stale, error=ModelError("No."))])
    [again] = consumer.claim(2)
    iris = await read_metrics()
    assert (iris.leases_lapsed, iris.recovered, iris.late, iris.stale) == (1, 2, 1, 1)

    await producer.cancel(again.id)
    for _ in range(2):
        consumer.finish([Outcome(again, result=b"1")])
    assert (await read_metrics()).stale == 2


async def test_job_that_ends_late_waits_no_longer(producer, consumer, redis_client, read_metrics):
    await producer.submit(Submission("iris", DATA))
    [claimed] = consumer.claim(1)
    turn_clock(redis_client, 1_000)
    consumer.recover()
    assert consumer.finish([Outcome(claimed, result=b"1")]) == ["late"]
    assert sum((await read_metrics()).waiting.values()) == 0


async def test_job_that_was_popped_and_never_claimed_is_recovered(
    producer, eager_consumer, redis_client, read_metrics
):
    await producer.submit(Submission("iris", DATA))
    redis_client.rpop("queue:iris")
    wait_until(lambda: eager_consumer.recover().missing, what="the missing job")
    assert (await read_metrics()).recovered == 1


async def test_workers_webhooks_and_bytes_are_those_of_the_cluster(producer, consumer, settings):
    consumer.announce({"iris": b"{}"})
    worker = WorkerInfo("worker-1", "here", os.getpid(), ("iris",), datetime.now(UTC), open_circuits=2)
    consumer.heartbeat(worker, {}, 30.0)
    for _ in range(3):
        await producer.submit(Submission("iris", DATA, webhook="https://example.com/"))
    consumer.finish([Outcome(job, result=b"1") for job in consumer.claim(3)])
    await producer.submit(Submission("iris", DATA))
    outbox = WebhookOutbox(settings)
    first, second, _third = outbox.lease(3, 60.0)[0]
    done = [
        DeliveryOutcome(first, DeliveryVerdict.DELIVERED),
        DeliveryOutcome(second, DeliveryVerdict.GIVEN_UP, "No."),
    ]
    for _ in range(2):
        outbox.ack(done)
    outbox.close()

    metrics = await producer.read_metrics()

    assert metrics.webhooks == {"pending": 1, "delivered": 1, "given-up": 1}
    assert [(each.id, each.open_circuits) for each in metrics.workers] == [("worker-1", 2)]
    assert (metrics.open_circuits, metrics.models["iris"].workers) == (2, 1)
    assert (metrics.held_bytes, metrics.most_held_bytes > 0) == (len(DATA), True)


async def test_corrupt_keys_break_no_metrics(producer, consumer, redis_client):
    consumer.announce({"iris": b"{}"})
    for key in ("leases", "counts", "owners", "high", "sequence", "open:low"):
        redis_client.set(f"queue:iris:{key}", "odd")
    redis_client.rpush("queue:iris:histograms", "odd")
    redis_client.rpush("webhooks:counts", "odd")
    redis_client.hset("queue:long:owners", "ann", "9" * 400)
    redis_client.hset(
        "queue:long:counts", mapping={"completed": "9" * 400, "failed|crashed": 1, "lost": "9" * 5000}
    )
    consumer.announce({"long": b"{}"})
    models = (await producer.read_metrics()).models
    assert models["iris"].open == 0
    assert models["long"].ended == {("completed", ""): 0, ("failed", "crashed"): 1}
    assert models["long"].run_seconds == {}
