"""Raw tensors against NumPy, which is asked for the bytes of each."""

import struct

import numpy as np
import pytest

from inferq.models.arrays import make_array
from inferq.models.raw_arrays import view_bytes
from inferq.tensors.signature import Datatype, Tensor
from inferq.tensors.values import RawTensor

NUMBERS = {
    Datatype.BOOL: np.array([[True, False, True], [False, False, True]]),
    Datatype.FP16: np.array([[0.5, np.nan, -np.inf], [65504, -0.0, 6e-8]], dtype=np.float16),
    Datatype.FP32: np.array([[0.1, np.nan, np.inf], [3e38, -0.0, 1e-45]], dtype=np.float32),
    Datatype.FP64: np.array([[0.1, np.nan, np.inf], [1e308, -0.0, 5e-324]]),
} | {
    datatype: np.array([[low, high, 1], [2, 3, high]], dtype=datatype.lower())
    for datatype in Datatype
    if datatype.is_integer and datatype.is_in_numpy
    for low, high in [datatype.limits]
}
TEXTS = np.array([["", "花"], ["a\0b", "é" * 300]], dtype=object)
SHAPES = [(2, 3), (6,), (1, 3, 2, 1)]


def describe(array, datatype):
    return Tensor(name="x", datatype=datatype, shape=list(array.shape))


def assert_same(got, expected):
    assert (got.dtype, got.shape) == (expected.dtype, expected.shape)
    assert got.flags.c_contiguous
    np.testing.assert_array_equal(got, expected)


def pack(texts):
    return b"".join(struct.pack("<I", len(text.encode())) + text.encode() for text in texts.reshape(-1))


@pytest.mark.parametrize("datatype", NUMBERS)
@pytest.mark.parametrize("shape", SHAPES)
def test_numbers_are_read_in_place_and_written_as_they_came(datatype, shape):
    array = NUMBERS[datatype].reshape(shape)
    data = bytearray(b"x") + array.tobytes()  # at an address that fits no datatype
    got = make_array(RawTensor(datatype, shape, memoryview(data)[1:]), describe(array, datatype))
    assert_same(got, array)
    assert bytes(view_bytes(got, datatype)) == array.tobytes()
    data[1:] = bytes(array.nbytes)
    assert not got.any()


@pytest.mark.parametrize("datatype", NUMBERS)
def test_other_byte_orders_and_layouts_are_turned(datatype):
    array, tensor = NUMBERS[datatype], describe(NUMBERS[datatype], datatype)
    big = array.astype(array.dtype.newbyteorder(">"))
    for order in "CF":
        raw = RawTensor(datatype, array.shape, big.tobytes(order), big.dtype.str, order == "F")
        assert_same(make_array(raw, tensor), array)
    plain = RawTensor(datatype, array.shape, array.tobytes("F"), is_column_major=True)
    assert_same(make_array(plain, tensor), array)


@pytest.mark.parametrize("dtype", ["<U300", ">U300", "|S602", ""])
def test_text_is_read_from_every_type_that_holds_it(dtype):
    stored = np.strings.encode(TEXTS.astype(str), "utf-8") if "S" in dtype else TEXTS
    data = stored.astype(dtype).tobytes() if dtype else pack(TEXTS)
    got = make_array(RawTensor(Datatype.BYTES, TEXTS.shape, data, dtype), describe(TEXTS, Datatype.BYTES))
    assert_same(got, TEXTS)
    assert {type(text) for text in got.reshape(-1)} == {str}
    assert view_bytes(got, Datatype.BYTES) == pack(TEXTS)


@pytest.mark.parametrize("datatype", [*NUMBERS, Datatype.BYTES])
def test_empty_tensors_keep_their_shape_and_single_values_have_none(datatype):
    values = NUMBERS.get(datatype, TEXTS)
    tensor = Tensor(name="x", datatype=datatype, shape=[])
    assert_same(make_array(RawTensor(datatype, (2, 0, 3), b""), tensor), np.empty((2, 0, 3), values.dtype))
    single = values[1, 1:2].reshape(())
    data = pack(single) if datatype is Datatype.BYTES else single.tobytes()
    got = make_array(RawTensor(datatype, (), data), tensor)
    assert_same(got, single)
    assert bytes(view_bytes(got, datatype)) == data


def test_bytes_of_a_column_are_those_of_its_values_alone():
    square = np.arange(9, dtype=np.int32).reshape(3, 3)
    assert bytes(view_bytes(square[:, 1], Datatype.INT32)) == np.array([1, 4, 7], dtype=np.int32).tobytes()
