"""Uploads: a file that is put first, and named by jobs after that."""

import os

import httpx
import numpy as np
import pytest

from inferq.blobs import make_upload_id
from inferq.settings import Settings
from tests.unit.tensors.arrays import save

ROWS = save(np.array([[5.1, 3.5, 1.4, 0.2]], "f4"))


@pytest.fixture
def settings(redis_url, tmp_path):
    store = (tmp_path / "blobs").as_uri()
    return Settings(redis_url=redis_url, blob_store=store, blob_reserve_bytes=0, max_input_bytes=3_000_000)


def list_files(tmp_path):
    return sorted(path.name for path in (tmp_path / "blobs").glob("??/*"))


async def test_file_is_put_into_the_folder_and_may_be_put_again(client, tmp_path):
    issued = (await client.post("/uploads")).json()
    assert issued["put"] == {"url": f"/uploads/{issued['id']}", "headers": {}, "expires_in": 86400.0}
    assert issued["reference"] == {"url": f"upload:{issued['id']}"}
    for content in (b"first", os.urandom(2_500_000)):
        answer = await client.put(issued["put"]["url"], content=content)
        assert (answer.status_code, answer.json()) == (
            201, {"reference": issued["reference"], "bytes": len(content)}
        )  # fmt: skip
        [name] = list_files(tmp_path)
        assert (tmp_path / "blobs" / name.rpartition(".")[2][:2] / name).read_bytes() == content


async def test_what_is_too_long_or_breaks_off_leaves_nothing(client, tmp_path):
    url = (await client.post("/uploads")).json()["put"]["url"]

    async def too_long():
        for _ in range(4):
            yield bytes(1_000_000)

    for content in (bytes(3_000_001), too_long()):
        answer = await client.put(url, content=content)
        assert answer.status_code == 413, answer.text
        assert "INFERQ_MAX_INPUT_BYTES" in answer.json()["detail"]
    answer = await client.put(url, content=ROWS, headers={"content-encoding": "gzip"})
    assert (answer.status_code, "without Content-Encoding" in answer.text) == (415, True)
    assert list_files(tmp_path) == []


async def test_only_what_was_issued_to_the_key_is_taken(client):
    for upload_id in ("x", f"{'0' * 32}-00000000", make_upload_id("another")):
        answer = await client.put(f"/uploads/{upload_id}", content=b"x")
        assert answer.status_code == 404


async def test_upload_of_another_key_cannot_be_named(client, consumer, announced):
    answer = await client.post("/predict", json={"data": {"url": f"upload:{make_upload_id('another')}"}})
    assert (answer.status_code, "no upload of yours" in answer.text) == (422, True)


async def test_without_a_blob_store_it_is_said_what_to_set(make_client, redis_url, announced):
    client = await make_client(Settings(redis_url=redis_url))
    answer = await client.post("/uploads")
    assert (answer.status_code, answer.json()["type"].rpartition(":")[2]) == (501, "no-blob-store")
    assert "INFERQ_BLOB_STORE" in answer.json()["detail"]
    answer = await client.post("/predict", json={"data": {"url": f"upload:{make_upload_id('')}"}})
    assert (answer.status_code, "INFERQ_BLOB_STORE" in answer.text) == (422, True)


async def test_bucket_takes_the_file_itself(make_client, redis_url, bucket_url):
    client = await make_client(Settings(redis_url=redis_url, blob_store=bucket_url))
    issued = (await client.post("/uploads")).json()
    async with httpx.AsyncClient(timeout=60) as outside:
        answer = await outside.put(issued["put"]["url"], content=ROWS, headers=issued["put"]["headers"])
    assert answer.status_code == 200, answer.text
    assert (await client.put(f"/uploads/{issued['id']}", content=b"x")).status_code == 404


@pytest.mark.usefixtures("announced")
async def test_files_and_outputs_may_be_named_while_no_worker_lives(make_client, settings):
    allowed = {"input_allowed_hosts": "example.com", "output_allowed_buckets": "s3://results"}
    client = await make_client(settings.model_copy(update=allowed))
    for body in (
        {"data": {"url": "https://example.com/x.npy"}},
        {"data": [[1, 2, 3, 4]], "output": "s3://results/"},
    ):
        answer = await client.post("/predict", json=body)
        assert answer.status_code == 202, answer.text
