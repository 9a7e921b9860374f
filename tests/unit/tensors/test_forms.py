import io
import json
from functools import partial

import numpy as np
import pytest

from inferq.errors import InvalidInputError
from inferq.tensors.data_validator import DataValidator
from inferq.tensors.envelope import write_envelope
from inferq.tensors.forms import JSON, detect_form, read_inputs, read_rows
from inferq.tensors.signature import Datatype, ModelDocument, Tensor
from tests.unit.tensors.arrays import make_raw_tensor

FILES = {
    "a NumPy array (.npy)": b"\x93NUMPY\1\0",
    "a zip archive (.npz)": b"PK\3\4",
    "an envelope of raw tensors": b"\x93INFERQ\1{}",
    "a WAV file": b"RIFF\x24\n\0\0WAVEfmt ",
    "a TIFF image": b"II*\0\x08\0\0\0",
    "a BMP image": b"BM\x36\0\x0c\0\0\0\0\0",
    "a PNG image": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
    "a JPEG image": b"\xff\xd8\xff\xe0\0\x10JFIF\0",
    "a WebP image": b"RIFF\x24\n\0\0WEBPVP8 ",
    "a GIF image": b"GIF89a\x01\0\x01\0",
}


def make_validator(*shapes: list[int]) -> DataValidator:
    inputs = [Tensor(name=f"x{n}", datatype=Datatype.FP32, shape=shape) for n, shape in enumerate(shapes)]
    return DataValidator(ModelDocument(name="m", version="a", versions=["a"], inputs=inputs, outputs=[]))


def save(write, *arrays) -> bytes:
    file = io.BytesIO()
    write(file, *arrays)
    return file.getvalue()


@pytest.mark.parametrize(
    "payload",
    [
        b"[[1]]",
        b'{"a":[1]}',
        b" \n[1]",
        b"7",
        b"-1",
        b'"a"',
        b"null",
        b"NaN",
        b"",
        b"\xff",
        b"RIFF",
        b"BM",
        b"II",
    ],
)
def test_what_begins_like_no_other_form_is_taken_for_json(payload):
    assert detect_form(payload) is JSON


@pytest.mark.parametrize(("name", "payload"), FILES.items())
def test_each_form_is_told_by_its_first_bytes(name, payload):
    assert detect_form(payload[:16]).file_type.name == name


def test_arrays_are_read_as_the_values_of_inputs():
    array = np.ones((1, 4), "f4")
    expected = {"x0": make_raw_tensor(array)}
    entry = {"name": "x0", "datatype": "FP32", "shape": [1, 4], "parameters": {"binary_data_size": 16}}
    envelope = write_envelope({"inputs": [entry]}, [array.tobytes()])
    for payload in (save(np.save, array), save(partial(np.savez, x0=array)), envelope):
        assert read_inputs(payload, make_validator([-1, 4])) == expected
        assert read_rows([payload], make_validator([-1, 4])) is None


def test_arrays_without_names_are_refused_with_how_to_name_them():
    payload = save(np.savez, np.ones((1, 4), "f4"))
    with pytest.raises(InvalidInputError, match=r'"arr_0", which is no input .* numpy\.savez\(file, x0=…\)'):
        read_inputs(payload, make_validator([-1, 4]))


def test_picture_for_a_model_that_takes_none_is_refused():
    with pytest.raises(InvalidInputError, match="takes no pictures"):
        read_inputs(FILES["a PNG image"], make_validator([-1, 4]))


@pytest.mark.parametrize("payload", [b"", b"\xff", b"[1,", b"\x93", b"PK"])
def test_data_of_no_known_form_is_refused_as_not_being_json(payload):
    with pytest.raises(InvalidInputError, match="is not JSON that can be read"):
        read_inputs(payload, make_validator([-1, 4]))


def test_json_is_read_as_the_value_of_each_input():
    values = {"x1": [[3]], "x0": [[1, 2]]}
    assert read_inputs(json.dumps(values).encode(), make_validator([-1, 2], [-1, 1])) == values


def test_jobs_of_one_form_are_read_in_one_pass():
    assert read_rows([b"[[1],[2]]", b"[[3]]"], make_validator([-1, 1])) == ([[1], [2], [3]], [2, 1])


@pytest.mark.parametrize("other", [b"\x89PNG", b"nonsense", b"{}"])
def test_jobs_of_several_forms_are_not_read_in_one_pass(other):
    for payloads in ([b"[[1]]", other], [other, b"[[1]]"]):
        assert read_rows(payloads, make_validator([-1, 1])) is None


def test_jobs_of_several_inputs_are_not_read_in_one_pass():
    payload = b'{"x0":[[1]],"x1":[[1]]}'
    assert read_rows([payload, payload], make_validator([-1, 1], [-1, 1])) is None
