import httpx
import pytest

from inferq.client.answers import make_error
from inferq.client.requests import get
from inferq.client.steps import Call, make_call
from inferq.errors import UnexpectedAnswerError
from tests.unit.client.drive import drive


def test_answer_of_another_service_is_told():
    with pytest.raises(UnexpectedAnswerError, match="inferq service"):
        drive(make_call(Call("GET", "/"), 3), httpx.Response(404, text="<html>"))


def test_answer_that_is_no_json_is_told():
    with pytest.raises(UnexpectedAnswerError):
        drive(get("/models", 0), httpx.Response(200, text="<html>"))


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(503, json={"type": "urn:inferq:problem:queue-full", "detail": "Full."}),
        httpx.Response(500, json={"type": "urn:inferq:problem:internal", "detail": "Sorry."}),
        httpx.Response(502, text="Bad gateway"),
    ],
)
def test_error_has_the_id_of_its_request(answer):
    answer.headers["X-Request-ID"] = "r-1"
    answer.request = httpx.Request("GET", "http://proxy/queue")
    error = make_error("GET /queue", answer)
    assert error.request_id == "r-1"
    assert ("The id of the request is r-1." in error.message) == (answer.status_code == 500)


def test_error_without_an_answer_has_no_id():
    assert make_error("GET /queue", None).request_id is None
