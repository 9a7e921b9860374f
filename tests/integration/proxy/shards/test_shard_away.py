"""What the API says while one of two shards is away."""

import asyncio

import pytest

from inferq.queue.schema.shard_ids import find_shard
from inferq.queue.shards import producer_shard
from inferq.settings import Settings
from tests.servers import Server

DATA = {"data": [[5.1, 3.5, 1.4, 0.2]]}


@pytest.fixture
def second():
    server = Server("valkey").start()
    yield server
    server.stop()


@pytest.fixture
def settings(redis_url, second, monkeypatch):
    monkeypatch.setattr(producer_shard, "PROBE_SECONDS", 0.05)
    return Settings(redis_url=f"{redis_url},{second.url}", redis_timeout_seconds=10.0)


async def submit(client, count):
    answers = [await client.post("/predict", json=DATA) for _ in range(count)]
    assert [answer.status_code for answer in answers] == [202] * count, answers[-1].text
    return [answer.json()["job_id"] for answer in answers]


async def test_shard_that_refuses_to_tell_is_named_as_one_that_is_away(client, announced, second):
    await submit(client, 6)
    with second.client() as admin:
        admin.config_set("replica-serve-stale-data", "no")
        admin.replicaof("127.0.0.1", 1)  # from now on it answers nothing but MASTERDOWN
    for path in ("/jobs", "/jobs/errors", "/queue", "/queue/iris", "/queue/iris/history"):
        assert (await client.get(path)).json()["unavailable_shards"] == [1], path
    actions = {"action": "cancel", "filter": {"model": "iris"}, "dry_run": True}
    assert (await client.post("/jobs/actions", json=actions)).json()["unavailable_shards"] == [1]
    health = (await client.get("/health")).json()
    assert (health["status"], health["components"]["redis"][:8]) == ("degraded", "Shard 1:")
    assert {find_shard(job_id, 2) for job_id in await submit(client, 3)} == {0}
    with second.client() as admin:
        admin.replicaof("NO", "ONE")
    while "unavailable_shards" in (listed := (await client.get("/jobs")).json()):
        await asyncio.sleep(0.02)
    assert len(listed["jobs"]) == 9


async def test_requests_that_do_not_need_the_shard_go_on_and_name_it(client, announced, second):
    ids = await submit(client, 6)
    here, there = ([job_id for job_id in ids if find_shard(job_id, 2) == shard] for shard in (0, 1))
    health = (await client.get("/health")).json()
    assert health["components"]["redis"] == "ok"
    second.kill()
    for path, member in (
        *(("/jobs", "jobs"), ("/jobs/errors", "groups"), ("/queue", "models"), ("/queue/iris", "waiting")),
        *(("/queue/iris/history", "minutes"), ("/models/iris/shadow", "candidates")),
    ):
        answer = await client.get(path)
        assert answer.status_code == 200, path
        assert answer.json()["unavailable_shards"] == [1], path
        assert member in answer.json()
    assert {find_shard(job_id, 2) for job_id in await submit(client, 3)} == {0}
    assert (await client.get(f"/job/{here[0]}")).json()["status"] == "pending"
    away = await client.get(f"/job/{there[0]}")
    assert away.status_code == 503
    assert "Shard 1" in away.json()["detail"]
    actions = {"action": "cancel", "filter": {"model": "iris"}}
    assert (await client.post("/jobs/actions", json=actions)).json()["unavailable_shards"] == [1]
    cancelled = await client.delete("/jobs", params={"model": "iris", "status": "pending"})
    assert cancelled.json() == {"cancelled": 0, "unavailable_shards": [1]}
    health = (await client.get("/health")).json()
    assert health["status"] == "degraded"
    assert health["components"]["redis"].startswith("Shard 1: ")
    assert (await client.get("/health/ready")).status_code == 200
    assert "inferq_redis_up 0.0" in (await client.get("/metrics")).text
