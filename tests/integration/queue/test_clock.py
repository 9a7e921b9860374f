"""The server's clock is set back by an hour: whatever waits for a time does so no longer than usual."""

from datetime import UTC, datetime

import pytest

from inferq.errors import ModelError
from inferq.jobs import Outcome, Priority, Status, WorkerInfo
from inferq.queue.consumer.consumer import Consumer
from inferq.queue.consumer.recovery import orphans
from inferq.queue.consumer.recovery.recovery import RecoveryTimes
from inferq.queue.producer.submission import Submission
from inferq.queue.webhook_outbox import WebhookOutbox
from tests.records import leased, turn_clock
from tests.servers import wait_until

DATA = b"[[5.1,3.5,1.4,0.2]]"
HOUR = 3600.0


@pytest.fixture
def brief(settings):
    """A consumer whose leases are short."""
    settings = settings.model_copy(update={"lease_seconds": 0.3})
    times = RecoveryTimes(longest_lease_seconds=0.0)
    consumer = Consumer(settings, "worker-2", ["iris"], times=times)
    yield consumer
    consumer.close()


async def test_job_of_a_worker_that_died_runs_elsewhere_after_its_lease(producer, brief, redis_client):
    job_id = await producer.submit(Submission("iris", DATA))
    brief.claim(1)
    turn_clock(redis_client, -HOUR)
    wait_until(lambda: brief.recover().lapsed, what="the end of the lease")
    assert [job.id for job in brief.claim(1)] == [job_id]


async def test_job_of_a_worker_that_lives_stays_its_own(producer, brief, redis_client):
    await producer.submit(Submission("iris", DATA))
    [job] = brief.claim(1)
    turn_clock(redis_client, -HOUR)
    assert brief.recover().lapsed == 0
    assert brief.renew({job: 60.0}) == {job: "renewed"}
    assert redis_client.zscore("queue:iris:leases", job.token) / 1000 < datetime.now(UTC).timestamp() + 1
    assert leased(redis_client) == [job.id]


async def test_retry_is_due(producer, consumer, redis_client):
    await producer.submit(Submission("iris", DATA))
    consumer.finish([Outcome(job, error=ModelError("It broke.")) for job in consumer.claim(1)])
    turn_clock(redis_client, -HOUR)
    assert consumer.recover().due == 1


async def test_job_that_was_popped_but_never_claimed_is_found(producer, consumer, redis_client):
    await producer.submit(Submission("iris", DATA))
    redis_client.rpop("queue:iris")
    consumer.recover()
    turn_clock(redis_client, -HOUR)
    assert consumer.recover().missing == 1


async def test_outside_job_that_was_popped_but_never_claimed_is_found(consumer, redis_client, monkeypatch):
    monkeypatch.setattr(orphans, "STEP_SECONDS", 60.0)  # a busy machine may need a second for two calls
    redis_client.set("job:1:data", DATA)
    redis_client.set("job:1:status", "pending")
    assert consumer.acquire_scan_step()
    assert consumer.requeue_orphans() == []
    turn_clock(redis_client, -HOUR)
    assert consumer.acquire_scan_step()
    assert not consumer.acquire_scan_step()
    assert consumer.requeue_orphans() == ["1"]


async def test_claim_behind_a_brpop_does_not_guess_by_a_clock_that_was_set_back(
    producer, consumer, redis_client
):
    job_id = await producer.submit(Submission("iris", DATA))
    redis_client.rpop("queue:iris")
    redis_client.set("pop:token", "1", px=80_000)
    turn_clock(redis_client, -HOUR)
    model, *_ = consumer.access.call(*consumer._claimer.prepare(1, "token", tuple(Priority), sure_ms=80_000))
    assert model == b""
    assert (await producer.read(job_id)).status is Status.PENDING


async def test_report_of_an_end_is_due(settings, producer, consumer, redis_client):
    await producer.submit(Submission("iris", DATA, webhook="https://example.com"))
    beat(consumer, "alive")
    consumer.finish([Outcome(job, result=b"1") for job in consumer.claim(1)])
    turn_clock(redis_client, -HOUR)
    outbox = WebhookOutbox(settings)
    assert outbox.lease(1, 10)[0] == []
    beat(consumer, "alive")
    [entry], _ = wait_until(lambda: (found := outbox.lease(1, 10))[0] and found, what="the entry")
    assert entry.attempts == 0
    outbox.close()


def beat(consumer, worker_id, ttl_seconds=60.0):
    now = datetime.now(UTC)
    consumer.heartbeat(WorkerInfo(worker_id, "host", 1, ("iris",), now), {"iris": b"{}"}, ttl_seconds)


async def workers_listed(producer):
    overview = await producer.read_stats()
    return [worker.id for worker in overview.workers], [worker.id for worker in await producer.read_workers()]


async def test_dead_workers_are_listed_no_longer(producer, consumer, redis_client):
    beat(consumer, "dead")
    turn_clock(redis_client, -HOUR)
    assert await workers_listed(producer) == ([], [])
    beat(consumer, "alive")
    assert await workers_listed(producer) == (["alive"], ["alive"])
    assert redis_client.zrange("workers", 0, -1) == [b"alive"]
