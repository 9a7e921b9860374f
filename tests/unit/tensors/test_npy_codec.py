import io
import struct
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferq.errors import InvalidInputError
from inferq.tensors.npy_codec import read_data, write_header, write_text
from inferq.tensors.raw_tensors import check_tensor
from tests.unit.tensors.arrays import (
    NUMPY_TYPES,
    arrays_of_any_layout,
    arrays_of_text,
    make_numpy_array,
    make_raw_tensor,
    save,
)

FILE = save(np.arange(6, dtype="f4").reshape(2, 3))


def make_file(header: str, data: bytes = b"") -> bytes:
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header.encode() + data


def refusal(payload: bytes) -> str:
    with pytest.raises(InvalidInputError) as caught:
        read_data(payload)
    caught.value.message.encode()
    return caught.value.message


@given(arrays_of_any_layout() | arrays_of_text(), st.sampled_from([(1, 0), (2, 0), (3, 0)]))
def test_what_numpy_writes_is_read_as_the_same_array(array, version):
    raw = read_data(save(array, version))
    check_tensor(raw, "x")
    assert raw.shape == array.shape
    assert raw.datatype == ("BYTES" if array.dtype.kind == "U" else raw.datatype)
    if raw.datatype != "BYTES":
        assert np.dtype(NUMPY_TYPES[raw.datatype]) == array.dtype.newbyteorder("=")
    np.testing.assert_array_equal(make_numpy_array(raw), array)


@given(arrays_of_any_layout())
def test_what_is_written_is_what_numpy_reads(array):
    raw = make_raw_tensor(array)
    file = write_header(raw.datatype, raw.shape)
    assert len(file) % 64 == 0
    found = np.load(io.BytesIO(file + raw.data))
    assert (found.dtype, found.shape) == (array.dtype.newbyteorder("="), array.shape)
    np.testing.assert_array_equal(found, array)


@given(arrays_of_text())
def test_written_text_is_what_numpy_reads(array):
    found = np.load(io.BytesIO(write_text(array.reshape(-1).tolist(), array.shape)))
    np.testing.assert_array_equal(found, array)


def test_data_is_not_copied():
    assert read_data(FILE).data.obj is FILE


def test_wide_text_with_half_a_surrogate_pair_is_refused():
    file = save(np.array(["abc"])).replace(b"b\0\0\0", b"\0\xd8\0\0")
    with pytest.raises(InvalidInputError, match="x holds what is no text"):
        check_tensor(read_data(file), "x")


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (FILE[:7], "none of the versions 1 to 3"),
        (b"\x93NUMPY\4\0" + FILE[8:], "none of the versions 1 to 3"),
        (FILE[:9], "ends within its header"),
        (FILE[:40], "ends within its header"),
        (FILE[:-1], "has 23 bytes of data, but its header promises 24 (FP32, shape [2, 3])"),
        (FILE + b"\0", "has 25 bytes of data, but its header promises 24"),
        (save(np.array([object()])), "of Python objects, which would have to be unpickled"),
        (save(np.zeros(2, [("a", "f4"), ("b", "i4")])), "is a structured NumPy array"),
        (save(np.zeros(2, "c8")), "of the type '<c8', which no input has"),
        (save(np.zeros(2, "M8[s]")), "of the type '<M8[s]', which no input has"),
        (save(np.zeros(2, "V2")), "of the type '|V2', which no input has"),
        (save(np.zeros(2, "f4")).replace(b"<f4", b"=f4"), "of the type '=f4'"),
        (
            make_file("{'descr': '<U0', 'fortran_order': False, 'shape': (9999999999,), }"),
            "of the type '<U0'",
        ),
        (
            make_file("{'descr': '<f4', 'fortran_order': False, 'shape': (9223372036854775807, 0), }"),
            "memory",
        ),
        (
            make_file("{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296), }"),
            "memory",
        ),
        (make_file("{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }"), "no dictionary of 'descr'"),
        (make_file("{'descr': '<f4', 'fortran_order': False, 'shape': (1,,2), }"), "its shape is none"),
        (make_file(f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({'1,' * 33}), }}"), "33 axes"),
        (make_file("{'descr': '<f4', 'fortran_order': 1, 'shape': (), }"), "no dictionary of 'descr'"),
        (make_file("{'descr': True, 'fortran_order': False, 'shape': (), }"), "members of other types"),
        (make_file("{'descr': '<f4', 'shape': (), }"), "no dictionary of 'descr'"),
        (make_file("__import__('os').abort()"), "no dictionary of 'descr'"),
        (make_file(""), "no dictionary of 'descr'"),
        (make_file("{" * 9000), "no dictionary of 'descr'"),
        (make_file("{" + " " * 10_000 + "}"), "its header has 10,002 bytes"),
    ],
)
def test_what_is_damaged_or_of_another_type_is_refused_with_the_reason(payload, reason):
    assert reason in refusal(payload)


@pytest.mark.parametrize(
    "header",
    [
        "{'shape':(2,),'fortran_order':False,'descr':'<i2'}",
        '{"descr": "<i2", "fortran_order": False, "shape": (2L,)}',
    ],
)
def test_headers_of_other_programs_are_read(header):
    raw = read_data(make_file(header, struct.pack("<2h", 1, -2)))
    assert make_numpy_array(raw).tolist() == [1, -2]


@given(st.binary(max_size=200), st.integers(0, len(FILE)))
def test_nothing_else_than_a_refusal_comes_of_any_bytes(noise, position):
    for payload in (b"\x93NUMPY" + noise, FILE[:position] + noise, FILE[:position] + noise + FILE[position:]):
        with suppress(InvalidInputError):
            raw = read_data(payload)
            assert len(raw.data) == raw.expected_bytes
