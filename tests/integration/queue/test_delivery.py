"""Cancelling, reviving, listing, expiry, rescue, backpressure and durability."""

import asyncio
import threading
from contextlib import suppress

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from inferq.errors import (
    ErrorKind,
    InvalidInputError,
    InvalidSettingError,
    JobNotFoundError,
    JobStateError,
    ModelError,
    QueueFullError,
    RedisUnavailableError,
)
from inferq.jobs import Outcome, Priority, Status
from inferq.queue.consumer.claims.claim import Popped, new_token
from inferq.queue.consumer.consumer import Consumer
from inferq.queue.producer.producer import Producer
from inferq.queue.producer.submission import Submission
from inferq.settings import Settings
from tests.integration.queue.consumer.claiming import claim_next
from tests.records import known, turn_clock
from tests.servers import wait_until

DATA = b"[[5.1,3.5,1.4,0.2]]"


def fail(consumer, job, message="No."):
    return consumer.finish([Outcome(job, error=InvalidInputError(message))])


async def failed_jobs(producer):
    return [job.id for job in (await producer.listing.read_page(["iris"], status=Status.FAILED)).jobs]


async def test_cancelled_pending_job_never_runs(producer, consumer, redis_client):
    job_id = await producer.submit(Submission("iris", DATA))

    assert await producer.cancel(job_id) is Status.PENDING

    job = await producer.read(job_id)
    assert (job.status, job.error_kind, job.attempts) == (Status.FAILED, ErrorKind.CANCELLED, 0)
    assert consumer.claim(1) == []
    assert redis_client.llen("queue:iris") == 0


async def test_popped_job_that_is_cancelled_before_its_claim_never_runs(producer, consumer, redis_client):
    job_id = await producer.submit(Submission("iris", DATA))
    redis_client.brpop("queue:iris")
    await producer.cancel(job_id)
    assert consumer.claim(1, Popped(job_id, "iris", Priority.NORMAL, new_token())) == []


async def test_worker_of_a_cancelled_job_is_told_and_its_result_changes_nothing(producer, consumer):
    job_id = await producer.submit(Submission("iris", DATA))
    [job] = consumer.claim(1)

    assert await producer.cancel(job_id) is Status.PROCESSING

    assert consumer.renew({job: 60.0}) == {job: "cancelled"}
    assert consumer.finish([Outcome(job, result=b"1")]) == ["stale"]
    view = await producer.read(job_id)
    assert (view.status, view.error_kind, view.result) == (Status.FAILED, ErrorKind.CANCELLED, None)
    assert view.history[0].kind is ErrorKind.CANCELLED


async def test_ended_job_cannot_be_cancelled(producer, consumer):
    job_id = await producer.submit(Submission("iris", DATA))
    [job] = consumer.claim(1)
    consumer.finish([Outcome(job, result=b"1")])
    with pytest.raises(JobStateError, match="is completed"):
        await producer.cancel(job_id)
    with pytest.raises(JobNotFoundError):
        await producer.cancel("nosuch")


async def test_failed_job_runs_again_when_retried_and_keeps_its_history(producer, consumer, redis_client):
    job_id = await producer.submit(Submission("iris", DATA))
    fail(consumer, consumer.claim(1)[0])
    assert await failed_jobs(producer) == [job_id]

    await producer.retry(job_id)

    job = await producer.read(job_id)
    assert (job.status, job.error, job.queue_position) == (Status.PENDING, None, 1)
    assert await failed_jobs(producer) == []
    [again] = consumer.claim(1)
    assert (again.id, again.attempt, again.data) == (job_id, 2, DATA)
    consumer.finish([Outcome(again, result=b"1")])
    done = await producer.read(job_id)
    assert [attempt.kind for attempt in done.history] == [ErrorKind.INVALID_INPUT, None]
    assert [key for key in redis_client.scan_iter("job:*") if redis_client.ttl(key) == -1] == []


async def test_only_failed_jobs_with_data_can_be_retried(producer, consumer, redis_client):
    job_id = await producer.submit(Submission("iris", DATA))
    with pytest.raises(JobStateError, match="pending"):
        await producer.retry(job_id)
    fail(consumer, consumer.claim(1)[0])
    redis_client.delete(f"job:{job_id}:data")
    with pytest.raises(JobStateError, match="data"):
        await producer.retry(job_id)
    with pytest.raises(JobNotFoundError):
        await producer.retry("nosuch")


async def test_deleted_job_is_gone(producer, consumer, redis_client):
    job_id = await producer.submit(Submission("iris", DATA))
    with pytest.raises(JobStateError, match="cancel it first"):
        await producer.delete(job_id)
    fail(consumer, consumer.claim(1)[0])

    await producer.delete(job_id)

    assert list(redis_client.scan_iter(f"job:{job_id}:*")) == []
    assert redis_client.zcard("queue:iris:dead") == 0


async def test_job_that_an_outside_worker_ended_can_be_deleted(producer, redis_client):
    job_id = await producer.submit(Submission("iris", DATA))
    redis_client.set(f"job:{job_id}:status", "completed")
    redis_client.set("job:outside:status", "failed")

    await producer.delete(job_id)
    await producer.delete("outside")

    assert list(redis_client.scan_iter("job:*")) == []
    assert redis_client.zcard("queue:iris:open:normal") == 0
    assert (await producer.listing.read_page(["iris"])).jobs == []
    for unknown in (job_id, "nosuch"):
        with pytest.raises(JobNotFoundError):
            await producer.delete(unknown)


async def test_deleted_job_is_not_reported(producer, consumer, redis_client):
    job_id = await producer.submit(Submission("iris", DATA, webhook="https://example.com/hook"))
    fail(consumer, consumer.claim(1)[0])
    await producer.delete(job_id)
    assert redis_client.zcard("webhooks") == 0


async def test_job_dropped_and_retried_at_the_same_time_is_gone_or_queued_whole(
    producer, consumer, redis_client
):
    ids = [await producer.submit(Submission("iris", DATA)) for _ in range(100)]
    for job in consumer.claim(100):
        fail(consumer, job)

    acts = [act(job_id) for job_id in ids for act in (producer.delete, producer.retry)]
    await asyncio.gather(*acts, return_exceptions=True)

    waiting = {member.decode() for member in redis_client.lrange("queue:iris", 0, -1)}
    for job_id in ids:
        keys = {key.decode().rpartition(":")[2] for key in redis_client.scan_iter(f"job:{job_id}:*")}
        assert keys == ({"data", "status"} if job_id in waiting else set())
    assert known(redis_client) == waiting
    assert redis_client.zcard("queue:iris:dead") == 0
    assert {job.data for job in consumer.claim(100)} <= {DATA}


@pytest.mark.parametrize("is_claimed", [False, True])
async def test_cancel_repeated_since_its_answer_was_lost_gets_the_same_answer(
    producer, consumer, monkeypatch, is_claimed
):
    job_id = await producer.submit(Submission("iris", DATA))
    if is_claimed:
        consumer.claim(1)
    monkeypatch.setattr("inferq.queue.producer.control.new_call_token", lambda: "0a")
    expected = Status.PROCESSING if is_claimed else Status.PENDING

    assert await producer.cancel(job_id) is expected
    assert await producer.cancel(job_id) is expected

    monkeypatch.setattr("inferq.queue.producer.control.new_call_token", lambda: "0b")
    with pytest.raises(JobStateError):
        await producer.cancel(job_id)
    await producer.retry(job_id)
    monkeypatch.setattr("inferq.queue.producer.control.new_call_token", lambda: "0a")
    assert await producer.cancel(job_id) is expected
    assert (await producer.read(job_id)).status is Status.PENDING


async def test_retry_repeated_since_its_answer_was_lost_changes_nothing(
    producer, consumer, redis_client, monkeypatch
):
    job_id = await producer.submit(Submission("iris", DATA))
    fail(consumer, consumer.claim(1)[0])
    monkeypatch.setattr("inferq.queue.producer.control.new_call_token", lambda: "0a")

    await producer.retry(job_id)
    await producer.retry(job_id)
    assert redis_client.llen("queue:iris") == 1
    fail(consumer, consumer.claim(1)[0])
    await producer.retry(job_id)

    assert (await producer.read(job_id)).status is Status.FAILED
    assert redis_client.llen("queue:iris") == 0


async def test_history_tells_each_attempt(producer, consumer, settings):
    job_id = await producer.submit(Submission("iris", DATA))
    consumer.finish([Outcome(consumer.claim(1)[0], error=ModelError("It broke."))])
    wait_until(lambda: consumer.recover().due, what="the retry")
    consumer.claim(1)

    first, second = (await producer.read(job_id)).history
    assert (first.number, first.worker, first.kind, first.reason) == (
        1, "worker-1", ErrorKind.MODEL_ERROR, "It broke.",
    )  # fmt: skip
    assert first.started_at <= first.finished_at <= second.started_at
    assert (second.number, second.kind, second.finished_at) == (2, None, None)


async def test_job_that_waited_too_long_fails_as_expired(settings, redis_client):
    short = settings.model_copy(update={"job_ttl_seconds": 0.05})
    producer, consumer = Producer.from_settings(short), Consumer(short, "worker-1", ["iris"])
    claimed_late, found_late = [await producer.submit(Submission("iris", DATA)) for _ in range(2)]
    await asyncio.sleep(0.1)
    assert claim_next(consumer) == []
    consumer.recover()
    for job_id in (claimed_late, found_late):
        job = await producer.read(job_id)
        assert (job.status, job.error_kind) == (Status.FAILED, ErrorKind.EXPIRED)
        assert "INFERQ_JOB_TTL_SECONDS" in job.error
    assert redis_client.zcard("queue:iris:open:normal") == 0
    consumer.close()
    await producer.close()


async def test_submit_repeated_after_its_job_failed_does_not_outlive_the_job(settings, redis_client):
    short = settings.model_copy(update={"result_ttl_seconds": 300.0})
    producer, consumer = Producer.from_settings(short), Consumer(short, "worker-1", ["iris"])
    submission = Submission("iris", DATA, id="same")
    await producer.submit(submission)
    fail(consumer, consumer.claim(1)[0])

    await producer.submit(submission)  # its first reply was lost

    assert (await producer.read("same")).status is Status.FAILED
    turn_clock(redis_client, 300.0)
    with pytest.raises(JobNotFoundError):
        await producer.read("same")
    consumer.close()
    await producer.close()


async def test_job_that_an_outside_worker_ended_leaves_no_trace_in_the_indexes(
    producer, consumer, redis_client
):
    job_id = await producer.submit(Submission("iris", DATA))
    redis_client.brpop(["queue:iris"])
    redis_client.set(f"job:{job_id}:result", "1")
    redis_client.set(f"job:{job_id}:status", "completed")
    consumer.recover()
    assert redis_client.zcard("queue:iris:open:normal") == 0
    assert [key for key in redis_client.scan_iter("job:*") if redis_client.ttl(key) == -1] == []
    assert (await producer.read(job_id)).finished_at is not None


async def test_full_queue_tells_when_there_will_be_room(settings):
    full = settings.model_copy(update={"max_queued": 4})
    producer, consumer = Producer.from_settings(full), Consumer(full, "worker-1", ["iris"])

    async def refusal():
        while True:
            try:
                await producer.submit(Submission("iris", DATA))
            except QueueFullError as error:
                return error.retry_after_seconds

    assert await refusal() == 60  # nothing has ended yet
    for job in consumer.claim(2):
        consumer.finish([Outcome(job, result=b"1")])
    assert 1 <= await refusal() <= 10
    consumer.close()
    await producer.close()


async def test_finish_and_recovery_work_when_memory_is_full(producer, consumer, redis_client):
    done, lost = [await producer.submit(Submission("iris", DATA)) for _ in range(2)]
    redis_client.config_set("maxmemory", "1")
    try:
        jobs = consumer.claim(2)
        assert consumer.finish([Outcome(jobs[0], result=b"1")]) == ["completed"]
        assert consumer.requeue([jobs[1]]) == ["requeued"]
        consumer.recover()
    finally:
        redis_client.config_set("maxmemory", "0")
    assert (await producer.read(done)).status is Status.COMPLETED
    assert (await producer.read(lost)).status is Status.PENDING


def test_server_that_loads_its_data_is_waited_for(own_redis_server):
    with own_redis_server.client() as client, client.pipeline() as pipeline:
        for number in range(20_000):
            pipeline.set(f"job:{number}:data", DATA)
        pipeline.execute()
    own_redis_server.kill()
    slowly = ("--key-load-delay", "200")  # µs for each, until it was seen
    settings = Settings(redis_url=own_redis_server.url, durability="fsync")
    consumer = Consumer(settings, "worker-1", ["iris"])
    starting = threading.Thread(target=own_redis_server.start, args=slowly)
    starting.start()
    told, loading = set(), "Redis is loading its data from disk."

    def is_fit():
        try:
            consumer.check_server()
        except RedisUnavailableError as error:
            told.add(error.message)
            if loading in told:
                with suppress(RedisConnectionError), own_redis_server.client() as client:
                    client.config_set("key-load-delay", 0)
            return False
        return True

    wait_until(is_fit, 60, "the server")
    assert loading in told
    starting.join()
    consumer.close()


async def test_fsync_durability_is_refused_where_the_server_cannot_give_it(settings, redis_client):
    strict = settings.model_copy(update={"durability": "fsync"})
    producer, consumer = Producer.from_settings(strict), Consumer(strict, "worker-1", ["iris"])
    if redis_client.info()["redis_version"].startswith("7.0"):  # it has no WAITAOF
        with pytest.raises(InvalidSettingError, match="appendfsync"):
            consumer.check_server()
        redis_client.config_set("appendfsync", "always")
    try:
        consumer.check_server()
        assert (await producer.read(await producer.submit(Submission("iris", DATA)))).status is Status.PENDING
        redis_client.config_set("appendonly", "no")
        with pytest.raises(InvalidSettingError, match="append-only"):
            consumer.check_server()
    finally:
        redis_client.config_set("appendonly", "yes")
        redis_client.config_set("appendfsync", "everysec")
    consumer.close()
    await producer.close()


@pytest.fixture
async def ended_by_a_slow_outside_worker(producer, eager_consumer, redis_client):
    """A job requeued since its outside worker said nothing, and then ended by that worker."""
    job_id = await producer.submit(Submission("iris", DATA))
    redis_client.brpop(["queue:iris"])
    wait_until(lambda: eager_consumer.recover().missing, what="the missing job")
    redis_client.set(f"job:{job_id}:result", "1")
    redis_client.set(f"job:{job_id}:status", "completed")
    return job_id


async def test_job_that_an_outside_worker_ended_is_not_run_again(
    producer, consumer, redis_client, ended_by_a_slow_outside_worker
):
    assert consumer.claim(1) == []
    job = await producer.read(ended_by_a_slow_outside_worker)
    assert (job.status, job.result) == (Status.COMPLETED, b"1")
    assert [key for key in redis_client.scan_iter("job:*") if redis_client.ttl(key) == -1] == []
    assert redis_client.zcard("queue:iris:open:normal") == 0


async def test_job_that_an_outside_worker_ended_cannot_be_cancelled(producer, ended_by_a_slow_outside_worker):
    with pytest.raises(JobStateError, match="is completed"):
        await producer.cancel(ended_by_a_slow_outside_worker)
    assert (await producer.read(ended_by_a_slow_outside_worker)).status is Status.COMPLETED


@pytest.mark.parametrize("size", [10, 100_000])
async def test_job_is_not_accepted_before_the_disk_holds_it(settings, redis_client, size):
    if "valkey" not in redis_client.info("server").get("server_name", ""):
        pytest.skip("this server does not know WAITAOF")
    strict = settings.model_copy(update={"durability": "fsync"})
    hasty = Producer.from_settings(strict.model_copy(update={"redis_timeout_seconds": 1.0}))
    producer = Producer.from_settings(strict)
    data = b"[[%s]]" % b",".join([b"1"] * (size // 2))
    try:
        redis_client.config_set("appendfsync", "no")  # then the server's disk never says that it is done
        with pytest.raises(RedisUnavailableError):
            await hasty.submit(Submission("iris", data))
        redis_client.config_set("appendfsync", "always")
        job_id = await producer.submit(Submission("iris", data))
        assert redis_client.get(f"job:{job_id}:data") == data
    finally:
        redis_client.config_set("appendfsync", "everysec")
        await hasty.close()
        await producer.close()


async def test_submit_repeated_by_the_client_library_waits_for_the_disk_like_the_first(
    settings, redis_client
):
    if "valkey" not in redis_client.info("server").get("server_name", ""):
        pytest.skip("this server does not know WAITAOF")
    strict = settings.model_copy(update={"durability": "fsync", "redis_timeout_seconds": 1.0})
    redis_client.config_set("appendfsync", "no")
    try:
        for _ in range(2):  # on a connection of its own each, as after a cut
            producer = Producer.from_settings(strict)
            with pytest.raises(RedisUnavailableError):
                await producer.submit(Submission("iris", DATA, id="same"))
            await producer.close()
        assert redis_client.llen("queue:iris") == 1
    finally:
        redis_client.config_set("appendfsync", "everysec")


async def test_many_submits_wait_for_the_disk_together(settings, redis_client):
    strict = settings.model_copy(update={"durability": "fsync"})
    producer = Producer.from_settings(strict)
    redis_client.config_set("appendfsync", "always")
    try:
        ids = await asyncio.gather(*(producer.submit(Submission("iris", DATA)) for _ in range(300)))
        assert len(set(ids)) == redis_client.llen("queue:iris") == 300
    finally:
        redis_client.config_set("appendfsync", "everysec")
        await producer.close()


async def test_large_data_survives_a_script_flush_and_is_refused_whole_when_memory_is_full(
    producer, redis_client
):
    large = b"[[%s]]" % b",".join([b"1"] * 50_000)
    redis_client.script_flush()
    job_id = await producer.submit(Submission("iris", large))
    assert redis_client.get(f"job:{job_id}:data") == large
    redis_client.config_set("maxmemory", "1")
    try:
        with pytest.raises(RedisUnavailableError, match="memory limit"):
            await producer.submit(Submission("iris", large))
    finally:
        redis_client.config_set("maxmemory", "0")
    assert redis_client.llen("queue:iris") == 1
    assert len(redis_client.keys("job:*:data")) == 1
