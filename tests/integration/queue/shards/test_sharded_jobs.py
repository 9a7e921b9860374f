"""Jobs are found in whichever shard they are, and submitted to one that is there."""

import asyncio

import pytest

from inferq.errors import IdempotencyConflictError, JobNotFoundError, QueueFullError, RedisUnavailableError
from inferq.jobs import Outcome, Status
from inferq.queue.inspection.large_results import PART_BYTES
from inferq.queue.producer.submission import Idempotency, Submission
from inferq.queue.schema.shard_ids import add_shard, find_shard
from inferq.queue.shards.shard_settings import split_settings
from inferq.queue.shards.sharded_producer import ShardedProducer

DATA = b"[5.1, 3.5, 1.4, 0.2]"
ELSEWHERE = "0123456789abcdef" * 2  # its form says shard 0


async def submit(producer, count=1, **options):
    return [await producer.submit(Submission("iris", DATA, **options)) for _ in range(count)]


def push(server, job_id):
    """Submits a job as a program from outside does."""
    with server.client() as client:
        client.set(f"job:{job_id}:data", DATA)
        client.lpush("queue:iris", job_id)


async def until_known_away(sharded):
    """Lets the producer learn that shard 1 is away, with an id of that shard."""
    with pytest.raises(RedisUnavailableError, match="Shard 1: "):
        await sharded.read(f"{ELSEWHERE}-1")


async def test_jobs_go_to_all_shards_evenly_and_are_read_back(sharded):
    ids = await submit(sharded, 40)
    shards = [find_shard(job_id, 2) for job_id in ids]
    assert abs(shards.count(0) - shards.count(1)) <= 2  # the shorter backlog gets the next
    assert [job.id for job in await sharded.read_many(ids)] == ids
    assert (await sharded.read(ids[0])).status is Status.PENDING


async def test_job_is_cancelled_retried_and_deleted_in_its_shard(sharded, consumers):
    for job_id in await submit(sharded, 2):
        assert await sharded.cancel(job_id) is Status.PENDING
        await sharded.retry(job_id)
        consumer = consumers[find_shard(job_id, 2)]
        [job] = consumer.claim(1)
        consumer.finish([Outcome(job, b"1")])
        await sharded.delete_result(job_id)
        await sharded.delete(job_id)
        with pytest.raises(JobNotFoundError):
            await sharded.read(job_id)


@pytest.mark.parametrize("job_id", ["from-outside", ELSEWHERE, f"{ELSEWHERE}-1"])
@pytest.mark.parametrize("shard", [0, 1])
async def test_job_from_outside_is_found_in_any_shard(sharded, shard_servers, job_id, shard):
    push(shard_servers[shard], job_id)
    assert (await sharded.read(job_id)).status is Status.PENDING
    [job, missing] = await sharded.read_many([job_id, "missing"])
    assert job.id == job_id
    assert missing is None
    with pytest.raises(JobNotFoundError):
        await sharded.read("missing")


async def test_idempotency_key_has_one_shard_also_for_a_batch(sharded):
    key = Idempotency("key", "1" * 64, 60.0)
    ids = {await sharded.submit(Submission("iris", DATA), key) for _ in range(4)}
    assert len(ids) == 1
    with pytest.raises(IdempotencyConflictError):
        await sharded.submit(Submission("iris", DATA), Idempotency("key", "2" * 64, 60.0))
    batch = Idempotency("batch", "3" * 64, 60.0)
    first, again = [
        await sharded.submit_batch([Submission("iris", DATA) for _ in range(3)], batch) for _ in range(2)
    ]
    assert first == again


async def test_batch_goes_whole_to_one_shard(sharded):
    for _ in range(4):
        ids = await sharded.submit_batch([Submission("iris", DATA) for _ in range(5)])
        assert len({find_shard(job_id, 2) for job_id in ids}) == 1
        assert None not in await sharded.read_many(ids)


async def test_data_and_long_results_are_read_in_their_shard(sharded, consumers):
    result = b"[%b]" % b",".join([b"1"] * 100_000)
    for job_id in await submit(sharded, 2):
        length, parts = await sharded.job_data.open(job_id)
        assert (length, b"".join([part async for part in parts])) == (len(DATA), DATA)
        consumer = consumers[find_shard(job_id, 2)]
        consumer.finish([Outcome(job, result) for job in consumer.claim(1)])
        job = await sharded.read(job_id)
        assert await sharded.large_results.read_part(job, 0) == result[:PART_BYTES]


@pytest.mark.parametrize("shard", [0, 1])
async def test_job_whose_data_was_uploaded_goes_where_its_id_says(sharded, shard):
    job_id = add_shard(ELSEWHERE, shard)
    assert await sharded.submit(Submission("iris", DATA, blob_bytes=len(DATA), id=job_id)) == job_id
    assert (await sharded.jobs.read_statuses([job_id, "missing"])) == {
        job_id: Status.PENDING,
        "missing": None,
    }


async def test_upload_without_a_store_leaves_the_id_as_it_was(sharded):
    submission = Submission("iris", b"", id=ELSEWHERE)
    assert await sharded.open_upload(submission, 10_000_000) is None
    assert submission.id == ELSEWHERE
    assert not sharded.has_blob_store


async def test_full_shard_leaves_jobs_to_the_other(sharded_settings):
    sharded = ShardedProducer.from_settings(
        split_settings(sharded_settings.model_copy(update={"max_queued": 6}))
    )
    ids = [*await sharded.submit_batch([Submission("iris", DATA) for _ in range(3)])]
    ids += await submit(sharded, 3)
    assert [find_shard(job_id, 2) for job_id in ids].count(0) == 3
    await sharded.close()


async def test_full_queue_is_said_to_be_full_though_a_shard_is_away(sharded_settings, shard_servers):
    sharded = ShardedProducer.from_settings(
        split_settings(sharded_settings.model_copy(update={"max_queued": 6}))
    )
    shard_servers[1].kill()
    await submit(sharded, 3)
    for _ in range(6):  # whichever is tried first
        with pytest.raises(QueueFullError):
            await submit(sharded, 1)
    await sharded.close()


async def test_jobs_of_a_shard_that_is_away_wait_and_all_others_go_on(sharded, shard_servers):
    ids = await submit(sharded, 10)
    here = [job_id for job_id in ids if find_shard(job_id, 2) == 0]
    there = [job_id for job_id in ids if find_shard(job_id, 2) == 1]
    shard_servers[1].kill()
    await until_known_away(sharded)
    assert {find_shard(job_id, 2) for job_id in await submit(sharded, 5)} == {0}
    assert [job.id for job in await sharded.read_many(here)] == here
    with pytest.raises(RedisUnavailableError, match="Shard 1"):
        await sharded.read_many(there)
    with pytest.raises(RedisUnavailableError, match="may be in a shard that is away"):
        await sharded.read("from-outside")
    await sharded.check_takes_jobs()
    shard_servers[1].start()
    while sharded.shard_faults:
        await asyncio.sleep(0.01)
    assert 1 in {find_shard(job_id, 2) for job_id in await submit(sharded, 5)}
    assert None not in await sharded.read_many(there)


async def test_shard_that_refuses_connections_costs_no_submit(sharded, shard_servers):
    shard_servers[1].kill()  # before anything was sent to it
    ids = await submit(sharded, 10)
    assert {find_shard(job_id, 2) for job_id in ids} == {0}


@pytest.mark.parametrize("answer_seconds", [3.0])
async def test_submit_whose_answer_is_lost_is_not_tried_on_the_other_shard(sharded, shard_servers):
    await submit(sharded, 4)
    shard_servers[1].hang()
    answers = await asyncio.gather(
        *(sharded.submit(Submission("iris", DATA)) for _ in range(10)), return_exceptions=True
    )
    lost = [answer for answer in answers if isinstance(answer, RedisUnavailableError)]
    shard_servers[1].kill()
    with shard_servers[0].client() as client:
        accepted = client.llen("queue:iris")
    assert lost
    assert accepted == len([answer for answer in answers if isinstance(answer, str)]) + 2
    assert sharded.away_shards == [1]


async def test_shard_that_takes_no_jobs_is_spared_until_it_does(sharded, shard_servers):
    with shard_servers[1].client() as client:
        client.config_set("maxmemory", 1)
        answers = await asyncio.gather(
            *(sharded.submit(Submission("iris", DATA)) for _ in range(8)), return_exceptions=True
        )
        assert any(isinstance(answer, RedisUnavailableError) for answer in answers)
        assert {find_shard(job_id, 2) for job_id in await submit(sharded, 5)} == {0}
        assert sharded.away_shards == []
        client.config_set("maxmemory", 0)
    while sharded.shard_faults:
        await asyncio.sleep(0.01)
    assert 1 in {find_shard(job_id, 2) for job_id in await submit(sharded, 10)}


async def test_service_without_any_shard_says_so(sharded, shard_servers):
    for server in shard_servers:
        server.kill()
    with pytest.raises(RedisUnavailableError):
        await sharded.check_takes_jobs()
    with pytest.raises(RedisUnavailableError):
        await submit(sharded)
