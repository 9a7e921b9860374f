"""Health is what a job would meet."""

import asyncio
import time

import pytest
from structlog.testing import capture_logs

from inferq.proxy.app import create_app
from inferq.queue.consumer.consumer import Consumer
from inferq.queue.producer.producer import Producer
from inferq.queue.producer.submission import Submission
from inferq.settings import Settings
from tests.integration.proxy.answers import DATA, beat, expect_problem
from tests.records import change_record
from tests.servers import REFUSALS, free_port


async def until(check, timeout=60.0):
    """Checks until it is true; the service may take a second to notice."""
    async with asyncio.timeout(timeout):
        while not (found := await check()):
            await asyncio.sleep(0.05)
    return found


@pytest.fixture
async def own_client(own_redis_server, make_client):
    client = await make_client(Settings(redis_url=own_redis_server.url, redis_timeout_seconds=5.0))
    await client.get("/health/ready")
    return client


@pytest.mark.parametrize("word", REFUSALS)
async def test_server_that_takes_no_jobs_is_said_and_logged_once(own_redis_server, own_client, word):
    begin, end = REFUSALS[word]
    with own_redis_server.client() as redis_client, capture_logs() as logged:
        begin(own_redis_server)

        async def is_unready():
            return (await own_client.get("/health/ready")).status_code == 503

        await until(is_unready)
        for _ in range(3):
            detail = expect_problem(await own_client.post("/predict", json=DATA), 503, "redis-unavailable")
            assert word in detail
            assert "script" not in detail
            await own_client.get("/models")  # which Redis answers
            health = await own_client.get("/health")
            assert (health.status_code, health.json()["status"]) == (503, "unhealthy")
            assert health.json()["components"] == {"redis": detail, "worker": "no worker has ever reported"}
        end(own_redis_server)

        async def is_ready():
            return (await own_client.get("/health/ready")).status_code == 200

        await until(is_ready)
        assert (await own_client.post("/predict", json=DATA)).status_code == 202
        assert redis_client.exists("probe") == 0
    events = [line["event"] for line in logged if line["event"].startswith("redis")]
    assert events == ["redis_takes_no_jobs", "redis_takes_jobs_again"]


async def test_many_probes_write_once_a_second(client, redis_client):
    redis_client.config_resetstat()
    began = time.monotonic()
    for _ in range(5):
        answers = await asyncio.gather(*(client.get(path) for path in ("/health", "/health/ready") * 20))
        assert {answer.status_code for answer in answers} == {200}
    assert redis_client.info("commandstats")["cmdstat_psetex"]["calls"] <= 2 + time.monotonic() - began


async def test_jobs_for_a_model_that_nobody_serves_are_seen_everywhere(client, announced, consumer, settings):
    beat(consumer, announced)
    assert (await client.get("/health")).json()["status"] == "healthy"
    producer = Producer.from_settings(settings)
    job_id = await producer.submit(Submission("removed", b"[1]"))
    await producer.close()
    health = await client.get("/health")
    assert (health.status_code, health.json()["status"]) == (200, "degraded")
    assert health.json()["components"] == {
        "redis": "ok",
        "worker": "no live worker serves model 'removed', for which 1 job waits",
    }
    assert (await client.get("/health/ready")).status_code == 200
    numbers = (await client.get("/queue")).json()
    assert (numbers["models"]["removed"]["waiting"]["normal"], numbers["queued_bytes"]) == (1, 3)
    assert numbers["models"]["removed"]["workers"] == 0
    assert numbers["max_queued_bytes"] > 1e6
    for query in ("", "?status=pending", "?model=removed"):
        assert [job["job_id"] for job in (await client.get(f"/jobs{query}")).json()["jobs"]] == [job_id]


async def test_workers_that_take_nothing_are_noticed(client, announced, consumer, settings, redis_client):
    beat(consumer, announced)
    job_id = (await client.post("/predict", json=DATA)).json()["job_id"]
    assert (await client.get("/health")).json()["status"] == "healthy"
    change_record(redis_client, job_id, submitted_ms=1)
    worker = (await client.get("/health")).json()["components"]["worker"]
    assert worker.startswith("1 job waits for model 'iris', the longest for ")
    assert worker.endswith(" s, and none of its 1 live workers takes one")
    patient = Consumer(settings.model_copy(update={"job_ttl_seconds": 1e12}), "worker-1", ["iris"])
    patient.claim(1)
    patient.close()
    assert (await client.get("/health")).json()["status"] == "healthy"


async def test_full_queue_is_degraded(settings, announced, consumer, make_client):
    for limits in ({"max_queued": 1}, {"max_queued_bytes": 20}):
        client = await make_client(settings.model_copy(update=limits))
        beat(consumer, announced)
        await client.post("/predict", json=DATA)
        answer = await client.get("/health")
        assert (answer.status_code, answer.json()["status"]) == (200, "degraded")
        name = next(iter(limits)).upper()
        assert f"INFERQ_{name}" in answer.json()["components"]["queue"]
        expect_problem(await client.post("/predict", json=DATA), 503, "queue-full")
        assert (await client.get("/health/ready")).status_code == 200


async def test_blob_store_that_is_gone_is_said_until_it_is_back(
    settings, announced, consumer, make_client, tmp_path
):
    folder = tmp_path / "blobs"
    client = await make_client(settings.model_copy(update={"blob_store": folder.as_uri(), "blob_bytes": 10}))
    beat(consumer, announced)
    healthy = {"status": "healthy", "components": {"redis": "ok", "worker": "ok"}}
    assert (await client.get("/health")).json() == healthy
    assert not folder.exists(), "who looks does not make it"
    assert (await client.post("/predict", json=DATA)).status_code == 202  # asks for the store
    assert folder.exists()

    folder.rename(tmp_path / "unmounted")

    async def find_fault():
        answer = await client.get("/health")
        assert answer.status_code == 200
        return answer.json()["components"].get("blobs")

    fault = await until(find_fault)
    assert str(folder) in fault
    assert "unmounted" in fault
    assert (await client.get("/health")).json()["status"] == "degraded"
    assert (await client.get("/health/ready")).status_code == 200

    (tmp_path / "unmounted").rename(folder)

    async def is_well():
        return (await client.get("/health")).json() == healthy

    assert await until(is_well)


async def test_server_that_may_delete_jobs_gets_none(redis_client, settings, make_client):
    redis_client.config_set("maxmemory", "1gb")
    redis_client.config_set("maxmemory-policy", "allkeys-lru")
    try:
        client = await make_client(settings)
        for method, path, body in (
            ("POST", "/predict", DATA), ("POST", "/predict/batch", {"jobs": [DATA]}),
            ("GET", "/health/ready", None),
        ):  # fmt: skip
            answer = await client.request(method, path, json=body)
            assert "maxmemory-policy allkeys-lru" in expect_problem(answer, 503, "redis-unavailable")
        assert (await client.get("/health")).json()["status"] == "unhealthy"
        assert redis_client.keys("*:data") == []
        redis_client.config_set("maxmemory-policy", "noeviction")
        assert (await client.get("/health/ready")).status_code == 200
        assert (await client.post("/predict", json=DATA)).status_code == 202
    finally:
        redis_client.config_set("maxmemory", "0")
        redis_client.config_set("maxmemory-policy", "noeviction")


async def test_server_is_checked_before_the_first_request(settings, redis_client):
    redis_client.config_resetstat()
    app = create_app(settings)

    async def is_checked():
        return "cmdstat_config|get" in redis_client.info("commandstats")

    async with app.router.lifespan_context(app):
        await until(is_checked)


async def test_away_is_unhealthy(make_client):
    client = await make_client(
        Settings(redis_url=f"redis://127.0.0.1:{free_port()}/0", redis_timeout_seconds=0.3)
    )
    answer = await client.get("/health")
    assert answer.status_code == 503
    assert answer.json()["components"]["worker"] == "unknown, since Redis is out of reach"
