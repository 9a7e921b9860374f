"""Each request has an id and perhaps a trace context, which its answer and its jobs carry."""

import asyncio
import re

import pytest
from structlog.testing import capture_logs
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from inferq.observability.log_context import add_log_ids
from inferq.proxy.transport import choose_protocols
from inferq.proxy.transport.fast_protocol import FastProtocol
from tests.integration.proxy.answers import DATA
from tests.integration.proxy.serving import serving

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
MADE = re.compile("[0-9a-f]{16}-[0-9a-f]+")


@pytest.fixture(params=[FastProtocol, HttpToolsProtocol])
def proxy(request, settings, announced):
    """A proxy whose requests skip ASGI where they can, and one whose requests do not."""
    with serving(settings, request.param, ws=choose_protocols().websocket) as proxy:
        yield proxy


@pytest.fixture
async def client(proxy):
    async with proxy.client() as client:
        yield client


@pytest.mark.parametrize(
    ("method", "path", "json", "status"),
    [
        *[("POST", "/predict", DATA, 202), ("POST", "/predict", {}, 422), ("GET", "/job/nosuch", None, 404)],
        *[("POST", "/predict?x=1", DATA, 202), ("GET", "/health/live", None, 200), ("HEAD", "/", None, 200)],
        *[("PUT", "/predict", None, 405), ("GET", "/nothing", None, 404), ("GET", "/docs", None, 200)],
    ],
)
async def test_answer_gives_back_what_the_request_brought(client, method, path, json, status):
    headers = {"X-Request-ID": "order/17:a@b=", "traceparent": TRACE}
    answer = await client.request(method, path, json=json, headers=headers)
    assert answer.status_code == status
    assert answer.headers.get_list("x-request-id") == ["order/17:a@b="]
    assert answer.headers.get_list("traceparent") == [TRACE]


async def test_request_without_an_id_gets_one_that_no_other_has(client):
    answers = [await client.request("POST", path, json=DATA) for path in ("/predict", "/predict?x=1") * 5]
    ids = {answer.headers["x-request-id"] for answer in answers}
    assert len(ids) == 10
    assert all(map(MADE.fullmatch, ids))
    assert not any("traceparent" in answer.headers for answer in answers)


@pytest.mark.parametrize("path", ["/predict", "/predict?x=1"])
@pytest.mark.parametrize(
    "headers",
    [
        *[{"X-Request-ID": value} for value in ("", "a b", "x" * 129, 'a"b', "a,b", "ü".encode())],
        [("X-Request-ID", "a"), ("X-Request-ID", "b")],
    ],
)
async def test_malformed_id_is_ignored_and_replaced(client, path, headers):
    answer = await client.post(path, json=DATA, headers=headers)
    assert answer.status_code == 202
    assert MADE.fullmatch(answer.headers["x-request-id"])


@pytest.mark.parametrize("path", ["/predict", "/predict?x=1"])
@pytest.mark.parametrize(
    "values",
    [
        *[[TRACE.upper()], [TRACE[:-1]], [f"{TRACE}0"], [TRACE.replace("00-", "01-", 1)], [TRACE, TRACE]],
        *[[f"00-{'0' * 32}-b7ad6b7169203331-01"], [f"00-0af7651916cd43dd8448eb211c80319c-{'0' * 16}-01"]],
    ],
)
async def test_malformed_trace_context_is_ignored(client, redis_client, path, values):
    headers = [("X-Request-ID", "a"), *[("traceparent", value) for value in values]]
    answer = await client.post(path, json=DATA, headers=headers)
    assert answer.status_code == 202
    assert answer.headers["x-request-id"] == "a"
    assert "traceparent" not in answer.headers


@pytest.mark.parametrize("path", ["/predict", "/predict?x=1", "/predict/test", "/predict/batch"])
async def test_jobs_carry_the_ids_of_their_request(proxy, client, consumer, path):
    body = {"jobs": [DATA, DATA]} if path.endswith("batch") else DATA
    answer = await client.post(path, json=body, headers={"X-Request-ID": "r-1", "traceparent": TRACE})
    job_ids = answer.json().get("job_ids") or [answer.json()["job_id"]]
    for job_id in job_ids:
        assert (await client.get(f"/job/{job_id}")).json()["request_id"] == "r-1"
    claimed = consumer.claim(10)
    assert [(job.id, job.request_id, job.traceparent) for job in claimed] == [
        (job_id, "r-1", TRACE) for job_id in job_ids
    ]


async def test_job_keeps_the_id_that_was_made(client, consumer):
    answer = await client.post("/predict", json=DATA)
    [job] = consumer.claim(1)
    assert (job.request_id, job.traceparent) == (answer.headers["x-request-id"], "")


async def test_repeated_request_has_an_id_of_its_own_and_its_job_the_first(client):
    for request_id in ("first", "second"):
        headers = {"X-Request-ID": request_id, "Idempotency-Key": "k"}
        answer = await client.post("/predict", json=DATA, headers=headers)
        assert answer.headers["x-request-id"] == request_id
    assert (await client.get(answer.headers["location"])).json()["request_id"] == "first"


async def test_job_from_outside_has_no_id(client, redis_client):
    redis_client.set("job:x:data", "[[1,2,3,4]]")
    redis_client.lpush("queue:iris", "x")
    assert (await client.get("/job/x")).json()["request_id"] is None


async def test_event_stream_gives_back_the_id(client, consumer):
    job_id = (await client.post("/predict", json=DATA)).json()["job_id"]
    async with client.stream("GET", f"/job/{job_id}/events", headers={"X-Request-ID": "s"}) as answer:
        assert answer.headers["x-request-id"] == "s"


async def test_websocket_gives_back_the_id_and_its_jobs_carry_it(proxy, consumer):
    headers = {"X-Request-ID": "socket", "traceparent": TRACE}
    async with connect(proxy.socket_url("/ws"), additional_headers=headers) as socket:
        assert socket.response.headers["x-request-id"] == "socket"
        for _ in range(2):
            await socket.send('{"data": [[1,2,3,4]]}')
            while "accepted" not in await socket.recv():
                pass
    assert [(job.request_id, job.traceparent) for job in consumer.claim(2)] == [("socket", TRACE)] * 2


async def test_websocket_that_is_refused_gives_back_the_id(settings, announced):
    settings = settings.model_copy(update={"api_keys": f"ann:{'0' * 64}"})
    with (
        serving(settings, ws=choose_protocols().websocket) as proxy,
        pytest.raises(InvalidStatus) as refused,
    ):
        await connect(proxy.socket_url("/ws"), additional_headers={"X-Request-ID": "socket"})
    assert refused.value.response.status_code == 401
    assert refused.value.response.headers["x-request-id"] == "socket"


@pytest.mark.parametrize("path", ["/predict", "/predict?x=1"])
async def test_answer_and_line_of_an_unforeseen_error_have_the_id(client, monkeypatch, path):
    monkeypatch.setattr("inferq.proxy.routes.predictions.receive_prediction", lambda *_: 1 / 0)
    with capture_logs(processors=[add_log_ids]) as logged:
        answer = await client.post(path, json=DATA, headers={"X-Request-ID": "r-1"})
    assert answer.status_code == 500
    assert answer.headers.get_list("x-request-id") == ["r-1"]
    assert [(line["event"], line["request_id"]) for line in logged] == [("request_failed", "r-1")]


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET / HTTP/1.1\r\nX-Request-ID: r-1\r\nX: " + b"x" * 200_000, b"431"),
        (b"GET / HTTP/1.1\r\nX-Request-ID: r-1\r\nX: x\r\nno header\r\n\r\n", b"400"),
    ],
)
async def test_request_that_the_protocol_refuses_gets_its_id_back(settings, head, status):
    with serving(settings) as proxy:
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writer.write(head)
        answer = await asyncio.wait_for(reader.read(), 60)
        writer.close()
    assert answer.startswith(b"HTTP/1.1 " + status)
    assert answer.count(b"x-request-id: r-1\r\n") == 1
