"""Arrays from raw tensors, and the bytes of arrays, as the Open Inference Protocol has them."""

from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from inferq.models.narrow_arrays import narrow, round_numbers, widen
from inferq.tensors.raw_tensors import split_strings
from inferq.tensors.signature import Datatype
from inferq.tensors.tensor_values import pack_values
from inferq.tensors.values import Buffer, RawTensor


def read_tensor(raw: RawTensor, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """Returns a validated raw tensor as a row-major array in this machine's byte order.

    Where its bytes are that already there is no copy, and the array is read-only.

    Args:
        raw: The tensor.
        dtype: NumPy's type of its datatype.
    """
    if not prod(raw.shape):
        return np.empty(raw.shape, dtype)
    if not raw.datatype.is_in_numpy:
        return _read_narrow(raw, dtype)
    if raw.dtype:
        flat = np.frombuffer(raw.data, raw.dtype)
    elif dtype == np.object_:
        flat = np.array([_read_text(value) for value in split_strings(raw, "The tensor")], np.object_)
    else:
        flat = np.frombuffer(raw.data, dtype.newbyteorder("<"))
    if flat.dtype.kind == "S":
        flat = np.array([*map(_read_text, flat.tolist())], np.object_)
    array = flat.reshape(raw.shape, order="F" if raw.is_column_major else "C")
    # ONNX Runtime does not look at the byte order
    return np.asarray(array, dtype, order="C")


def _read_text(value: Buffer) -> str:
    """Returns a string; bytes that are no UTF-8 as `text_session` takes them."""
    return str(value, "utf-8", "surrogateescape")


def _read_narrow(raw: RawTensor, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    if not raw.dtype:
        return widen(raw.data, raw.datatype, raw.shape)
    array = np.frombuffer(raw.data, raw.dtype).reshape(raw.shape)  # numbers that stood in JSON
    return round_numbers(array, raw.datatype) if raw.datatype.is_float else array.astype(dtype)


def view_bytes(array: npt.NDArray[Any], datatype: Datatype) -> Buffer:
    """Returns the bytes of an array as they stand in a raw tensor; mostly no copy where it is row-major."""
    if not datatype.is_in_numpy:
        codes = narrow(array, datatype)
        return memoryview(codes.astype(codes.dtype.newbyteorder("<"), order="C", copy=False))
    if array.dtype == np.object_:
        return pack_values(Datatype.BYTES, array.reshape(-1).tolist())
    return memoryview(np.asarray(array, array.dtype.newbyteorder("<"), order="C"))
