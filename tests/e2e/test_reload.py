"""Versions of a model come and go under load: no job lost, no request failed."""

import asyncio
import shutil

import httpx
import pytest

from tests.e2e.processes import wait_for_job, wait_until_healthy
from tests.onnx_models import write_factor
from tests.servers import free_port, wait_until

DATA = {"data": [[1.0]], "model": "scale"}
RELOADS = 3
USERS = 4
PAUSE_SECONDS = 0.02


def serving_version(url):
    answer = httpx.get(f"{url}/models/scale", timeout=60)
    return answer.json()["version"] if answer.status_code == 200 else None


def queues_of_workers(url):
    return [worker["models"] for worker in httpx.get(f"{url}/queue", timeout=60).json()["workers"]]


@pytest.mark.timeout(300)
async def test_reload_under_load_loses_no_job_and_fails_no_request(start, outside_server, tmp_path):
    models = tmp_path / "models"
    write_factor(models / "scale" / "1", 1)
    settings = {
        "redis_url": outside_server.url,
        "models_dir": models,
        "models_poll_seconds": 0.2,
        "heartbeat_seconds": 0.5,
    }
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    programs = [start("inferq", "proxy", "--port", port, **settings)]
    programs += [start("inferq", "worker", **settings) for _ in range(2)]
    await asyncio.to_thread(wait_until_healthy, url)
    await asyncio.to_thread(wait_until, lambda: len(queues_of_workers(url)) == 2, 60, "two workers")
    accepted, failures, stopping = [], [], asyncio.Event()

    async def go_on():
        """Waits for the end of a job that is submitted from now on, if nothing fails."""
        enough = len(accepted) + USERS + 1  # one of each user may be under way
        await asyncio.to_thread(
            wait_until, lambda: failures or len(accepted) >= enough, 60, "jobs being accepted"
        )
        if not failures:
            await asyncio.to_thread(wait_for_job, url, accepted[-1])

    async def use(http):
        while not stopping.is_set():
            answer = await http.post(f"{url}/predict", json=DATA)
            if answer.status_code == 202:
                accepted.append(answer.json()["job_id"])
            else:
                failures.append(answer.text)
            await asyncio.sleep(PAUSE_SECONDS)

    async with httpx.AsyncClient(timeout=60) as http:
        users = [asyncio.create_task(use(http)) for _ in range(USERS)]
        await go_on()
        for number in range(2, RELOADS + 2):
            write_factor(models / f".{number}", number).rename(models / "scale" / str(number))

            def is_served(version=str(number)):
                have_it = all(f"scale@{version}" in queues for queues in queues_of_workers(url))
                return have_it and serving_version(url) == version

            await asyncio.to_thread(wait_until, is_served, 90, f"version {number} serving")
            await go_on()
            shutil.rmtree(models / "scale" / str(number - 1))

            def is_gone(name=f"scale@{number - 1}"):
                return not any(name in queues for queues in queues_of_workers(url))

            await asyncio.to_thread(wait_until, is_gone, 60, f"version {number - 1} going")
        stopping.set()
        await asyncio.gather(*users)

    assert failures == []
    views = [await asyncio.to_thread(wait_for_job, url, job_id, 60) for job_id in accepted]
    assert {view["status"] for view in views} == {"completed"}
    assert {view["model_version"] for view in views} == {str(number) for number in range(1, RELOADS + 2)}
    for view in views:
        assert view["result"]["outputs"]["y"] == [[float(view["model_version"])]]
    for program in programs:
        assert "Traceback" not in program.output
