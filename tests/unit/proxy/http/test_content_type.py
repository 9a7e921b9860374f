import pytest

from inferq.errors import InvalidInputError, UnsupportedMediaTypeError
from inferq.proxy.http.content_type import read_content_type
from inferq.tensors.file_types import JPEG, NPY, NPZ, WAV

JSON_BODY = b'{"data": []}'
PNG_BODY = b"\x89PNG\r\n\x1a\n" + bytes(16)


def read(*values):
    return read_content_type([(b"content-type", value) for value in values])


@pytest.mark.parametrize(
    "value",
    [
        b"application/json",
        b"Application/JSON; charset=utf-8",
        b"text/plain;charset=UTF-8",
        b"application/ld+json",
    ],
)
def test_json_has_many_names(value):
    assert read(value).is_json(PNG_BODY)


@pytest.mark.parametrize("values", [(), (b"application/x-www-form-urlencoded",)])
def test_first_bytes_decide_where_nothing_is_said_of_the_body(values):
    assert read(*values).is_json(JSON_BODY)
    assert not read(*values).is_json(PNG_BODY)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"application/x-npy", NPY),
        (b"application/npy", NPY),
        (b"application/zip", NPZ),
        (b"image/jpg", JPEG),
        (b"audio/x-wav", WAV),
        (b"application/octet-stream", None),
    ],
)
def test_types_of_files_have_several_names(value, expected):
    assert read(value).file_type is expected


@pytest.mark.parametrize(
    "value", [b'multipart/form-data; boundary="a b"', b"multipart/form-data; charset=x; Boundary=a"]
)
def test_boundary_of_a_form_is_found(value):
    assert read(value).boundary in (b"a b", b"a")


@pytest.mark.parametrize("values", [(b"text/csv",), (b"nonsense",), (b"",), (b"image/png", b"image/png")])
def test_other_types_are_refused_with_those_that_are_known(values):
    with pytest.raises(UnsupportedMediaTypeError, match=r"Expected one of application/json, .*image/jpeg"):
        read(*values)


def test_form_without_boundary_is_refused():
    with pytest.raises(InvalidInputError, match="boundary"):
        read(b"multipart/form-data")
