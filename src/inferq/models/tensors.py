"""Tensors between JSON, NumPy and ONNX Runtime: which datatype is which."""

from typing import Any

import numpy as np
import numpy.typing as npt

from inferq.models.signature import Datatype, Tensor

Array = npt.NDArray[Any]

_ONNX_DATATYPES = {
    "tensor(bool)": Datatype.BOOL,
    "tensor(uint8)": Datatype.UINT8,
    "tensor(uint16)": Datatype.UINT16,
    "tensor(uint32)": Datatype.UINT32,
    "tensor(uint64)": Datatype.UINT64,
    "tensor(int8)": Datatype.INT8,
    "tensor(int16)": Datatype.INT16,
    "tensor(int32)": Datatype.INT32,
    "tensor(int64)": Datatype.INT64,
    "tensor(float16)": Datatype.FP16,
    "tensor(float)": Datatype.FP32,
    "tensor(double)": Datatype.FP64,
    "tensor(string)": Datatype.BYTES,
}

_NUMPY_DTYPES: dict[Datatype, np.dtype[Any]] = {
    Datatype.BOOL: np.dtype(np.bool_),
    Datatype.UINT8: np.dtype(np.uint8),
    Datatype.UINT16: np.dtype(np.uint16),
    Datatype.UINT32: np.dtype(np.uint32),
    Datatype.UINT64: np.dtype(np.uint64),
    Datatype.INT8: np.dtype(np.int8),
    Datatype.INT16: np.dtype(np.int16),
    Datatype.INT32: np.dtype(np.int32),
    Datatype.INT64: np.dtype(np.int64),
    Datatype.FP16: np.dtype(np.float16),
    Datatype.FP32: np.dtype(np.float32),
    Datatype.FP64: np.dtype(np.float64),
    Datatype.BYTES: np.dtype(np.object_),
}


def find_datatype(onnx_type: str) -> Datatype | None:
    """Returns the datatype for ONNX Runtime's name of a type, or None for one that JSON cannot carry."""
    return _ONNX_DATATYPES.get(onnx_type)


def make_array(value: object, tensor: Tensor) -> Array:
    """Returns validated nested lists as the array ONNX Runtime takes for this input."""
    return np.array(value, dtype=_NUMPY_DTYPES[tensor.datatype])


def make_zeros(tensor: Tensor) -> Array:
    """Returns an input of zeros (false, empty strings), each dynamic axis of length 1."""
    shape = [1 if size < 0 else size for size in tensor.shape]
    if tensor.datatype is Datatype.BYTES:
        return np.full(shape, "", dtype=np.object_)
    return np.zeros(shape, dtype=_NUMPY_DTYPES[tensor.datatype])


def make_jsonable(array: Array) -> object:
    """Returns an array as something that orjson writes natively.

    float16 and float32 keep their type, so that they print as their own shortest decimal (0.971, not
    0.9710000157356262).
    """
    if array.dtype == np.object_:
        return array.tolist()
    if array.ndim == 0:
        # orjson knows numpy's floats, but not every one of its integers (ONNX Runtime gives numpy.longlong)
        return array[()] if array.dtype.kind == "f" else array.item()
    return np.ascontiguousarray(array)
