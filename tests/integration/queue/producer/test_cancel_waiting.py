"""All waiting jobs of a model are cancelled in one call."""

import pytest

from inferq.errors import ErrorKind, ModelError
from inferq.jobs import Outcome, Priority, Status, WebhookStatus
from inferq.queue.producer import control as control_module
from inferq.queue.producer.producer import Producer
from inferq.queue.producer.submission import Submission

DATA = b"[[5.1,3.5,1.4,0.2]]"


async def statuses(producer, ids):
    return [(job.status, job.error_kind) for job in await producer.read_many(ids)]


CANCELLED = (Status.FAILED, ErrorKind.CANCELLED)
PENDING = (Status.PENDING, None)


async def test_jobs_of_every_priority_and_those_that_wait_for_another_try_end_and_what_runs_goes_on(
    producer, consumer, redis_client
):
    retrying = await producer.submit(Submission("iris", DATA))
    consumer.finish([Outcome(job, error=ModelError("No.")) for job in consumer.claim(1)])
    running = await producer.submit(Submission("iris", DATA))
    [job] = consumer.claim(1)
    waiting = [await producer.submit(Submission("iris", DATA, priority)) for priority in Priority]
    other = await producer.submit(Submission("other", DATA))

    assert await producer.cancel_waiting("iris") == 4

    assert await statuses(producer, [retrying, *waiting]) == [CANCELLED] * 4
    assert await statuses(producer, [running, other]) == [(Status.PROCESSING, None), PENDING]
    for key in ("queue:iris", "queue:iris:high", "queue:iris:low", "queue:iris:retries"):
        assert not redis_client.exists(key)
    consumer.finish([Outcome(job, result=b"1")])
    assert (await producer.read(running)).status is Status.COMPLETED
    assert await producer.cancel_waiting("iris") == 0


async def test_any_number_ends_a_few_at_a_time_and_those_who_wait_are_told(producer, redis_client):
    ids = await producer.submit_batch([Submission("gone", DATA) for _ in range(250)])
    with redis_client.pubsub(ignore_subscribe_messages=True) as told:
        told.subscribe("events")
        told.get_message(timeout=30)
        assert await producer.cancel_waiting("gone") == 250
        told.ping("heard all")  # answered after whatever was published before
        messages = []
        while (message := told.get_message(timeout=30))["type"] != "pong":
            messages.append(message["data"].decode().split(","))
    assert [len(message) for message in messages if "pending" not in message[0]] == [100, 100, 50]
    assert {part for message in messages for part in message} >= {f"{job_id}:failed" for job_id in ids}
    assert not redis_client.exists("queue:gone")
    assert set(await statuses(producer, ids)) == {CANCELLED}


async def test_end_is_reported_to_the_webhook(producer):
    job_id = await producer.submit(Submission("iris", DATA, webhook="https://example.com/hook"))
    await producer.cancel_waiting("iris")
    assert (await producer.read(job_id)).webhook.status is WebhookStatus.PENDING


async def test_key_cancels_its_own_jobs_and_those_without_an_owner(producer, redis_client, monkeypatch):
    monkeypatch.setattr(control_module, "CANCELLED_AT_ONCE", 3)
    anns, bens, nobodys = [
        await producer.submit_batch([Submission("iris", DATA, owner=owner) for _ in range(5)])
        for owner in ("ann", "ben", "")
    ]
    assert await producer.cancel_waiting("iris", "ben") == 10
    assert set(await statuses(producer, bens + nobodys)) == {CANCELLED}
    assert set(await statuses(producer, anns)) == {PENDING}
    assert redis_client.llen("queue:iris") == 5


async def test_jobs_from_outside_end_too(producer, consumer, redis_client, monkeypatch):
    monkeypatch.setattr(control_module, "CANCELLED_AT_ONCE", 3)
    ids = [f"outside-{number}" for number in range(8)]
    for job_id in ids:
        redis_client.set(f"job:{job_id}:data", DATA)
        redis_client.lpush("queue:iris", job_id)
    redis_client.lpush("queue:iris", "nothing is known of it", b"\xff")
    own = await producer.submit(Submission("iris", DATA))
    assert await producer.cancel_waiting("iris") == 9
    assert set(await statuses(producer, [*ids, own])) == {CANCELLED}
    assert redis_client.llen("queue:iris") == 2
    assert consumer.claim(5) == []


async def test_adopted_jobs_from_outside_share_a_number_and_all_end(
    producer, consumer, redis_client, monkeypatch
):
    monkeypatch.setattr(control_module, "CANCELLED_AT_ONCE", 3)
    ids = [f"outside-{number}" for number in range(8)]
    for job_id in ids:
        redis_client.set(f"job:{job_id}:data", DATA)
        redis_client.lpush("queue:iris", job_id)
    consumer.finish([Outcome(job, error=ModelError("No.")) for job in consumer.claim(8)])
    assert await producer.cancel_waiting("iris") == 8
    assert set(await statuses(producer, ids)) == {CANCELLED}


async def test_job_that_an_outside_worker_runs_goes_on(producer, redis_client):
    job_id = await producer.submit(Submission("iris", DATA))
    redis_client.rpop("queue:iris")
    redis_client.set(f"job:{job_id}:status", "processing")
    assert await producer.cancel_waiting("iris") == 0
    assert (await producer.read(job_id)).status is Status.PROCESSING


async def test_job_that_an_outside_worker_has_ended_stays_as_it_ended(producer, redis_client):
    job_id = await producer.submit(Submission("iris", DATA))
    redis_client.set(f"job:{job_id}:result", b"1")
    redis_client.set(f"job:{job_id}:status", "completed")
    assert await producer.cancel_waiting("iris") == 0
    assert (await producer.read(job_id)).status is Status.COMPLETED


@pytest.mark.parametrize("length", [10_100])
async def test_oldest_of_very_many_leave_the_list_as_well(settings, redis_client, length):
    # one script ends up to 10,000 jobs: a machine that does much else may need longer than usual
    producer = Producer.from_settings(settings.model_copy(update={"redis_timeout_seconds": 30.0}))
    ids = await producer.submit_batch([Submission("iris", DATA) for _ in range(10_000)])
    ids += await producer.submit_batch([Submission("iris", DATA) for _ in range(length - 10_000)])
    await producer.cancel(ids[0])
    assert redis_client.llen("queue:iris") == length - 1
    assert await producer.cancel_waiting("iris") == length - 1
    assert not redis_client.exists("queue:iris")
    await producer.close()
