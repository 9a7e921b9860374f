import json

import httpx
import numpy as np
import pandas
import pytest

from inferq.client.job_body import JobOptions, ServiceCache
from inferq.client.requests import submit
from inferq.errors import InvalidInputError, NoWorkerError
from tests.unit.client.drive import drive, problem


@pytest.mark.parametrize(
    "extra",
    [
        {},
        {"output": "s3://bucket/"},
        {"model": "m", "timeout": 1.5, "priority": "high", "webhook": "http://x", "expires_in": 2.5},
    ],
)
def test_body_of_a_request_is_its_data_and_what_was_said_of_it(extra):
    assert json.loads(JobOptions(**extra).write_body(b"[[1]]")) == {"data": [[1]], **extra}


IRIS = {
    "name": "m",
    "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 2]}],
    "feature_names": ["a", "b"],
}


IRIS_FRAME = pandas.DataFrame({"a": [1.0], "b": [2.0]})


def test_document_is_read_once_for_many_frames_and_never_for_plain_rows():
    cache, job, document = (
        ServiceCache(),
        httpx.Response(202, json={"job_id": "j"}),
        httpx.Response(200, json=IRIS),
    )
    frame = pandas.DataFrame({"b": [2.0], "a": [1.0]})
    _, first = drive(submit(frame, JobOptions("m"), None, cache, 0), document, job)
    assert [call.path for call in first] == ["/models/m", "/predict"]
    assert json.loads(first[1].body)["data"] == [[1.0, 2.0]]
    for data in (frame, [[1.0, 2.0]], {"x": [[1.0, 2.0]]}, np.ones((1, 2))):
        _, asked = drive(submit(data, JobOptions("m"), None, cache, 0), job)
        assert [call.path for call in asked] == ["/predict"]


def test_document_that_a_frame_contradicts_may_be_an_old_one():
    cache = ServiceCache()
    frame = pandas.DataFrame({"b": [2.0], "c": [1.0]})
    old, new = (
        httpx.Response(200, json={**IRIS, "feature_names": names}) for names in (["a", "b"], ["c", "b"])
    )
    drive(submit(IRIS_FRAME, JobOptions(), None, cache, 0), old, httpx.Response(202, json={"job_id": "j"}))
    _, asked = drive(
        submit(frame, JobOptions(), None, cache, 0), new, httpx.Response(202, json={"job_id": "j"})
    )
    assert [call.path for call in asked] == ["/metadata", "/predict"]
    assert json.loads(asked[1].body)["data"] == [[1.0, 2.0]]
    with pytest.raises(InvalidInputError, match="unknown: 'd'"):
        drive(
            submit(frame.rename(columns={"b": "d"}), JobOptions(), None, cache, 0),
            httpx.Response(200, json=IRIS),
        )


def test_document_is_read_again_when_it_may_have_changed(monkeypatch):
    monkeypatch.setattr("inferq.client.job_body.DOCUMENT_SECONDS", 0.0)
    cache = ServiceCache()
    for _ in range(2):
        _, asked = drive(
            submit(IRIS_FRAME, JobOptions(), None, cache, 0),
            httpx.Response(200, json=IRIS),
            httpx.Response(202, json={"job_id": "j"}),
        )
        assert asked[0].path == "/metadata"


def test_named_inputs_are_sent_before_any_worker_has_announced_the_model():
    no_worker = problem(503, "no-worker")
    _, asked = drive(
        submit({"x": [1.0]}, JobOptions(), None, ServiceCache(), 0),
        no_worker,
        httpx.Response(202, json={"job_id": "j"}),
    )
    assert json.loads(asked[1].body)["data"] == {"x": [1.0]}
    with pytest.raises(NoWorkerError):
        drive(submit(IRIS_FRAME, JobOptions(), None, ServiceCache(), 0), no_worker)
