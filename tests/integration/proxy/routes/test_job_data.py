"""GET /job/{job_id}/data."""

import json

import httpx
import pytest

from inferq.jobs import Outcome
from inferq.queue.inspection import job_data as module
from tests.integration.proxy.answers import DATA, expect_problem
from tests.integration.proxy.http.test_auth import ANN, BEN, bearer, entry
from tests.integration.proxy.routes.test_jobs import failed, submit


async def test_data_is_what_was_posted_and_no_browser_takes_it_for_a_page(client, announced):
    job_id = await submit(client)
    answer = await client.get(f"/job/{job_id}/data")
    assert (answer.status_code, answer.json()) == (200, DATA["data"])
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["content-length"] == str(len(answer.content))
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-disposition"] == f'attachment; filename="{job_id}.json"'


async def test_data_of_a_failed_job_is_kept_and_that_of_a_completed_one_is_not(client, announced, consumer):
    [bad] = await failed(client, consumer)
    assert (await client.get(f"/job/{bad}/data")).status_code == 200
    done = await submit(client)
    consumer.finish([Outcome(job, result=b"1") for job in consumer.claim(1)])
    detail = expect_problem(await client.get(f"/job/{done}/data"), 404, "job-not-found")
    assert "when a job completes" in detail


@pytest.mark.parametrize(
    ("stored", "media_type", "suffix"),
    [
        (b"<html><script>alert(1)</script>", "application/json", "json"),
        (b"\x93NUMPY\x01", "application/x-npy", "npy"),
        (b"\x89PNG\r\n", "image/png", "png"),
    ],
)
async def test_data_from_outside_is_sent_as_what_its_first_bytes_say(
    client, redis_client, stored, media_type, suffix
):
    redis_client.set("job:a/b ü:data", stored)
    answer = await client.get("/job/a%2Fb%20%C3%BC/data")
    assert (answer.content, answer.headers["content-type"]) == (stored, media_type)
    assert answer.headers["content-disposition"] == f'attachment; filename="a_b__.{suffix}"'


async def test_long_data_is_sent_in_parts_and_cut_where_it_goes_away(proxy, redis_client):
    text = json.dumps(["x" * 1000] * 1000).encode()
    redis_client.set("job:outside:data", text)
    async with proxy.client() as client:
        assert (await client.get("/job/outside/data")).content == text

        async def read_until_it_goes():
            async with client.stream("GET", "/job/outside/data") as answer:
                async for _ in answer.aiter_raw(module.PART_BYTES):
                    redis_client.delete("job:outside:data")

        redis_client.set("job:outside:data", b" " * 64 * 1024 * 1024)
        with pytest.raises(httpx.RemoteProtocolError):
            await read_until_it_goes()


async def test_data_of_another_key_or_of_no_job_is_not_found(settings, announced, make_client):
    keys = ",".join([entry("ann", ANN), entry("ben", BEN)])
    client = await make_client(settings.model_copy(update={"api_keys": keys}))
    job_id = (await client.post("/predict", json=DATA, headers=bearer(ANN))).json()["job_id"]
    assert (await client.get(f"/job/{job_id}/data", headers=bearer(ANN))).status_code == 200
    for path in (f"/job/{job_id}/data", "/job/nosuch/data"):
        expect_problem(await client.get(path, headers=bearer(BEN)), 404, "job-not-found")
