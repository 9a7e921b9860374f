import struct
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferq.errors import InvalidInputError
from inferq.tensors.data_validator import DataValidator
from inferq.tensors.envelope import write_envelope
from inferq.tensors.envelope_codec import read_data, read_outputs
from inferq.tensors.values import ListedTensor, MediaFile, RawTensor
from tests.unit.tensors.arrays import save
from tests.unit.tensors.strategies import make_document

X = {"name": "x", "datatype": "FP32", "shape": [1, 2], "parameters": {"binary_data_size": 8}}


def refusal(*inputs: object, data: bytes = b"") -> str:
    with pytest.raises(InvalidInputError) as caught:
        read_data(write_envelope({"inputs": list(inputs)}, [data]))
    return caught.value.message


def test_inputs_of_all_kinds_are_read_in_order():
    npy = save(np.arange(3, dtype="i8"))
    inputs = [
        X,
        {"name": "y", "datatype": "INT64", "shape": [1, 2], "data": [3, 4]},
        {"name": "cat", "parameters": {"binary_data_size": 5, "content_type": "image/jpeg"}},
        {"name": "z", "parameters": {"binary_data_size": len(npy), "content_type": "application/x-npy"}},
        {"name": "none", "datatype": "BYTES", "shape": [0], "parameters": {"binary_data_size": 0}},
    ]
    payload = write_envelope({"inputs": inputs}, [struct.pack("<2f", 1, 2), b"\xff\xd8\xff\xe0\0", npy])
    assert read_data(payload) == {
        "x": RawTensor("FP32", (1, 2), struct.pack("<2f", 1, 2)),
        "y": ListedTensor("INT64", (1, 2), [3, 4]),
        "cat": MediaFile("image/jpeg", b"\xff\xd8\xff\xe0\0"),
        "z": RawTensor("INT64", (3,), struct.pack("<3q", 0, 1, 2)),
        "none": RawTensor("BYTES", (0,), b""),
    }


def test_data_is_not_copied():
    payload = write_envelope({"inputs": [X]}, [bytes(8)])
    assert read_data(payload)["x"].data.obj is payload


def test_outputs_are_those_that_are_asked_for():
    assert read_outputs({"outputs": [{"name": "a"}, {"name": "b", "parameters": {}}]}) == ["a", "b"]
    assert read_outputs({}) == read_outputs({"outputs": []}) == []


@pytest.mark.parametrize("outputs", ["a", ["a"], [{}], [{"name": 1}], {"name": "a"}])
def test_outputs_that_are_no_list_of_names_are_refused(outputs):
    with pytest.raises(InvalidInputError, match="outputs"):
        read_outputs({"outputs": outputs})


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ("x", "inputs must be an array of objects"),
        ({**X, "name": None}, "inputs[0] must have a name, a string, got null"),
        ({**X, "parameters": []}, 'inputs["x"] must have one of data, parameters.binary_data_size and'),
        ({**X, "parameters": [1]}, 'The parameters of inputs["x"] must be an object'),
        ({**X, "parameters": {"binary_data_size": -1}}, "must be a whole number from 0, got the number -1"),
        ({**X, "parameters": {"binary_data_size": True}}, "must be a whole number from 0, got true"),
        ({**X, "data": [1, 2]}, "must have one of data, parameters.binary_data_size and parameters.url"),
        ({**X, "parameters": {"binary_data_size": 99}}, "has 99 bytes, but only 8 follow"),
        ({**X, "parameters": {"binary_data_size": 4}}, "4 bytes follow the last tensor"),
        ({**X, "datatype": "float32"}, 'has the datatype the string "float32", expected one of BOOL, UINT8'),
        ({**X, "datatype": None}, "has the datatype null"),
        ({**X, "shape": [1, -2]}, "must be an array of whole numbers from 0"),
        ({**X, "shape": [True]}, "must be an array of whole numbers from 0"),
        ({**X, "shape": [2**62, 2**62]}, "larger than any memory"),
        (
            {**X, "shape": None},
            "must be an array of whole numbers from 0, such as [1, 3, 224, 224], got null",
        ),
        (
            {"name": "x", "parameters": {"binary_data_size": 8, "content_type": "image/jpeg"}},
            "is a file of an unknown type, which cannot be the value of one input",
        ),
    ],
)
def test_head_that_is_no_request_is_refused_with_the_reason(entry, reason):
    assert reason in refusal(entry, data=bytes(8))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*X, "data"]), inner, max_size=4)
    ),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from([*X, "data", "x"]), JSON), st.binary(max_size=9), st.data())
def test_nothing_else_than_a_refusal_comes_of_any_head(changes, data, draw):
    kept = draw.draw(st.sets(st.sampled_from([*X])))
    entry = {"name": "x0"} | {name: X[name] for name in kept - {"name"}} | changes
    validator = DataValidator(make_document(("FP32", [-1, 2])))
    for head in ({"inputs": [entry]}, {"inputs": changes}, changes):
        with suppress(InvalidInputError):
            found = validator.validate_inputs(read_data(write_envelope(head, [data])))
            assert found == {} or "x0" in found


@given(st.binary(max_size=80))
def test_nothing_else_than_a_refusal_comes_of_any_bytes(noise):
    payload = write_envelope({"inputs": [X]}, [bytes(8)])
    for damaged in (payload[:8] + noise, noise + payload[len(noise) :], payload[: len(noise)] + noise):
        with suppress(InvalidInputError):
            read_data(damaged)


def test_input_that_comes_twice_is_refused():
    assert 'inputs has "x" twice' in refusal(X, X, data=bytes(16))


def test_array_that_says_it_is_a_picture_is_refused():
    file = save(np.zeros(2))
    entry = {"name": "x", "parameters": {"binary_data_size": len(file), "content_type": "image/png"}}
    assert 'is a NumPy array, but says it is the string "image/png"' in refusal(entry, data=file)
