import httpx
import pytest

from inferq.client.steps import Call, Pause, make_call
from inferq.errors import InvalidInputError, QueueFullError, UnreachableError
from tests.unit.client.drive import drive, problem


def test_passing_failures_are_tried_again_after_a_pause():
    answers = [httpx.ConnectError("refused"), problem(503, "queue-full", **{"Retry-After": "2"})]
    done, asked = drive(make_call(Call("GET", "/"), 3), *answers, httpx.Response(200, json=1))
    assert done.json() == 1
    assert [type(step) for step in asked] == [Call, Pause, Call, Pause, Call]
    assert asked[3].seconds > 2


def test_refusal_that_lasts_longer_is_raised_at_once():
    with pytest.raises(QueueFullError):
        drive(make_call(Call("GET", "/"), 3), problem(503, "queue-full", **{"Retry-After": "60"}))


def test_last_failure_is_raised_with_what_the_service_said():
    with pytest.raises(QueueFullError) as caught:
        drive(make_call(Call("GET", "/"), 0), problem(503, "queue-full", **{"Retry-After": "7"}))
    assert caught.value.retry_after_seconds == 7
    assert caught.value.problem["status"] == 503


def test_unsafe_calls_and_lasting_failures_are_not_tried_again():
    with pytest.raises(UnreachableError):
        drive(make_call(Call("POST", "/job/x/retry", is_safe=False), 3), httpx.ReadError("cut"))
    with pytest.raises(InvalidInputError):
        drive(make_call(Call("GET", "/"), 3), problem(422, "invalid-input"))
