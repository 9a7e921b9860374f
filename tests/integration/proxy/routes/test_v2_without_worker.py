"""`POST /v2/models/{model}/infer` where no worker of ours runs the job."""

import asyncio
import hashlib
import json
from datetime import UTC, datetime

import pytest

from inferq.errors import InvalidModelError
from inferq.jobs import Outcome, WorkerInfo
from inferq.tensors.envelope import write_envelope
from inferq.tensors.forms import MEDIA_TYPES
from tests.integration.proxy.routes.test_v2_models import expect_error

PATH = "/v2/models/iris/infer"
BODY = {"inputs": [{"name": "features", "datatype": "FP32", "shape": [1, 4], "data": [5.1, 3.5, 1.4, 0.2]}]}
ASYNC = {"prefer": "respond-async"}
LABEL = write_envelope(
    {
        "outputs": [
            {"name": "label", "datatype": "INT64", "shape": [1], "parameters": {"binary_data_size": 8}}
        ]
    },
    [(2).to_bytes(8, "little")],
)


@pytest.fixture(scope="session")
def redis_server(valkey_server):
    return valkey_server


@pytest.fixture
def served(consumer, announced):
    """The iris model, which a live worker serves that never takes a job."""
    beat(consumer, MEDIA_TYPES)
    return announced


def beat(consumer, forms):
    worker = WorkerInfo("worker-1", "here", 1, ("iris",), datetime.now(UTC), forms=forms)
    consumer.heartbeat(worker, {}, 600.0)


async def finish(consumer, result=None, error=None):
    """Ends the next job as a worker would."""
    async with asyncio.timeout(60):
        while not (jobs := consumer.claim(1)):
            await asyncio.sleep(0.01)
    consumer.finish([Outcome(jobs[0], result, error)])
    return jobs[0]


async def test_nobody_waits_for_a_model_that_no_live_worker_serves(client, announced):
    answer = await client.post(PATH, json=BODY)
    assert "No live worker serves the model 'iris'" in expect_error(answer, 503)
    assert answer.headers["retry-after"]
    assert (await client.post(PATH, json=BODY, headers=ASYNC)).status_code == 202


async def test_full_queue_is_a_503_that_says_when_to_try_again(make_client, settings, served):
    client = await make_client(settings.model_copy(update={"max_queued": 1}))
    assert (await client.post(PATH, json=BODY, headers=ASYNC)).status_code == 202
    answer = await client.post(PATH, json=BODY)
    assert "INFERQ_MAX_QUEUED" in expect_error(answer, 503)
    assert answer.headers["retry-after"]


async def test_result_is_answered_as_soon_as_it_is_there(client, served, consumer):
    answer, job = await asyncio.gather(client.post(PATH, json=BODY), finish(consumer, LABEL))
    assert answer.json()["outputs"] == [{"name": "label", "datatype": "INT64", "shape": [1], "data": [2]}]
    assert answer.headers["inferq-job-id"] == job.id
    assert json.loads(job.data[job.data.index(b"{") :]) == BODY


@pytest.mark.parametrize("result", [b'{"outputs":{"label":[2]}}', b"no JSON", LABEL[:-1], LABEL[:20]])
async def test_result_that_is_no_tensors_is_an_error_that_says_where_it_can_be_read(
    client, served, consumer, result
):
    answer, job = await asyncio.gather(client.post(PATH, json=BODY), finish(consumer, result))
    assert f"GET /job/{job.id}" in expect_error(answer, 500)


async def test_failure_of_the_job_is_that_of_the_request(client, served, consumer):
    error = InvalidModelError("The model answered with class 7, which class_names does not have.")
    answer, job = await asyncio.gather(client.post(PATH, json=BODY), finish(consumer, error=error))
    assert expect_error(answer, 500) == error.message
    assert answer.json()["type"] == "urn:inferq:problem:invalid-model"
    assert answer.json()["job_id"] == job.id


async def test_job_that_somebody_else_cancels_is_a_409(client, served, consumer):
    waiting = asyncio.create_task(client.post(PATH, json=BODY))
    async with asyncio.timeout(60):
        while not (jobs := (await client.get("/jobs?status=pending")).json()["jobs"]):
            await asyncio.sleep(0.01)
    await client.delete(f"/job/{jobs[0]['job_id']}")
    assert "cancelled" in expect_error(await waiting, 409)


async def test_job_that_has_not_started_within_its_timeout_expires(client, served, consumer):
    request = {**BODY, "parameters": {"timeout": 300_000}}

    is_over = asyncio.Event()

    async def recover():
        while not is_over.is_set():
            await asyncio.sleep(0.1)
            await asyncio.to_thread(consumer.recover)

    recovering = asyncio.create_task(recover())
    answer = await client.post(PATH, json=request)
    is_over.set()
    await recovering
    expect_error(answer, 504)
    assert answer.json()["type"] == "urn:inferq:problem:expired"


async def test_worker_that_reads_json_alone_is_given_no_raw_tensors(client, announced, consumer):
    beat(consumer, forms=())
    answer = await client.post(PATH, json=BODY)
    assert "Update all workers" in expect_error(answer, 503)


async def test_job_belongs_to_the_key_of_its_request(make_client, settings, served, consumer):
    keys = ",".join(f"{name}:{hashlib.sha256(name.encode()).hexdigest()}" for name in ("ana", "bo"))
    client = await make_client(settings.model_copy(update={"api_keys": keys}))
    ana, bo = ({"authorization": f"Bearer {name}"} for name in ("ana", "bo"))
    expect_error(await client.post(PATH, json=BODY), 401)
    answer, job = await asyncio.gather(client.post(PATH, json=BODY, headers=ana), finish(consumer, LABEL))
    assert answer.status_code == 200
    assert (await client.get(f"/job/{job.id}", headers=bo)).status_code == 404
    assert (await client.get(f"/job/{job.id}", headers=ana)).status_code == 200


async def test_request_that_waits_is_answered_when_the_proxy_stops(client, served, consumer):
    waiting = asyncio.create_task(client.post(PATH, json=BODY))
    async with asyncio.timeout(60):
        while not (jobs := consumer.claim(1)):
            await asyncio.sleep(0.01)
    client.app.state.services.close_streams()
    answer = await waiting
    expect_error(answer, 504)
    assert answer.json()["job_id"] == jobs[0].id


async def test_long_body_that_comes_while_too_much_is_under_way_is_refused(client, served):
    client.app.state.services.body_budget.take(256 * 1024 * 1024 - 1000)
    try:
        expect_error(await client.post(PATH, content=bytes(200_000)), 503)
    finally:
        client.app.state.services.body_budget.take(-256 * 1024 * 1024 + 1000)
