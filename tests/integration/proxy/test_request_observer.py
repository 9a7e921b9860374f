"""Each request is observed once, whichever way it is served."""

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
def ask(settings, announced, recorder):
    """Makes requests of a proxy and stops it; returns the statuses, and how many requests skipped ASGI."""

    async def ask(*requests, **changes):
        app = create_app(settings.model_copy(update=changes), observer=recorder)
        with serving(settings, app=app) as proxy:
            proxy.count_fast_requests()
            async with proxy.client() as client:
                answers = [
                    await client.request(
                        method, path, content=BODY if method == "POST" else b"", headers=headers
                    )
                    for method, path, headers in requests
                ]
        return [answer.status_code for answer in answers], proxy.fast_requests

    return ask


async def test_request_that_skips_asgi_is_observed_once(ask, recorder):
    assert await ask(("POST", "/predict", {}), ("GET", "/job/nosuch", {})) == ([202, 404], 2)
    assert sorted(recorder.requests) == sorted([("POST", "/predict", 202), ("GET", "/job/{job_id}", 404)])


async def test_fast_route_served_through_asgi_is_observed_once(ask, recorder):
    requests = ("POST", "/predict", {"Prefer": "wait=0"}), ("GET", "/job/nosuch?wait=1", {})
    assert await ask(*requests) == ([202, 404], 0)
    assert sorted(recorder.requests) == sorted([("POST", "/predict", 202), ("GET", "/job/{job_id}", 404)])


async def test_ordinary_request_is_observed_once(ask, recorder):
    requests = {
        ("GET", "/models/iris"): ("GET", "/models/{name}", 200),
        ("HEAD", "/models/iris"): ("GET", "/models/{name}", 200),
        ("GET", "/docs/assets/favicon.png"): ("GET", "", 200),
        ("DELETE", "/job/nosuch"): ("DELETE", "/job/{job_id}", 404),
        ("PUT", "/predict"): ("PUT", "/predict", 405),
        ("GET", "/nothing/here"): ("GET", "", 404),
    }
    await ask(*((*request, {}) for request in requests))
    assert sorted(recorder.requests) == sorted(requests.values())


async def test_request_that_is_refused_before_its_route_is_looked_for_is_observed_once(ask, recorder):
    requests = ("POST", "/predict", {}), ("POST", "/predict", {"Origin": "https://elsewhere"})
    await ask(*requests, api_keys=f"ann:{'0' * 64}")
    assert sorted(recorder.requests) == sorted([("POST", "", 401), ("POST", "", 403)])


@pytest.mark.parametrize(
    ("headers", "is_fast"), [({}, True), ({"Prefer": "wait=0"}, False)], ids=["fast-protocol", "fast-route"]
)
async def test_fast_request_that_fails_is_observed_once(ask, recorder, monkeypatch, headers, is_fast):
    monkeypatch.setattr("inferq.proxy.routes.predictions.receive_prediction", lambda *_: 1 / 0)
    assert await ask(("POST", "/predict", headers)) == ([500], is_fast)
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
