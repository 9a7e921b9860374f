"""Jobs of outside producers that were popped but never claimed."""

import pytest

from inferq.queue.consumer.consumer import Consumer
from inferq.queue.consumer.recovery import orphans
from inferq.queue.consumer.recovery.recovery import RecoveryTimes
from tests.records import turn_clock
from tests.servers import wait_until

DATA = b"[[5.1,3.5,1.4,0.2]]"


async def test_lost_job_of_an_outside_producer_is_requeued(eager_consumer, redis_client):
    for job_id in ("lost", "waiting"):
        redis_client.set(f"job:{job_id}:data", DATA)
        redis_client.set(f"job:{job_id}:status", "pending")
    redis_client.set("job:not-pushed-yet:data", DATA)
    redis_client.lpush("queue:iris", "lost")
    redis_client.brpop("queue:iris")  # and the worker dies
    redis_client.lpush("queue:iris", "waiting")

    requeued = wait_until(eager_consumer.requeue_orphans, what="the orphan")
    assert requeued == ["lost"]
    assert [job.id for job in eager_consumer.claim(5)] == ["lost", "waiting"]
    assert eager_consumer.requeue_orphans() == []
    redis_client.delete("job:not-pushed-yet:data")
    assert [key for key in redis_client.scan_iter("job:*") if redis_client.ttl(key) == -1] == []


@pytest.mark.parametrize("waits_in", ["queue:other", "queue:other:high"])
async def test_outside_job_in_the_list_of_a_model_that_no_worker_has_yet_is_not_requeued_to_another(
    eager_consumer, redis_client, waits_in
):
    for job_id in ("lost", "waiting"):
        redis_client.set(f"job:{job_id}:data", DATA)
        redis_client.set(f"job:{job_id}:status", "pending")
    redis_client.lpush(waits_in, "waiting")

    assert wait_until(eager_consumer.requeue_orphans, what="the orphan") == ["lost"]
    redis_client.set("job:later:data", DATA)
    redis_client.set("job:later:status", "pending")
    assert wait_until(eager_consumer.requeue_orphans, what="the next orphan") == ["later"]
    assert sorted(job.id for job in eager_consumer.claim(5)) == ["later", "lost"]
    assert redis_client.lrange(waits_in, 0, -1) == [b"waiting"]


def test_one_worker_makes_a_step_of_the_scan_each_second(consumer, settings, redis_client, monkeypatch):
    assert orphans.STEP_SECONDS == 1.0
    monkeypatch.setattr(orphans, "STEP_SECONDS", 60.0)  # a busy machine may need a second for two calls
    other = Consumer(settings, "worker-2", ["iris"])
    assert [consumer.acquire_scan_step(), other.acquire_scan_step()] == [True, False]
    turn_clock(redis_client, 60.0)
    assert [other.acquire_scan_step(), consumer.acquire_scan_step()] == [True, False]
    other.close()


@pytest.mark.parametrize("prefix", ["app[1]:", "a*:", "a?:", "[^b]*\\:", "job:*:status"])
def test_scan_takes_every_prefix_literally(settings, redis_client, prefix):
    settings = settings.model_copy(update={"key_prefix": prefix})
    consumer = Consumer(settings, "worker-1", ["iris"], times=RecoveryTimes(missing_seconds=0.01))
    for before in (prefix, "app1:", "ab:", ""):
        redis_client.set(f"{before}job:x*y:data", DATA)
        redis_client.set(f"{before}job:x*y:status", "pending")
    assert wait_until(consumer.requeue_orphans, what="the orphan") == ["x*y"]
    consumer.close()
