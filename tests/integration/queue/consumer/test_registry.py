"""Which workers and models are known, and for how long."""

import time
from datetime import UTC, datetime

import pytest

from inferq.jobs import Outcome, Status, WorkerInfo
from inferq.queue.consumer.consumer import Consumer
from inferq.queue.consumer.registry import make_worker_id
from inferq.queue.producer.submission import Submission
from inferq.settings import Settings


@pytest.fixture
def beat(consumer):
    """Reports a worker."""

    def beat(*models, worker_id="worker-1", ttl_seconds=30.0, of=consumer):
        report = WorkerInfo(worker_id, "host", 1, models, datetime.now(UTC))
        of.heartbeat(report, dict.fromkeys(models, b"{}"), ttl_seconds)

    return beat


@pytest.fixture
def age(redis_client):
    """Lets a time go by since a model was last seen, and since any worker reported."""

    def age(seconds, *models, since_any=0.0):
        now_ms = round(time.time() * 1000)
        for model in models:
            assert redis_client.zscore("models:seen", model) is not None
            redis_client.zadd("models:seen", {model: now_ms - round(1000 * seconds)})
        redis_client.set("workers:seen", now_ms - round(1000 * since_any))

    return age


OVER = Settings().model_ttl_seconds + 1


async def test_model_that_no_worker_has_is_dropped_after_a_while(producer, consumer, beat, age):
    consumer.announce({"iris": b"{}", "gone": b"{}"})
    beat("iris")
    assert set(await producer.read_models()) == {"iris", "gone"}
    age(OVER - 60, "gone")
    beat("iris")
    assert set(await producer.read_models()) == {"iris", "gone"}
    age(OVER, "gone")
    beat("iris")
    assert set(await producer.read_models()) == {"iris"}


async def test_model_whose_workers_are_scaled_to_none_is_kept_for_as_long_as_is_set(
    settings, producer, beat, age
):
    day = 24 * 3600.0
    consumer = Consumer(settings.model_copy(update={"model_ttl_seconds": day}), "worker-1", ["iris"])
    consumer.announce({"iris": b"{}", "idle": b"{}"})
    beat("iris", of=consumer)
    age(day - 60, "idle")
    beat("iris", of=consumer)
    assert set(await producer.read_models()) == {"iris", "idle"}
    age(day + 60, "idle")
    beat("iris", of=consumer)
    assert set(await producer.read_models()) == {"iris"}
    consumer.close()


async def test_model_of_a_worker_that_keeps_no_notes_stays(producer, consumer, beat, age, redis_client):
    """As those of an earlier version, beside which newer ones are started."""
    consumer.announce({"iris": b"{}", "old": b"{}"})
    beat("old", worker_id="worker-2")
    beat("iris")
    age(OVER, "old")
    beat("iris")
    assert set(await producer.read_models()) == {"iris", "old"}


@pytest.mark.parametrize("since_any", [1000.0, -1000.0], ids=["all were away", "the clock was set back"])
async def test_time_in_which_no_worker_reported_does_not_count(producer, consumer, beat, age, since_any):
    consumer.announce({"iris": b"{}", "slow": b"{}"})
    beat("iris")
    age(OVER, "iris", "slow", since_any=since_any)
    beat("iris")
    beat("iris")
    assert set(await producer.read_models()) == {"iris", "slow"}


async def test_model_comes_back_with_its_worker(producer, consumer, beat, age):
    beat("iris", "gone")
    beat("iris")
    age(OVER, "gone")
    beat("iris")
    assert set(await producer.read_models()) == {"iris"}
    beat("iris", "gone")
    assert set(await producer.read_models()) == {"iris", "gone"}


async def test_key_of_a_wrong_type_stops_no_heartbeat(producer, beat, redis_client):
    redis_client.set("models:seen", "odd")
    beat("iris")
    beat("iris")
    assert [worker.models for worker in await producer.read_workers()] == [("iris",)]


async def test_worker_on_a_host_with_separators_in_its_name_corrupts_no_record(settings, producer):
    worker_id = make_worker_id("rack|7:gpu 1")
    consumer = Consumer(settings, worker_id, ["iris"])
    job_id = await producer.submit(Submission("iris", b"[[5.1,3.5,1.4,0.2]]"))
    [job] = consumer.claim(1)
    assert consumer.finish([Outcome(job, result=b"1")]) == ["completed"]
    read = await producer.read(job_id)
    assert (read.status, read.model, [attempt.worker for attempt in read.history]) == (
        *(Status.COMPLETED, "iris", [worker_id]),
    )
    consumer.close()
