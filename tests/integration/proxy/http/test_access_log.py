"""Each request is one line of the access log, whichever way it is served."""

import hashlib

import pytest
from structlog.testing import capture_logs
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from inferq.observability.log_context import add_log_ids
from inferq.proxy.app import create_app
from inferq.proxy.transport import choose_protocols
from tests.integration.proxy.answers import DATA
from tests.integration.proxy.serving import serving

KEY = "iq_key"


@pytest.fixture
def ask(settings, announced):
    """Makes requests of a proxy and stops it; returns the lines of its access log."""

    async def ask(*requests, access_log="all", **changes):
        app = create_app(settings.model_copy(update={"access_log": access_log, **changes}))
        with capture_logs(processors=[add_log_ids]) as logged, serving(settings, app=app) as proxy:
            async with proxy.client(headers={"X-Request-ID": "r-1"}) as client:
                for method, path, *options in requests:
                    answer = await client.request(method, path, **dict(*options))
                    sizes.append(len(answer.content))
        return [line for line in logged if line["event"] == "request_ended"]

    sizes = ask.sizes = []
    return ask


def pick(line, *names):
    return tuple(line[name] for name in names)


@pytest.mark.parametrize("query", ["", "?x=secret"], ids=["fast", "through-asgi"])
async def test_line_tells_of_request_and_answer(ask, query):
    [line] = await ask(("POST", f"/predict{query}", {"json": DATA}))
    assert 0 < line.pop("seconds") < 60
    assert len(line.pop("job_id")) == 32
    assert line == {
        "event": "request_ended", "log_level": "info", "method": "POST", "route": "/predict",
        "path": "/predict", "status": 202, "bytes": ask.sizes[0], "client": "127.0.0.1",
        "owner": None, "request_id": "r-1",
    }  # fmt: skip


async def test_every_kind_of_request_is_logged_once(ask):
    lines = await ask(
        ("GET", "/job/x"), ("GET", "/job/x?wait=0"), ("GET", "/models/iris"), ("PUT", "/predict"),
        ("GET", "/no"), ("HEAD", "/health/live"),
    )  # fmt: skip
    assert [pick(line, "method", "path", "route", "status") for line in lines] == [
        ("GET", "/job/x", "/job/{job_id}", 404),
        ("GET", "/job/x", "/job/{job_id}", 404),
        ("GET", "/models/iris", "/models/{name}", 200),
        ("PUT", "/predict", "/predict", 405),
        ("GET", "/no", None, 404),
        ("HEAD", "/health/live", None, 200),
    ]
    assert [line["bytes"] for line in lines] == ask.sizes


async def test_stored_result_that_is_large_is_counted_whole(ask, redis_client):
    redis_client.set("job:big:status", "completed")
    redis_client.set("job:big:result", b'"%b"' % (b"x" * 300_000))
    lines = await ask(("GET", "/job/big"), ("GET", "/job/big?wait=0"))
    assert [line["bytes"] for line in lines] == ask.sizes
    assert ask.sizes[0] > 300_000


@pytest.mark.parametrize(("access_log", "statuses"), [("errors", [422, 404]), ("off", [])])
async def test_setting_leaves_out_what_went_well(ask, access_log, statuses):
    requests = ("POST", "/predict", {"json": DATA}), ("POST", "/predict", {"json": {}}), ("GET", "/job/x?x=1")
    lines = await ask(*requests, access_log=access_log)
    assert [line["status"] for line in lines] == statuses


async def test_owner_is_named_and_a_refused_key_is_not(ask):
    keys = f"ann:{hashlib.sha256(KEY.encode()).hexdigest()}"
    lines = await ask(
        ("GET", "/queue", {"headers": {"Authorization": f"Bearer {KEY}"}}),
        ("GET", "/job/x", {"headers": {"Authorization": f"Bearer {KEY}"}}),
        ("GET", "/queue", {"headers": {"Authorization": "Bearer other"}}),
        api_keys=keys,
    )
    assert [pick(line, "owner", "status") for line in lines] == [("ann", 200), ("ann", 404), (None, 401)]


@pytest.mark.parametrize("query", ["", "?x=1"])
async def test_request_that_fails_is_a_warning(ask, monkeypatch, query):
    monkeypatch.setattr("inferq.proxy.routes.predictions.receive_prediction", lambda *_: 1 / 0)
    [line] = await ask(("POST", f"/predict{query}", {"json": DATA}))
    assert pick(line, "status", "log_level", "request_id") == (500, "warning", "r-1")


async def test_websocket_is_logged_when_it_has_closed(settings, announced):
    app = create_app(settings.model_copy(update={"access_log": "all"}))
    with (
        capture_logs(processors=[add_log_ids]) as logged,
        serving(settings, app=app, ws=choose_protocols().websocket) as proxy,
    ):
        async with connect(proxy.socket_url("/ws"), additional_headers={"X-Request-ID": "s"}) as socket:
            await socket.send("{")
            answer = await socket.recv()
        with pytest.raises(InvalidStatus):
            await connect(proxy.socket_url("/ws"), additional_headers={"Origin": "https://elsewhere"})
    lines = [pick(line, "method", "path", "status", "bytes") for line in logged if "status" in line]
    assert sorted(lines, key=lambda line: line[2])[0] == ("GET", "/ws", 101, len(answer.encode()))
    assert sorted(line[2] for line in lines) == [101, 403]
