"""Arrays: from the values of inputs to what ONNX Runtime takes, and from its outputs to what orjson writes.

What is no tensor becomes an array too. A sequence of maps in an output becomes a table, `MapRows`, with a row
for each map. Any other sequence, a map, or an absent optional output becomes an array without axes that holds
the value, so that it is never split by rows; an optional input that is absent is left out.
"""

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from inferq.errors import InvalidInputError
from inferq.models.narrow_arrays import round_numbers
from inferq.models.raw_arrays import read_tensor
from inferq.tensors.container_validator import MapTensors
from inferq.tensors.narrow_types import FORMATS
from inferq.tensors.nested_arrays import name_non_finite, quote
from inferq.tensors.signature import Datatype, NonFinite, Tensor
from inferq.tensors.values import RawTensor

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
    "tensor(bfloat16)": Datatype.BF16,
    "tensor(float8e4m3fn)": Datatype.FLOAT8E4M3FN,
    "tensor(float8e4m3fnuz)": Datatype.FLOAT8E4M3FNUZ,
    "tensor(float8e5m2)": Datatype.FLOAT8E5M2,
    "tensor(float8e5m2fnuz)": Datatype.FLOAT8E5M2FNUZ,
    "tensor(float8e8m0)": Datatype.FLOAT8E8M0,
    "tensor(float4e2m1)": Datatype.FLOAT4E2M1,
    "tensor(int4)": Datatype.INT4,
    "tensor(uint4)": Datatype.UINT4,
    "tensor(int2)": Datatype.INT2,
    "tensor(uint2)": Datatype.UINT2,
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
    # those that NumPy lacks, see `narrow_arrays`
    **dict.fromkeys(FORMATS, np.dtype(np.float32)),
    Datatype.INT4: np.dtype(np.int8),
    Datatype.UINT4: np.dtype(np.uint8),
    Datatype.INT2: np.dtype(np.int8),
    Datatype.UINT2: np.dtype(np.uint8),
}


_INNERMOST = re.compile(r"(?<!_)tensor\(\w+\)")


class MapRows(np.ndarray[Any, Any]):
    """A sequence of maps with the same keys, as ZipMap makes it: a row for each map, a column for each key.

    Attributes:
        keys: The key of each column.
    """

    keys: list[int | str]

    def __array_finalize__(self, origin: object) -> None:
        """Keeps the keys in a slice of a table."""
        self.keys = getattr(origin, "keys", [])


def get_dtype(datatype: Datatype) -> np.dtype[Any]:
    """Returns NumPy's type of a datatype, a wider one where it has none."""
    return _NUMPY_DTYPES[datatype]


def find_datatype(onnx_type: str) -> Datatype | None:
    """Returns the datatype of the values in a type of ONNX Runtime; None for one that is not known."""
    innermost = _INNERMOST.search(onnx_type)
    return _ONNX_DATATYPES.get(innermost[0]) if innermost else None


def make_array(value: object, tensor: Tensor) -> Array:
    """Returns a validated value as an array of the datatype and shape of an input.

    Args:
        value: Nested lists, or a raw tensor; for an input that is no tensor what `ContainerValidator` gives.
        tensor: The input.

    Raises:
        InvalidInputError: A map has a key twice.
    """
    if tensor.onnx_type is not None:
        return _make_container(value, tensor)
    if isinstance(value, RawTensor):
        return read_tensor(value, _NUMPY_DTYPES[tensor.datatype])
    if tensor.datatype in FORMATS:
        array = round_numbers(np.array(value, dtype=np.float64), tensor.datatype)
    else:
        array = np.array(value, dtype=_NUMPY_DTYPES[tensor.datatype])
    if not array.size:  # an empty list does not tell the lengths of its inner axes
        array = array.reshape(*array.shape, *(max(size, 0) for size in tensor.shape[array.ndim :]))
    return array


def _make_container(value: Any, tensor: Tensor) -> Array:  # noqa: ANN401 - see `make_array`
    element = tensor.model_copy(update={"onnx_type": None, "is_unranked": True, "shape": []})
    if isinstance(value, MapTensors):
        keys = make_array(value.keys, element.model_copy(update={"datatype": tensor.map_keys}))
        return hold(_make_map(keys.tolist(), make_array(value.values, element).tolist(), tensor))
    if tensor.is_sequence:
        whole = isinstance(value, RawTensor)
        return hold([*make_array(value, element)] if whole else [make_array(one, element) for one in value])
    return make_array(value, element.model_copy(update={"shape": tensor.shape}))


def _make_map(keys: list[Any], values: list[Any], tensor: Tensor) -> dict[Any, Any]:
    made = dict(zip(keys, values, strict=True))
    if len(made) < len(keys):
        [(key, _)] = Counter(keys).most_common(1)
        raise InvalidInputError(f"The map {tensor.name!r} has the key {quote(str(key))} twice. Send it once.")
    return made


def hold(value: object) -> Array:
    """Returns an array without axes that holds a value of any kind."""
    holder = np.empty((), dtype=np.object_)
    holder[()] = value
    return holder


def make_zeros(tensor: Tensor, shape: Sequence[int] | None = None) -> Array:
    """Returns an input of zeros (false, empty strings, ones where there is no zero).

    Args:
        tensor: The input.
        shape: Length of each axis; by default each dynamic axis has length 1.
    """
    if shape is None:
        shape = [1 if size < 0 else size for size in tensor.shape]
    if tensor.map_keys is not None:
        return hold({"" if tensor.map_keys is Datatype.BYTES else 0: 0.0})
    if tensor.is_sequence:
        return hold([make_zeros(tensor.model_copy(update={"onnx_type": None}), [1])])
    if tensor.datatype is Datatype.BYTES:
        return np.full(shape, "", dtype=np.object_)
    if tensor.datatype is Datatype.FLOAT8E8M0:
        return np.ones(shape, dtype=np.float32)
    return np.zeros(shape, dtype=_NUMPY_DTYPES[tensor.datatype])


def make_varied_rows(array: Array, rows: int) -> Array:
    """Returns so many rows like the first of an array, which differ in their values if they are floats."""
    varied = np.repeat(array[:1], rows, axis=0)
    indices = np.arange(varied.size).reshape(varied.shape)
    if array.dtype.kind == "f":
        with np.errstate(all="ignore"):  # of infinities
            varied += ((1 + np.abs(varied)) * np.sin(indices * indices)).astype(array.dtype)
    return varied


def take_output(value: object, tensor: Tensor) -> Array:
    """Returns an output of ONNX Runtime as an array; the module's docstring says how, if it is no tensor."""
    if isinstance(value, np.ndarray):
        return value
    dtype = _NUMPY_DTYPES[tensor.datatype]
    if isinstance(value, list) and (tensor.onnx_type or "").startswith("seq(map("):
        if len({tuple(one) for one in value}) <= 1:
            keys = list(value[0]) if value else []
            rows = np.array([list(one.values()) for one in value], dtype=dtype)
            table = rows.reshape(len(value), len(keys)).view(MapRows)
            table.keys = keys
            return table
        value = [{key: dtype.type(number) for key, number in one.items()} for one in value]
    return hold(value)


def make_jsonable(array: Array, non_finite: NonFinite = "null") -> object:
    """Returns an array as something that orjson writes natively.

    float16 and float32 keep their type, so that they print as their own shortest decimal (0.971, not
    0.9710000157356262).

    Args:
        array: What `take_output` gives.
        non_finite: Whether NaN and infinities become null, as orjson writes them, or strings.
    """
    if array.dtype == np.object_:
        return array.tolist() if array.ndim else _make_value_jsonable(array[()], non_finite)
    if isinstance(array, MapRows):
        names = [str(key) for key in array.keys]
        rows: Any = _name_non_finite(array) if non_finite == "string" else np.asarray(array)
        return [dict(zip(names, row, strict=True)) for row in rows]
    if non_finite == "string" and array.dtype.kind == "f":
        return _name_non_finite(array)
    if array.ndim == 0:
        # orjson knows numpy's floats, but not every one of its integers (ONNX Runtime gives numpy.longlong)
        return array[()] if array.dtype.kind == "f" else array.item()
    return np.ascontiguousarray(array)


def _make_value_jsonable(value: object, non_finite: NonFinite) -> object:
    match value:
        case np.ndarray():
            return make_jsonable(value, non_finite)
        case list():
            return [_make_value_jsonable(item, non_finite) for item in value]
        case dict():
            return {str(key): _make_value_jsonable(item, non_finite) for key, item in value.items()}
        case np.floating():
            return make_jsonable(np.array(value), non_finite)
        case _:
            return value


def _name_non_finite(array: Array) -> Any:  # noqa: ANN401 - nested lists, or an array where all is finite
    finite = np.isfinite(array)
    if finite.all():
        return np.ascontiguousarray(array) if array.ndim else array[()]
    flat: list[Any] = list(array.reshape(-1))
    for index in np.flatnonzero(~finite):
        flat[index] = name_non_finite(flat[index])
    named = np.empty(array.size, dtype=np.object_)
    named[:] = flat
    return named.reshape(array.shape).tolist()
