import asyncio
import time

import pytest
from structlog.testing import capture_logs

from inferq.settings import Settings
from tests.integration.proxy.slow_connections import slow_connection
from tests.servers import free_port

DATA = {"data": [[5.1, 3.5, 1.4, 0.2]]}


async def test_redis_going_away_is_503_within_two_seconds_and_service_returns(own_redis_server, make_client):
    client = await make_client(Settings(redis_url=own_redis_server.url, redis_timeout_seconds=5.0))
    job_id = (await client.post("/predict", json=DATA)).json()["job_id"]
    own_redis_server.kill()

    for method, path in [("POST", "/predict"), ("GET", f"/job/{job_id}"), ("GET", "/health/ready")]:
        started = time.monotonic()
        answer = await client.request(method, path, json=DATA)
        assert time.monotonic() - started < 45
        assert answer.status_code == 503
        assert answer.json()["type"] == "urn:inferq:problem:redis-unavailable"
        assert int(answer.headers["retry-after"]) >= 1
    health = await client.get("/health")
    assert (health.status_code, health.json()["status"]) == (503, "unhealthy")

    own_redis_server.start()
    assert (await client.post("/predict", json=DATA)).status_code == 202
    assert (await client.get(f"/job/{job_id}")).json()["status"] == "pending"


async def test_redis_that_hangs_is_503_in_time(own_redis_server, make_client):
    client = await make_client(Settings(redis_url=own_redis_server.url, redis_timeout_seconds=3.0))
    await client.get("/health/ready")
    own_redis_server.hang()
    async with asyncio.timeout(60):
        answer = await client.post("/predict", json=DATA)
    assert answer.status_code == 503
    own_redis_server.go_on()
    assert (await client.post("/predict", json=DATA)).status_code == 202


async def test_requests_at_the_same_time_do_not_add_up_while_redis_hangs(own_redis_server, make_client):
    client = await make_client(Settings(redis_url=own_redis_server.url, redis_timeout_seconds=2.0))
    await client.get("/health/ready")
    own_redis_server.hang()
    async with asyncio.timeout(45):  # one after the other they would take two minutes
        answers = await asyncio.gather(*(client.post("/predict", json=DATA) for _ in range(60)))
    assert [answer.status_code for answer in answers] == [503] * 60
    own_redis_server.go_on()


async def test_full_memory_is_a_clear_503_that_leaves_nothing_behind(redis_client, settings, make_client):
    client = await make_client(settings)
    assert (await client.post("/predict", json=DATA)).status_code == 202
    redis_client.config_set("maxmemory", "1")
    try:
        answer = await client.post("/predict", json=DATA)
    finally:
        redis_client.config_set("maxmemory", "0")
    assert answer.status_code == 503
    assert "memory limit" in answer.json()["detail"]
    assert len(list(redis_client.scan_iter("job:*:data"))) == 1


async def test_outage_is_one_log_line_when_it_begins_and_one_when_it_ends(own_redis_server, make_client):
    client = await make_client(Settings(redis_url=own_redis_server.url, redis_timeout_seconds=5.0))
    with capture_logs() as logged:
        assert (await client.get("/health/ready")).status_code == 200
        own_redis_server.kill()
        for _ in range(3):
            assert (await client.get("/health/ready")).status_code == 503
        own_redis_server.start()
        for _ in range(3):
            assert (await client.get("/health/ready")).status_code == 200
    assert [line["event"] for line in logged] == ["redis_unavailable", "redis_available_again"]


async def test_nothing_is_accepted_that_the_disk_does_not_hold(redis_client, settings, make_client):
    client = await make_client(settings.model_copy(update={"durability": "fsync"}))
    redis_client.config_set("appendonly", "no")
    try:
        answer = await client.post("/predict", json=DATA)
        assert answer.status_code == 503
        assert "append-only file, which is off" in answer.json()["detail"]
        assert redis_client.keys("job:*") == []
    finally:
        redis_client.config_set("appendonly", "yes")
    redis_client.config_set("appendfsync", "always")
    try:
        assert (await client.post("/predict", json=DATA)).status_code == 202
    finally:
        redis_client.config_set("appendfsync", "everysec")


@pytest.mark.parametrize("count", [1, 2000])
async def test_time_limit_is_one_for_all_that_a_request_asks_of_redis(
    redis_server, settings, make_client, count
):
    body = {"jobs": [DATA] * count}
    async with slow_connection(redis_server.port, seconds=0.4) as port:
        slow = settings.model_copy(
            update={"redis_url": f"redis://127.0.0.1:{port}/0", "redis_timeout_seconds": 1.0}
        )
        client = await make_client(slow)
        began = (
            time.monotonic()
        )  # the models, the server, its connections, the jobs in parts, their acceptance
        answer = await client.post("/predict/batch", json=body)
        assert time.monotonic() - began < 45 + count / 2000
    assert answer.status_code == 503
    assert "did not answer within 1 s" in answer.json()["detail"]


async def test_detail_shows_nothing_of_our_scripts(own_redis_server, make_client):
    client = await make_client(Settings(redis_url=own_redis_server.url, redis_timeout_seconds=20.0))
    with own_redis_server.client() as redis_client:
        redis_client.execute_command("REPLICAOF", "127.0.0.1", "1")
        detail = (await client.post("/predict", json=DATA)).json()["detail"]
    assert detail == (
        "Redis takes no writes, since it is a replica (READONLY). Name the primary in INFERQ_REDIS_URL, or "
        "make this server one: redis-cli REPLICAOF NO ONE."
    )


@pytest.mark.parametrize("padding", [b"", b" " * 100_000])
async def test_bad_body_is_told_so_while_redis_is_away(make_client, padding):
    client = await make_client(
        Settings(redis_url=f"redis://127.0.0.1:{free_port()}/0", redis_timeout_seconds=0.3)
    )
    for body, status in ((b"{", 400), (b'{"data": [[1]], "x": 1}', 422), (b'{"data": [[1]]}', 503)):
        assert (await client.post("/predict", content=padding + body)).status_code == status
