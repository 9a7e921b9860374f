"""Arrays from raw tensors, and the bytes of arrays, as the Open Inference Protocol has them."""

from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from inferq.tensors.raw_tensors import read_strings
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
    if raw.dtype:
        flat = np.frombuffer(raw.data, raw.dtype)
    elif dtype == np.object_:
        flat = np.array(read_strings(raw, "The tensor"), np.object_)
    else:
        flat = np.frombuffer(raw.data, dtype.newbyteorder("<"))
    if flat.dtype.kind == "S":
        flat = np.strings.decode(flat, "utf-8")
    array = flat.reshape(raw.shape, order="F" if raw.is_column_major else "C")
    # ONNX Runtime does not look at the byte order
    return np.asarray(array, dtype, order="C")


def view_bytes(array: npt.NDArray[Any]) -> Buffer:
    """Returns the bytes of an array as they stand in a raw tensor; no copy where it is row-major."""
    if array.dtype == np.object_:
        return pack_values(Datatype.BYTES, array.reshape(-1).tolist())
    return memoryview(np.asarray(array, array.dtype.newbyteorder("<"), order="C"))
