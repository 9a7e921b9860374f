"""`expires_in`: how long a job may wait for its turn."""

import json
from datetime import UTC, datetime

import pytest
from websockets.asyncio.client import connect

from inferq.jobs import Pace, WorkerInfo
from tests.integration.proxy.answers import DATA, expect_problem
from tests.integration.proxy.routes.test_websockets import receive
from tests.records import known, record
from tests.recovery import recover_until_failed

MINUTE = Pace(0.0, 60.0, 1)


@pytest.fixture
def slow_worker(announced, consumer):
    """A worker that takes a minute for each job."""
    worker = WorkerInfo("worker-1", "here", 1, ("iris",), datetime.now(UTC), paces={"iris": MINUTE})
    consumer.heartbeat(worker, {}, 60.0)
    return consumer


@pytest.mark.parametrize("is_batch", [False, True])
async def test_record_has_the_time_by_which_a_job_must_start(client, announced, redis_client, is_batch):
    job = DATA | {"expires_in": 2.5}
    if is_batch:
        answer = await client.post("/predict/batch", json={"jobs": [DATA, job]})
        job_id = answer.json()["job_ids"][1]
    else:
        job_id = (await client.post("/predict", json=job)).json()["job_id"]
    fields = record(redis_client, job_id)
    assert 0 <= int(fields["start_by_ms"]) - int(fields["submitted_ms"]) - 2500 <= 1000


@pytest.mark.parametrize("seconds", [0, -1, True, "3", 1e12, [1]])
async def test_what_is_no_time_to_wait_is_refused(client, announced, seconds):
    answer = await client.post("/predict", json=DATA | {"expires_in": seconds})
    assert "INFERQ_JOB_TTL_SECONDS" in expect_problem(answer, 422, "invalid-input")


async def test_job_that_plainly_cannot_start_in_time_is_refused_with_the_expected_wait(
    client, slow_worker, redis_client
):
    await client.post("/predict/batch", json={"jobs": [DATA] * 4})
    slow_worker.claim(1)
    before = known(redis_client)
    answer = await client.post("/predict", json=DATA | {"expires_in": 10})
    assert "would start in about" in expect_problem(answer, 503, "expires-too-soon")
    assert answer.json()["expected_wait_seconds"] == pytest.approx(240, abs=10)
    assert 200 <= int(answer.headers["retry-after"]) <= 240
    jobs = [DATA | {"expires_in": 1000}] * 5 + [DATA | {"expires_in": 250}]
    assert expect_problem(await client.post("/predict/batch", json={"jobs": jobs}), 503, "expires-too-soon")
    assert known(redis_client) == before
    for accepted in (DATA | {"expires_in": 200}, DATA):
        assert (await client.post("/predict", json=accepted)).status_code == 202


async def test_repeated_request_gets_its_job_though_another_would_be_refused(client, slow_worker):
    body, key = DATA | {"expires_in": 10}, {"Idempotency-Key": "a"}
    first = await client.post("/predict", json=body, headers=key)
    await client.post("/predict/batch", json={"jobs": [DATA] * 4})
    slow_worker.claim(1)
    assert (await client.post("/predict", json=body, headers=key)).json() == first.json()
    other = await client.post("/predict", json=body | {"expires_in": 11}, headers=key)
    expect_problem(other, 422, "idempotency-conflict")


async def test_job_whose_time_is_over_fails_as_expired(client, announced, consumer, redis_client):
    job_id = (await client.post("/predict", json=DATA | {"expires_in": 0.001})).json()["job_id"]
    recover_until_failed(consumer, redis_client, job_id)
    job = (await client.get(f"/job/{job_id}")).json()
    assert (job["status"], job["error_kind"], job["attempts"]) == ("failed", "expired", 0)
    assert "within 0.001 s (expires_in)" in job["error"]


async def test_message_of_a_socket_may_say_how_long_its_job_may_wait(proxy, slow_worker):
    async with proxy.client() as client:
        await client.post("/predict", json=DATA)
    slow_worker.claim(1)
    async with connect(proxy.socket_url("/ws")) as socket:
        await socket.send(json.dumps(DATA | {"expires_in": 5}))
        refused = await receive(socket)
        assert refused["problem"]["type"].endswith("expires-too-soon")
        assert refused["problem"]["expected_wait_seconds"] > 10
        await socket.send(json.dumps(DATA | {"expires_in": 500}))
        assert (await receive(socket))["event"] == "accepted"
        view = (await receive(socket))["job"]
        assert (view["status"], view["queue_position"]) == ("pending", 1)
        assert view["expected_start_at"] is not None
