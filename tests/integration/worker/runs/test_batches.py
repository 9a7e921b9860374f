"""Several jobs in one run: faster, and no job's end depends on the others in the batch."""

import asyncio
import shutil
from itertools import batched
from pathlib import Path

import numpy as np
import orjson
import pytest

from inferq.errors import ErrorKind
from inferq.jobs import Status
from inferq.models.repository.model_folder import load_model
from inferq.queue.producer.submission import Submission
from tests import onnx_models
from tests.integration.worker.processes import WorkerProcess, ended
from tests.models import predict
from tests.records import record
from tests.servers import wait_until

DATA = b"[[5.1,3.5,1.4,0.2]]"


async def results(producer, ids):
    return [orjson.loads((await ended(producer, job_id)).result) for job_id in ids]


async def submit_all(producer, model, datas):
    ids = []
    for some in batched(datas, 50, strict=False):
        ids += await asyncio.gather(*(producer.submit(Submission(model, data)) for data in some))
    return ids


async def test_waiting_jobs_share_runs_and_round_trips(start_worker, producer, redis_client):
    rows = [[[5.1 + i / 1000, 3.5, 1.4, 0.2]] * (1 + i % 3) for i in range(600)]
    ids = await submit_all(producer, "iris", [orjson.dumps(data) for data in rows])
    redis_client.config_resetstat()
    start_worker()
    # reads are scripts too: only those of the worker are counted
    await asyncio.to_thread(
        wait_until, lambda: redis_client.hget("queue:iris:counts", "completed") == b"600", what="all ends"
    )
    scripts = redis_client.info("commandstats")["cmdstat_evalsha"]["calls"]
    got = await results(producer, ids)
    iris = load_model(Path("models/iris"))
    for data, result in zip(rows, got, strict=True):
        expected = orjson.loads(predict(iris, orjson.dumps(data)))
        assert result["class_name"] == expected["class_name"]
        assert np.allclose(result["probabilities"], expected["probabilities"], atol=1e-6)
    assert scripts < 200


async def test_bad_row_fails_its_own_job_only(start_worker, producer, redis_client, tmp_path):
    onnx_models.write_failing_model(tmp_path / "table")
    good = await submit_all(producer, "table", [b"[1]"] * 10)
    bad = await producer.submit(Submission("table", b"[99]"))
    redis_client.set("job:text:data", '["x"]')
    redis_client.lpush("queue:table", "text")
    more = await submit_all(producer, "table", [b"[2, 0]"] * 10)
    start_worker(models_dir=tmp_path, max_attempts=1)
    assert await results(producer, good) == [{"outputs": {"entry": [20]}}] * 10
    assert await results(producer, more) == [{"outputs": {"entry": [30, 10]}}] * 10
    job = await ended(producer, bad)
    assert (job.status, job.error_kind, job.attempts) == (Status.FAILED, ErrorKind.MODEL_ERROR, 1)
    text = await ended(producer, "text")
    assert (text.status, text.error_kind) == (Status.FAILED, ErrorKind.INVALID_INPUT)


@pytest.mark.parametrize(
    ("write", "data"),
    [
        (onnx_models.write_fixed_batch, [[[i, 1, 2], [3, 4, 5]] for i in range(20)]),
        (onnx_models.write_softmax_over_rows, [[[i, 1, 2], [3, 4, 5]] for i in range(20)]),
        (onnx_models.write_mean_of_rows, [[[i, 1, 2], [3, 4, 5]] for i in range(20)]),
        (onnx_models.write_widths, [[[i] * (1 + i % 4)] * (1 + i % 2) for i in range(20)]),
        (onnx_models.write_text, [["a", f"b{i}"] for i in range(20)]),
        (onnx_models.write_half, [[[i, 1]] for i in range(20)]),
        (onnx_models.write_two_by_two, [{"count": [[i, 1, 2]], "price": [[1, 2, 3]]} for i in range(20)]),
        (onnx_models.write_centred, [[[i, 1, 2], [3, 4, 5]] for i in range(20)]),
        (onnx_models.write_products, [[[i, 1, 2]] for i in range(20)]),
        (onnx_models.write_recurrent, [[[[i, 1]], [[2, 3]]] for i in range(20)]),
        (onnx_models.write_zip_map, [[[i, 1]] * (i % 3) for i in range(20)]),
        (onnx_models.write_outlooks, [[[i, 1]] * (i % 3) for i in range(20)]),
        (onnx_models.write_split_rows, [[[i, 1]] * (i % 3) for i in range(20)]),
        (onnx_models.write_imputer, [[[i, None if i % 2 else "Infinity"]] * (i % 3) for i in range(20)]),
        (onnx_models.write_scaled, [{"x": [[i, 1]]} | ({"scale": [i]} if i % 2 else {}) for i in range(20)]),
        (onnx_models.write_decoder, [{"x": [[[i, 1]]], "past": [[[2, i]] * (i % 2)]} for i in range(20)]),
        (onnx_models.write_any_shape, [[i] * (i % 3) for i in range(20)]),
        (onnx_models.write_constant, [[], {}] * 10),
    ],
)
async def test_result_does_not_depend_on_the_jobs_beside_it(start_worker, producer, tmp_path, write, data):
    model = load_model(write(tmp_path / "m"))
    bodies = [orjson.dumps(one) for one in data]
    ids = await submit_all(producer, "m", bodies)
    start_worker(models_dir=tmp_path)
    assert await results(producer, ids) == [orjson.loads(predict(model, body)) for body in bodies]


async def test_model_that_says_so_runs_jobs_one_by_one(start_worker, producer, tmp_path):
    folder = onnx_models.write_alarm(tmp_path / "alarm")
    (folder / "model.toml").write_text("batch = false")
    ids = await submit_all(producer, "alarm", [b"[1]", b"[2000]"] * 20)
    start_worker(models_dir=tmp_path)
    assert await results(producer, ids) == [{"outputs": {"y": [1.0]}}, {"outputs": {"y": [2001.0]}}] * 20


async def test_model_that_made_up_values_keep_busy_is_served_all_the_same(start_worker, producer, tmp_path):
    folder = onnx_models.write_doubling(tmp_path / "doubling")
    (folder / "model.toml").write_text("example = [0.3]")
    job_id = await producer.submit(Submission("doubling", b"[0.75]"))
    start_worker(models_dir=tmp_path)
    assert await results(producer, [job_id]) == [{"outputs": {"y": [1.5]}}]


async def test_run_whose_jobs_are_all_cancelled_is_stopped(start_worker, producer, tmp_path):
    folder = onnx_models.write_slow_echo(tmp_path / "echo")
    (folder / "model.toml").write_text("batch = true")  # the graph has a ReduceMax over all rows
    ids = await submit_all(producer, "echo", [b"[100000000000]"] * 10)  # hours
    start_worker(models_dir=tmp_path)
    async with asyncio.timeout(60):
        while any([(await producer.read(job_id)).status is not Status.PROCESSING for job_id in ids]):
            await asyncio.sleep(0.02)
    await asyncio.gather(*(producer.cancel(job_id) for job_id in ids))
    job_id = await producer.submit(Submission("echo", b"[7]"))
    assert await results(producer, [job_id]) == [{"outputs": {"y": [7]}}]
    assert {(await producer.read(one)).error_kind for one in ids} == {ErrorKind.CANCELLED}


async def test_slow_jobs_are_spread_over_idle_workers(start_worker, producer):
    for worker in [start_worker(simulated_run_seconds=0.5) for _ in range(2)]:
        await worker.until_logged("worker_ready")
    ids = await submit_all(producer, "iris", [DATA] * 8)
    workers = [(await ended(producer, job_id)).history[-1].worker for job_id in ids]
    assert sorted(workers.count(worker) for worker in set(workers))[0] >= 2
    assert len(set(workers)) == 2


async def test_timed_out_batch_is_taken_apart(start_worker, producer, tmp_path):
    folder = onnx_models.write_slow_loop(tmp_path / "slow")
    (folder / "model.toml").write_text("batch = true")  # the graph has a ReduceMax over all rows
    quick = await submit_all(producer, "slow", [b"[2]"] * 5)
    slow = await producer.submit(Submission("slow", b"[2000000000]", timeout_seconds=0.3))
    start_worker(models_dir=tmp_path, max_attempts=1)
    for job_id in quick:
        assert (await ended(producer, job_id)).status is Status.COMPLETED
    assert (await ended(producer, slow)).error == "The job timed out after 0.3 s."


async def test_worker_told_to_stop_under_load_gives_back_what_it_has_not_begun(
    start_worker, producer, redis_client
):
    data = orjson.dumps([[5.1, 3.5, 1.4, 0.2]] * 400)  # all together take seconds
    ids = await submit_all(producer, "iris", [data] * 3000)
    worker = start_worker()
    while redis_client.llen("queue:iris") > 2500:
        await asyncio.sleep(0.001)
    code, log = worker.stop()
    assert code == 0, log
    jobs = await producer.read_many(ids)
    waiting = [job for job in jobs if job.status is Status.PENDING]
    assert {job.status for job in jobs} == {Status.PENDING, Status.COMPLETED}
    assert waiting
    assert {job.attempts for job in waiting} == {0}
    assert redis_client.zcard("queue:iris:leases") == 0
    order = [job_id.decode() for job_id in redis_client.lrange("queue:iris", 0, -1)][::-1]
    assert order == sorted(order, key=lambda job_id: int(record(redis_client, job_id)["sequence"]))
    assert set(order) == {job.id for job in waiting}


async def test_job_that_kills_its_worker_runs_alone_and_the_others_of_its_batch_complete(
    redis_url, producer, redis_client, tmp_path
):
    models = tmp_path / "models"
    shutil.copytree("models/iris", models / "iris")
    ids = await submit_all(producer, "iris", [DATA] * 5)
    killer = await producer.submit(Submission("iris", b"[[6.66,6.66,6.66,6.66]]"))
    ids += await submit_all(producer, "iris", [DATA] * 5)
    settings = {"lease_seconds": 1, "max_attempts": 2, "models_dir": models, "tally": tmp_path / "tally"}
    while not (await producer.read(killer)).status.is_final:
        worker = MortalWorker(redis_url, **settings)
        try:
            while worker.process.poll() is None and not (await producer.read(killer)).status.is_final:
                await asyncio.sleep(0.02)
        finally:
            worker.end()
    job = await producer.read(killer)
    assert (job.status, job.error_kind) == (Status.FAILED, ErrorKind.CRASHED)
    assert "at last alone" in job.error
    assert redis_client.zscore("queue:iris:dead", killer) is not None
    worker = MortalWorker(redis_url, **settings)
    try:
        for job_id in ids:
            assert (await ended(producer, job_id)).status is Status.COMPLETED
    finally:
        worker.end()


class MortalWorker(WorkerProcess):
    """A worker that dies of a certain job."""

    module = "tests.chaos.worker_entry"

    def __init__(self, url, *, tally, **settings):
        super().__init__(url, environment={"CHAOS_TALLY": str(tally)}, **settings)
