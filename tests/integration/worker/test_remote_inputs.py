"""Data that names files, on its whole way: checked by the proxy, fetched by a worker, and run."""

import asyncio
from base64 import b64encode
from pathlib import Path

import numpy as np
import pytest

from inferq.errors import ErrorKind
from inferq.jobs import Status
from inferq.settings import Settings
from tests.file_hosts import FileHost
from tests.integration.proxy.serving import serving
from tests.integration.worker.processes import ended
from tests.onnx_models import write_two_by_two
from tests.picture_models import write_color_mean
from tests.pictures import encode, make_gradient
from tests.records import change_record, record, turn_clock
from tests.unit.tensors.arrays import save

IRIS = Path(__file__).parents[3] / "models/iris"
ROWS = np.array([[5.1, 3.5, 1.4, 0.2], [6.5, 3.0, 5.5, 1.8]], "f4")


@pytest.fixture
def host():
    host = FileHost(
        rows=save(ROWS),
        raw=ROWS.tobytes(),
        other=save(ROWS[:, :3]),
        picture=encode(make_gradient(4, 4)),
        prices=save(np.full((1, 3), 0.5)),
        text=b"hello",
    )
    yield host
    host.close()


@pytest.fixture
def settings(redis_url):
    return Settings(
        redis_url=redis_url, input_allowed_hosts="127.0.0.1,localhost", input_private_addresses=True
    )


@pytest.fixture
async def worker(start_worker, tmp_path, request):
    (tmp_path / "iris").symlink_to(IRIS)
    write_two_by_two(tmp_path / "two")
    write_color_mean(tmp_path / "mean")
    (tmp_path / "mean/model.toml").write_text(
        '[image]\nresize = "none"\nscale = 1\nmean = [0, 0, 0]\nstd = [1, 1, 1]\n'
    )
    worker = start_worker(
        models_dir=tmp_path,
        input_allowed_hosts="127.0.0.1,localhost",
        input_private_addresses="true",
        input_timeout_seconds=getattr(request, "param", 600),
    )
    await worker.until_logged("worker_ready")
    return worker


@pytest.fixture
async def client(settings, worker):
    with serving(settings) as proxy:
        async with proxy.client() as client:
            yield client


async def predict(client, body, path="/predict"):
    answer = await client.post(path, json=body, headers={"prefer": "wait=50"}, timeout=60)
    return answer.status_code, answer.json()


async def test_array_is_fetched_in_every_way_in_which_it_may_be_named(client, host):
    raw = {"url": host.url("raw"), "datatype": "FP32", "shape": [2, 4]}
    bodies = [
        {"data": {"url": host.url("rows")}},
        {"data": raw},
        {"data": {"features": {"url": host.url("rows")}}},
        {"data": {"url": "data:application/x-npy;base64," + b64encode(save(ROWS)).decode()}},
    ]
    for body in bodies:
        status, job = await predict(client, body)
        assert (status, job["status"]) == (200, "completed"), job
        assert job["result"]["class_name"] == ["setosa", "virginica"], job
    form = {"features": (None, f'{{"url": "{host.url("rows")}"}}', "application/json")}
    answer = await client.post("/predict", files=form, headers={"prefer": "wait=50"}, timeout=60)
    assert answer.json()["status"] == "completed", answer.text
    tensor = {"name": "features", "datatype": "FP32", "shape": [2, 4], "parameters": {"url": host.url("raw")}}
    status, answer = await predict(client, {"inputs": [tensor]}, "/v2/models/iris/infer")
    assert status == 200, answer
    assert answer["outputs"][0]["data"] == [0, 2]


@pytest.mark.parametrize("worker", [4], indirect=True)
async def test_one_bad_file_fails_its_own_job_alone(client, host, producer):
    files = ["rows", "missing", "other", "text", "again/rows", "slow"]
    jobs = [{"data": {"url": host.url(path)}} for path in files] + [{"data": ROWS.tolist()}]
    answer = await client.post("/predict/batch", json={"jobs": jobs})
    assert answer.status_code == 202, answer.text
    done = [await ended(producer, job_id) for job_id in answer.json()["job_ids"]]
    assert [job.error_kind for job in done] == [
        *(None, "input-not-found", "invalid-input", "invalid-input", None, "input-unavailable", None)
    ]
    assert [job.attempts for job in done] == [1, 1, 1, 1, 2, 3, 1]
    assert done[1].error == "data: There is no such file: 127.0.0.1 answered 404."
    assert "has the shape [2, 3]" in done[2].error
    assert "data is a file of an unknown type" in done[3].error
    assert "INFERQ_INPUT_TIMEOUT_SECONDS" in done[5].error


async def submit(client, *datas):
    answer = await client.post("/predict/batch", json={"jobs": [{"data": data} for data in datas]})
    assert answer.status_code == 202, answer.text
    return answer.json()["job_ids"]


async def test_host_that_hangs_holds_up_no_other_jobs(client, host, producer):
    ids = await submit(client, *[{"url": host.url("late/rows")}] * 10)
    await until_called(host, 6)
    for _ in range(3):
        [quick] = await submit(client, ROWS.tolist())
        assert (await ended(producer, quick)).status is Status.COMPLETED
    [other] = await submit(client, {"url": host.url("rows").replace("127.0.0.1", "localhost")})
    assert (await ended(producer, other)).error_kind is None, "another host"
    assert {(await producer.read(job_id)).status for job_id in ids} == {Status.PROCESSING}
    assert len(host.calls) == 7
    host.release.set()
    done = [await ended(producer, job_id) for job_id in ids]
    assert {(job.status, job.attempts) for job in done} == {(Status.COMPLETED, 1)}


async def test_job_that_is_cancelled_while_its_file_is_awaited_makes_room(client, host, producer, worker):
    ids = await submit(client, *[{"url": host.url("late/rows")}] * 6)
    await until_called(host, 6)
    await producer.cancel(ids[2])
    assert (await ended(producer, ids[2])).error_kind is ErrorKind.CANCELLED
    [seventh] = await submit(client, {"url": host.url("rows")})
    assert (await ended(producer, seventh)).status is Status.COMPLETED
    host.release.set()
    for job_id in {*ids} - {ids[2]}:
        assert (await ended(producer, job_id)).status is Status.COMPLETED
    code, log = worker.stop()
    assert (code, log.count("lease_not_renewed")) == (0, 1)


async def test_worker_told_to_stop_leaves_what_awaits_files_to_others(client, host, producer, worker):
    ids = await submit(client, *[{"url": host.url("late/rows")}] * 8)
    await until_called(host, 6)
    assert worker.stop()[0] == 0
    jobs = [await producer.read(job_id) for job_id in ids]
    assert {(job.status, job.attempts) for job in jobs} == {(Status.PENDING, 0)}


async def test_jobs_that_wait_at_a_worker_that_is_killed_hold_no_other_one(
    client, host, producer, worker, start_worker, redis_client
):
    ids = await submit(client, *[{"url": host.url("late/rows")}] * 8)
    await until_called(host, 6)
    await until_noted_waiting(redis_client, ids)
    worker.process.kill()
    worker.process.wait()
    turn_clock(redis_client, Settings().lease_seconds + 1)
    start_fetching(start_worker)
    await until_called(host, 12)
    for _ in range(3):
        [quick] = await submit(client, ROWS.tolist())
        assert (await ended(producer, quick)).status is Status.COMPLETED
    assert not any(record(redis_client, job_id).get("alone") for job_id in ids)
    host.release.set()
    done = [await ended(producer, job_id) for job_id in ids]
    assert {(job.status, job.attempts) for job in done} == {(Status.COMPLETED, 2)}


async def test_job_that_must_run_alone_holds_no_other_while_it_waits(
    client, host, producer, worker, start_worker, redis_client
):
    worker.process.kill()
    worker.process.wait()
    [alone] = await submit(client, {"url": host.url("late/rows")})
    [plain] = await submit(client, ROWS.tolist())
    for job_id in (alone, plain):
        change_record(redis_client, job_id, alone="1")
    start_fetching(start_worker)
    await until_called(host, 1)
    assert (await ended(producer, plain)).status is Status.COMPLETED
    assert record(redis_client, alone).get("awaits_files"), "noted before another one ran"
    job_ids = await submit(client, *[ROWS.tolist()] * 3)
    for job_id in job_ids:
        assert (await ended(producer, job_id)).status is Status.COMPLETED
    assert (await producer.read(alone)).status is Status.PROCESSING
    host.release.set()
    assert (await ended(producer, alone)).status is Status.COMPLETED


def start_fetching(start_worker):
    """Another worker that fetches from this machine."""
    return start_worker(
        models_dir=IRIS.parent,
        input_allowed_hosts="127.0.0.1",
        input_private_addresses="true",
        input_timeout_seconds=600,
    )


async def until_noted_waiting(redis_client, job_ids):
    async with asyncio.timeout(60):
        while not all(record(redis_client, job_id).get("awaits_files") for job_id in job_ids):
            await asyncio.sleep(0.01)


async def until_called(host, count):
    async with asyncio.timeout(60):
        while len(host.calls) < count:
            await asyncio.sleep(0.01)


REFUSED = [
    ({"url": "https://example.com/x.npy"}, "data: url names a host that is not allowed"),
    ({"features": {"url": "ftp://127.0.0.1/x"}}, 'data["features"]: url must begin with https://'),
    ({"url": "http://127.0.0.1/x", "datatype": "FP32", "shape": [2, 3]}, "data has the shape [2, 3]"),
    ({"url": "http://127.0.0.1/x", "datatype": "FP64", "shape": [2, 4]}, "FP64"),
    ({"url": "http://127.0.0.1/x", "datatype": "FP32"}, "shape"),
    ({"url": "data:;base64,????"}, "not base64"),
]


async def test_what_may_not_be_named_is_refused_at_once(client):
    for data, words in REFUSED:
        status, problem = await predict(client, {"data": data})
        assert status == 422, problem
        assert words in problem["detail"]


async def test_picture_and_one_of_several_inputs_are_fetched(client, host):
    _, job = await predict(client, {"model": "mean", "data": {"url": host.url("picture")}})
    assert job["status"] == "completed", job
    assert job["result"]["outputs"]["logits"] == [[pytest.approx(1.5), pytest.approx(1.5), 200]]
    data = {"count": [[1, 2, 3]], "price": {"url": host.url("prices")}}
    _, job = await predict(client, {"model": "two", "data": data})
    assert job["result"]["outputs"]["total"] == [[0.5, 1, 1.5]]
    data["count"] *= 2
    _, job = await predict(client, {"model": "two", "data": data})
    assert "same number of rows" in job["error"]
