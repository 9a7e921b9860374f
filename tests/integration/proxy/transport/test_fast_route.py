"""Fast routes give the answers that FastAPI's own routing gives."""

import hashlib
import re

import httpx
import numpy as np
import pytest

from inferq.errors import InvalidInputError
from inferq.jobs import Outcome
from inferq.proxy.app import create_app
from inferq.proxy.transport.fast_path import FastRouteMiddleware
from tests.unit.tensors.arrays import save

KEY = "iq_key"
AWAY = rb"Redis (?:did|does) not [^\"]*"
ARRAY = save(np.array([[5.1, 3.5, 1.4, 0.2]], "f4"))
BODIES = [
    b'{"data": [[5.1, 3.5, 1.4, 0.2]]}',
    b'{"data": [[5.1, 3.5, 1.4, 0.2], [1, 2, 3, 4]], "model": "iris", "timeout": 3}',
    b'{"data": {"features": [[5.1, 3.5, 1.4, 0.2]]}, "model": null}',
    b"", b"{", b"[]", b"null", b"\xff", b'{"data": []}', b'{"data": [[1, 2, 3]]}',
    b'{"data": [[1, 2, 3, NaN]]}',
    b'{"data": [[1, 2, 3, "x"]]}', b'{"data": [[1,2,3,4]], "model": "nosuch"}', b'{"data": 1, "modle": 1}',
    b'{"data": [[1,2,3,4]], "timeout": -1}', b'{"data": [[1,2,3,4]], "data": [[1,2,3,4]]}', b"x" * 2000,
    ARRAY, ARRAY[:-1], b"\xff\xd8\xff\xe0 no picture",
]  # fmt: skip
REQUESTS = [
    *[("POST", "/predict", body) for body in BODIES],
    *[("GET", path, b"") for path in ("/job/done", "/job/bad", "/job/waiting", "/job/odd/path")],
    *[("GET", path, b"") for path in ("/job/nosuch", "/job/", "/job", f"/job/{'x' * 300}", "/job/%C3%BC")],
    *[(method, "/predict", BODIES[0]) for method in ("GET", "PUT", "HEAD", "OPTIONS", "DELETE")],
    *[(method, "/job/done", b"") for method in ("HEAD", "PUT", "OPTIONS", "DELETE", "POST")],
    *[("POST", path, BODIES[0]) for path in ("/predict/", "/predict?x=1", "//predict", "/Predict")],
    *[("POST", f"/predict?{query}", ARRAY) for query in ("model=iris&priority=high", "modle=iris", "x")],
    *[("GET", f"/job/waiting?{query}", b"") for query in (
        *("wait=0", "wait=0.05", "wait=-1", "wait=61", "wait=nan", "wait=x", "wait="),
        *("wait=0&wait=1e-2", "other=1"),
    )],
    *[("GET", path, b"") for path in ("/job/done?wait=20", "/job/nosuch?wait=20", "/job/done/events")],
    *[("GET", path, b"") for path in ("/job/events", "/job//events", "/job/nosuch/events", "/job/odd/ws")],
]  # fmt: skip


def client_of(app):
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://proxy")


def shape(answer):
    """An answer without what differs from one request to the next."""
    body = re.sub(rb'("job_id":")[0-9a-f]{32}"', rb'\1ID"', answer.content)
    made_id = r"[0-9a-f]{32}|^[0-9a-f]{16}-[0-9a-f]+$"
    headers = {name: re.sub(made_id, "ID", value) for name, value in answer.headers.items()}
    if answer.status_code == 503:
        # the first follows the rate, which sinks
        headers |= {name: "N" for name in ("retry-after", "content-length") if name in headers}
        body = re.sub(AWAY, b"Redis is away", body)
    return answer.status_code, headers, body


def made(settings, how, **chosen):
    """Settings of a proxy where all is well, or not."""
    chosen["max_run_timeout_seconds"] = 60.0
    if how == "guarded":
        chosen["api_keys"] = f"ann:{hashlib.sha256(KEY.encode()).hexdigest()}"
    if how == "full":
        chosen["max_queued"] = 1
    if how == "away":
        chosen |= {"redis_url": "redis://127.0.0.1:1", "redis_timeout_seconds": 0.05}
    return settings.model_copy(update=chosen)


def store_jobs(redis_client, consumer, *others):
    """Jobs that are done, bad, and waiting."""
    for name in ("done", "bad", *others):
        redis_client.set(f"job:{name}:data", BODIES[0])
        redis_client.lpush("queue:iris", name)
    done, bad = consumer.claim(2)
    consumer.finish(
        [Outcome(done, result=b'{"prediction":0}'), Outcome(bad, error=InvalidInputError("Bad."))]
    )


@pytest.fixture(params=["open", "guarded", "full", "away"])
async def both(request, settings, announced, consumer, redis_client):
    """Clients of the application with and without the fast path, in each state of the service."""
    chosen = made(settings, request.param, max_body_bytes=1000)
    apps = [create_app(chosen, has_fast_path=has_fast_path) for has_fast_path in (True, False)]
    store_jobs(redis_client, consumer, "waiting", "odd/path")
    yield tuple(client_of(app) for app in apps)
    for app in apps:
        await app.state.services.subscriber.aclose()
        await app.state.services.producer.close()


@pytest.mark.parametrize(("method", "path", "body"), REQUESTS)
async def test_fast_and_plain_answers_are_identical(both, method, path, body):
    for headers in ({}, {"Authorization": f"Bearer {KEY}"}):
        answers = [await client.request(method, path, content=body, headers=headers) for client in both]
        assert shape(answers[0]) == shape(answers[1])


@pytest.mark.parametrize(
    "preference", ["wait=0", "respond-async, Wait=0.05", "wait=x", "wait", "handling=lenient"]
)
@pytest.mark.parametrize("body", [BODIES[0], b"{"])
async def test_fast_and_plain_answers_to_a_preference_are_identical(both, preference, body):
    headers = {"Authorization": f"Bearer {KEY}", "Prefer": preference}
    answers = [await client.post("/predict", content=body, headers=headers) for client in both]
    assert shape(answers[0]) == shape(answers[1])


@pytest.mark.parametrize(
    "keys", [["a"], ["\u00fc"], [""], ["a b"], ["x" * 255], ["x" * 256], ["a", "b"], ['"quoted"']]
)
@pytest.mark.parametrize("body", BODIES)
async def test_answers_to_an_idempotency_key_are_identical(both, keys, body):
    headers = [("Authorization", f"Bearer {KEY}"), *[("Idempotency-Key", key.encode()) for key in keys]]
    for _ in range(2):
        answers = [await client.post("/predict", content=body, headers=headers) for client in both]
        assert shape(answers[0]) == shape(answers[1])


async def test_unforeseen_errors_are_answered_alike(both, monkeypatch):
    monkeypatch.setattr("inferq.proxy.routes.predictions.receive_prediction", lambda *_: 1 / 0)
    answers = [
        await client.post("/predict", content=BODIES[0], headers={"Authorization": f"Bearer {KEY}"})
        for client in both
    ]
    assert shape(answers[0]) == shape(answers[1])
    assert answers[0].status_code == 500


def test_document_is_the_same(settings):
    assert create_app(settings).openapi() == create_app(settings, has_fast_path=False).openapi()


def test_both_applications_are_really_two(settings):
    applications = [
        {one.cls for one in create_app(settings, has_fast_path=has_fast_path).user_middleware}
        for has_fast_path in (True, False)
    ]
    assert [FastRouteMiddleware in one for one in applications] == [True, False]
