"""Models whose inputs and outputs are sequences, maps, and what may be absent."""

import numpy as np
import orjson
import pytest
from onnx import helper

from inferq.errors import InvalidInputError, InvalidModelError
from inferq.models.repository.model_folder import load_model
from tests import onnx_models
from tests.models import predict
from tests.onnx_models import FP32, INT64, STRING
from tests.tensors import make_envelope, make_npy, make_npz, read_outputs

LONG = np.array([[1, 2], [3, 4]], np.float32)
SHORT = np.array([5], np.float32)


def load(folder, kind):
    model = load_model(onnx_models.write_container(folder / "m", kind))
    model.warm_up()
    return model


@pytest.fixture
def sequence(tmp_path):
    return load(tmp_path, onnx_models.make_sequence(FP32))


@pytest.fixture
def optional(tmp_path):
    return load(tmp_path, onnx_models.make_optional(INT64))


@pytest.fixture
def optional_texts(tmp_path):
    return load(tmp_path, onnx_models.make_sequence(STRING, is_optional=True))


def ask(model, data):
    return orjson.loads(predict(model, orjson.dumps(data)))["outputs"]


@pytest.mark.parametrize("value", [[[1.0, 2.0], [[3.0]], 4.0, []], []])
def test_sequence_is_an_array_of_arrays_in_json(sequence, value):
    assert ask(sequence, value) == {"y": value}
    assert ask(sequence, {"x": value}) == {"y": value}


def test_sequence_is_a_tensor_for_each_entry(sequence):
    for make in (make_envelope, make_npz):
        outputs = read_outputs(predict(sequence, make({"x/1": SHORT, "x/0": LONG})))
        assert list(outputs) == ["y/0", "y/1"]
        np.testing.assert_array_equal(outputs["y/0"], LONG)
        np.testing.assert_array_equal(outputs["y/1"], SHORT)


@pytest.mark.parametrize(
    "make", [lambda x: make_npy(x), lambda x: make_npz({"x": x}), lambda x: make_envelope({"x": x})]
)
def test_one_tensor_is_the_sequence_of_its_entries(sequence, make):
    outputs = read_outputs(predict(sequence, make(LONG)))
    np.testing.assert_array_equal(list(outputs.values()), LONG)
    assert read_outputs(predict(sequence, make(LONG[:0]))) == {"y": []}


def test_an_entry_in_json_may_be_a_raw_tensor(sequence):
    entry = {"b64": "AACAPw==", "datatype": "FP32", "shape": [1, 1]}
    assert ask(sequence, [entry, [2.0]]) == {"y": [[[1.0]], [2.0]]}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({}, "data lacks the input 'x'"),
        (5, "must be an array with an array for each tensor of the sequence 'x'"),
        ([[1], ["a"]], r"data\[1\]\[0\] must be a number"),
        ([[1], [[2], [3, 4]]], r"data\[1\]\[1\] has 2 values, but others have 1"),
        ({"x/0": [1], "x/2": [2]}, r'data lacks "x/1". Send all parts of \'x\', counted from 0'),
        ({"x/0": [1], "x": [2]}, 'data has both "x" and parts of it'),
        ({"x/keys": [1], "x": [[2]]}, 'data names "x/keys", which is no input'),
    ],
)
def test_what_is_no_sequence_is_refused(sequence, data, message):
    with pytest.raises(InvalidInputError, match=message):
        sequence.decode(orjson.dumps(data))


def test_what_is_optional_is_absent_where_it_is_null_or_left_out(optional, optional_texts):
    for model in (optional, optional_texts):
        assert ask(model, {}) == ask(model, {"x": None}) == {"y": None}
        assert read_outputs(predict(model, make_envelope({}))) == {"y": None}


def test_what_is_optional_may_be_there(optional, optional_texts):
    assert ask(optional, {"x": [[7]]}) == ask(optional, [[7]]) == {"y": [[7]]}
    assert ask(optional_texts, {"x": []}) == {"y": []}
    assert ask(optional_texts, {"x": [["a"], [["é"]]]}) == {"y": [["a"], [["é"]]]}
    outputs = read_outputs(predict(optional, make_envelope({"x": np.array(3)})))
    assert (outputs["y"].shape, outputs["y"]) == ((), 3)
    texts = read_outputs(predict(optional_texts, make_envelope({"x/0": np.array(["é"], object)})))
    assert texts["y/0"].tolist() == ["é"]
    with pytest.raises(InvalidInputError, match="is FP32, but model 'm' expects INT64"):
        optional.decode(make_envelope({"x": SHORT}))


@pytest.mark.parametrize(("element", "keys"), [(STRING, ["b", "z"]), (INT64, [2, -9])])
def test_map_is_an_object_or_its_keys_and_values(tmp_path, element, keys):
    model = load_model(onnx_models.write_map(tmp_path / "m", element))
    model.warm_up()
    assert ask(model, {"x": {str(key): 1.5 for key in keys}}) == {"y": [[0, 1.5]]}
    parts = {"x/keys": np.array(keys, object if element == STRING else None), "x/values": LONG[0]}
    for make in (make_envelope, make_npz):
        assert read_outputs(predict(model, make(parts)))["y"].tolist() == [[0, 1]]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"x": {}}, "has 0 keys for 0 values"),
        ({"x": [1]}, "must be an object, the map 'x'"),
        ({"x": {"1.5": 1}}, 'has the key "1.5", expected a whole number between quotes'),
        ({"x": {str(2**63): 1}}, "must be a whole number between"),
        ({"x": {"1": "a"}}, "must be a number"),
        ({"x/keys": [1, 2], "x/values": [1]}, "has 2 keys for 1 values"),
        ({"x/keys": [1]}, 'data lacks "x/values"'),
        ({"x": {"1": 1, "01": 2}}, 'has the key "1" twice'),
    ],
)
def test_what_is_no_map_is_refused(tmp_path, data, message):
    model = load_model(onnx_models.write_map(tmp_path / "m", INT64))
    with pytest.raises(InvalidInputError, match=message):
        model.decode(orjson.dumps(data))


@pytest.mark.parametrize(("element", "keys"), [(STRING, ["b", "z", "b"]), (INT64, [2, -9, 2])])
def test_map_with_a_key_twice_is_refused_in_every_form(tmp_path, element, keys):
    model = load_model(onnx_models.write_map(tmp_path / "m", element))
    array = np.array(keys, object if element == STRING else None)
    parts = {"x/keys": array, "x/values": np.ones(3, np.float32)}
    for data in (
        *(make(parts) for make in (make_envelope, make_npz)),
        orjson.dumps({"x/keys": keys, "x/values": [1, 2, 3]}),
    ):
        with pytest.raises(InvalidInputError, match=f'has the key "{keys[0]}" twice'):
            model.decode(data)


def test_a_type_that_onnx_runtime_does_not_take_is_refused(tmp_path):
    kind = helper.make_map_type_proto(STRING, helper.make_tensor_type_proto(INT64, None))
    folder = onnx_models.write(
        tmp_path / "m",
        [helper.make_node("DictVectorizer", ["x"], ["y"], domain="ai.onnx.ml", string_vocabulary=["a"])],
        inputs=[helper.make_value_info("x", kind)],
        outputs=[onnx_models.value("y", INT64, [1, 1])],
    )
    with pytest.raises(
        InvalidModelError, match=r"'x' is a map\(string,tensor\(int64\)\), which ONNX Runtime does not"
    ):
        load_model(folder)


def test_jobs_with_such_inputs_run_one_by_one(sequence):
    assert not sequence.document.batched
    assert sequence.document.inputs[0].model_dump() == {
        "name": "x",
        "datatype": "FP32",
        "shape": [-1],
        "onnx_type": "seq(tensor(float))",
    }
