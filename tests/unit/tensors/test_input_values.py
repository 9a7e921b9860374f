import base64
import json
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferq.errors import InvalidInputError
from inferq.tensors.data_validator import DataValidator
from inferq.tensors.envelope import write_envelope
from inferq.tensors.forms import read_inputs, read_request, resolve_request
from inferq.tensors.input_values import read_remote_file, unwrap
from inferq.tensors.media_specs import ImageSpec
from inferq.tensors.signature import Datatype
from inferq.tensors.unknown_model import check_unknown_model_data
from inferq.tensors.values import MediaFile, RawTensor, RemoteFile
from tests.unit.tensors.arrays import arrays_of_any_layout, make_numpy_array, make_raw_tensor, save
from tests.unit.tensors.strategies import fitting, make_document

ONE = make_document(("FP32", [-1, 2]))
TWO = make_document(("FP32", [-1, 2]), ("BYTES", [-1]))
ROW = np.array([[1, 2]], "f4")
PNG = b"\x89PNG\r\n\x1a\n"


def encode(data: bytes) -> str:
    return base64.b64encode(data).decode()


def wrap(array: np.ndarray) -> dict:
    raw = make_raw_tensor(array)
    return {"b64": encode(raw.data), "datatype": raw.datatype, "shape": list(raw.shape)}


def refusal(data: object, document=ONE) -> str:
    with pytest.raises(InvalidInputError) as caught:
        read_inputs(json.dumps(data).encode(), DataValidator(document))
    return caught.value.message


@given(arrays_of_any_layout())
def test_tensor_in_base64_is_the_same_tensor(array):
    document = make_document((make_raw_tensor(array).datatype, list(array.shape)))
    for data in (wrap(array), {"x0": wrap(array)}):
        found = read_inputs(json.dumps(data).encode(), DataValidator(document))
        np.testing.assert_array_equal(make_numpy_array(found["x0"]), array)
        check_unknown_model_data(data)


def test_tensor_in_base64_stands_beside_lists():
    data = json.dumps({"x0": wrap(ROW), "x1": ["data:text/plain,a"]}).encode()
    found = read_inputs(data, DataValidator(TWO))
    assert make_numpy_array(found["x0"]).tolist() == [[1, 2]]
    assert found["x1"] == ["data:text/plain,a"]


def test_base64_in_lines_is_read():
    data = {**wrap(ROW), "b64": base64.encodebytes(ROW.tobytes() * 20).decode(), "shape": [20, 2]}
    assert make_numpy_array(unwrap(data, "x")).tolist() == [[1, 2]] * 20


def test_file_in_base64_is_told_by_its_first_bytes():
    assert make_numpy_array(unwrap({"b64": encode(save(ROW))}, "x")).tolist() == [[1, 2]]
    assert unwrap({"b64": encode(PNG)}, "x") == MediaFile("image/png", PNG)
    url = f"data:image/png;base64,{encode(PNG)}"
    assert unwrap(url, "x", takes_text=False) == MediaFile("image/png", PNG)


def test_what_may_be_text_stays_text():
    text = f"data:image/png;base64,{encode(PNG)}"
    assert unwrap(text, "x", Datatype.BYTES) == unwrap(text, "x") == text
    assert DataValidator(TWO).validate_inputs({"x0": [[1, 2]], "x1": [text]})["x1"] == [text]


@pytest.mark.parametrize("datatype", ["FP32", "BYTES"])
def test_file_is_the_value_of_the_input_that_takes_pictures(datatype):
    document = make_document((datatype, [-1]), image=ImageSpec(source="graph", input="x0"))
    validator, picture = DataValidator(document), MediaFile("image/png", PNG)
    url = f"data:image/png;base64,{encode(PNG)}"
    for data in (picture, {"x0": picture}, {"b64": encode(PNG)}, {"x0": url}, url):
        assert validator.validate_inputs(data) == {"x0": picture}
        assert validator.validate(data) == 1


def test_input_may_be_called_b64():
    tensor = make_document(("BYTES", [])).inputs[0].model_copy(update={"name": "b64"})
    document = ONE.model_copy(update={"inputs": [tensor]})
    assert DataValidator(document).validate_inputs({"b64": "text"}) == {"b64": "text"}


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ({"b64": "AB=C"}, "data is not base64: "),
        ({"b64": "é"}, "data is not base64: "),
        ({"b64": "AA=="}, "data is a file of an unknown type"),
        ({"b64": encode(b"PK\3\4")}, "data is a file a zip archive (.npz), which cannot be the value of one"),
        ({"b64": encode(bytes(8)), "datatype": "FP32"}, "The shape of data must be an array"),
        ({"b64": encode(bytes(8)), "shape": [1, 2]}, "data has the datatype null"),
        ({"b64": encode(bytes(7)), "datatype": "FP32", "shape": [1, 2]}, "data has 7 bytes, but FP32"),
        ({"b64": encode(bytes(8)), "type": "FP32"}, 'data names "b64", which is no input'),
        ({"x0": {"b64": 1}}, 'data["x0"] must be an array'),
        ({"x0": "data:image/png,abc"}, 'data["x0"] is a data: URL that is not in base64'),
        (
            {"x0": f"data:image/png;base64,{encode(PNG)}"},
            "The model 'm' takes no pictures for its input 'x0'",
        ),
        ("data:", "data is a data: URL that is not in base64"),
    ],
)
def test_what_cannot_be_read_is_refused_with_the_reason(value, reason):
    assert reason in refusal(value)


def read_listed(document, data, shape, datatype=None):
    entry = {"name": "x0", "datatype": datatype or document.inputs[0].datatype, "shape": shape, "data": data}
    return read_inputs(write_envelope({"inputs": [entry]}), DataValidator(document))["x0"]


def flatten(value: object) -> list:
    return [leaf for item in value for leaf in flatten(item)] if isinstance(value, list) else [value]


@given(fitting(shortest=1))
def test_listed_tensor_may_be_nested_or_flat(found):
    document, data = found
    shape = list(np.array(data, object).shape)
    nested = read_listed(document, data, shape)
    assert json.dumps(nested) == json.dumps(read_listed(document, flatten(data), shape))


@pytest.mark.parametrize(
    ("data", "shape"),
    [
        ([], [0]),
        ([], [2, 0]),
        ([], [0, 10**12]),
        ([], [10**9, 0]),
        ([[], []], [2, 0, 3]),
        ([[[]]], [1, 1, 0, 10**12]),
    ],
)
def test_listed_tensor_without_values_keeps_its_shape(data, shape):
    document = make_document(("FP32", [-1] * len(shape)))
    found = read_listed(document, data, shape)
    assert found in ([], RawTensor(Datatype.FP32, tuple(shape), b""))


@pytest.mark.parametrize(
    ("data", "shape", "reason"),
    [
        ([1, 2, 3], [1, 2], "has an array of 3 for the shape [1, 2], which has 2 values"),
        ([[1, 2]], [2, 1], "has the shape [1, 2], but says that it is [2, 1]"),
        ([[1], [2, 3]], [2, 2], "Every row needs the same length"),
        ([], [1, 2], "has an empty array for the shape [1, 2]"),
        ({}, [1, 2], "has the shape [], but says that it is [1, 2]"),
        ([{}, 1], [1, 2], "must be a number"),
    ],
)
def test_listed_tensor_of_another_shape_is_refused(data, shape, reason):
    with pytest.raises(InvalidInputError) as caught:
        read_listed(ONE, data, shape)
    assert reason in caught.value.message


def test_listed_tensor_of_another_datatype_is_refused():
    with pytest.raises(InvalidInputError, match="is INT64, expected FP32"):
        read_listed(ONE, [1, 2], [1, 2], "INT64")


@given(
    st.recursive(
        st.none() | st.text(max_size=3),
        lambda inner: st.dictionaries(st.sampled_from(["b64", "datatype", "shape", "x0"]), inner),
        max_leaves=4,
    )
)
def test_nothing_else_than_a_refusal_comes_of_any_json(data):
    for check in (DataValidator(ONE).validate, check_unknown_model_data):
        with suppress(InvalidInputError):
            check(data)


def test_url_stands_for_a_file_or_for_a_raw_tensor():
    described = {"datatype": "FP32", "shape": [1, 2]}
    assert unwrap({"url": "https://example.com/x"}, "x") == RemoteFile("https://example.com/x", "x")
    remote = unwrap({"url": "s3://bucket/x", **described}, "x")
    assert remote == RemoteFile("s3://bucket/x", "x", Datatype.FP32, (1, 2))
    assert read_remote_file(remote, bytes(8)) == RawTensor(Datatype.FP32, (1, 2), bytes(8))
    assert read_remote_file(RemoteFile("https://example.com/x", "x"), PNG) == MediaFile("image/png", PNG)
    assert unwrap({"url": "DATA:;base64," + encode(bytes(8)), **described}, "x").data == bytes(8)
    assert unwrap({"url": "data:image/png;base64," + encode(PNG)}, "x") == MediaFile("image/png", PNG)


def test_object_with_more_members_or_of_an_input_called_url_is_no_file():
    for value in ({"url": "https://example.com", "x": 1}, {"url": 1}, {"url": "a", "b64": "b"}):
        assert unwrap(value, "x") is value
    tensor = make_document(("BYTES", [])).inputs[0].model_copy(update={"name": "url"})
    document = ONE.model_copy(update={"inputs": [tensor]})
    assert DataValidator(document).validate_inputs({"url": "text"}) == {"url": "text"}


def test_files_of_a_request_are_listed_and_replaced_by_what_they_are():
    validator = DataValidator(TWO)
    url = "https://example.com/x"
    request = read_request(json.dumps({"x0": {"url": url}, "x1": ["a"]}).encode(), validator)
    assert request.remote_files == [RemoteFile(url, 'data["x0"]')]
    assert check_unknown_model_data({"x0": {"url": url}, "x1": [{"url": url}, ["a"]]}) == [
        RemoteFile(url, 'data["x0"]'), RemoteFile(url, 'data["x1"][0]')
    ]  # fmt: skip
    resolved = resolve_request(request, {url: save(ROW)}, validator)
    assert (resolved.inputs["x0"].shape, resolved.remote_files) == ((1, 2), ())
    with pytest.raises(InvalidInputError, match="same number of rows"):
        resolve_request(request, {url: save(np.ones((3, 2), "f4"))}, validator)
    with pytest.raises(InvalidInputError, match="FP64"):
        resolve_request(request, {url: save(np.ones((1, 2)))}, validator)


@pytest.mark.parametrize(
    ("described", "reason"),
    [
        ({"datatype": "FP32", "shape": [1, 3]}, "has the shape [1, 3]"),
        ({"datatype": "FP64", "shape": [1, 2]}, "is FP64"),
        ({"shape": [1, 2]}, "datatype"),
        ({"datatype": "FP32", "shape": [5, 2]}, "at most 4"),
    ],
)
def test_what_a_url_is_said_to_hold_has_to_fit(described, reason):
    with pytest.raises(InvalidInputError) as caught:
        DataValidator(ONE, max_rows=4).validate_inputs({"url": "https://example.com/x", **described})
    assert reason in caught.value.message


def test_parts_of_a_sequence_may_be_files():
    [tensor] = ONE.inputs
    sequence = ONE.model_copy(
        update={
            "inputs": [tensor.model_copy(update={"onnx_type": "seq(tensor(float))", "is_sequence": True})]
        }
    )
    validator, url = DataValidator(sequence), "https://example.com/x"
    request = read_request(json.dumps([[[1, 2]], {"url": url}]).encode(), validator)
    assert request.remote_files == [RemoteFile(url, "data[1]")]
    [first, second] = resolve_request(request, {url: save(ROW)}, validator).inputs["x0"]
    assert (first, second.shape) == ([[1, 2]], (1, 2))
