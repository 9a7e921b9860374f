"""The numbers of the queues."""

import os
from datetime import UTC, datetime

from inferq.errors import InvalidInputError, ModelError
from inferq.jobs import Outcome, Priority, WorkerInfo
from inferq.queue.producer.submission import Submission
from tests.records import change_record, record

DATA = b"[[5.1,3.5,1.4,0.2]]"


async def test_numbers_are_those_of_the_queues(producer, consumer, redis_client):
    consumer.announce({"iris": b"{}", "other": b"{}"})
    now = datetime.now(UTC)
    consumer.heartbeat(WorkerInfo("worker-1", "here", os.getpid(), ("iris",), now), {}, 30.0)
    await producer.submit_batch([Submission("iris", DATA) for _ in range(5)])
    done, broken, bad, _running = consumer.claim(4)
    consumer.finish(
        [
            Outcome(done, result=b"1"),
            Outcome(broken, error=ModelError("No.")),
            Outcome(bad, error=InvalidInputError("No.")),
        ]
    )
    await producer.submit(Submission("iris", DATA, Priority.HIGH, webhook="https://example.com/hook"))
    ended = await producer.submit(Submission("iris", DATA, Priority.LOW, webhook="https://example.com/hook"))
    await producer.cancel(ended)
    waiting = redis_client.lindex("queue:iris", -1).decode()
    submitted_ms = int(record(redis_client, waiting)["submitted_ms"])
    change_record(redis_client, waiting, submitted_ms=submitted_ms - 60_000)

    overview = await producer.read_stats()

    iris, other = overview.models["iris"], overview.models["other"]
    assert list(overview.models) == ["iris", "other"]
    assert iris.waiting == {Priority.HIGH: 1, Priority.NORMAL: 1, Priority.LOW: 0}
    assert (iris.running, iris.retrying, iris.failed, iris.workers) == (1, 1, 2, 1)
    assert 60 <= iris.oldest_wait_seconds < 120
    assert 0 < iris.jobs_per_second <= 0.3
    assert (other.oldest_wait_seconds, other.jobs_per_second, other.workers) == (None, 0.0, 0)
    assert set(other.waiting.values()) == {0}
    assert [(worker.id, worker.models) for worker in overview.workers] == [("worker-1", ("iris",))]
    assert overview.webhooks_waiting == 1


async def test_nothing_is_there_at_first(producer):
    overview = await producer.read_stats()
    assert (overview.models, overview.workers, overview.webhooks_waiting) == ({}, [], 0)


async def test_ids_without_a_job_hide_not_how_long_the_others_have_waited(producer, consumer, redis_client):
    consumer.announce({"iris": b"{}"})
    await producer.submit(Submission("iris", DATA))
    redis_client.rpush("queue:iris", "outside", b"\xff")
    assert (await producer.read_stats()).models["iris"].oldest_wait_seconds is not None


async def test_corrupt_keys_break_no_overview(producer, consumer, redis_client):
    consumer.announce({"iris": b"{}"})
    for key in ("queue:iris:leases", "queue:iris:rate", "queue:iris:high", "webhooks", "workers"):
        redis_client.set(key, "odd")
    redis_client.hset("models", b"\xff", "odd")
    assert (await producer.read_stats()).models["iris"].running == 0
