"""Long data and results lie in a bucket, and the store can be away, slow, or refuse a process."""

import asyncio
import signal
import time
from contextlib import suppress
from datetime import UTC, datetime
from unittest.mock import Mock

import obstore
import pytest
from obstore.store import S3Store

from inferq.blobs import BlobPart, bucket, make_key, open_store
from inferq.blobs.bucket import Bucket
from inferq.errors import StoreUnavailableError
from inferq.jobs import Outcome, Status, WorkerInfo
from inferq.proxy.services.results.stored_result import StoredResult
from inferq.queue import blob_access
from inferq.queue.consumer.blobs import blob_data, blob_removal
from inferq.queue.consumer.consumer import Consumer
from inferq.queue.producer.producer import Producer
from inferq.queue.producer.submission import Submission
from inferq.settings import Settings
from inferq.tensors.envelope import is_reference
from tests.servers import wait_until

LONG = b"\x93NUMPY" + bytes(range(256)) * 500
RESULT = b'{"outputs":"%b"}' % (b"x" * 3_000_000)


@pytest.fixture
def answer_seconds():
    """How long the store may take for an answer: longer than it does on a busy machine."""
    return 20.0


@pytest.fixture(autouse=True)
def quick(monkeypatch, answer_seconds):
    monkeypatch.setattr(blob_removal, "DELAY_SECONDS", 0.0)
    monkeypatch.setattr(blob_data, "_STAND_BACK_SECONDS", 0.0)
    monkeypatch.setattr(blob_access, "_AWAY_SECONDS", 0.5)
    monkeypatch.setattr(bucket, "_RETRIES", 1)
    monkeypatch.setattr(bucket, "_ANSWER_SECONDS", answer_seconds)


@pytest.fixture
def redis_server(valkey_server):
    """One kind is enough: nothing here is between a script and its server."""
    return valkey_server


@pytest.fixture
def settings(redis_url, bucket_url):
    return Settings(
        redis_url=redis_url, redis_timeout_seconds=30.0, blob_store=bucket_url, blob_grace_seconds=600
    )


@pytest.fixture
def blobs(bucket_url):
    """What lies in the store, by the part of a job that it is."""
    client, prefix = (
        S3Store("inferq-test", client_options={"allow_http": True}),
        bucket_url.rpartition("/")[2],
    )
    return lambda: sorted(
        one["path"].split(".")[-2] for one in obstore.list(client, f"{prefix}/blobs").collect()
    )


@pytest.fixture
def make_consumer(settings):
    made = []

    def make(name, **changed):
        made.append(Consumer(settings.model_copy(update=changed), name, ["iris"]))
        beat(made[-1], name)
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def consumer(make_consumer):
    return make_consumer("worker-1")


@pytest.fixture
async def producer(settings, consumer):  # the worker is there first
    producer = Producer.from_settings(settings)
    yield producer
    await producer.close()


def beat(consumer, name):
    store_id = consumer.identify_blob_store()
    consumer.heartbeat(
        WorkerInfo(name, "host", 1, ("iris",), datetime.now(UTC), blob_store=store_id), {"iris": b"{}"}, 60.0
    )


def finish(consumer, outcomes):
    """What a worker does with outcomes."""
    outcomes = consumer.offload_results(outcomes)
    verdicts = consumer.finish(outcomes)
    consumer.remove_settled_blobs(outcomes, verdicts)
    return verdicts


async def read_data(producer, job_id):
    length, parts = await producer.job_data.open(job_id)
    data = b"".join([part async for part in parts])
    assert len(data) == length
    return data


async def test_jobs_travel_by_reference_and_leave_nothing_but_their_results(
    producer, consumer, redis_client, blobs
):
    ids = [await producer.submit(Submission("iris", data)) for data in (LONG, RESULT, b"[[1,2]]")]
    assert [is_reference(redis_client.get(f"job:{job_id}:data")) for job_id in ids] == [True, True, False]
    assert [await read_data(producer, job_id) for job_id in ids] == [LONG, RESULT, b"[[1,2]]"]
    jobs = consumer.claim(3)
    assert [(job.id, job.data) for job in jobs] == list(zip(ids, (LONG, RESULT, b"[[1,2]]"), strict=True))
    assert finish(consumer, [Outcome(job, RESULT) for job in jobs]) == ["completed"] * 3
    consumer.sweep_blobs()
    assert blobs() == ["result"] * 3
    for job_id in ids:
        job = await producer.read(job_id)
        assert await StoredResult.open(producer.large_results, job).read() == RESULT
        await producer.delete(job_id)
    assert blobs() == []


async def test_sweep_goes_on_page_by_page_from_worker_to_worker(
    producer, consumer, make_consumer, redis_client, blobs, bucket_url, monkeypatch
):
    monkeypatch.setattr(bucket, "_PAGE_OBJECTS", 5)
    kept = [await producer.submit(Submission("iris", LONG)) for _ in range(8)]
    lost = [await producer.submit(Submission("iris", LONG)) for _ in range(8)]
    redis_client.delete(*(f"job:{job_id}:data" for job_id in lost))
    open_store(bucket_url).write(make_key("0a", BlobPart.RESULT), b"of a worker that was killed")
    hasty = [make_consumer(f"worker-{number}", blob_grace_seconds=1) for number in (2, 3)]
    removed, steps = 0, 0

    def sweep():
        nonlocal removed, steps
        redis_client.delete("blobs:step")
        steps += 1
        removed += hasty[steps % 2].sweep_blobs()
        return removed == len(lost) + 1

    redis_client.delete("blobs:step")
    assert consumer.sweep_blobs() == 0, "all is young"
    await asyncio.to_thread(wait_until, sweep, pause=0.1)
    assert blobs() == ["data"] * len(kept)
    assert steps > 3
    assert [job.data for job in consumer.claim(16) if job.id in kept] == [LONG] * 8


@pytest.mark.parametrize("answer_seconds", [3.0])
async def test_store_that_hangs_holds_up_nobody_for_long_and_fails_no_job(
    producer, consumer, redis_client, object_server, settings, monkeypatch
):
    monkeypatch.setattr(blob_access, "_AWAY_SECONDS", 60.0)
    stored, stored_too = [await producer.submit(Submission("iris", LONG)) for _ in range(2)]
    await producer.cancel(stored_too)
    object_server.signal(signal.SIGSTOP)
    try:
        with pytest.raises(StoreUnavailableError, match="does not answer in time"):
            await read_data(producer, stored)
        with monkeypatch.context() as is_left_alone:
            for name in ("write", "delete"):
                is_left_alone.setattr(Bucket, name, Mock(side_effect=AssertionError("it was asked again")))
            job_id = await producer.submit(Submission("iris", LONG))
            await producer.delete(stored_too)
        assert redis_client.get(f"job:{job_id}:data") == LONG
        monkeypatch.setattr(blob_access, "_AWAY_SECONDS", 0.5)
        assert [job.id for job in consumer.claim(2)] == [job_id]
        stranger = Consumer(settings, "worker-3", ["iris"])
        began = time.monotonic()
        assert stranger.identify_blob_store() == ""
        assert time.monotonic() - began < 60
        stranger.close()
    finally:
        object_server.signal(signal.SIGCONT)
    found = await producer.read(stored)
    assert (found.status, found.attempts, found.history) == (Status.PENDING, 0, ())
    await asyncio.to_thread(wait_until, lambda: read_again(consumer, redis_client, stored) == [LONG])


def read_again(consumer, redis_client, job_id):
    """What a worker reads of a job that was deferred."""
    redis_client.zadd("queue:iris:retries", {job_id: 1}, xx=True)
    consumer.recover()
    return [job.data for job in consumer.claim(1)]


async def test_store_that_is_gone_for_a_while_is_used_again(
    producer, consumer, redis_client, blobs, object_server
):
    stored = await producer.submit(Submission("iris", LONG))
    object_server.kill()
    try:
        job_id = await producer.submit(Submission("iris", LONG))
        assert redis_client.get(f"job:{job_id}:data") == LONG
        jobs = consumer.claim(2)
        assert [job.id for job in jobs] == [job_id]
        assert finish(consumer, [Outcome(jobs[0], RESULT)]) == ["completed"]
        assert redis_client.get(f"job:{job_id}:result") == RESULT
        consumer._sweep._store._checked_until = 0.0
        with pytest.raises(StoreUnavailableError, match="cannot be used"):
            consumer.sweep_blobs()
        assert consumer.identify_blob_store() == ""
    finally:
        object_server.start()
    await asyncio.to_thread(wait_until, lambda: identify_again(consumer))  # it starts with internal errors
    await asyncio.to_thread(wait_until, lambda: read_again(consumer, redis_client, stored) == [LONG])
    assert "data" in blobs()


def identify_again(consumer):
    """What a worker's heartbeat tells after a step of the sweep."""
    with suppress(StoreUnavailableError):
        consumer.sweep_blobs()
    return consumer.identify_blob_store()


async def test_process_that_the_store_refuses_writes_to_redis(
    settings, consumer, redis_client, blobs, object_server, monkeypatch
):
    for name, value in object_server.reading_environment.items():
        monkeypatch.setenv(name, value)
    producer = Producer.from_settings(settings)
    try:
        job_id = await producer.submit(Submission("iris", LONG))
        assert redis_client.get(f"job:{job_id}:data") == LONG
    finally:
        await producer.close()
    assert blobs() == []
