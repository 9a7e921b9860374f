"""The Python client against a whole service."""

import json
import os
import subprocess
import sys

import numpy as np
import pandas
import polars
import pyarrow
import pytest

import inferq
from inferq.errors import BodyTooLargeError, IdempotencyConflictError, JobStateError, NotAcceptableError
from tests.integration.conftest import is_healthy
from tests.servers import free_port, wait_until

ROW = [5.1, 3.5, 1.4, 0.2]
FLOWERS = [[5.1, 3.5, 1.4, 0.2], [6.3, 3.3, 6.0, 2.5]]


@pytest.fixture
def client(service):
    with inferq.Client(service) as client:
        yield client


@pytest.fixture
async def async_client(service):
    async with inferq.AsyncClient(service) as client:
        yield client


def test_submit_returns_a_job_whose_result_can_be_waited_for(client):
    job = client.submit([ROW])
    assert job.result(timeout=60)["class_name"] == "setosa"
    assert (job.status, job.has_ended, job.model, job.attempts) == ("completed", True, "iris", 1)
    assert job.model_version == client.model("iris")["version"]
    assert repr(job) == f"<Job {job.id} completed>"
    assert client.job(job.id).view == job.view


def test_request_has_the_id_that_the_caller_chose_and_so_has_its_job(client):
    job = client.submit([ROW], request_id="order/17")
    job.wait(timeout=60)
    assert job.request_id == "order/17"
    assert [job.refresh().request_id for job in client.submit_many([[ROW]] * 2, request_id="batch")] == [
        "batch"
    ] * 2
    assert client.submit([ROW]).refresh().request_id
    with pytest.raises(inferq.InvalidInputError, match="A request id must be"):
        client.submit([ROW], request_id="a b")
    with pytest.raises(inferq.UnknownModelError) as refused:
        client.submit([ROW], model="nosuch", request_id="order/18")
    assert refused.value.request_id == "order/18"


def test_predict_returns_the_result(client):
    assert client.predict(FLOWERS, priority="high")["class_name"] == ["setosa", "virginica"]


def test_arrays_are_accepted(client):
    assert client.predict(np.array(FLOWERS, dtype=np.float32))["prediction"] == [0, 2]
    assert client.predict({"features": np.array(FLOWERS)})["prediction"] == [0, 2]


NAMES = ["sepal length (cm)", "sepal width (cm)", "petal length (cm)", "petal width (cm)"]
FRAMES = {
    "pandas": lambda rows: pandas.DataFrame(rows, columns=NAMES)[NAMES[::-1]],
    "polars": lambda rows: polars.DataFrame(rows, schema=NAMES, orient="row")[NAMES[::-1]],
    "pyarrow": lambda rows: pyarrow.table(
        dict(zip(NAMES, map(list, zip(*rows, strict=True)), strict=True))
    ).select(NAMES[::-1]),
}


@pytest.mark.parametrize("form", FRAMES)
async def test_columns_of_a_frame_go_by_name_wherever_data_is_taken(client, async_client, form):
    frame = FRAMES[form]
    flowers = frame(FLOWERS)
    assert client.predict(flowers)["prediction"] == [0, 2]
    assert client.submit(flowers, model="iris").result(60)["prediction"] == [0, 2]
    one_by_one = [frame([row]) for row in FLOWERS]
    assert [job.result(60)["prediction"] for job in client.submit_many(one_by_one)] == [0, 2]
    assert [result["prediction"] for result in client.map(one_by_one)] == [0, 2]
    assert (await async_client.predict(flowers))["prediction"] == [0, 2]
    assert [result["prediction"] async for result in async_client.map(one_by_one)] == [0, 2]
    [job] = await async_client.submit_many([flowers])
    assert (await job.result(60))["prediction"] == [0, 2]
    with pytest.raises(inferq.InvalidInputError, match=r"Missing: 'petal width \(cm\)'"):
        client.predict(flowers.select(NAMES[:3]) if form != "pandas" else flowers[NAMES[:3]])
    with pytest.raises(inferq.InvalidInputError, match="items must be"):
        client.submit_many(flowers)


def test_many_jobs_are_submitted_at_once(client):
    jobs = client.submit_many([[row] for row in FLOWERS * 50])
    assert len({job.id for job in jobs}) == 100
    assert [job.result(60)["prediction"] for job in jobs] == [0, 2] * 50


def test_map_yields_results_in_order(client):
    rows = ([row] for row in FLOWERS * 300)
    results = list(client.map(rows, batch_size=50, progress=True))
    assert [result["prediction"] for result in results] == [0, 2] * 300


def test_watch_yields_the_end(client):
    *_, last = client.submit([ROW]).watch()
    assert last.status == "completed"
    assert last.view["result"]["class_name"] == "setosa"


def test_jobs_are_listed(client):
    ids = {client.submit([ROW]).wait(60).id for _ in range(3)}
    assert ids <= {job.id for job in client.jobs(status="completed", model="iris")}


def test_jobs_are_found_grouped_and_changed_by_what_they_have(client):
    job = client.submit([ROW]).wait(60)
    assert [one.id for one in client.jobs(id_prefix=job.id)] == [job.id]
    assert list(client.jobs(model="iris", error="nosuch")) == []
    assert client.job_errors(error="nosuch") == {"groups": [], "is_complete": True}
    report = {"matched": 1, "changed": 0, "skipped": 0, "skipped_by_kind": {}}
    assert client.change_jobs("delete", dry_run=True, id_prefix=job.id) == report
    assert client.change_jobs("delete", id_prefix=job.id) == report | {"changed": 1}
    with pytest.raises(inferq.JobNotFoundError):
        client.job(job.id)
    with pytest.raises(inferq.InvalidInputError, match="at least one member"):
        client.change_jobs("delete")


def test_models_queue_and_health(client):
    assert client.models() == ["iris"]
    assert client.default_model() == "iris"
    assert client.model("iris")["inputs"][0]["datatype"] == "FP32"
    assert client.queue()["models"]["iris"]["workers"] == 1
    assert client.health()["status"] == "healthy"
    assert client.cancel_waiting("nosuch") == 0


def test_refusals_are_typed_and_carry_the_problem(client):
    with pytest.raises(inferq.InvalidInputError, match="expects 4") as caught:
        client.submit([[1, 2, 3]])
    assert caught.value.problem["status"] == 422
    with pytest.raises(inferq.UnknownModelError):
        client.submit([ROW], model="nosuch")
    with pytest.raises(inferq.UnknownModelError):
        client.model("nosuch")
    with pytest.raises(inferq.JobNotFoundError):
        client.job("nosuch")
    with pytest.raises(inferq.InvalidInputError, match="ASCII"):
        client.submit([ROW], idempotency_key="schlüssel")


def test_ended_job_can_be_neither_cancelled_nor_tried_again(client):
    job = client.submit([ROW]).wait(60)
    with pytest.raises(JobStateError):
        job.cancel()
    with pytest.raises(JobStateError):
        job.retry()


def test_own_key_makes_a_repeated_submit_one_job(client):
    first = client.submit([ROW], idempotency_key="a-key")
    assert client.submit([ROW], idempotency_key="a-key").id == first.id
    with pytest.raises(IdempotencyConflictError):
        client.submit(FLOWERS, idempotency_key="a-key")


async def test_asynchronous_client_does_the_same(async_client):
    job = await async_client.submit([ROW])
    assert (await job.result(60))["class_name"] == "setosa"
    assert repr(job) == f"<AsyncJob {job.id} completed>"
    assert (await async_client.predict(FLOWERS))["prediction"] == [0, 2]
    results = [one["prediction"] async for one in async_client.map([[row] for row in FLOWERS * 20])]
    assert results == [0, 2] * 20
    states = [one.status async for one in (await async_client.submit([ROW])).watch()]
    assert states[-1] == "completed"
    assert [one async for one in async_client.jobs(status="completed")]
    assert [one.id async for one in async_client.jobs(id_prefix=job.id)] == [job.id]
    assert (await async_client.job_errors(error="nosuch"))["groups"] == []
    assert (await async_client.change_jobs("retry", id_prefix=job.id))["matched"] == 0
    assert await async_client.models() == ["iris"]
    assert await async_client.cancel_waiting("nosuch") == 0
    with pytest.raises(inferq.JobNotFoundError):
        await async_client.job("nosuch")


@pytest.fixture
def narrow_service(service, redis_server):
    """Another proxy of the same service, which takes short requests only."""
    port = free_port()
    environment = os.environ | {"INFERQ_REDIS_URL": redis_server.url, "INFERQ_MAX_BODY_BYTES": "2000"}
    proxy = subprocess.Popen([sys.executable, "-m", "inferq", "proxy", "--port", str(port)], env=environment)
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until(lambda: is_healthy(url), what="the proxy")
        yield url
    finally:
        proxy.terminate()
        proxy.wait(60)


async def test_jobs_are_split_where_the_service_takes_shorter_requests(narrow_service):
    items = [[row] for row in FLOWERS * 50]
    with inferq.Client(narrow_service) as client:
        assert [result["prediction"] for result in client.map(items)] == [0, 2] * 50
        assert client.cache.largest_body_bytes <= 2000
        assert len(client.submit_many(items)) == 100
        with pytest.raises(BodyTooLargeError):
            client.submit([ROW] * 200)
    async with inferq.AsyncClient(narrow_service) as client:
        assert [result["prediction"] async for result in client.map(items)] == [0, 2] * 50


async def test_result_can_be_had_as_arrays_and_as_files(client, async_client, tmp_path):
    flowers = np.array(FLOWERS, dtype="f4")
    job = client.submit(flowers)
    assert job.result(60)["class_name"] == ["setosa", "virginica"]
    arrays = job.result_arrays()
    [probabilities] = [array for array in arrays.values() if array.dtype == np.float32]
    assert probabilities.shape == (2, 3)
    probabilities *= 2
    assert client.predict(flowers, as_arrays=True).keys() == arrays.keys()
    assert (await async_client.predict(flowers, as_arrays=True)).keys() == arrays.keys()
    for listed in (FLOWERS, {"features": FLOWERS}, pandas.DataFrame(FLOWERS)):
        assert client.predict(listed, as_arrays=True).keys() == arrays.keys()
    assert (await async_client.predict(FLOWERS, as_arrays=True)).keys() == arrays.keys()
    job.save_result(tmp_path / "all.npz")
    with np.load(tmp_path / "all.npz") as archive:
        assert set(archive) == arrays.keys()
    name = next(iter(arrays))
    await (await async_client.job(job.id)).save_result(tmp_path / "one.npy", output=name)
    assert np.array_equal(np.load(tmp_path / "one.npy"), client.job(job.id).result_arrays()[name])
    job.save_result(tmp_path / "all.json")
    assert json.loads((tmp_path / "all.json").read_text()) == job.result()


def test_result_that_cannot_be_saved_leaves_nothing_behind(client, tmp_path):
    job = client.submit([ROW])
    with pytest.raises(NotAcceptableError, match="has labels"):
        job.save_result(tmp_path / "a.npz", timeout=60)
    with pytest.raises(inferq.InvalidInputError, match="must end in one of"):
        job.save_result(tmp_path / "a.txt")
    with pytest.raises(inferq.InvalidInputError, match="cannot be written: No such file"):
        job.save_result(tmp_path / "missing/a.json")
    (tmp_path / "folder.json").mkdir()
    with pytest.raises(inferq.InvalidInputError, match="cannot be written"):
        job.save_result(tmp_path / "folder.json")
    assert [path.name for path in tmp_path.iterdir()] == ["folder.json"]


async def test_files_are_sent_as_they_are(client, async_client, tmp_path):
    path = tmp_path / "rows.npy"
    np.save(path, np.array(FLOWERS, dtype="f4"))
    assert client.predict(path, priority="high")["prediction"] == [0, 2]
    assert (await async_client.predict(path))["prediction"] == [0, 2]
    assert client.predict(path.read_bytes(), model="iris", timeout=60.0)["prediction"] == [0, 2]
    assert [result["prediction"] for result in client.map([path] * 3)] == [[0, 2]] * 3
    first = client.submit(path, idempotency_key="of-a-file")
    assert client.submit(path, idempotency_key="of-a-file").id == first.id
