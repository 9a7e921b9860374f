"""Inference past the middleware gives, byte by byte, the answers that it gives through ASGI."""

import json

import numpy as np
import pytest
from structlog.testing import capture_logs
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from inferq.observability.log_context import add_log_ids
from inferq.proxy.app import create_app
from inferq.proxy.transport.waiting_request import WaitingRequest
from tests.integration.proxy.routes.v2_service import running_service
from tests.integration.proxy.serving import serving
from tests.integration.proxy.transport.test_body_receiver import split
from tests.integration.proxy.transport.test_fast_protocol import Connection, answers_to, request


@pytest.fixture(scope="module")
def both(valkey_server, tmp_path_factory):
    """A service, and a second proxy of it with uvicorn's own protocol."""
    with (
        running_service(valkey_server, tmp_path_factory.mktemp("models"), max_wait_seconds=60) as fast,
        serving(fast.app.state.services.settings, HttpToolsProtocol) as plain,
    ):
        yield fast, plain


@pytest.fixture
def served(monkeypatch):
    """The requests that went past the middleware."""
    found = []
    serve = WaitingRequest.serve

    async def note_and_serve(waiting):
        found.append(waiting)
        await serve(waiting)

    monkeypatch.setattr(WaitingRequest, "serve", note_and_serve)
    return found


def infer(model="copy", values=((1.5, -2.0),), headers=(), **more):
    data = np.asarray(values, np.float32).tobytes()
    tensor = {"name": "x", "datatype": "FP32", "shape": np.shape(values)}
    head = json.dumps(
        {"inputs": [{**tensor, "parameters": {"binary_data_size": len(data)}}], **more}
    ).encode()
    length = b"Inference-Header-Content-Length: %d" % len(head)
    return request(path=b"/v2/models/%b/infer" % model.encode(), body=head + data, headers=[length, *headers])


LARGE = np.arange(200_000).reshape(2, 100_000)
BINARY = {"parameters": {"binary_data_output": True}}
PAST = [
    infer(),
    infer(**BINARY),
    infer(id="mine", outputs=[{"name": "y", "parameters": {"classification": 1}}]),
    infer(values=LARGE, **BINARY),
    infer(values=LARGE),
    infer("nothing", LARGE),
    infer("copy/versions/7"),
    infer(values=[1.0]),
    infer(parameters={"timeout": -1}),
    infer(headers=[b"X-Request-ID: order/17", b"Idempotency-Key: one"]),
    request(path=b"/v2/models/copy/infer", body=b"{"),
    request(
        path=b"/v2/models/failing/infer",
        body=b'{"inputs": [{"name": "index", "datatype": "INT64", "shape": [1], "data": [9]}]}',
    ),
]
THROUGH_ASGI = [
    infer(headers=[b"Prefer: wait=50"]),
    infer(headers=[b"Origin: http://elsewhere.example"]),
    infer(headers=[b"Expect: 100-continue"], values=LARGE),
    request(b"GET", b"/v2/models/copy/infer"),
    request(path=b"/v2/models/c%6Fpy/infer", body=b"{"),
    infer(headers=[b"Connection: close"]),
]  # fmt: skip


async def test_every_answer_is_the_same_byte_by_byte(both, served):
    for sent in PAST:
        fast, plain = await answers_to(both, sent)
        assert fast == plain
    assert len(served) == len(PAST)


async def test_what_is_not_simple_goes_through_asgi(both, served):
    for sent in THROUGH_ASGI:
        fast, plain = await answers_to(both, sent)
        assert fast == plain
    assert not served


async def test_pipelined_requests_are_answered_in_order(both):
    sent = [infer(id="1", values=LARGE), infer(id="2"), request(b"GET", b"/health/live"), infer(id="3")]
    whole = b"".join(sent)
    for pieces in ([whole], split(whole, 100, 300_000, 799_000, 801_000)):
        fast, plain = await answers_to(both, *pieces, count=4)
        assert fast == plain


class Observer:
    """Notes the requests."""

    def __init__(self):
        self.ended = []

    def request_ended(self, method, route, status, seconds):
        assert 0 < seconds < 60
        self.ended.append((method, route, status))


async def test_it_is_observed_and_logged_as_through_asgi(both, served):
    found = []
    for http in (None, HttpToolsProtocol):
        observer, options = Observer(), {} if http is None else {"http": http}
        settings = both[0].app.state.services.settings.model_copy(update={"access_log": "all"})
        app = create_app(settings, observer=observer)
        with capture_logs(processors=[add_log_ids]) as logged, serving(settings, app=app, **options) as proxy:
            async with Connection.to(proxy) as connection:
                for sent in (
                    infer(headers=[b"X-Request-ID: r-1"]),
                    infer("nothing"),
                    infer(values=LARGE, **BINARY),
                ):
                    await connection.send(sent)
                    await connection.answer()
        lines = [line for line in logged if line["event"] == "request_ended"]
        for line in lines:
            assert line.pop("seconds") > 0
            line.pop("job_id", None)
            if line["request_id"] != "r-1":
                line.pop("request_id")
        found.append((observer.ended, lines))
    assert found[0] == found[1]
    assert len(found[0][1]) == len(served) == 3


async def test_unexpected_error_is_answered_as_through_asgi(both, served, monkeypatch):
    async def fail(*_):
        raise RuntimeError("boom")

    monkeypatch.setattr("inferq.proxy.routes.v2_inference.receive_inference", fail)
    found = []
    for proxy in both:
        with capture_logs() as logged:
            async with Connection.to(proxy) as connection:
                await connection.send(infer())
                found.append(await connection.answer())
        assert [line["event"] for line in logged if line["log_level"] == "error"] == ["request_failed"]
    assert found[0] == found[1]
    assert b" 500 " in found[0]
