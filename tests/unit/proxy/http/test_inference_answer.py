import json
import math
import struct

import numpy as np
import pytest

from inferq.errors import InvalidInputError
from inferq.proxy.http.inference_answer import write_answer, write_binary_head
from inferq.proxy.http.inference_protocol import InferenceOptions, OutputWish
from inferq.tensors.envelope import write_envelope
from inferq.tensors.result_tensors import read_result_head

SCORES = np.array([[0.1, 0.7, 0.2], [math.nan, -1, -2]], np.float32)
LABELS = np.array([1, 1])
MEMBERS = {"model_name": "m"}


def make_result(*, extra=()):
    entries = [
        {"name": name, "datatype": datatype, "shape": list(array.shape),
         "parameters": {"binary_data_size": array.nbytes}}
        for name, datatype, array in (("scores", "FP32", SCORES), ("label", "INT64", LABELS))
    ]  # fmt: skip
    return write_envelope({"outputs": [*entries, *extra]}, [SCORES.tobytes(), LABELS.tobytes()])


def answer(*wishes, is_binary=False, class_names=(), result=None):
    result = result or make_result()
    options = InferenceOptions(outputs=wishes, is_binary=is_binary)
    head, data = write_answer(result, read_result_head(result), options, MEMBERS, class_names)
    return json.loads(head)["outputs"], None if data is None else b"".join(data)


def test_outputs_come_in_the_order_of_the_request():
    outputs, data = answer(OutputWish("label"), OutputWish("scores", is_binary=True))
    assert [output["name"] for output in outputs] == ["label", "scores"]
    assert outputs[0]["data"] == [1, 1]
    assert outputs[1]["parameters"] == {"binary_data_size": 24}
    assert data == SCORES.tobytes()


def test_floats_are_written_short_and_nan_as_null():
    [output], data = answer(OutputWish("scores"))
    assert output["data"] == [0.1, 0.7, 0.2, None, -1.0, -2.0]
    assert data is None


def test_answer_of_bytes_alone_needs_only_the_head_of_the_result():
    head = read_result_head(make_result())
    for options in (
        InferenceOptions(is_binary=True),
        InferenceOptions(outputs=(OutputWish("scores", True), OutputWish("label", True))),
    ):
        written = json.loads(write_binary_head(head, options, MEMBERS))
        assert [one["parameters"]["binary_data_size"] for one in written["outputs"]] == [24, 16]


@pytest.mark.parametrize(
    "options",
    [
        InferenceOptions(),
        InferenceOptions(outputs=(OutputWish("label", True), OutputWish("scores", True))),
        InferenceOptions(outputs=(OutputWish("scores", True), OutputWish("label"))),
        InferenceOptions(outputs=(OutputWish("scores", True, 1), OutputWish("label", True))),
        InferenceOptions(outputs=(OutputWish("scores", True),)),
    ],
)
def test_any_other_answer_needs_the_whole_result(options):
    assert write_binary_head(read_result_head(make_result()), options, MEMBERS) is None


def test_map_is_its_keys_and_its_values():
    entry = {"name": "map", "datatype": "FP32", "shape": [], "data": {"7": 0.5, "-1": "NaN"}}
    result = make_result(extra=[entry | {"parameters": {"keys": "INT64"}}])
    outputs, _ = answer(OutputWish("map"), result=result)
    assert outputs == [
        {"name": "map/keys", "datatype": "INT64", "shape": [2], "data": [7, -1]},
        {"name": "map/values", "datatype": "FP32", "shape": [2], "data": [0.5, None]},
    ]
    _, data = answer(OutputWish("map", is_binary=True), result=result)
    assert data[:16] == struct.pack("<qq", 7, -1)
    assert np.array_equal(np.frombuffer(data[16:], np.float32), [0.5, np.nan], equal_nan=True)


@pytest.mark.parametrize(("shape", "values"), [([], None), ([0], [])])
def test_what_is_absent_and_what_is_empty_stays_in_the_json(shape, values):
    entry = {"name": "y", "datatype": "FP32", "shape": shape, "data": values}
    outputs, data = answer(OutputWish("y", is_binary=True), result=make_result(extra=[entry]))
    assert (outputs, data) == ([entry], None)


def test_list_of_maps_as_classifiers_give_it_is_a_table():
    maps = [{"cat": 0.5, "dog": None}, {"cat": 0.25, "dog": 0.75}]
    result = make_result(extra=[{"name": "maps", "datatype": "FP32", "shape": [2], "data": maps}])
    keys = {"name": "maps/keys", "datatype": "BYTES", "shape": [2], "data": ["cat", "dog"]}
    outputs, _ = answer(OutputWish("maps"), result=result)
    table = {"name": "maps", "datatype": "FP32", "shape": [2, 2], "data": [0.5, None, 0.25, 0.75]}
    assert outputs == [table, keys]
    _, data = answer(OutputWish("maps", is_binary=True), result=result)
    assert np.array_equal(np.frombuffer(data[:16], np.float32), [0.5, np.nan, 0.25, 0.75], equal_nan=True)
    [output, _], _ = answer(OutputWish("maps", classes=1), result=result, class_names=("cat", "dog"))
    assert output["data"] == ["0.5:0:cat", "0.75:1:dog"]
    maps[1] = {"cat": 1.0}
    result = make_result(extra=[{"name": "maps", "datatype": "FP32", "shape": [2], "data": maps}])
    [output], _ = answer(OutputWish("maps", is_binary=True), result=result)
    assert output["data"] == maps  # no table


def test_classes_with_the_largest_values_come_first_and_nan_last():
    [output], _ = answer(OutputWish("scores", classes=2), class_names=("a", "b", "c"))
    assert (output["datatype"], output["shape"]) == ("BYTES", [2, 2])
    assert output["data"] == ["0.7:1:b", "0.2:2:c", "-1.0:1:b", "-2.0:2:c"]
    [output], _ = answer(OutputWish("scores", classes=9))
    assert output["data"][3:] == ["-1.0:1", "-2.0:2", "nan:0"]


def test_classes_as_bytes_stand_behind_their_lengths():
    [output], data = answer(OutputWish("scores", is_binary=True, classes=1))
    assert output["parameters"] == {"binary_data_size": len(data)}
    assert data == struct.pack("<I", 5) + b"0.7:1" + struct.pack("<I", 6) + b"-1.0:1"


def test_texts_have_no_classes():
    texts = struct.pack("<I", 1) + b"x"
    entry = {"name": "t", "datatype": "BYTES", "shape": [1], "parameters": {"binary_data_size": 5}}
    with pytest.raises(InvalidInputError, match="without classification"):
        answer(OutputWish("t", classes=1), result=write_envelope({"outputs": [entry]}, [texts]))
