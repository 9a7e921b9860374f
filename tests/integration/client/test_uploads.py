"""Files that are sent once, and named by jobs: with the Python client and on the command line."""

import subprocess
import sys

import httpx
import numpy as np
import pytest

import inferq
from inferq.blobs import make_upload_id
from inferq.settings import Settings
from tests.integration.proxy.serving import serving
from tests.integration.worker.processes import WorkerProcess
from tests.servers import wait_until

ROWS = np.array([[5.1, 3.5, 1.4, 0.2], [6.3, 3.3, 6.0, 2.5]], "f4")
NAMES = ["setosa", "virginica"]


def takes_uploads(url):
    body = {"data": {"url": f"upload:{make_upload_id('')}"}}
    return httpx.post(f"{url}/predict", json=body).status_code == 202


@pytest.fixture(params=["folder", "bucket"])
def url(request, redis_url, tmp_path):
    """A service with a blob store of this kind."""
    is_bucket = request.param == "bucket"
    store = request.getfixturevalue("bucket_url") if is_bucket else (tmp_path / "blobs").as_uri()
    worker = WorkerProcess(redis_url, blob_store=store)
    try:
        with serving(Settings(redis_url=redis_url, blob_store=store, blob_reserve_bytes=0)) as proxy:
            url = f"http://127.0.0.1:{proxy.port}"
            wait_until(lambda: takes_uploads(url), 60, "the worker")
            yield url
    finally:
        worker.end()


async def test_upload_is_named_by_any_number_of_jobs(url, tmp_path):
    np.save(tmp_path / "rows.npy", ROWS)
    with inferq.Client(url) as client:
        reference = client.upload(tmp_path / "rows.npy")
        raw = {**client.upload(ROWS.tobytes()), "datatype": "FP32", "shape": [2, 4]}
        for data in (reference, {"features": reference}, raw):
            assert client.predict(data)["class_name"] == NAMES
        with pytest.raises(inferq.JobFailedError, match="none was PUT"):
            client.predict({"url": f"upload:{make_upload_id('')}"})
    async with inferq.AsyncClient(url) as client:
        reference = await client.upload(tmp_path / "rows.npy")
        assert (await client.predict(reference))["class_name"] == NAMES


def test_command_line_uploads_files_first(url, tmp_path):
    np.save(tmp_path / "rows.npy", ROWS)

    def run(*arguments):
        return subprocess.run(
            [sys.executable, "-m", "inferq", "predict", *map(str, arguments), "--url", url],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    shown = run(tmp_path / "rows.npy", "--upload")
    assert (shown.returncode, "virginica" in shown.stdout) == (0, True), shown
    refused = run("[[1, 2, 3, 4]]", "--upload")
    assert (refused.returncode, "--upload is for" in refused.stderr) == (1, True), refused
