"""Results that a worker writes to where their requests ask for them, in a real bucket."""

import json

import httpx
import numpy as np
import pytest

from inferq.blobs import open_user_objects, user_objects
from inferq.queue.producer.submission import Submission
from inferq.settings import Settings
from tests.integration.proxy.serving import serving
from tests.integration.worker.processes import ended
from tests.servers import free_port
from tests.tensors import read_outputs
from tests.unit.tensors.arrays import save

ROWS = np.array([[5.1, 3.5, 1.4, 0.2]], "f4")


@pytest.fixture
def settings(redis_url, bucket_url):
    user_objects._open_bucket.cache_clear()
    yield Settings(redis_url=redis_url, output_allowed_buckets=f"{bucket_url}/results")
    user_objects._open_bucket.cache_clear()


@pytest.fixture
async def client(settings, start_worker):
    worker = start_worker(output_allowed_buckets=settings.output_allowed_buckets)
    await worker.until_logged("worker_ready")
    with serving(settings) as proxy:
        async with proxy.client() as client:
            yield client


async def predict(client, body=None, query="", **options):
    headers = {"prefer": "wait=50"} | options.pop("headers", {})
    answer = await client.post(f"/predict{query}", json=body, headers=headers, timeout=60, **options)
    return answer.status_code, answer.json()


async def test_result_is_written_before_the_job_completes_and_can_be_read_through_the_job(client, bucket_url):
    folder = f"{bucket_url}/results/"
    _, job = await predict(client, {"data": ROWS.tolist(), "output": folder})
    assert (job["status"], job["output"]) == ("completed", folder), job
    stored = bytes(open_user_objects().read(job["result"]["url"], 10_000))
    assert job["result"] == {
        "url": f"{folder}{job['job_id']}.json",
        "bytes": len(stored),
        "media_type": "application/json",
    }
    assert json.loads(stored)["class_name"] == "setosa"
    answer = await client.get(f"/job/{job['job_id']}/result")
    assert answer.status_code == 303
    async with httpx.AsyncClient() as outside:
        assert (await outside.get(answer.headers["location"])).content == stored

    headers = {"content-type": "application/x-npy"}
    query = f"?output={folder}arrays/"
    answer = await client.post(
        f"/predict{query}", content=save(ROWS), headers={"prefer": "wait=50"} | headers, timeout=60
    )
    result = answer.json()["result"]
    assert result["url"] == f"{folder}arrays/{answer.json()['job_id']}.inferq"
    assert read_outputs(bytes(open_user_objects().read(result["url"], 10_000)))["label"].tolist() == [0]
    form = {"features": ("x.npy", save(ROWS)), "options": (None, json.dumps({"output": folder}))}
    answer = await client.post("/predict", files=form, headers={"prefer": "wait=50"}, timeout=60)
    assert answer.json()["result"]["url"].startswith(folder)


async def test_what_may_not_be_written_fails_its_own_job_alone(
    settings, start_worker, producer, object_server
):
    allowed = {"output_allowed_buckets": settings.output_allowed_buckets}
    await start_worker(**allowed, environment=object_server.reading_environment).until_logged("worker_ready")
    data, folder = json.dumps(ROWS.tolist()).encode(), f"{settings.output_allowed_buckets}/"
    outputs = (folder, None, "s3://not-allowed/", f"{folder}a\n/")
    ids = [await producer.submit(Submission("iris", data, output=output)) for output in outputs]
    done = [await ended(producer, job_id) for job_id in ids]
    assert [(job.error_kind, job.attempts) for job in done] == [
        ("output-denied", 1), (None, 1), ("output-denied", 1), ("output-denied", 1)
    ]  # fmt: skip
    assert "refuses this process" in done[0].error
    assert "INFERQ_OUTPUT_ALLOWED_BUCKETS" in done[2].error
    assert "control character" in done[3].error


async def test_folder_that_is_not_allowed_is_refused_at_once(client, bucket_url):
    for output, words in [
        (f"{bucket_url}/other/", "INFERQ_OUTPUT_ALLOWED_BUCKETS"),
        (f"{bucket_url}/results", "folder"),
        ("https://example.com/", "s3://"),
        (f"{bucket_url}/results/../", "slashes"),
        (f"{bucket_url}/results/a\n/", "control character"),
        (f"{bucket_url}/results/{'a' * 900}/", "800 bytes"),
        (3, "folder"),
    ]:
        status, problem = await predict(client, {"data": ROWS.tolist(), "output": output})
        assert (status, words in problem["detail"]) == (422, True), problem


async def test_bucket_that_is_away_has_the_job_tried_again(settings, start_worker, producer, monkeypatch):
    folder = f"{settings.output_allowed_buckets}/"
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
    start_worker(output_allowed_buckets=settings.output_allowed_buckets, max_attempts=2)
    job_id = await producer.submit(Submission("iris", json.dumps(ROWS.tolist()).encode(), output=folder))
    job = await ended(producer, job_id, 100)
    assert (job.error_kind, job.attempts, job.output) == ("output-unavailable", 2, folder)
