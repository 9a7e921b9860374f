"""GET /queue."""

import os
from datetime import UTC, datetime

from inferq.jobs import WorkerInfo
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
    }
    [worker] = answer.json()["workers"]
    assert (worker["id"], worker["host"], worker["models"]) == ("worker-1", "here", ["iris"])
    assert worker["seen_at"].endswith("Z")
    assert answer.json()["webhooks_waiting"] == 0
