"""GET /queue."""

import asyncio
import os
from datetime import UTC, datetime

import pytest

from inferq.jobs import Pace, WorkerInfo
from tests.integration.proxy.answers import expect_problem
from tests.integration.proxy.routes.test_jobs import failed, submit
from tests.unit.deploy.charts import find, render_case


async def test_overview_tells_the_numbers_of_each_model(client, announced, consumer):
    now = datetime.now(UTC)
    consumer.heartbeat(WorkerInfo("worker-1", "here", os.getpid(), ("iris",), now), {}, 600.0)
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
    consumer.heartbeat(worker, {}, 600.0)
    consumer.claim(1)
    async with asyncio.timeout(60):
        while (known := await read("?target_wait_seconds=10"))["needed_workers"] != 3:
            await asyncio.sleep(0.05)  # the numbers before are used for a moment
    assert known["backlog_seconds"] == pytest.approx(40, abs=1)
    assert (await read())["needed_workers"] is None


async def test_workers_that_are_needed_are_told_by_the_pace_of_those_that_have_gone(
    client, announced, consumer, redis_client
):
    async def read_needed():
        return (await client.get("/queue/iris?target_wait_seconds=10")).json()["needed_workers"]

    for _ in range(4):
        await submit(client)
    worker = WorkerInfo("worker-1", "here", 1, ("iris",), datetime.now(UTC), paces={"iris": Pace(0, 5.0, 1)})
    consumer.heartbeat(worker, {}, 600.0)
    async with asyncio.timeout(60):
        while await read_needed() != 2:
            await asyncio.sleep(0.05)
        redis_client.delete("worker:worker-1")  # as happens once its heartbeats have stopped
        while (await client.get("/queue/iris")).json()["workers"]:
            await asyncio.sleep(0.05)
    await asyncio.sleep(0.3)  # a forecast is used for no longer
    assert await read_needed() == 2


async def test_workers_of_a_model_are_needed_for_jobs_that_name_a_version_too(client, announced, consumer):
    consumer.announce(dict.fromkeys(("iris", "iris@1", "iris@2"), announced.document.to_json()))
    await submit(client, model="iris@1")

    async def read_needed(model):
        return (await client.get(f"/queue/{model}?target_wait_seconds=10")).json()["needed_workers"]

    async with asyncio.timeout(60):
        while await read_needed("iris") != 1:
            await asyncio.sleep(0.05)  # the forecast before is used for a moment
    assert (await read_needed("iris@1"), await read_needed("iris@2")) == (1, 0)
    numbers = (await client.get("/queue/iris")).json()
    assert (numbers["waiting"]["normal"], numbers["needed_workers"]) == (0, None)


async def test_workers_of_the_version_that_serves_are_needed_for_jobs_that_name_none(
    client, announced, consumer
):
    document = announced.document.model_copy(update={"version": "2"}).to_json()
    consumer.announce(dict.fromkeys(("iris", "iris@1", "iris@2"), document))
    await submit(client)

    async def read_needed(model):
        return (await client.get(f"/queue/{model}?target_wait_seconds=10")).json()["needed_workers"]

    async with asyncio.timeout(60):
        while await read_needed("iris@2") != 1:
            await asyncio.sleep(0.05)  # the forecast before is used for a moment
    assert (await read_needed("iris@1"), await read_needed("iris")) == (0, 1)


@pytest.mark.parametrize("target", ["0", "-1", "soon", "inf", "nan"])
async def test_what_is_no_wait_is_refused(client, announced, target):
    answer = await client.get(f"/queue/iris?target_wait_seconds={target}")
    assert "target_wait_seconds" in expect_problem(answer, 422, "invalid-input")


async def test_queue_of_an_unknown_model_is_not_found(client, announced):
    assert "'irsi'" in expect_problem(await client.get("/queue/irsi"), 404, "unknown-model")


async def test_triggers_of_the_helm_chart_find_a_job_while_there_is_no_worker(
    client, announced, settings, redis_client
):
    of_seconds = find(render_case("keda"), "ScaledObject", "worker")["spec"]["triggers"][0]["metadata"]
    path = of_seconds["url"].partition(":8000")[2]
    of_jobs = find(render_case("jobs-elsewhere"), "ScaledObject", "worker")["spec"]["triggers"]

    async def read():
        answer = await client.get(path)
        return answer.json()[of_seconds["valueLocation"]], [
            redis_client.zcard(settings.key_prefix + one["metadata"]["listName"]) for one in of_jobs
        ]

    assert await read() == (0, [0, 0, 0])
    await submit(client, priority="low")
    async with asyncio.timeout(60):
        while await read() != (1, [0, 0, 1]):
            await asyncio.sleep(0.05)  # the forecast before is used for a moment
