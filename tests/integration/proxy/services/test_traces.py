"""Requests that submit jobs are spans, whichever way they come."""

import json

import pytest
from structlog.testing import capture_logs
from websockets.asyncio.client import connect

from inferq.proxy.app import create_app
from tests.integration.proxy.serving import serving
from tests.records import record

DATA = [[5.1, 3.5, 1.4, 0.2]]
TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
HEADERS = {"traceparent": f"00-{TRACE}-{SPAN}-01", "x-request-id": "request-1"}


@pytest.fixture
def traced(settings, announced, otlp_receiver):
    app = create_app(settings)
    with capture_logs() as logged, serving(settings, app=app) as proxy:
        yield proxy
    assert [line["service"] for line in logged if line["event"] == "traces_on"] == ["inferq-proxy"]


async def test_each_request_on_the_fast_path_is_a_span_of_its_own(traced, otlp_receiver, redis_client):
    traced.count_fast_requests()
    async with traced.client() as client:
        answers = [await client.post("/predict", json={"data": DATA}, headers=HEADERS) for _ in range(25)]
    assert traced.fast_requests == 25
    assert {answer.headers["traceparent"] for answer in answers} == {HEADERS["traceparent"]}
    spans = otlp_receiver.wait_for(25)
    ids = {answer.json()["job_id"] for answer in answers}
    assert {span.attributes["messaging.message.id"] for span in spans} == ids
    for span in spans:
        assert (span.name, span.kind, span.service) == ("send iris", "PRODUCER", "inferq-proxy")
        assert (span.trace_id, span.parent_id) == (TRACE, SPAN)
        assert span.attributes["messaging.message.conversation_id"] == "request-1"
        kept = record(redis_client, span.attributes["messaging.message.id"])["traceparent"]
        assert kept.split("-")[1:3] == [TRACE, span.span_id]


async def test_batch_is_one_span_and_its_jobs_share_its_context(traced, otlp_receiver, redis_client):
    async with traced.client() as client:
        body = {"jobs": [{"data": DATA}] * 3}
        answer = await client.post("/predict/batch", json=body, headers=HEADERS)
    [span] = otlp_receiver.wait_for(1)
    assert (span.name, span.parent_id) == ("send iris", SPAN)
    assert span.attributes["messaging.batch.message_count"] == 3
    for job_id in answer.json()["job_ids"]:
        assert record(redis_client, job_id)["traceparent"].split("-")[1:3] == [TRACE, span.span_id]


async def test_jobs_of_a_websocket_and_of_the_models_example_are_spans(traced, otlp_receiver):
    async with traced.client() as client:
        await client.post("/predict/test")
    async with connect(traced.socket_url("/ws"), additional_headers=HEADERS) as socket:
        await socket.send(json.dumps({"data": DATA}))
        await socket.recv()
    example, sent = otlp_receiver.wait_for(2)
    assert (example.parent_id, sent.parent_id) == ("", SPAN)


async def test_request_that_is_refused_is_a_span_with_its_error(
    settings, announced, otlp_receiver, redis_client
):
    with serving(settings.model_copy(update={"max_queued": 1})) as proxy:
        async with proxy.client() as client:
            answers = [await client.post("/predict", json={"data": DATA}) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [202, 503]
    otlp_receiver.wait_for(2)
    assert [span.attributes.get("error.type") for span in otlp_receiver.spans] == [None, "queue-full"]
    assert [span.has_failed for span in otlp_receiver.spans] == [False, True]
