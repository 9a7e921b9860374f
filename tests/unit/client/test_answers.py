import httpx
import pytest

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
