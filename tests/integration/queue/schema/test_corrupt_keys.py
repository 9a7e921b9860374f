"""What outside programs may write under their ids, and what must go on nevertheless."""

import asyncio

import pytest

from inferq.errors import ErrorKind, InvalidInputError, ModelError, QueueFullError, RedisUnavailableError
from inferq.jobs import Outcome, Status
from inferq.queue.consumer.consumer import Consumer
from inferq.queue.producer.producer import Producer
from inferq.queue.producer.submission import Submission
from tests.integration.queue.consumer.claiming import claim_next
from tests.records import change_record, known, leased, write_record
from tests.servers import wait_until

DATA = b"[[5.1,3.5,1.4,0.2]]"

CORRUPT_RECORDS = [
    {"state": "queued", "model": "iris", "attempts": "abc"},
    {"state": "queued", "model": "iris", "submitted_ms": "abc"},
    {"state": "queued", "model": "iris", "priority": "urgent", "timeout_ms": "abc"},
    {"state": "queued"},
    {"model": "iris"},
    {"error_kind": "foo", "started_ms": "abc", "attempts": "9" * 30},
    {"submitted_ms": "9" * 18, "attempt:1": "no json", "attempts": "1"},
]


@pytest.mark.parametrize("fields", CORRUPT_RECORDS)
async def test_corrupt_record_breaks_neither_the_queue_nor_a_read(producer, consumer, redis_client, fields):
    redis_client.set("job:corrupt:data", DATA)
    write_record(redis_client, "corrupt", **fields)
    await producer.read("corrupt")
    redis_client.lpush("queue:iris", "corrupt")
    job_id = await producer.submit(Submission("iris", DATA))

    jobs = claim_next(consumer) + consumer.claim(1)
    assert job_id in [job.id for job in jobs]
    consumer.finish([Outcome(job, result=b"1") for job in jobs])
    consumer.recover()
    assert (await producer.read(job_id)).status is Status.COMPLETED
    assert (await producer.read("corrupt")).status is not None


@pytest.mark.parametrize("corrupt", ["x", "ended|||||||||||||[]", "ended|||||||||||||{"])
async def test_result_beside_a_record_that_is_none_is_read(producer, redis_client, corrupt):
    redis_client.hset("jobs:records", "corrupt", corrupt)
    redis_client.set("job:corrupt:status", "completed")
    redis_client.set("job:corrupt:result", '{"a":1}')
    job = await producer.read("corrupt")
    assert (job.status, job.result) == (Status.COMPLETED, b'{"a":1}')


async def test_corrupt_entries_among_models_and_workers_are_passed_over(producer, redis_client):
    redis_client.hset("models", b"\xff", "x")
    redis_client.zadd("workers", {"ghost": 1, "corrupt": 2})
    redis_client.hset("worker:corrupt", "host", "here")
    assert list(await producer.read_models()) == ["\ufffd"]
    assert await producer.read_workers() == []


async def test_scan_goes_on_past_corrupt_keys(eager_consumer, redis_client):
    redis_client.set("scan:cursor", "abc")
    redis_client.rpush("job:list:status", "x")
    redis_client.set("job:list:data", DATA)
    redis_client.set("job:lost:data", DATA)
    redis_client.set("job:lost:status", "pending")
    assert wait_until(eager_consumer.requeue_orphans, what="the rescue") == ["lost"]


async def test_data_that_was_never_pushed_is_left_alone(eager_consumer, redis_client):
    redis_client.set("job:later:data", DATA)
    for _ in range(3):
        assert eager_consumer.requeue_orphans() == []
        await asyncio.sleep(0.02)
    assert redis_client.llen("queue:iris") == 0


async def test_ended_id_that_is_set_and_pushed_again_runs_again(producer, consumer, redis_client):
    for result in (b"1", b"2"):
        redis_client.set("job:again:data", DATA)
        redis_client.lpush("queue:iris", "again")
        [job] = claim_next(consumer)
        consumer.finish([Outcome(job, result=result)])
        view = await producer.read("again")
        assert (view.status, view.result, view.attempts) == (Status.COMPLETED, result, 1)
        assert [key for key in redis_client.scan_iter("job:*") if redis_client.ttl(key) == -1] == []


async def test_ended_id_that_is_only_pushed_again_changes_nothing(producer, consumer, redis_client):
    job_id = await producer.submit(Submission("iris", DATA))
    [job] = consumer.claim(1)
    consumer.finish([Outcome(job, result=b"1")])
    redis_client.lpush("queue:iris", job_id)
    assert consumer.claim(1) == []
    assert (await producer.read(job_id)).result == b"1"


async def test_job_that_an_outside_worker_is_running_is_left_to_it(producer, eager_consumer, redis_client):
    job_id = await producer.submit(Submission("iris", DATA))
    redis_client.brpop(["queue:iris"])
    redis_client.set(f"job:{job_id}:status", "processing")
    for _ in range(3):
        assert eager_consumer.recover().missing == 0
        await asyncio.sleep(0.02)
    redis_client.set(f"job:{job_id}:result", '{"outside":1}')
    redis_client.set(f"job:{job_id}:status", "completed")
    eager_consumer.recover()
    assert (await producer.read(job_id)).result == b'{"outside":1}'
    assert [key for key in redis_client.scan_iter("job:*") if redis_client.ttl(key) == -1] == []


async def test_keys_that_an_outside_worker_leaves_without_expiry_get_one(producer, consumer, redis_client):
    job_id = await producer.submit(Submission("iris", DATA))
    [job] = consumer.claim(1)
    consumer.finish([Outcome(job, result=b"1")])
    redis_client.set(f"job:{job_id}:result", "2")
    redis_client.set(f"job:{job_id}:status", "completed")
    wait_until(
        lambda: (consumer.requeue_orphans(), redis_client.ttl(f"job:{job_id}:result") > 0)[1],
        what="the expiry",
    )


async def test_failed_kind_is_kept_for_people_and_programs(producer, consumer, redis_client):
    write_record(redis_client, "bad", state="queued", model="iris", attempts="abc")
    redis_client.set("job:bad:data", DATA)
    redis_client.lpush("queue:iris", "bad")
    assert claim_next(consumer) == []
    job = await producer.read("bad")
    assert (job.status, job.error_kind) == (Status.FAILED, ErrorKind.INVALID_INPUT)
    assert "cannot be read" in job.error


@pytest.mark.parametrize(
    "noted",
    [
        {"ended_ms": [], "worker": "w", "kind": None, "reason": ""},
        {"ended_ms": 1, "worker": "w", "kind": []},
        [],
        "x",
    ],
)
async def test_history_that_cannot_be_read_breaks_neither_its_own_job_nor_those_read_with_it(
    producer, redis_client, noted
):
    good = await producer.submit(Submission("iris", DATA))
    write_record(redis_client, "corrupt", **{"model": "iris", "attempts": 1, "attempt:1": noted})
    corrupt, fine = await producer.read_many(["corrupt", good])
    assert corrupt.attempts == 1
    assert fine.status is Status.PENDING


async def test_list_of_the_wrong_type_does_not_break_reads(producer, redis_client):
    good = await producer.submit(Submission("iris", DATA))
    redis_client.set("queue:zz", "no list")
    redis_client.set("queue:zz:open:normal", "no sorted set")
    write_record(redis_client, "corrupt", model="zz")
    corrupt, fine = await producer.read_many(["corrupt", good])
    assert corrupt.model == "zz"
    assert fine.queue_position == 1


async def test_corrupt_reports_of_workers_do_not_break_health(producer, redis_client):
    redis_client.set("workers:seen", b"\xff")
    report = {"host": "h", "pid": 1, "models": "iris", "jobs_done": 0, "seen_ms": 1}
    redis_client.hset("worker:naive", mapping=report | {"started_at": "2026-01-01T00:00:00"})
    redis_client.hset("worker:aware", mapping=report | {"started_at": "2026-01-01T00:00:01+00:00"})
    redis_client.zadd("workers", {b"\xff": 1, "naive": 2, "aware": 3})
    assert [worker.id for worker in await producer.read_workers()] == ["naive", "aware"]
    assert await producer.read_last_heartbeat() is None


async def test_corrupt_record_of_a_running_job_harms_no_other(producer, settings, redis_client):
    short = settings.model_copy(update={"lease_seconds": 0.3})
    consumer = Consumer(short, "worker-1", ["iris"])
    fine, corrupt = [await producer.submit(Submission("iris", DATA)) for _ in range(2)]
    jobs = {job.id: job for job in consumer.claim(2)}
    change_record(redis_client, corrupt, failures="abc", alone="1")

    done = [Outcome(jobs[fine], result=b"1"), Outcome(jobs[corrupt], error=ModelError("No."))]
    assert consumer.finish(done) == ["completed", "stale"]

    assert not redis_client.exists(f"job:{fine}:data")
    assert leased(redis_client) == [corrupt]
    wait_until(lambda: consumer.recover().failed, what="recovery of the corrupt job")
    job = await producer.read(corrupt)
    assert (job.status, job.error_kind) == (Status.FAILED, ErrorKind.INVALID_INPUT)
    assert redis_client.zcard("queue:iris:leases") == redis_client.zcard("queue:iris:open:normal") == 0
    consumer.close()


async def test_corrupt_record_of_a_waiting_job_keeps_no_other_from_being_claimed(
    producer, consumer, redis_client
):
    first, corrupt, last = [await producer.submit(Submission("iris", DATA)) for _ in range(3)]
    change_record(redis_client, corrupt, attempts="x")

    assert [job.id for job in consumer.claim(3)] == [first, last]

    job = await producer.read(corrupt)
    assert (job.status, job.error_kind) == (Status.FAILED, ErrorKind.INVALID_INPUT)
    assert leased(redis_client) == [first, last]


CORRUPT_KEYS = ["queue:iris", "queue:iris:low", "queue:iris:open:normal", "queue:iris:sequence"]


@pytest.mark.parametrize("key", CORRUPT_KEYS)
@pytest.mark.parametrize("is_batch", [False, True])
async def test_queue_whose_key_is_of_the_wrong_type_refuses_jobs_and_leaves_others_alone(
    producer, consumer, redis_client, key, is_batch
):
    redis_client.hset(key, "a", 1)

    def submit(model):
        if is_batch:
            return producer.submit_batch([Submission(model, DATA)])
        return producer.submit(Submission(model, DATA))

    bad, good = [submit("iris") for _ in range(3)], [submit("other") for _ in range(3)]
    answers = await asyncio.gather(*bad, *good, return_exceptions=True)
    assert all(isinstance(answer, RedisUnavailableError) and key in answer.message for answer in answers[:3])
    assert redis_client.llen("queue:other") == 3
    assert len(known(redis_client)) == len(redis_client.keys("job:*:data")) == 3

    redis_client.delete(key)
    await submit("iris")
    assert redis_client.llen("queue:iris") == 1


@pytest.mark.parametrize("key", CORRUPT_KEYS)
async def test_failed_job_stays_as_it_is_where_a_key_of_its_queue_is_of_the_wrong_type(
    producer, consumer, redis_client, key
):
    job_id = await producer.submit(Submission("iris", DATA))
    [claimed] = consumer.claim(1)
    consumer.finish([Outcome(claimed, error=InvalidInputError("bad"))])
    failed = await producer.read(job_id)
    redis_client.delete(key)
    redis_client.hset(key, "a", 1)

    with pytest.raises(RedisUnavailableError, match=key):
        await producer.retry(job_id)
    assert await producer.read(job_id) == failed

    redis_client.delete(key)
    await producer.retry(job_id)
    assert [job.id for job in consumer.claim(1)] == [job_id]


async def test_sequence_that_is_no_number_refuses_jobs(producer, redis_client):
    redis_client.set("queue:iris:sequence", "seven")
    with pytest.raises(RedisUnavailableError, match="queue:iris:sequence"):
        await producer.submit(Submission("iris", DATA))
    assert redis_client.keys("job:*") == []


async def test_full_queue_is_refused_though_its_rate_is_of_the_wrong_type(settings, redis_client):
    producer = Producer.from_settings(settings.model_copy(update={"max_queued": 1}))
    await producer.submit(Submission("iris", DATA))
    for spoil in (lambda: redis_client.set("queue:iris:rate", "x"), lambda: spoil_rate(redis_client)):
        spoil()
        with pytest.raises(QueueFullError):
            await producer.submit(Submission("iris", DATA))
    await producer.close()


def spoil_rate(redis_client):
    redis_client.delete("queue:iris:rate")
    redis_client.hset("queue:iris:rate", mapping={"at_ms": "x", "per_second": "y"})
