import asyncio
import hashlib
import json

import pytest

from inferq.errors import IdempotencyConflictError, QueueFullError, RedisUnavailableError
from inferq.jobs import Outcome, Priority
from inferq.queue.consumer.consumer import Consumer
from inferq.queue.producer.producer import Producer
from inferq.queue.producer.submission import Idempotency, Submission
from inferq.queue.redis_client.script_calls import AsyncScriptRunner
from tests.integration.queue.commits import replace_commit
from tests.servers import Wire

DATA = b"[[5.1,3.5,1.4,0.2]]"
TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
LARGE = json.dumps([[float(i)] * 4 for i in range(2000)]).encode()


def key(text="k", request=b"r", ttl_seconds=60.0):
    return Idempotency(text, hashlib.sha256(request).hexdigest(), ttl_seconds)


@pytest.mark.parametrize("data", [DATA, LARGE])
async def test_repeated_request_gets_its_first_job(producer, redis_client, data):
    first = await producer.submit(Submission("iris", data), key())
    again = await producer.submit(Submission("iris", data), key())

    assert again == first
    assert redis_client.llen("queue:iris") == 1
    assert len(redis_client.keys("job:*:data")) == 1


async def test_requests_repeated_at_the_same_time_make_one_job(producer, redis_client):
    ids = await asyncio.gather(*(producer.submit(Submission("iris", DATA), key()) for _ in range(50)))

    assert len(set(ids)) == 1
    assert redis_client.llen("queue:iris") == 1


@pytest.mark.parametrize("data", [DATA, LARGE])
async def test_same_key_with_another_request_is_refused(producer, redis_client, data):
    await producer.submit(Submission("iris", data), key())

    with pytest.raises(IdempotencyConflictError, match="Idempotency-Key"):
        await producer.submit(Submission("iris", data), key(request=b"another"))
    assert len(redis_client.keys("job:*:data")) == 1


async def test_keys_of_two_owners_are_two_keys(producer):
    first = await producer.submit(Submission("iris", DATA, owner="ann"), key())
    assert await producer.submit(Submission("iris", DATA, owner="bob"), key(request=b"x")) != first


async def test_key_is_free_again_when_its_job_is_gone(producer, redis_client):
    first = await producer.submit(Submission("iris", DATA), key())
    redis_client.delete(*redis_client.keys(f"job:{first}:*"))

    assert await producer.submit(Submission("iris", DATA), key(request=b"another")) != first


async def test_key_is_forgotten_in_time(producer, redis_client):
    await producer.submit(Submission("iris", DATA), key(ttl_seconds=300))
    [kept] = redis_client.keys("idempotency:*")
    assert 0 < redis_client.pttl(kept) <= 300_000


async def test_many_jobs_are_stored_in_order(producer, consumer, redis_client):
    jobs = [Submission("iris", LARGE if number == 3 else DATA) for number in range(1500)]

    ids = await producer.submit_batch(jobs)

    assert ids == [job.id for job in jobs]
    assert [one.decode() for one in redis_client.lrange("queue:iris", 0, -1)[::-1]] == ids
    assert redis_client.zrange("queue:iris:open:normal", 0, -1) == [one.encode() for one in ids]
    assert [job.data for job in consumer.claim(5)] == [DATA, DATA, DATA, LARGE, DATA]


async def test_many_jobs_are_refused_whole_where_not_all_have_room(settings, redis_client):
    producer = Producer.from_settings(settings.model_copy(update={"max_queued": 5}))
    try:
        await producer.submit(Submission("iris", DATA))
        with pytest.raises(QueueFullError):
            await producer.submit_batch([Submission("iris", LARGE)] + [Submission("iris", DATA)] * 5)
        assert redis_client.llen("queue:iris") == 1
        assert len(redis_client.keys("job:*")) == 2
    finally:
        await producer.close()


async def test_many_jobs_with_a_key_are_stored_once(producer, redis_client):
    first = await producer.submit_batch([Submission("iris", DATA) for _ in range(3)], key())
    again = await producer.submit_batch([Submission("iris", LARGE) for _ in range(3)], key())

    assert again == first
    assert redis_client.llen("queue:iris") == 3
    with pytest.raises(IdempotencyConflictError):
        await producer.submit_batch([Submission("iris", DATA)], key(request=b"another"))


async def test_low_jobs_do_not_starve(settings, producer):
    consumer = Consumer(settings.model_copy(update={"lower_priority_share": 0.1}), "worker-1", ["iris"])
    try:
        for priority in Priority:
            await producer.submit_batch([Submission("iris", DATA, priority) for _ in range(100)])
        taken = [(await producer.read(job.id)) for _ in range(40) for job in consumer.claim(1)]
        owners = dict.fromkeys(Priority, 0)
        for job in taken:
            owners[job.priority] += 1
        assert owners == {Priority.HIGH: 32, Priority.NORMAL: 4, Priority.LOW: 4}
    finally:
        consumer.close()


async def test_jobs_that_complete_together_are_listed_in_one_entry(producer, consumer, redis_client):
    ids = [await producer.submit(Submission("iris", DATA)) for _ in range(3)]
    consumer.finish([Outcome(job, result=b"{}") for job in consumer.claim(3)])
    [entry] = redis_client.zrange("queue:iris:completed", 0, -1)
    assert json.loads(entry) == ids


async def test_jobs_that_asked_for_it_are_in_the_outbox_when_they_end(producer, consumer, redis_client):
    ids = [
        await producer.submit(Submission("iris", DATA, webhook="https://example.com/hook")) for _ in range(2)
    ]
    await producer.submit(Submission("iris", DATA))
    assert redis_client.zcard("webhooks") == 0

    consumer.finish([Outcome(job, result=b"{}") for job in consumer.claim(3) if job.id != ids[1]])
    await producer.cancel(ids[1])

    assert sorted(one.decode() for one in redis_client.zrange("webhooks", 0, -1)) == sorted(ids)


async def test_changes_of_status_are_told(producer, consumer, redis_client):
    events = redis_client.pubsub()
    events.subscribe("events")
    events.get_message(timeout=30)
    job_id = await producer.submit(Submission("iris", DATA))
    [job] = consumer.claim(1)
    consumer.requeue([job])
    [job] = consumer.claim(1)
    consumer.finish([Outcome(job, result=b"{}")])

    told = [events.get_message(timeout=30)["data"].decode() for _ in range(4)]
    assert told == [f"{job_id}:{status}" for status in ("processing", "pending", "processing", "completed")]
    events.close()


async def test_many_jobs_leave_nothing_behind_where_redis_refuses_some(producer, redis_client):
    await producer.read_max_queued_bytes()  # known before, so that not this is why they are refused
    redis_client.config_set("maxmemory", redis_client.info("memory")["used_memory"] + 500_000)
    try:
        with pytest.raises(RedisUnavailableError):
            await producer.submit_batch([Submission("iris", LARGE) for _ in range(50)])
    finally:
        redis_client.config_set("maxmemory", 0)
    assert redis_client.keys("*") == []


async def test_many_jobs_of_which_redis_lost_one_are_refused_whole(producer, redis_client, monkeypatch):
    jobs = [Submission("iris", DATA) for _ in range(3)]

    async def commit_later(commit):
        redis_client.delete(f"job:{jobs[1].id}:data")
        return await commit()

    replace_commit(monkeypatch, commit_later)
    with pytest.raises(RedisUnavailableError, match="lost"):
        await producer.submit_batch(jobs)
    assert redis_client.keys("*") == []


async def test_commit_repeated_since_its_answer_was_lost_changes_nothing(producer, redis_client, monkeypatch):
    async def commit_twice(commit):
        assert await commit() == [b"accepted"]
        return await commit()

    replace_commit(monkeypatch, commit_twice)
    jobs = [Submission("iris", DATA) for _ in range(3)]
    assert await producer.submit_batch(jobs, key()) == [job.id for job in jobs]
    assert redis_client.llen("queue:iris") == 3


async def test_jobs_of_several_models_and_priorities_are_stored_in_one_go(producer, consumer):
    jobs = [
        Submission(
            model, DATA, priority, timeout_seconds=2.5, owner="ann", request_id="r:1", traceparent=TRACEPARENT
        )
        for model in ("iris", "other")
        for priority in Priority
    ]
    await producer.submit_batch(jobs)

    taken = consumer.claim(10)
    assert [job.id for job in taken] == [job.id for job in jobs[:3]]
    assert {(job.timeout_seconds, job.request_id, job.traceparent) for job in taken} == {
        (2.5, "r:1", TRACEPARENT)
    }
    found = [await producer.read(job.id) for job in jobs]
    assert {(job.owner, job.request_id, job.traceparent) for job in found} == {("ann", "r:1", TRACEPARENT)}
    assert (await producer.read(jobs[5].id)).queue_position == 3


async def test_many_jobs_are_on_disk_before_they_are_accepted(settings, redis_client):
    producer = Producer.from_settings(settings.model_copy(update={"durability": "fsync"}))
    redis_client.config_set("appendfsync", "always")  # Redis 7.0 knows no WAITAOF
    try:
        ids = await producer.submit_batch([Submission("iris", DATA) for _ in range(300)], key())
        again = await producer.submit_batch([Submission("iris", DATA) for _ in range(300)], key())
        assert ids == again
        assert redis_client.llen("queue:iris") == 300
    finally:
        redis_client.config_set("appendfsync", "everysec")
        await producer.close()


async def test_large_data_passes_a_network_that_needs_longer_for_it_than_for_an_answer(
    redis_server, settings, redis_client
):
    wire = Wire(redis_server.port, bytes_per_second=4_000_000)
    slow = settings.model_copy(update={"redis_url": wire.url, "redis_timeout_seconds": 2.0})
    producer = Producer.from_settings(slow)
    data = memoryview(b"[" + b"1," * 5_000_000 + b"1]")
    try:
        job_id = await producer.submit(Submission("iris", data))
    finally:
        await producer.close()
        wire.close()
    assert redis_client.strlen(f"job:{job_id}:data") == len(data)


async def test_no_more_than_two_large_values_go_to_redis_at_a_time(producer, monkeypatch):
    run, under_way, most = AsyncScriptRunner.run_in_transaction, 0, 0

    async def run_and_count(*arguments):
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        try:
            return await run(*arguments)
        finally:
            under_way -= 1

    monkeypatch.setattr(AsyncScriptRunner, "run_in_transaction", run_and_count)
    large = bytes(3 * 1024 * 1024)
    ids = await asyncio.gather(*(producer.submit(Submission("iris", large)) for _ in range(6)))
    assert len(set(ids)) == 6
    assert most == 2
