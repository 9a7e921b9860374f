"""Each request is observed once, whichever way it is served."""

import hashlib

import httpx
import pytest

from inferq.proxy.app import create_app
from tests.integration.proxy.serving import serving

BODY = b'{"data": [[5.1, 3.5, 1.4, 0.2]]}'


class Recorder:
    """Keeps all that it is told."""

    def __init__(self):
        self.requests = []

    def request_ended(self, method, route, status, seconds):
        assert 0 < seconds < 60
        self.requests.append((method, route, status))


@pytest.fixture
def recorder():
    return Recorder()


@pytest.fixture
def observed(settings, announced, recorder):
    """A proxy with an observer."""
    with serving(settings, app=create_app(settings, observer=recorder)) as proxy:
        proxy.count_fast_requests()
        yield proxy


async def test_request_that_skips_asgi_is_observed_once(observed, recorder):
    async with observed.client() as client:
        job_id = (await client.post("/predict", content=BODY)).json()["job_id"]
        await client.get(f"/job/{job_id}")
        await client.get("/job/nosuch")
    assert observed.fast_requests == 3
    assert recorder.requests == [
        ("POST", "/predict", 202),
        ("GET", "/job/{job_id}", 200),
        ("GET", "/job/{job_id}", 404),
    ]


async def test_fast_route_served_through_asgi_is_observed_once(observed, recorder):
    async with observed.client() as client:
        await client.post("/predict", content=BODY, headers={"Prefer": "wait=0"})
        await client.get("/job/nosuch?wait=1")
    assert observed.fast_requests == 0
    assert recorder.requests == [("POST", "/predict", 202), ("GET", "/job/{job_id}", 404)]


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", "/models/iris", ("GET", "/models/{name}", 200)),
        ("HEAD", "/models/iris", ("GET", "/models/{name}", 200)),
        ("GET", "/docs/assets/favicon.png", ("GET", "/docs/assets/{path}", 200)),
        ("DELETE", "/job/nosuch", ("DELETE", "/job/{job_id}", 404)),
        ("GET", "/nothing/here", ("GET", "", 404)),
    ],
)
async def test_ordinary_request_is_observed_once(observed, recorder, method, path, expected):
    async with observed.client() as client:
        await client.request(method, path)
    assert recorder.requests == [expected]


async def test_request_that_is_refused_before_its_route_is_observed_once(settings, announced, recorder):
    keys = f"ann:{hashlib.sha256(b'key').hexdigest()}"
    app = create_app(settings.model_copy(update={"api_keys": keys}), observer=recorder)
    with serving(settings, app=app) as proxy:
        async with proxy.client() as client:
            await client.post("/predict", content=BODY)
            await client.post("/predict", content=BODY, headers={"Origin": "https://elsewhere"})
    assert recorder.requests == [("POST", "", 401), ("POST", "", 403)]


@pytest.mark.parametrize(
    ("headers", "is_fast"), [({}, True), ({"Prefer": "wait=0"}, False)], ids=["fast-protocol", "fast-route"]
)
async def test_fast_request_that_fails_is_observed_once(observed, recorder, monkeypatch, headers, is_fast):
    monkeypatch.setattr("inferq.proxy.routes.predictions.read_body", lambda *_: 1 / 0)
    async with observed.client() as client:
        assert (await client.post("/predict", content=BODY, headers=headers)).status_code == 500
    assert observed.fast_requests == is_fast
    assert recorder.requests == [("POST", "/predict", 500)]


async def test_ordinary_request_that_fails_is_observed_once(settings, recorder):
    app = create_app(settings, observer=recorder)

    @app.get("/broken/{name}")
    async def fail(name: str):
        raise ZeroDivisionError(name)

    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://proxy") as client:
        assert (await client.get("/broken/x")).status_code == 500
    assert recorder.requests == [("GET", "/broken/{name}", 500)]
