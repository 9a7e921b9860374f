"""GET /queue."""

import asyncio
import os
from datetime import UTC, datetime

import pytest

from inferq.jobs import Pace, WorkerInfo
from tests.integration.proxy.answers import expect_problem
from tests.integration.proxy.routes.test_jobs import failed, submit


async def test_overview_tells_the_numbers_of_each_model(client, announced, consumer):
    now = datetime.now(UTC)
    consumer.heartbeat(WorkerInfo("worker-1", "here", os.getpid(), ("iris",), now), {}, 30.0)
    await failed(client, consumer)
    for priority in ("high", "normal", "normal", "low"):
        await submit(client, priority=priority)
    consumer.claim(1)

    answer = await client.get("/queue")

    assert answer.status_code == 200
    iris = answer.json()["models"]["iris"]
    assert 0 <= iris.pop("oldest_wait_seconds") < 60
    assert 0 < iris.pop("jobs_per_second") < 1
    assert iris == {
        "waiting": {"high": 0, "normal": 2, "low": 1},
        "running": 1,
        "retrying": 0,
        "failed": 1,
        "workers": 1,
        "backlog_seconds": None,
        "needed_workers": None,
    }
    [worker] = answer.json()["workers"]
    assert (worker["id"], worker["host"], worker["models"]) == ("worker-1", "here", ["iris"])
    assert worker["seen_at"].endswith("Z")
    assert answer.json()["webhooks_waiting"] == 0


@pytest.mark.parametrize("path", ["/queue", "/queue/iris"])
async def test_numbers_tell_the_backlog_and_how_many_workers_a_wished_wait_needs(
    client, announced, consumer, path
):
    async def read(target=""):
        body = (await client.get(f"{path}{target}")).json()
        return body["models"]["iris"] if path == "/queue" else body

    for _ in range(3):
        await submit(client)
    unknown = await read("?target_wait_seconds=10")
    assert (unknown["backlog_seconds"], unknown["needed_workers"]) == (None, 1)
    worker = WorkerInfo("worker-1", "here", 1, ("iris",), datetime.now(UTC), paces={"iris": Pace(0, 20.0, 1)})
    consumer.heartbeat(worker, {}, 30.0)
    consumer.claim(1)
    async with asyncio.timeout(10):
        while (known := await read("?target_wait_seconds=10"))["needed_workers"] != 3:
            await asyncio.sleep(0.05)  # the numbers before are used for a moment
    assert known["backlog_seconds"] == pytest.approx(40, abs=1)
    assert (await read())["needed_workers"] is None


@pytest.mark.parametrize("target", ["0", "-1", "soon", "inf", "nan"])
async def test_what_is_no_wait_is_refused(client, announced, target):
    answer = await client.get(f"/queue/iris?target_wait_seconds={target}")
    assert "target_wait_seconds" in expect_problem(answer, 422, "invalid-input")


async def test_queue_of_an_unknown_model_is_not_found(client, announced):
    assert "'irsi'" in expect_problem(await client.get("/queue/irsi"), 404, "unknown-model")
