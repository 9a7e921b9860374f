"""Large jobs, run as chunks by several workers: real processes, which are killed meanwhile."""

import asyncio
import signal

import ml_dtypes
import numpy as np
import onnx
import orjson
import pytest

from inferq.jobs import Status
from inferq.models.repository.model_folder import load_model
from inferq.queue.inspection.workload import ModelLoad, read_workload
from inferq.queue.producer.submission import Submission
from inferq.tensors.envelope import is_reference, read_reference
from tests import onnx_models
from tests.integration.worker.processes import ended
from tests.servers import wait_until
from tests.tensors import make_envelope

ROWS, SPLIT_ROWS = 40, 4
NO_LOAD = ModelLoad({})
ROUNDS = 60_000
"""Of one run of the slow model: a quarter of a second, or more."""


@pytest.fixture
def blob_store(valkey_server, redis_server, tmp_path):
    """One kind of server with a store, the other one without."""
    return (tmp_path / "blobs").as_uri() if redis_server is valkey_server else ""


@pytest.fixture
def settings(settings, blob_store):
    return settings.model_copy(update={"blob_store": blob_store, "blob_bytes": 1024, "blob_reserve_bytes": 0})


@pytest.fixture
def models(tmp_path):
    onnx_models.write_two_by_two(tmp_path / "models" / "pair")
    folder = onnx_models.write_slow_echo(tmp_path / "models" / "slow")
    (folder / "model.toml").write_text("batch = true\n")
    return tmp_path / "models"


@pytest.fixture
def start(start_worker, settings, models):
    async def start_ready(**more):
        chosen = {"models_dir": models, "split_rows": SPLIT_ROWS, "blob_store": settings.blob_store}
        chosen |= {"blob_bytes": 1024, "log_level": "info", "model_threads": 1}
        worker = start_worker(**(chosen | more))
        await worker.until_logged("worker_ready")
        return worker

    return start_ready


def make_rows(count, rounds):
    return (np.arange(count) % 7 + rounds).astype(np.int64)


def find_left(redis_client):
    """What is in Redis of chunks."""
    kept = [key for key in redis_client.keys("job:*") if b"-chunk" in key]
    records = [job_id for job_id in redis_client.hkeys("jobs:records") if b"-chunk" in job_id]
    queues = [key for key in redis_client.keys("queue:*~chunks*") if key.count(b":") == 1]
    lists = sum(map(redis_client.llen, queues))
    return kept, records, lists, redis_client.hgetall("jobs:split")


NOTHING = ([], [], 0, {})


async def until_nothing_is_left(redis_client, tmp_path):
    """Waits until nothing is left of chunks, and no blob but those that keys of the job itself name."""
    await asyncio.to_thread(
        wait_until, lambda: find_left(redis_client) == NOTHING, what="the chunks' removal"
    )
    for counts_key in redis_client.keys("queue:*~chunks*:counts"):
        counts = redis_client.hgetall(counts_key)
        ended = sum(
            int(n) for name, n in counts.items() if name == b"completed" or name.startswith(b"failed|")
        )
        submitted = redis_client.get(counts_key.replace(b":counts", b":sequence"))
        assert (int(submitted), counts.get(b"lost")) == (ended, None), counts
    assert redis_client.hget("jobs:records", "|bytes") is None  # of data of jobs that have not ended
    named = {
        read_reference(stored).key.rpartition("/")[2]
        for key in redis_client.keys("job:*:*t*")
        if is_reference(stored := redis_client.get(key))
    }
    files = tmp_path / "blobs"
    await asyncio.to_thread(
        wait_until,
        lambda: {path.suffix[1:] for path in files.glob("??/*")} == named,
        what="the removal of blobs",
    )


async def read_result(producer, job):
    return job.result or await producer.large_results.read_part(job, 0)


async def until_chunks_run(redis_client, count=1):
    """Waits until so many workers run chunks, and one is done."""
    await asyncio.to_thread(
        wait_until,
        lambda: count_running(redis_client) >= count and count_completed(redis_client),
        what="the first chunk",
    )


def count_running(redis_client):
    return sum(map(redis_client.zcard, redis_client.keys("queue:slow@*~chunks*:leases")))


def count_completed(redis_client):
    counts = redis_client.keys("queue:slow@*~chunks*:counts")
    return sum(int(redis_client.hget(key, "completed") or 0) for key in counts)


async def test_results_of_large_jobs_are_those_of_one_run(producer, start, models, redis_client, tmp_path):
    worker = await start()
    arrays = {
        "count": np.arange(3 * ROWS).reshape(ROWS, 3),
        "price": np.arange(3 * ROWS).reshape(ROWS, 3) / 7,
    }
    json = orjson.dumps({name: array.tolist() for name, array in arrays.items()})
    model = load_model(models / "pair")

    for data in (json, make_envelope(arrays), make_envelope(arrays, ["is_free"])):
        job = await ended(producer, await producer.submit(Submission("pair", data)))

        assert job.status is Status.COMPLETED, job.error
        assert await read_result(producer, job) == model.predict_together([model.decode(data)])[0]
        await worker.until_logged("job_divided")
    await until_nothing_is_left(redis_client, tmp_path)


async def test_rest_of_a_large_job_asks_for_workers_until_it_is_done(producer, start):
    await start()
    rows = orjson.dumps(make_rows(80, ROUNDS).tolist())
    job_id = await producer.submit(Submission("slow", rows))
    asked = []
    async with asyncio.timeout(60):
        while not (await producer.read(job_id)).status.is_final:
            for claim in (await read_workload(producer.redis)).models.get("slow", NO_LOAD).claims:
                if claim.left_seconds and claim.left_chunks not in asked:
                    asked.append(claim.left_chunks)
            await asyncio.sleep(0.02)
    assert asked, "while it ran"
    assert asked == sorted(asked, reverse=True)
    assert max(asked) < 80 // SPLIT_ROWS


async def test_worker_that_is_killed_costs_its_chunk_only(producer, start, redis_client, tmp_path):
    """The large job, or a chunk of another's: which of them each has is left to chance."""
    workers = [await start(lease_seconds=1) for _ in range(3)]
    data = orjson.dumps(make_rows(120, ROUNDS).tolist())
    job_id = await producer.submit(Submission("slow", data))
    for worker in workers[:2]:
        await until_chunks_run(redis_client, 2)
        worker.process.kill()
    job = await ended(producer, job_id)

    assert job.status is Status.COMPLETED, job.error
    assert orjson.loads(await read_result(producer, job)) == {"outputs": {"y": orjson.loads(data)}}
    assert count_completed(redis_client) == 30
    assert workers[2].process.poll() is None
    await until_nothing_is_left(redis_client, tmp_path)


async def test_only_the_data_is_left_of_a_large_job_that_is_cancelled(
    producer, start, redis_client, tmp_path
):
    workers = [await start(), await start()]
    job_id = await producer.submit(Submission("slow", orjson.dumps(make_rows(4000, ROUNDS).tolist())))
    await until_chunks_run(redis_client, 2)
    await producer.cancel(job_id)

    await until_nothing_is_left(redis_client, tmp_path)
    await asyncio.to_thread(wait_until, lambda: not count_running(redis_client), what="the end of the runs")
    assert all(worker.process.poll() is None for worker in workers)


async def test_only_the_data_is_left_of_one_whose_time_is_up(producer, start, redis_client, tmp_path):
    await start(max_attempts=1)
    data = orjson.dumps(make_rows(4000, ROUNDS).tolist())
    job = await ended(producer, await producer.submit(Submission("slow", data, timeout_seconds=1)))

    assert (job.error_kind, job.error) == ("timed-out", "The job timed out after 1 s.")
    await until_nothing_is_left(redis_client, tmp_path)


async def test_worker_that_is_told_to_stop_leaves_the_job_to_the_next(
    producer, start, redis_client, tmp_path
):
    first = await start()
    data = orjson.dumps(make_rows(80, ROUNDS).tolist())
    job_id = await producer.submit(Submission("slow", data))
    await until_chunks_run(redis_client)
    code, _ = await asyncio.to_thread(first.stop, signal.SIGTERM)
    await start()
    job = await ended(producer, job_id)

    assert code == 0
    assert (job.status, job.attempts) == (Status.COMPLETED, 1)
    assert count_completed(redis_client) == 20
    await until_nothing_is_left(redis_client, tmp_path)


async def test_chunk_that_fails_for_good_fails_its_job_and_names_the_rows(
    producer, start, models, redis_client, tmp_path
):
    folder = onnx_models.write_labels(models / "labels")
    (folder / "model.toml").write_text('class_names = ["a", "b"]\nexample = [0, 1, 0, 1]\n')
    await start()
    labels = [0, 1] * 10 + [7] + [0, 1] * 10
    job = await ended(producer, await producer.submit(Submission("labels", orjson.dumps(labels))))

    assert (job.error_kind, job.attempts) == ("invalid-model", 1)
    assert job.error.startswith("Rows 18 to 21: The model answered with class 7"), job.error
    await until_nothing_is_left(redis_client, tmp_path)


async def test_job_whose_result_is_not_made_of_parts_is_run_as_a_whole_after_the_first_of_them(
    producer, start, models, redis_client, tmp_path
):
    onnx_models.write_casts(models / "casts", onnx_models.INT4)
    worker = await start()
    data = make_envelope(
        {"x": np.ones((ROWS, 3), np.float32), "code": np.full((ROWS, 3), -3, ml_dtypes.int4)}
    )
    job = await ended(producer, await producer.submit(Submission("casts", data)))

    assert job.status is Status.COMPLETED, job.error
    model = load_model(models / "casts")
    assert await read_result(producer, job) == model.predict_together([model.decode(data)])[0]
    await worker.until_logged("job_not_divided")
    [made] = redis_client.keys("queue:casts@*~chunks*:sequence")
    assert int(redis_client.get(made)) < ROWS // SPLIT_ROWS
    await until_nothing_is_left(redis_client, tmp_path)


def change_digest(file):
    model = onnx.load(file)
    model.doc_string = "the same again"
    onnx.save(model, file.with_name("written"))
    file.with_name("written").replace(file)


async def test_large_job_goes_on_with_the_version_that_is_replaced_meanwhile(
    producer, start, models, redis_client, tmp_path
):
    worker = await start(models_poll_seconds=0.1)
    data = orjson.dumps(make_rows(80, ROUNDS).tolist())
    job_id = await producer.submit(Submission("slow", data))
    await until_chunks_run(redis_client)
    began_on = (await producer.read(job_id)).made_by
    change_digest(models / "slow" / "model.onnx")
    await worker.until_logged("queue_draining")
    job = await ended(producer, job_id)

    assert (job.status, job.attempts, job.made_by) == (Status.COMPLETED, 1, began_on), job.error
    assert orjson.loads(await read_result(producer, job)) == {"outputs": {"y": orjson.loads(data)}}
    assert count_completed(redis_client) == 20
    await until_nothing_is_left(redis_client, tmp_path)


async def test_large_job_goes_on_with_the_file_of_its_version_that_is_replaced_meanwhile(
    producer, start, models, redis_client, tmp_path
):
    (models / "slow" / "1").mkdir()
    (models / "slow" / "model.onnx").rename(models / "slow" / "1" / "model.onnx")
    await start(models_poll_seconds=0.2)
    await start(models_poll_seconds=0.2)
    data = orjson.dumps(make_rows(240, ROUNDS).tolist())
    job_id = await producer.submit(Submission("slow", data))
    await until_chunks_run(redis_client)
    began_on = (await producer.read(job_id)).made_by
    change_digest(models / "slow" / "1" / "model.onnx")
    job = await ended(producer, job_id)

    assert (job.status, job.attempts, job.made_by) == (Status.COMPLETED, 1, began_on), job.error
    assert orjson.loads(await read_result(producer, job)) == {"outputs": {"y": orjson.loads(data)}}
    await until_nothing_is_left(redis_client, tmp_path)


async def test_large_job_begins_anew_where_only_another_version_is_left(
    producer, start, models, redis_client, tmp_path
):
    first = await start(lease_seconds=1)
    data = orjson.dumps(make_rows(120, ROUNDS).tolist())
    job_id = await producer.submit(Submission("slow", data))
    await until_chunks_run(redis_client)
    change_digest(models / "slow" / "model.onnx")
    first.process.kill()  # before it has done all, or seen the change
    await start(lease_seconds=1)
    job = await ended(producer, job_id)

    assert job.status is Status.COMPLETED, job.error
    assert orjson.loads(await read_result(producer, job)) == {"outputs": {"y": orjson.loads(data)}}
    assert len(redis_client.keys("queue:slow@*~chunks*:counts")) == 2
    await until_nothing_is_left(redis_client, tmp_path)
