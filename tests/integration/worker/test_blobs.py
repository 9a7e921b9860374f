"""A picture on its whole way through a service with a blob store: proxy, store, worker, store, proxy."""

import asyncio
import io

import numpy as np
import pytest

from inferq.settings import Settings
from tests.integration.proxy.serving import serving
from tests.onnx_models import write_large_copy
from tests.servers import wait_until

NPY = "application/x-npy"


@pytest.fixture
def settings(redis_url, tmp_path):
    return Settings(redis_url=redis_url, blob_store=(tmp_path / "blobs").as_uri(), blob_reserve_bytes=0)


@pytest.fixture
def files(tmp_path):
    return lambda: sorted(path.name.split(".")[1] for path in (tmp_path / "blobs").glob("??/*"))


@pytest.fixture
async def client(settings, start_worker, tmp_path):
    write_large_copy(tmp_path / "models" / "copy")
    chosen = {"blob_store": settings.blob_store, "models_dir": tmp_path / "models", "default_model": "copy"}
    worker = start_worker(**chosen, log_level="info")
    await worker.until_logged("worker_ready")
    with serving(settings) as proxy:
        async with proxy.client() as client:
            yield client


async def test_array_and_its_result_lie_in_the_store_and_come_back_whole(client, files, redis_client):
    array = np.arange(300_000, dtype=np.float32).reshape(1, -1)
    stored = io.BytesIO()
    np.save(stored, array)
    answer = await client.post(
        "/predict?model=copy",
        content=stored.getvalue(),
        headers={"content-type": NPY, "prefer": "wait=50"},
        timeout=60,
    )
    assert answer.status_code == 200, answer.text
    job = answer.json()
    path = f"/job/{job['job_id']}/result"
    assert job["status"] == "completed", job
    assert path in answer.text
    assert redis_client.strlen(f"job:{job['job_id']}:result") < 1024
    whole = await client.get(path, headers={"accept": NPY})
    assert np.array_equal(np.load(io.BytesIO(whole.content)), array)
    some = await client.get(path, headers={"accept": NPY, "range": "bytes=1000000-1000099"})
    assert (some.status_code, some.content) == (206, whole.content[1_000_000:1_000_100])
    await asyncio.to_thread(wait_until, lambda: files() == ["result"], what="the data's removal")
    assert (await client.delete(path)).status_code == 204
    assert files() == []


async def test_long_json_goes_the_same_way_and_is_answered_as_json(client, files):
    data = b"[[%b]]" % b",".join([b"1.5"] * 30_000)
    answer = await client.post(
        "/predict", content=b'{"data":%b}' % data, headers={"prefer": "wait=50"}, timeout=60
    )
    assert answer.json()["result"] == {"outputs": {"y": [[1.5] * 30_000]}}
    assert "result" in files()
