"""NumPy arrays, the judges of what is read and written without NumPy."""

import io
from math import prod
from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from inferq.tensors.raw_tensors import read_strings
from inferq.tensors.signature import Datatype
from inferq.tensors.values import RawTensor

NUMPY_TYPES = {
    "BOOL": "bool",
    "UINT8": "u1",
    "UINT16": "u2",
    "UINT32": "u4",
    "UINT64": "u8",
    "INT8": "i1",
    "INT16": "i2",
    "INT32": "i4",
    "INT64": "i8",
    "FP16": "f2",
    "FP32": "f4",
    "FP64": "f8",
}
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=4)


@st.composite
def arrays_of_any_layout(draw: st.DrawFn) -> np.ndarray[Any, Any]:
    """Arrays of each datatype but BYTES, of each byte order, in rows or in columns."""
    dtype = np.dtype(draw(st.sampled_from(list(NUMPY_TYPES.values()))))
    dtype = dtype.newbyteorder(draw(st.sampled_from("<>")))
    shape = draw(arrays.array_shapes(min_dims=0, min_side=0, max_side=3))
    return np.asarray(draw(arrays.arrays(dtype, shape)), order=draw(st.sampled_from("CF")))


@st.composite
def arrays_of_text(draw: st.DrawFn) -> np.ndarray[Any, Any]:
    """Arrays of NumPy's strings."""
    shape = draw(arrays.array_shapes(min_dims=0, min_side=0, max_side=3))
    values = draw(st.lists(TEXT, min_size=prod(shape), max_size=prod(shape)))
    dtype = f"{draw(st.sampled_from('<>'))}U{max(map(len, values), default=1) or 1}"
    return np.array(values, dtype).reshape(shape)


def save(array: np.ndarray[Any, Any], version: tuple[int, int] | None = None) -> bytes:
    """Returns an array as NumPy writes it."""
    file = io.BytesIO()
    np.lib.format.write_array(file, array, version, allow_pickle=True)
    return file.getvalue()


def make_numpy_array(raw: RawTensor) -> np.ndarray[Any, Any]:
    """Returns the array that a raw tensor describes."""
    if raw.datatype == "BYTES" and not raw.dtype:
        return np.array(read_strings(raw, "x"), object).reshape(raw.shape)
    dtype = raw.dtype or np.dtype(NUMPY_TYPES[raw.datatype]).newbyteorder("<")
    order = "F" if raw.is_column_major else "C"
    return np.ndarray(raw.shape, dtype, bytes(raw.data), order=order)


def make_raw_tensor(array: np.ndarray[Any, Any]) -> RawTensor:
    """Returns an array as a raw tensor."""
    native = array.dtype.newbyteorder("=")
    datatype = next(name for name, code in NUMPY_TYPES.items() if native == np.dtype(code))
    return RawTensor(Datatype(datatype), array.shape, array.astype(native.newbyteorder("<")).tobytes())
