"""The fast path is off while the application carries middleware that it does not know."""

import pytest
from fastapi import FastAPI
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from structlog.testing import capture_logs
from websockets.asyncio.client import connect

from inferq.proxy.app import create_app
from inferq.proxy.transport import choose_protocols
from tests.integration.proxy.serving import serving
from tests.integration.proxy.transport.test_fast_route import BODIES, REQUESTS

BODY = BODIES[0]


class Recorder:
    """Middleware that notes the requests it sees."""

    seen: list

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        if scope["type"] in ("http", "websocket"):
            Recorder.seen.append(scope["path"])
        await self.app(scope, receive, send)


class TransparentRecorder(Recorder):
    """The same, which has the attributes of the application that it is around."""

    def __getattr__(self, name):
        return getattr(self.app, name)


@pytest.fixture(autouse=True)
def nothing_seen():
    Recorder.seen = []


def add(app, _monkeypatch):
    app.add_middleware(Recorder)


def add_function(app, _monkeypatch):
    @app.middleware("http")
    async def note(request, call_next):
        Recorder.seen.append(request.url.path)
        return await call_next(request)


def add_innermost(app, _monkeypatch):
    app.user_middleware.append(Middleware(Recorder))


def instrument(app, _monkeypatch):
    """As instrumentation of one application does: around what it builds."""
    build = app.build_middleware_stack
    app.build_middleware_stack = lambda: Recorder(build())


def instrument_all(_app, monkeypatch):
    """As instrumentation of all applications does."""
    build = FastAPI.build_middleware_stack
    monkeypatch.setattr(FastAPI, "build_middleware_stack", lambda app: Recorder(build(app)))


@pytest.mark.parametrize("change", [add, add_function, add_innermost, instrument, instrument_all])
async def test_unknown_middleware_sees_every_request(settings, announced, monkeypatch, change):
    app = create_app(settings)
    change(app, monkeypatch)
    with capture_logs() as logged, serving(settings, app=app) as proxy:
        proxy.count_fast_requests()
        async with proxy.client() as client:
            for method, path, body in REQUESTS:
                if not path.endswith("/events"):
                    await client.request(method, path, content=body)
        asked = [path for _, path, _ in REQUESTS if not path.endswith("/events")]
        assert len(Recorder.seen) == len(asked)
        assert Recorder.seen.count("/predict") == sum(path.split("?")[0] == "/predict" for path in asked)
    assert proxy.fast_requests == 0
    [line] = [line for line in logged if line["event"] == "fast_path_off"]
    assert "middleware that it does not know" in line["reason"]


@pytest.mark.parametrize("around", [Recorder, TransparentRecorder])
async def test_application_around_ours_sees_every_request(settings, announced, around):
    app = create_app(settings)
    protocols = choose_protocols()
    with (
        capture_logs() as logged,
        serving(settings, protocols.http, app=app, around=around, ws=protocols.websocket) as proxy,
    ):
        proxy.count_fast_requests()
        async with proxy.client() as client:
            answer = await client.post("/predict", content=BODY)
            job_id = answer.json()["job_id"]
            assert (await client.get(f"/job/{job_id}")).json()["status"] == "pending"
            async with connect(proxy.socket_url(f"/job/{job_id}/ws")) as socket:
                assert '"pending"' in await socket.recv()
    assert Recorder.seen == ["/predict", f"/job/{job_id}", f"/job/{job_id}/ws"]
    assert proxy.fast_requests == 0
    assert [line["event"] for line in logged].count("fast_path_off") == 1


async def test_middleware_added_while_the_application_runs_sees_what_follows(settings, announced):
    with serving(settings) as proxy:
        proxy.count_fast_requests()
        async with proxy.client() as client:
            await client.post("/predict", content=BODY)
            assert proxy.fast_requests == 1
            proxy.app.middleware_stack = Recorder(proxy.app.middleware_stack)
            await client.post("/predict", content=BODY)
    assert (proxy.fast_requests, Recorder.seen) == (1, ["/predict"])


@pytest.mark.parametrize("has_keys", [True, False])
async def test_fast_path_is_on_with_our_own_middleware_whatever_telemetry_is_set(
    settings, announced, monkeypatch, has_keys
):
    monkeypatch.setenv("OTEL_SERVICE_NAME", "inferq")
    keys = f"ann:{'0' * 64}" if has_keys else ""
    app = create_app(settings.model_copy(update={"api_keys": keys}))
    with capture_logs() as logged, serving(settings, app=app) as proxy:
        assert app.state.fast_path.is_on
        proxy.count_fast_requests()
        async with proxy.client() as client:
            await client.post("/predict", content=BODY)
    assert proxy.fast_requests == (not has_keys)
    assert "fast_path_off" not in [line["event"] for line in logged]


def test_middleware_of_the_framework_that_is_added_is_unknown_too(settings):
    app = create_app(settings)
    app.add_middleware(GZipMiddleware)
    with capture_logs() as logged:
        assert not app.state.fast_path.is_on
        assert not app.state.fast_path.is_on
    [line] = logged
    assert line["reason"].endswith("GZipMiddleware")
