"""What the data of jobs takes that have not ended: counted, bounded, and never lost count of."""

import pytest

from inferq.errors import BodyTooLargeError, InvalidInputError, ModelError, QueueFullError
from inferq.jobs import Outcome, Priority
from inferq.queue.consumer.consumer import Consumer
from inferq.queue.producer.producer import Producer
from inferq.queue.producer.submission import Idempotency, Submission
from tests.records import record, turn_clock
from tests.recovery import recover_until_failed

SMALL, LARGE = b"[[%b]]" % (b"1," * 50 + b"1"), b"[[%b]]" % (b"1," * 20_000 + b"1")


async def held(producer):
    return (await producer.read_stats()).queued_bytes


@pytest.mark.parametrize("data", [SMALL, LARGE], ids=["small", "large"])
async def test_every_way_in_counts_and_every_way_out_frees(producer, consumer, redis_client, settings, data):
    size = len(data)
    one = await producer.submit(Submission("iris", data))
    assert await held(producer) == size
    key = Idempotency("k", "5f" * 32, 60)
    many = [Submission("iris", data, Priority.LOW) for _ in range(3)]
    ids = await producer.submit_batch(many, key)
    assert await producer.submit_batch([Submission("iris", data)] * 3, key) == ids
    assert await held(producer) == 4 * size
    assert record(redis_client, ids[0])["bytes"] == str(size)

    first, second = consumer.claim(2)
    assert await held(producer) == 4 * size
    consumer.finish([Outcome(first, result=b"1")])
    consumer.finish([Outcome(first, result=b"1")])
    assert await held(producer) == 3 * size
    consumer.requeue([second])
    assert await held(producer) == 3 * size
    [second] = consumer.claim(1)
    consumer.finish([Outcome(second, error=InvalidInputError("No."))])
    await producer.cancel(ids[1])
    assert await held(producer) == size
    await producer.retry(second.id)
    assert await held(producer) == 2 * size
    await producer.cancel(second.id)
    await producer.delete(second.id)
    [last] = consumer.claim(1)
    consumer.finish([Outcome(last, error=ModelError("No."))])
    assert await held(producer) == size, "it is to be tried again"
    redis_client.set(f"job:{last.id}:result", b"1")
    redis_client.set(f"job:{last.id}:status", b"completed")
    await producer.delete(last.id)
    assert await held(producer) == 0
    assert not redis_client.hexists("jobs:records", "|bytes")
    assert one == first.id


async def test_jobs_from_outside_count_from_their_claim_to_their_end(producer, consumer, redis_client):
    redis_client.set("job:a:data", SMALL)
    redis_client.lpush("queue:iris", "a")
    [job] = consumer.claim(1)
    assert await held(producer) == len(SMALL)
    redis_client.set("job:a:data", LARGE)  # whatever becomes of it
    consumer.finish([Outcome(job, result=b"1")])
    assert await held(producer) == 0


async def test_jobs_that_expire_or_whose_data_is_gone_are_counted_no_more(settings, redis_client):
    own = settings.model_copy(update={"job_ttl_seconds": 300.0, "lease_seconds": 1000.0})
    producer, consumer = Producer.from_settings(own), Consumer(own, "worker-1", ["iris"])
    ids = [await producer.submit(Submission("iris", SMALL)) for _ in range(3)]
    redis_client.delete(f"job:{ids[0]}:data")
    assert consumer.claim(1)[0].id == ids[1]
    assert await held(producer) == 2 * len(SMALL)
    turn_clock(redis_client, 301.0)
    assert consumer.recover().failed == 1
    assert await held(producer) == len(SMALL)
    consumer.close()
    await producer.close()


async def test_count_is_right_again_when_nothing_waits_whatever_others_have_done(
    producer, consumer, redis_client
):
    ids = [await producer.submit(Submission("iris", SMALL)) for _ in range(2)]
    redis_client.hdel("jobs:records", ids[0])
    redis_client.hincrby("jobs:records", "|bytes", 1000)
    consumer.recover()
    assert await held(producer) == 2 * len(SMALL) + 1000, "a job waits, so that is not known"
    [job] = consumer.claim(1)
    [adopted] = [job] if job.id == ids[1] else consumer.claim(1)
    consumer.finish([Outcome(one, result=b"1") for one in {job, adopted}])
    for job in consumer.claim(5):
        consumer.finish([Outcome(job, result=b"1")])
    consumer.recover()
    assert await held(producer) == 0


@pytest.mark.parametrize("data", [SMALL, LARGE], ids=["small", "large"])
async def test_more_than_the_limit_is_refused_until_a_job_has_ended(settings, consumer, redis_client, data):
    size = len(data)
    producer = Producer.from_settings(settings.model_copy(update={"max_queued_bytes": 3 * size}))
    failed = await producer.submit(Submission("iris", data))
    consumer.finish([Outcome(job, error=InvalidInputError("No.")) for job in consumer.claim(1)])
    for _ in range(2):
        await producer.submit(Submission("other", data))
    with pytest.raises(QueueFullError, match=rf"takes {2 * size} bytes.*INFERQ_MAX_QUEUED_BYTES") as caught:
        await producer.submit_batch([Submission("iris", data), Submission("iris", data)])
    assert 1 <= caught.value.retry_after_seconds <= 60
    await producer.submit(Submission("iris", data))
    for refused in (producer.submit(Submission("third", data)), producer.retry(failed)):
        with pytest.raises(QueueFullError, match=f"takes {3 * size} bytes"):
            await refused
    assert len(redis_client.keys("job:*:data")) == 4
    consumer.finish([Outcome(job, result=b"1") for job in consumer.claim(1)])
    await producer.retry(failed)
    assert await held(producer) == 3 * size
    await producer.close()


async def test_data_that_would_never_fit_is_refused_for_good(settings, redis_client):
    producer = Producer.from_settings(settings.model_copy(update={"max_queued_bytes": 1000}))
    with pytest.raises(
        BodyTooLargeError, match=r"takes 1001 bytes.* 1000 together \(INFERQ_MAX_QUEUED_BYTES\)"
    ):
        await producer.submit(Submission("iris", b"1" * 1001))
    with pytest.raises(BodyTooLargeError, match="takes 1200 bytes"):
        await producer.submit_batch([Submission("iris", b"1" * 600)] * 2)
    await producer.close()
    before = redis_client.config_get("proto-max-bulk-len")
    redis_client.config_set("proto-max-bulk-len", 1024 * 1024)
    try:
        producer = Producer.from_settings(settings)
        with pytest.raises(BodyTooLargeError, match="proto-max-bulk-len"):
            await producer.submit(Submission("iris", b"1" * (1024 * 1024)))
        await producer.close()
    finally:
        redis_client.config_set("proto-max-bulk-len", before["proto-max-bulk-len"])


async def test_limit_is_half_of_the_servers_memory_if_nothing_is_said(settings, redis_client):
    producer = Producer.from_settings(settings)
    assert await producer.read_max_queued_bytes() == redis_client.info()["total_system_memory"] // 2
    await producer.close()
    redis_client.config_set("maxmemory", "100mb")
    try:
        producer = Producer.from_settings(settings)
        assert await producer.read_max_queued_bytes() == 50 * 1024 * 1024
    finally:
        redis_client.config_set("maxmemory", "0")
    await producer.close()


@pytest.mark.parametrize("missing", [range(15, 18), range(14, 18), (6, *range(13, 18))], ids=len)
async def test_jobs_of_an_earlier_version_go_on(producer, consumer, redis_client, missing):
    """Its records have fewer fields."""
    ids = [
        await producer.submit(Submission("iris", SMALL, webhook=hook))
        for hook in (None, "https://example.com/|x")
    ]
    for job_id in ids:
        stored = redis_client.hget("jobs:records", job_id).decode()
        values = stored.split("|", 18)
        kept = [value for index, value in enumerate(values) if index not in missing]
        redis_client.hset("jobs:records", job_id, "|".join(kept))
    assert (await producer.read(ids[1])).webhook.url == "https://example.com/|x"
    jobs = consumer.claim(2)
    assert [job.id for job in jobs] == ids
    assert consumer.finish([Outcome(job, result=b"1") for job in jobs]) == ["completed"] * 2
    assert (await producer.read(ids[1])).webhook.url == "https://example.com/|x"


async def test_jobs_of_a_model_that_nobody_serves_any_more_expire_as_well(settings, redis_client):
    short = settings.model_copy(update={"job_ttl_seconds": 0.2})
    producer, consumer = Producer.from_settings(short), Consumer(short, "worker-1", ["iris"])
    job_id = await producer.submit(Submission("removed", SMALL))
    recover_until_failed(consumer, redis_client, job_id)
    job = await producer.read(job_id)
    assert (job.error_kind, await held(producer)) == ("expired", 0)
    consumer.close()
    await producer.close()
