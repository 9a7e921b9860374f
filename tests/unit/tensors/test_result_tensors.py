import json
import struct
import time

import numpy as np
import pytest

from inferq.errors import InvalidInputError
from inferq.tensors.envelope import write_envelope
from inferq.tensors.result_tensors import (
    check_length,
    measure_head,
    read_result_head,
    write_result_view,
    write_summary,
)

Y = {"name": "y", "datatype": "FP32", "shape": [1, 2], "parameters": {"binary_data_size": 8}}
MAPS = {"name": "z", "datatype": "FP32", "shape": [2], "data": [{"a": 1}, {"a": "NaN"}]}
HREF = "/job/1/result"


ROW = struct.pack("<2f", 0.1, float("nan"))


def make_result(*outputs, data=(ROW,), **members):
    return write_envelope({"outputs": outputs} | members, data)


def view(result):
    return json.loads(write_result_view(result, HREF))


def test_small_tensors_are_shown_whole():
    assert view(make_result(Y, MAPS)) == {"outputs": {"y": [[0.1, None]], "z": [{"a": 1}, {"a": "NaN"}]}}


def test_what_the_encoder_says_is_shown_instead():
    labels = {"prediction": 1, "probabilities": [float("nan")]}
    result = make_result(Y, result=labels)
    assert view(result) == {"prediction": 1, "probabilities": [None]}
    assert json.loads(write_summary(read_result_head(result), HREF)) == view(result)


def test_large_tensors_are_described():
    array = np.zeros((3, 2000), "f4")
    entry = {**Y, "shape": [3, 2000], "parameters": {"binary_data_size": array.nbytes}}
    assert view(make_result(entry, MAPS, data=[array.tobytes()])) == {
        "outputs": {
            "y": {"datatype": "FP32", "shape": [3, 2000], "bytes": 24000},
            "z": {"datatype": "FP32", "shape": [2], "bytes": 21},
        },
        "href": HREF,
    }


def test_tensors_whose_json_is_long_are_described():
    entry = {**Y, "datatype": "BOOL", "shape": [16_000], "parameters": {"binary_data_size": 16_000}}
    assert view(make_result(entry, data=[bytes(16_000)]))["href"] == HREF


def test_outputs_are_where_the_head_says():
    other = {**Y, "name": "other", "datatype": "UINT8", "shape": [3], "parameters": {"binary_data_size": 3}}
    result = make_result(Y, MAPS, other, data=[bytes(8), b"abc"])
    assert measure_head(result[:16]) < len(result)
    head = read_result_head(result[: measure_head(result)])
    assert head.length == len(result)
    y, z, last = head.outputs
    assert (y.size, z.size, last.size) == (8, None, 3)
    assert result[last.start : last.start + 3] == b"abc"


@pytest.mark.parametrize(
    "result",
    [
        make_result(Y, data=[bytes(7)]),
        make_result(Y, data=[bytes(9)]),
        make_result({**Y, "shape": [3]}, data=[bytes(8)]),
        make_result({**Y, "datatype": "FP99"}, data=[bytes(8)]),
        make_result({"datatype": "FP32"}),
        b"\x93INFERQ\1",
    ],
)
def test_damaged_result_is_refused(result):
    with pytest.raises(InvalidInputError):
        write_result_view(result, HREF)


def test_length_has_to_be_what_the_head_promises():
    with pytest.raises(InvalidInputError, match="has 7 bytes, but its head promises"):
        check_length(read_result_head(make_result(Y)), 7)


def test_empty_arrays_that_would_not_be_shown_are_not_made():
    entries = [
        {**Y, "name": f"y{number}", "shape": [2**24, 0], "parameters": {"binary_data_size": 0}}
        for number in range(50)
    ]
    began = time.process_time()
    assert view(make_result(*entries, data=()))["href"] == HREF
    assert time.process_time() - began < 2  # to make them takes a minute
