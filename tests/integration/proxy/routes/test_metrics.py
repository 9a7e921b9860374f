"""What Prometheus is told, and who may ask."""

import asyncio
import hashlib
import os
import re
import sys

import pytest

from inferq.errors import InvalidSettingError, ModelError
from inferq.jobs import Outcome
from inferq.observability.metrics import SERVICE_METRICS
from inferq.proxy.app import create_app
from inferq.queue.consumer.consumer import Consumer
from inferq.settings import Settings, load_settings
from tests.integration.proxy.answers import DATA, expect_problem
from tests.metrics import read_samples
from tests.servers import free_port

ANN, EVE = "iq_anns", "iq_eves"
API_KEYS = ",".join(
    f"{name}:{hashlib.sha256(key.encode()).hexdigest()}" for name, key in [("ann", ANN), ("eve", EVE)]
)
DURATION = "http_server_request_duration_seconds_count"


def bearer(key):
    return {"Authorization": f"Bearer {key}"}


async def scrape(client, **headers):
    answer = await client.get("/metrics", headers=headers)
    assert answer.status_code == 200
    return read_samples(answer)


def of_service(samples):
    """What every proxy must tell alike: all of the service but what changes by itself."""
    by_itself = {"inferq_redis_memory_bytes", "inferq_oldest_wait_seconds"}
    names = {metric.name for metric in SERVICE_METRICS} - by_itself
    parts = re.compile("_(bucket|count|sum)$")
    return {key: value for key, value in samples.items() if {key[0], parts.sub("", key[0])} & names}


@pytest.mark.parametrize("accept", ["text/plain", "application/openmetrics-text"])
async def test_scrape_tells_of_redis_and_of_the_process(client, redis_client, accept):
    samples = await scrape(client, Accept=accept)
    assert samples["inferq_redis_up",] == 1
    assert samples["inferq_redis_memory_bytes",] > 100_000
    assert ("inferq_redis_memory_limit_bytes",) not in samples
    assert samples["inferq_build_info", client.app.version] == 1
    if sys.platform == "linux":
        assert samples["process_cpu_seconds_total",] > 0
    redis_client.config_set("maxmemory", 1_000_000_000)
    try:
        assert (await scrape(client, Accept=accept))["inferq_redis_memory_limit_bytes",] == 1_000_000_000
    finally:
        redis_client.config_set("maxmemory", 0)


async def test_scrape_is_compressed_if_asked(client):
    assert (await client.get("/metrics")).headers[
        "content-encoding"
    ] == "gzip"  # which httpx asks for, and undoes
    plain = await client.get("/metrics", headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers


async def test_request_is_counted_whichever_way_it_is_served(proxy, announced):
    proxy.count_fast_requests()
    async with proxy.client() as client:
        for headers in ({}, {"Prefer": "wait=0"}):
            await client.post("/predict", json=DATA, headers=headers)
        await client.get("/job/nosuch")
        samples = await scrape(client)
        assert proxy.fast_requests == 2
        assert samples[DURATION, "POST", "202", "/predict"] == 2
        assert samples[DURATION, "GET", "404", "/job/{job_id}"] == 1
        assert (await scrape(client))[DURATION, "GET", "200", "/metrics"] == 1


async def test_process_that_shares_its_port_names_itself(settings, make_client):
    client = await make_client(settings, shares_port=True)
    await client.get("/health/live")
    samples = await scrape(client)
    assert samples[DURATION, "GET", "200", "/health/live", str(os.getpid())] == 1
    assert samples["inferq_redis_up",] == 1


async def test_clients_cannot_add_labels(client, announced):
    for number in range(5):
        for method in ("GET", f"BREW{number}"):
            await client.request(method, f"/no/{number}")
            await client.request(method, f"/job/{number}")
            await client.request(method, f"/models/{number}")
        await client.post("/predict", json={**DATA, "model": f"nosuch{number}"})
    samples = await scrape(client)
    assert {key[1:] for key in samples if key[0] == DURATION} == {
        *(("GET", "404", route) for route in ("", "/job/{job_id}", "/models/{name}")),
        *(("_OTHER", "405", route) for route in ("/job/{job_id}", "/models/{name}")),
        ("_OTHER", "404", ""),
        ("POST", "422", "/predict"),
    }
    assert not [key for key in samples if any("nosuch" in value for value in key)]


async def test_scrape_follows_a_job_from_submission_to_its_end(settings, make_client, announced, consumer):
    keyed = settings.model_copy(update={"api_keys": API_KEYS})
    client = await make_client(keyed)
    await client.post("/predict", json={**DATA, "priority": "low"}, headers=bearer(ANN))
    samples = await scrape(client)
    assert samples["inferq_jobs_submitted_total", "iris", "low"] == 1
    assert samples["inferq_jobs", "iris", "low", "waiting"] == 1
    assert samples["inferq_oldest_wait_seconds", "iris"] > 0
    assert samples["inferq_queue_bytes",] > 0

    [job] = consumer.claim({"iris": 1})
    samples = await scrape(client)
    assert samples["inferq_jobs", "iris", "low", "waiting"] == 0
    assert samples["inferq_jobs", "iris", "", "running"] == 1

    consumer.finish([Outcome(job, result=b"[1]", run_seconds=0.25, batch_jobs=1, is_first_of_run=True)])
    samples = await scrape(client)
    assert samples["inferq_jobs", "iris", "", "running"] == 0
    assert samples["inferq_jobs_ended_total", "", "iris", "completed"] == 1
    assert samples["inferq_jobs_ended_total", "model-error", "iris", "failed"] == 0
    assert samples["inferq_run_seconds_bucket", "0.1", "iris"] == 0
    assert samples["inferq_run_seconds_bucket", "0.25", "iris"] == 1
    assert samples["inferq_run_seconds_sum", "iris"] == 0.25
    assert samples["inferq_batch_jobs_bucket", "1.0", "iris"] == 1
    assert samples["inferq_wait_seconds_count", "iris"] == 1
    assert samples["inferq_total_seconds_count", "iris"] == 1
    assert samples["inferq_model_run_seconds_total", "ann", "iris"] == 0.25


async def test_every_proxy_tells_the_same_also_after_a_restart(own_redis_server, make_client, iris):
    settings = Settings(redis_url=own_redis_server.url, redis_timeout_seconds=5.0)
    before = await make_client(settings)
    consumer = Consumer(settings, "worker-1", ["iris"])
    consumer.announce({"iris": iris.document.to_json()})
    for _ in range(3):
        assert (await before.post("/predict", json=DATA)).status_code == 202
    failed = [Outcome(job, error=ModelError("It fails.")) for job in consumer.claim({"iris": 2})]
    consumer.finish(failed)
    consumer.close()
    told = of_service(await scrape(before))
    assert told["inferq_jobs_submitted_total", "iris", "normal"] == 3
    assert told["inferq_jobs", "iris", "", "retrying"] == 2
    assert told["inferq_retries_total", "iris"] == 2

    own_redis_server.kill()
    own_redis_server.start()
    after = await make_client(settings)
    assert of_service(await scrape(after)) == told


async def test_process_tells_its_own_metrics_while_redis_is_away(settings, make_client):
    away = settings.model_copy(update={"redis_url": f"redis://127.0.0.1:{free_port()}/0"})
    client = await make_client(away)
    await client.get("/health/live")
    samples = await scrape(client)
    assert samples["inferq_redis_up",] == 0
    assert samples[DURATION, "GET", "200", "/health/live"] == 1
    assert ("inferq_redis_memory_bytes",) not in samples


async def test_redis_that_hangs_delays_a_scrape_by_its_time_limit(own_redis_server, make_client):
    client = await make_client(Settings(redis_url=own_redis_server.url, redis_timeout_seconds=2.0))
    assert (await scrape(client))["inferq_redis_up",] == 1
    own_redis_server.hang()
    async with asyncio.timeout(60):
        assert (await scrape(client))["inferq_redis_up",] == 0


async def test_concurrent_scrapes_share_one_read(settings, make_client, redis_client):
    client = await make_client(settings)
    await scrape(client)  # the first one asks for the server's limits too

    def count_reads():
        return redis_client.info("commandstats").get("cmdstat_info", {"calls": 0})["calls"]

    before = count_reads()
    await asyncio.gather(*(scrape(client) for _ in range(10)))
    assert count_reads() - before == 2  # one of the two is the count itself


async def test_everybody_may_scrape_where_no_names_are_set(settings, make_client):
    client = await make_client(settings.model_copy(update={"api_keys": API_KEYS}))
    assert (await scrape(client))["inferq_redis_up",] == 1
    assert (await client.get("/queue")).status_code == 401


async def test_keys_of_the_names_that_are_set_may_scrape(settings, make_client):
    changes = {"api_keys": API_KEYS, "metrics_keys": "prometheus, eve", "redis_url": settings.redis_url}
    changes["api_keys"] += f",prometheus:{'0' * 64}"
    client = await make_client(load_settings(**changes))
    assert (await scrape(client, **bearer(EVE)))["inferq_redis_up",] == 1
    expect_problem(await client.get("/metrics"), 401, "unauthorized")
    refused = expect_problem(await client.get("/metrics", headers=bearer(ANN)), 403, "forbidden")
    assert "INFERQ_METRICS_KEYS" in refused


def test_name_without_a_key_is_refused(settings):
    changes = {"api_keys": API_KEYS, "metrics_keys": "eve,prometheus"}
    with pytest.raises(
        InvalidSettingError, match="INFERQ_METRICS_KEYS names prometheus, and INFERQ_API_KEYS"
    ):
        create_app(settings.model_copy(update=changes))
