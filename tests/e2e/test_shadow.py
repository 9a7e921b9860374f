"""A candidate beside the version that serves: a proxy, two workers, and one of these killed in between."""

import asyncio
import signal
from collections import Counter

import httpx
import pytest

from tests.e2e.processes import wait_until_healthy
from tests.onnx_models import write_ramp
from tests.servers import free_port

JOBS = 80
BENT = 10
"""Above this the candidate gives other values."""


async def read_all(client, **wanted):
    """All jobs of a list, by their ids."""
    found, cursor = {}, {}
    while True:
        page = (await client.get("/jobs", params={"limit": 100, **wanted, **cursor})).json()
        found |= {job["job_id"]: job for job in page["jobs"]}
        if page["next"] is None:
            return found
        cursor = {"cursor": page["next"]}


async def read_candidate(client, condition):
    """What is told of the only candidate, once that fulfils a condition."""
    async with asyncio.timeout(90):
        while True:
            for candidate in (await client.get("/models/ramp/shadow")).json()["candidates"]:
                if condition(candidate):
                    return candidate
            await asyncio.sleep(0.1)


async def settle(client):
    """What is told of the candidate, and all shadow jobs, once neither changes any more."""
    before = None
    async with asyncio.timeout(90):
        while True:
            candidate = await read_candidate(client, lambda candidate: candidate["jobs"]["waiting"] == 0)
            shadows = await read_all(client, model="ramp@3~shadow")
            # by their states: one may end between the two reads, and be counted after the first
            now = candidate["jobs"], {job_id: job["status"] for job_id, job in shadows.items()}
            if before == now and set(now[1].values()) == {"completed"}:
                return candidate, shadows
            before = now
            await asyncio.sleep(2)


@pytest.mark.timeout(300)
async def test_report_tells_each_job_once_though_a_worker_was_killed(tmp_path, start, outside_server):
    write_ramp(tmp_path / "ramp" / "2")
    write_ramp(tmp_path / "ramp" / "3", bend=0.5)
    (tmp_path / "ramp" / "model.toml").write_text('[rollout]\nserve = "2"\n')
    settings = {
        "redis_url": outside_server.url,
        "models_dir": tmp_path,
        "lease_seconds": 5,
        "simulated_run_seconds": 0.02,
    }
    port = free_port()
    start("inferq", "proxy", "--port", port, **settings)
    workers = [start("inferq", "worker", **settings) for _ in range(2)]
    url = f"http://127.0.0.1:{port}"
    await asyncio.to_thread(wait_until_healthy, url)

    async with httpx.AsyncClient(base_url=url, timeout=90) as client:
        rollout = {"serve": "2", "shadow": {"3": 1}}
        change = await client.put("/models/ramp/rollout", json=rollout, params={"wait": 60})
        assert change.status_code == 200, change.text
        numbers = {}
        for number in range(JOBS):
            answer = await client.post("/predict", json={"model": "ramp", "data": [number % 20]})
            numbers[answer.json()["job_id"]] = number % 20
        await read_candidate(client, lambda candidate: candidate["jobs"]["compared"] > 5)
        workers[0].process.send_signal(signal.SIGKILL)

        async with asyncio.timeout(90):
            while not all(job["status"] == "completed" for job in (await read_all(client)).values()):
                await asyncio.sleep(0.1)
        jobs = await read_all(client)
        assert jobs.keys() == numbers.keys()  # and no job that workers made
        assert {job["result"]["outputs"]["y"][0] - 2 * numbers[id_] for id_, job in jobs.items()} == {0}
        assert {job["made_by"]["version"] for job in jobs.values()} == {"2"}

        # once its shadow job is there, the other worker has submitted what it drew before
        answer = await client.post("/predict", json={"model": "ramp", "data": [0]})
        numbers[last := answer.json()["job_id"]] = 0
        async with asyncio.timeout(90):
            while last not in {
                job["result"]["primary_job_id"]
                for job in (await read_all(client, model="ramp@3~shadow", status="completed")).values()
            }:
                await asyncio.sleep(0.1)

        # what the killed worker had drawn, and not submitted, is lost
        candidate, shadows = await settle(client)

    results = [job["result"] for job in shadows.values()]
    assert len(results) > JOBS / 2
    assert len({result["primary_job_id"] for result in results}) == len(results)
    for result in results:
        assert result["agrees"] == (numbers[result["primary_job_id"]] <= BENT)
    counts, agreed = candidate["jobs"], Counter(result["agrees"] for result in results)
    assert (counts["agreed"], counts["differed"]) == (agreed[True], agreed[False])
    assert (counts["failed"], counts["missed"], counts["skipped"]) == (0, 0, 0)
    assert candidate["agreement"] == agreed[True] / len(results)
    assert candidate["largest_difference"] == 4.5
    assert {job["job_id"] for job in candidate["differing"]} == {
        result["primary_job_id"] for result in results if not result["agrees"]
    }
    assert candidate["latency"]["candidate"]["p50_seconds"] > 0
