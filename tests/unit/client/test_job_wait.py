import httpx
import pytest

from inferq.client.job_wait import wait_for_all, wait_for_end
from inferq.client.steps import Call, Pause
from inferq.errors import UnreachableError
from tests.unit.client.drive import drive, problem


def test_wait_asks_for_less_where_the_service_lets_nobody_wait_so_long():
    view = {"job_id": "a", "status": "completed"}
    done, asked = drive(
        wait_for_end("a", None, 0), problem(422, "invalid-input"), httpx.Response(200, json=view)
    )
    assert done == view
    assert [one.path for one in asked] == ["/job/a?wait=20.000", "/job/a?wait=5.000"]


def test_wait_outlasts_a_service_that_is_started_again(monkeypatch):
    view = {"job_id": "a", "status": "completed"}
    answers = [httpx.ConnectError("refused")] * 5 + [httpx.Response(200, json=view)]
    done, asked = drive(wait_for_end("a", 60, 0), *answers)
    assert done == view
    assert sum(isinstance(step, Pause) for step in asked) == 5
    monkeypatch.setattr("inferq.client.job_wait.OUTAGE_SECONDS", 0.0)
    with pytest.raises(UnreachableError):
        drive(wait_for_end("a", None, 0), *answers)


def test_wait_does_not_hurry_a_service_that_answers_early():
    pending, ended = ({"job_id": "a", "status": status} for status in ("pending", "completed"))
    _, asked = drive(
        wait_for_end("a", None, 0), httpx.Response(200, json=pending), httpx.Response(200, json=ended)
    )
    assert [type(step) for step in asked] == [Call, Pause, Call]


def test_all_ends_are_had_though_large_results_come_in_several_answers():
    views = [{"job_id": job_id, "status": "completed"} for job_id in "abcd"]
    answers = [
        httpx.Response(200, json=views[0]),
        httpx.Response(200, json={"jobs": [views[1], None, None], "left_out": ["c", "d"]}),
        httpx.Response(200, json={"jobs": [views[2], None], "left_out": ["d"]}),
        httpx.Response(200, json={"jobs": [views[3]]}),
    ]
    done, asked = drive(wait_for_all(["a", "b", "c", "d"], 0), *answers)
    assert done == views
    assert [call.body for call in asked[1:]] == [
        b'{"job_ids":["b","c","d"]}', b'{"job_ids":["c","d"]}', b'{"job_ids":["d"]}',
    ]  # fmt: skip
