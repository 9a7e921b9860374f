import json
import sys

import httpx
import numpy as np
import pytest

from inferq.client.job_body import JobOptions, ServiceCache
from inferq.client.requests import cancel, read_arrays, read_whole_result, submit
from inferq.errors import JobStateError, NotAcceptableError, UnexpectedAnswerError
from tests.unit.client.drive import drive, problem


def test_cancel_whose_first_answer_was_lost_is_well():
    cancelled = {"job_id": "a", "status": "failed", "error_kind": "cancelled"}
    done, _ = drive(cancel("a", 0), problem(409, "job-state"), httpx.Response(200, json=cancelled))
    assert done == cancelled
    with pytest.raises(JobStateError):
        drive(
            cancel("a", 0),
            problem(409, "job-state"),
            httpx.Response(200, json={"job_id": "a", "status": "completed", "error_kind": None}),
        )


def test_every_submit_has_a_key_by_which_it_can_be_repeated():
    _, [one] = drive(
        submit([[1]], JobOptions(), None, ServiceCache(), 0), httpx.Response(202, json={"job_id": "a"})
    )
    _, [other] = drive(
        submit([[1]], JobOptions(), None, ServiceCache(), 0), httpx.Response(202, json={"job_id": "a"})
    )
    assert one.is_safe
    assert len({one.headers["Idempotency-Key"], other.headers["Idempotency-Key"]}) == 2


def test_large_result_is_read_by_itself_and_any_other_is_what_the_job_has(monkeypatch):
    summary = {"outputs": {"y": {"datatype": "FP32", "shape": [9], "bytes": 36}}, "href": "/job/a/result"}
    whole = {"outputs": {"y": [1.5]}}
    monkeypatch.setitem(sys.modules, "numpy", None)
    done, [call] = drive(
        read_whole_result({"job_id": "a", "result": summary}, 0), httpx.Response(200, json=whole)
    )
    assert (done, str(call), call.headers) == (whole, "GET /job/a/result", {"Accept": "application/json"})
    monkeypatch.undo()
    outputs = [
        {"name": "y", "datatype": "FP32", "shape": [2], "parameters": {"binary_data_size": 8}},
        {"name": "n", "datatype": "INT64", "shape": [], "parameters": {"binary_data_size": 8}},
        {"name": "m", "datatype": "FP32", "shape": [1], "data": [{"1": 0.5}]},
    ]
    data = np.array([0.1, np.nan], "f4").tobytes() + np.int64(7).tobytes()
    done, [call] = drive(
        read_whole_result({"job_id": "a", "result": summary}, 0), answer_with({"outputs": outputs}, data)
    )
    assert call.headers == {"Accept": "application/octet-stream"}
    assert done == {"outputs": {"y": [0.1, None], "n": 7, "m": [{"1": 0.5}]}}
    for result in (whole, None, {"href": "elsewhere"}, [1]):
        assert drive(read_whole_result({"job_id": "a", "result": result}, 0)) == (result, [])


def answer_with(head, data=b"", **headers):
    written = json.dumps(head).encode()
    headers = {"inference-header-content-length": str(len(written))} | headers
    return httpx.Response(200, content=written + data, headers=headers)


def test_arrays_of_a_result_have_their_datatypes_and_shapes_and_can_be_changed():
    head = {
        "outputs": [
            {"name": "y", "datatype": "FP16", "shape": [2, 1], "parameters": {"binary_data_size": 4}},
            {"name": "s", "datatype": "BYTES", "shape": [1], "parameters": {"binary_data_size": 6}},
            {"name": "e", "datatype": "INT64", "shape": [0, 3], "parameters": {"binary_data_size": 0}},
            {"name": "m", "datatype": "FP32", "shape": [1], "data": [{"1": 0.5}]},
        ]
    }
    data = np.array([1.5, np.nan], "f2").tobytes() + b"\2\0\0\0hi"
    arrays, [call] = drive(read_arrays("a", 0), answer_with(head, data))
    assert call.headers == {"Accept": "application/octet-stream"}
    assert arrays["y"].dtype == np.float16
    assert np.array_equal(arrays["y"], [[1.5], [np.nan]], equal_nan=True)
    arrays["y"] += 1
    assert arrays["s"].tolist() == ["hi"]
    assert arrays["e"].shape == (0, 3)
    assert arrays["m"] == [{"1": 0.5}]


def test_result_that_is_no_arrays_is_refused():
    with pytest.raises(UnexpectedAnswerError, match="cannot be read"):
        drive(read_arrays("a", 0), answer_with({"outputs": []}, b"rest"))
    with pytest.raises(NotAcceptableError, match="another program"):
        drive(read_arrays("a", 0), httpx.Response(200, content=b"text"))
