import json
import re
from concurrent.futures import ThreadPoolExecutor

import pytest

from inferq.errors import (
    ErrorKind,
    InvalidSettingError,
    JobNotFoundError,
    QueueFullError,
)
from inferq.jobs import Outcome, Priority, Status
from inferq.proxy.services.results.stored_result import StoredResult
from inferq.queue.consumer.consumer import Consumer
from inferq.queue.producer.producer import Producer
from inferq.queue.producer.submission import Submission
from inferq.queue.redis_client import scripts
from tests.integration.queue.consumer.claiming import claim_next, complete
from tests.servers import wait_until

DATA = b"[[5.1,3.5,1.4,0.2]]"


def keys_without_expiry(client):
    return [key for key in client.scan_iter("*job:*") if client.ttl(key) == -1]


async def test_submitted_job_is_pending_with_the_four_keys_of_the_contract(producer, redis_client):
    job_id = await producer.submit(Submission("iris", DATA))

    assert re.fullmatch("[0-9a-f]{32}", job_id)
    assert redis_client.get(f"job:{job_id}:data") == DATA
    assert redis_client.get(f"job:{job_id}:status") == b"pending"
    assert redis_client.lrange("queue:iris", 0, -1) == [job_id.encode()]
    job = await producer.read(job_id)
    assert (job.status, job.result, job.error, job.queue_position) == (Status.PENDING, None, None, 1)
    assert job.submitted_at is not None
    assert keys_without_expiry(redis_client) == []


async def test_job_goes_from_pending_over_processing_to_completed(producer, consumer, redis_client):
    job_id = await producer.submit(Submission("iris", DATA))
    [job] = consumer.wait_and_claim(1).jobs
    assert (job.id, job.model, job.data, job.attempt) == (job_id, "iris", DATA, 1)
    assert (await producer.read(job_id)).status is Status.PROCESSING

    assert complete(consumer, job) == ["completed"]

    done = await producer.read(job_id)
    assert (done.status, done.result, done.attempts) == (Status.COMPLETED, b'{"prediction":0}', 1)
    assert done.submitted_at <= done.started_at <= done.finished_at
    assert keys_without_expiry(redis_client) == []
    assert redis_client.zcard("queue:iris:leases") == redis_client.zcard("queue:iris:open:normal") == 0


async def test_jobs_of_a_list_are_claimed_in_the_order_they_came(producer, consumer):
    submitted = [await producer.submit(Submission("iris", DATA)) for _ in range(20)]
    first = claim_next(consumer)
    rest = [job for _ in range(19) for job in consumer.claim(1)]

    assert [job.id for job in first + rest] == submitted
    assert consumer.claim(1) == []


async def test_one_claim_takes_several_jobs_in_order(producer, consumer):
    submitted = [await producer.submit(Submission("iris", DATA)) for _ in range(5)]

    assert [job.id for job in consumer.claim(3)] == submitted[:3]
    assert [job.id for job in consumer.claim(3)] == submitted[3:]


async def test_higher_priority_is_claimed_first(producer, consumer):
    low = await producer.submit(Submission("iris", DATA, Priority.LOW))
    normal = await producer.submit(Submission("iris", DATA))
    high = await producer.submit(Submission("iris", DATA, Priority.HIGH))

    assert (await producer.read(low)).queue_position == 3
    assert [job.id for job in consumer.claim(3)] == [high, normal, low]


async def test_queue_position_counts_only_jobs_that_still_wait(producer, consumer):
    ids = [await producer.submit(Submission("iris", DATA)) for _ in range(4)]
    consumer.claim(2)

    assert [(await producer.read(job_id)).queue_position for job_id in ids] == [None, None, 1, 2]


async def test_claim_repeated_with_its_token_gets_the_same_jobs(producer, consumer):
    await producer.submit(Submission("iris", DATA))
    await producer.submit(Submission("iris", DATA))
    first = consumer.claim(1, token="t1")

    assert consumer.claim(1, token="t1") == first
    assert consumer.claim(1, token="t2")[0].id != first[0].id


async def stored_result(producer, job_id):
    """A large result, whole."""
    return await StoredResult.open(producer.large_results, await producer.read(job_id)).read()


async def test_data_and_result_larger_than_the_inline_limit_arrive_whole(producer, consumer, redis_client):
    data = json.dumps([[float(i)] * 4 for i in range(5000)]).encode()
    job_id = await producer.submit(Submission("iris", data))
    [job] = consumer.claim(1)
    assert job.data == data

    complete(consumer, job, data)

    assert await stored_result(producer, job_id) == data
    assert keys_without_expiry(redis_client) == []
    complete(consumer, job, data)
    assert list(redis_client.scan_iter(f"job:{job_id}:result:*")) == []


@pytest.mark.parametrize("with_status", [True, False])
async def test_job_pushed_by_hand_is_served(producer, consumer, redis_client, with_status):
    redis_client.set("job:x:data", DATA)
    if with_status:
        redis_client.set("job:x:status", "pending")
    redis_client.lpush("queue:iris", "x")
    assert (await producer.read("x")).status is Status.PENDING

    [job] = claim_next(consumer)
    assert (await producer.read("x")).status is Status.PROCESSING
    complete(consumer, job)

    assert (await producer.read("x")).status is Status.COMPLETED
    assert keys_without_expiry(redis_client) == []


async def test_id_without_data_fails_with_a_sentence_and_stops_nothing(producer, consumer, redis_client):
    redis_client.lpush("queue:iris", "ghost")
    job_id = await producer.submit(Submission("iris", DATA))

    assert [job.id for job in consumer.claim(1)] == [job_id]
    ghost = await producer.read("ghost")
    assert (ghost.status, ghost.error_kind) == (Status.FAILED, ErrorKind.EXPIRED)
    assert "has no data" in ghost.error


@pytest.mark.parametrize("part", ["data", "status"])
async def test_key_of_the_wrong_type_fails_its_job_and_stops_nothing(producer, consumer, redis_client, part):
    redis_client.set("job:corrupt:data", DATA)
    redis_client.delete(f"job:corrupt:{part}")
    redis_client.sadd(f"job:corrupt:{part}", "what")
    redis_client.lpush("queue:iris", "corrupt")
    job_id = await producer.submit(Submission("iris", DATA))

    assert [job.id for job in claim_next(consumer)] == [job_id]
    corrupt = await producer.read("corrupt")
    assert (corrupt.status, corrupt.error_kind, corrupt.model) == (
        Status.FAILED,
        ErrorKind.INVALID_INPUT,
        "iris",
    )
    assert keys_without_expiry(redis_client) == []


async def test_id_that_is_no_text_is_served_too(consumer, redis_client):
    redis_client.set(b"job:\xff\xfe:data", DATA)
    redis_client.lpush("queue:iris", b"\xff\xfe")

    [job] = claim_next(consumer)
    complete(consumer, job)

    assert redis_client.get(b"job:\xff\xfe:status") == b"completed"


async def test_outside_worker_needs_only_the_seeds_keys(producer, redis_client):
    job_id = await producer.submit(Submission("iris", DATA))
    _, popped = redis_client.brpop(["queue:iris"])
    redis_client.set(f"job:{popped.decode()}:result", '{"prediction": 1}')
    redis_client.set(f"job:{popped.decode()}:status", "completed")

    job = await producer.read(job_id)
    assert (job.status, job.result) == (Status.COMPLETED, b'{"prediction": 1}')


async def test_full_queue_refuses_and_leaves_nothing_behind(settings, redis_client):
    producer = Producer.from_settings(settings.model_copy(update={"max_queued": 2}))
    for _ in range(2):
        await producer.submit(Submission("iris", DATA))
    with pytest.raises(QueueFullError, match="2 jobs wait for model 'iris'"):
        await producer.submit(Submission("iris", DATA))
    assert len(list(redis_client.scan_iter("job:*:data"))) == 2
    await producer.close()


async def test_unknown_job_is_not_found(producer):
    with pytest.raises(JobNotFoundError, match="never existed, or it ended and has expired"):
        await producer.read("nosuch")


async def test_scripts_come_back_after_a_script_flush(producer, consumer, redis_client):
    redis_client.script_flush()
    job_id = await producer.submit(Submission("iris", DATA))
    redis_client.script_flush()
    assert (await producer.read(job_id)).queue_position == 1
    redis_client.script_flush()
    [job] = claim_next(consumer)
    redis_client.script_flush()
    assert complete(consumer, job) == ["completed"]


async def test_key_prefix_goes_before_every_key(settings, redis_client):
    prefixed = settings.model_copy(update={"key_prefix": "{inferq}:"})
    producer, consumer = Producer.from_settings(prefixed), Consumer(prefixed, "worker-1", ["iris"])
    await producer.submit(Submission("iris", DATA))
    [job] = claim_next(consumer)
    complete(consumer, job)
    consumer.recover()

    assert all(key.startswith(b"{inferq}:") for key in redis_client.keys("*"))
    consumer.close()
    await producer.close()


async def test_many_consumers_take_each_job_once(settings, producer):
    submitted = {await producer.submit(Submission("iris", DATA)) for _ in range(200)}

    def drain(number):
        consumer = Consumer(settings, f"worker-{number}", ["iris"])
        taken = []
        while jobs := consumer.claim(3):
            taken += [job.id for job in jobs]
            consumer.finish([Outcome(job, result=b"1") for job in jobs])
        consumer.close()
        return taken

    with ThreadPoolExecutor(4) as pool:
        taken = [job_id for part in pool.map(drain, range(4)) for job_id in part]
    assert len(taken) == 200
    assert set(taken) == submitted


async def test_models_are_claimed_from_in_turn(settings, producer):
    consumer = Consumer(settings, "worker-1", ["a", "b"])
    for model in ("a", "a", "b", "b"):
        await producer.submit(Submission(model, DATA))

    assert [claim_next(consumer)[0].model for _ in range(3)] == ["a", "b", "a"]
    for model in ("a", "a", "b", "b"):
        await producer.submit(Submission(model, DATA))
    assert len({consumer.claim(2)[0].model for _ in range(2)}) == 2
    assert consumer.finish_and_claim([], {"a": 1, "b": 1})[1][0].model in ("a", "b")
    consumer.close()


async def test_ended_job_expires(settings, producer, redis_client):
    consumer = Consumer(settings.model_copy(update={"result_ttl_seconds": 0.2}), "worker-1", ["iris"])
    job_id = await producer.submit(Submission("iris", DATA))
    complete(consumer, consumer.claim(1)[0])
    wait_until(lambda: not list(redis_client.scan_iter(f"job:{job_id}:*")), what="the expiry")
    with pytest.raises(JobNotFoundError):
        await producer.read(job_id)
    consumer.close()


def test_server_that_may_evict_jobs_is_refused(consumer, redis_client):
    consumer.check_server()
    redis_client.config_set("maxmemory", "1gb")
    redis_client.config_set("maxmemory-policy", "allkeys-lru")
    try:
        with pytest.raises(InvalidSettingError, match="noeviction"):
            consumer.check_server()
    finally:
        redis_client.config_set("maxmemory-policy", "noeviction")
        redis_client.config_set("maxmemory", "0")


async def test_error_that_an_outside_program_left_goes_when_the_job_completes(
    producer, consumer, redis_client
):
    job_id = await producer.submit(Submission("iris", DATA))
    redis_client.set(f"job:{job_id}:error", "not ours")
    assert complete(consumer, consumer.claim(1)[0]) == ["completed"]
    assert not redis_client.exists(f"job:{job_id}:error")


def test_scripts_for_many_jobs_take_none_as_well(redis_client):
    for script, arguments in ((scripts.SUBMIT, [1000, 10]), (scripts.READ, [1000])):
        assert redis_client.eval(script.source, 1, "models", "", *arguments) == []
