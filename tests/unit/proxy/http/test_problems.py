import json

import httpx
import pytest
from fastapi import FastAPI
from starlette.exceptions import HTTPException
from structlog.testing import capture_logs

from inferq.errors import InvalidModelError, NoWorkerError, QueueFullError
from inferq.proxy.http import problems
from inferq.proxy.http.problem_types import TYPES


@pytest.fixture
def answer_to():
    """What the application answers when its endpoint fails in this way."""

    async def answer(error, path="/broken"):
        app = FastAPI()
        problems.install(app)

        @app.get("/{path:path}")
        async def broken(path: str, model: int = 0):
            raise error

        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://proxy") as client:
            return await client.get(path)

    return answer


async def test_problem_has_the_members_of_rfc_9457(answer_to):
    answer = await answer_to(QueueFullError("Full. Try later."))
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json() == {
        "type": "urn:inferq:problem:queue-full",
        "title": "The queue is full",
        "status": 503,
        "detail": "Full. Try later.",
        "instance": "/broken",
    }


async def test_retry_after_is_in_whole_seconds_and_never_zero(answer_to):
    assert (await answer_to(NoWorkerError("None."))).headers["retry-after"] == "1"
    assert (await answer_to(NoWorkerError("None.", retry_after_seconds=0.2))).headers["retry-after"] == "1"
    assert (await answer_to(NoWorkerError("None.", retry_after_seconds=4.2))).headers["retry-after"] == "5"


async def test_instance_is_a_valid_uri_reference_whatever_was_asked_for(answer_to):
    answer = await answer_to(QueueFullError("Full."), "/job/%E3%82%B8%20%3F%23")
    assert answer.json()["instance"] == "/job/%E3%82%B8%20%3F%23"


async def test_invalid_parameter_is_named_with_what_was_got(answer_to):
    body = (await answer_to(QueueFullError("Full."), "/x?model=abc")).json()
    assert (body["status"], body["type"]) == (422, "urn:inferq:problem:invalid-input")
    assert "query model" in body["detail"]
    assert "'abc'" in body["detail"]


async def test_errors_of_starlette_keep_their_status_and_headers(answer_to):
    answer = await answer_to(HTTPException(418, "Short and stout.", {"X-Pot": "tea"}))
    assert (answer.status_code, answer.headers["x-pot"]) == (418, "tea")
    assert answer.json()["type"] == "urn:inferq:problem:i'm-a-teapot"
    assert answer.json()["detail"] == "Short and stout."


@pytest.mark.parametrize("error", [RuntimeError("secret"), InvalidModelError("secret")])
async def test_what_no_request_can_cause_is_a_500_that_is_logged_and_tells_nothing(answer_to, error):
    with capture_logs() as logged:
        answer = await answer_to(error)
    assert (answer.status_code, answer.json()["type"]) == (500, "urn:inferq:problem:internal")
    assert "secret" not in answer.text
    assert [line["exc_info"] for line in logged] == [error]


@pytest.mark.parametrize("kind", TYPES)
def test_every_kind_has_an_example_that_is_a_problem(kind):
    example = problems.make_example(kind, "/predict")
    assert example["status"] == TYPES[kind].status >= 400
    assert str(example["detail"]).endswith(".")
    json.dumps(example)
