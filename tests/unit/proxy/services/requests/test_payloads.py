import json

import numpy as np
import pytest

from inferq.errors import InvalidInputError
from inferq.proxy.http.bodies.form_body import FormPart
from inferq.proxy.services.requests.payloads import make_raw_prefix, wrap_parts
from inferq.tensors.data_validator import DataValidator
from inferq.tensors.forms import detect_form, read_inputs
from inferq.tensors.signature import Datatype, ModelDocument, Tensor
from inferq.tensors.values import RawTensor
from tests.unit.tensors.arrays import save


def document(*inputs, **options):
    tensors = [Tensor(name=name, datatype=datatype, shape=shape) for name, datatype, shape in inputs]
    return ModelDocument(name="m", version="1", versions=["1"], inputs=tensors, outputs=[], **options)


ROWS = document(("x", Datatype.FP32, [-1, 2]))
TWO = document(("x", Datatype.FP32, [-1, 2]), ("y", Datatype.INT64, [-1]))


def form(name, data, media_type="", *, is_file=False):
    return FormPart(name, is_file, media_type, memoryview(data))


@pytest.mark.parametrize(
    ("model", "size", "shape", "expected"),
    [
        (ROWS, 24, None, (3, 2)),
        (ROWS, 0, None, (0, 2)),
        (ROWS, 8, (1, 2), (1, 2)),
        (document(("x", Datatype.UINT8, [2, 3])), 6, None, (2, 3)),
        (document(("x", Datatype.FP64, [])), 8, None, ()),
        (document(("x", Datatype.FP16, [2, -1])), 12, None, (2, 3)),
        (document(("x", Datatype.FP32, [-1, -1]), feature_names=["a", "b"]), 16, None, (2, 2)),
        (document(("x", Datatype.FP32, [-1, -1])), 16, (1, 4), (1, 4)),
    ],
)
def test_shape_of_a_raw_tensor_follows_from_signature_and_size(model, size, shape, expected):
    values = read_inputs(make_raw_prefix(model, size, shape) + bytes(size), DataValidator(model))
    assert isinstance(values["x"], RawTensor)
    assert values["x"].shape == expected


@pytest.mark.parametrize(
    ("model", "size", "shape", "message"),
    [
        (TWO, 8, None, "has 2 inputs.*multipart"),
        (document(), 8, None, "has 0 inputs that are required"),
        (ROWS, 7, None, "no whole number of 8"),
        (ROWS, 8, (2, 2), "have 16 in the shape"),
        (document(("x", Datatype.UINT8, [2, 3])), 7, None, "has 7 bytes.*have 6"),
        (document(("x", Datatype.FP32, [-1, -1])), 16, None, r"\?shape="),
        (document(("x", Datatype.FP32, [-1, 0])), 16, None, r"\?shape="),
        (document(("x", Datatype.BYTES, [-1])), 16, None, r"\?shape="),
    ],
)
def test_raw_tensor_that_does_not_fit_is_refused_unread(model, size, shape, message):
    with pytest.raises(InvalidInputError, match=message):
        make_raw_prefix(model, size, shape)


def test_shape_in_the_query_is_no_remedy_for_a_part_that_does_not_tell_its_own():
    model = document(("x", Datatype.FP32, [-1, -1]))
    part = form("x", bytes(16), "application/octet-stream", is_file=True)

    with pytest.raises(InvalidInputError, match=r"part \"x\" .* \.npy file.* alone as the body, .*\?shape="):
        wrap_parts(model, [part])


def test_parts_of_all_kinds_become_one_envelope():
    model = document(
        ("listed", Datatype.FP32, [-1, 2]),
        ("array", Datatype.FP32, [-1, 2]),
        ("raw", Datatype.INT64, [-1]),
        ("text", Datatype.FP32, [-1]),
    )
    payload = wrap_parts(
        model,
        [
            form("raw", bytes(16), "application/octet-stream", is_file=True),
            form("listed", b'[[1, "NaN"], [3, NaN]]'),
            form("array", save(np.ones((2, 2), "f4")), "application/octet-stream", is_file=True),
            form("text", b'{"b64": "AAAAAAAAAAA=", "datatype": "FP32", "shape": [2]}', "application/json"),
        ],
    )
    values = read_inputs(payload, DataValidator(model))

    assert values["raw"].shape == (2,)
    assert values["array"].shape == (2, 2)
    assert values["text"].expected_bytes == 8
    assert values["listed"][0] == [1, "NaN"]


def test_parts_that_are_all_json_become_json():
    payload = wrap_parts(TWO, [form("x", b"[[1, 2.5]]"), form("y", b"[3]", "application/json")])
    assert json.loads(payload) == {"x": [[1, 2.5]], "y": [3]}
    assert detect_form(payload).media_type == "application/json"


@pytest.mark.parametrize(
    ("part", "message"),
    [
        (form("file", b"1"), "no input of model 'm'"),
        (form("x", b"cat"), "not valid JSON"),
        (form("x", bytes(9), "application/octet-stream"), "no whole number"),
        (form("x", b"\x89PNG" + bytes(20), "image/jpeg"), "said to be a JPEG image.*begins as a PNG"),
        (form("x", b"????????????????", "image/jpeg"), "no file of a known type"),
        (form("x", b"1,2", "text/csv"), "Content-Type"),
    ],
)
def test_part_that_is_not_what_it_says_is_refused(part, message):
    with pytest.raises(InvalidInputError, match=message):
        wrap_parts(TWO, [part])
