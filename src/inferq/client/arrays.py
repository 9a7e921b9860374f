"""Arrays of NumPy, and of any library that gives theirs to NumPy, as raw tensors; and raw tensors as arrays.

NumPy is used where it is installed, and never needed: without it arrays go as JSON.
"""

import base64
from collections.abc import Mapping
from importlib import import_module
from math import prod
from typing import Any

from inferq.client.encoding import widen_floats
from inferq.errors import InvalidInputError, UnexpectedAnswerError
from inferq.tensors.envelope import write_begin
from inferq.tensors.narrow_types import read_numbers
from inferq.tensors.npy_codec import write_header
from inferq.tensors.raw_tensors import name_numpy_type, read_strings
from inferq.tensors.result_tensors import OutputEntry, check_length, read_result_head
from inferq.tensors.signature import Datatype
from inferq.tensors.values import RawTensor
from inferq.tensors.zip_writer import ZipWriter

type Array = Any
"""An array of NumPy."""


def read_array(value: Any) -> Array | None:  # noqa: ANN401 - whatever users hold
    """Returns an array as NumPy has it, without a copy where that can be had.

    Args:
        value: An array of NumPy; or what has `__array_interface__`, `__dlpack__` or `numpy()`, as
            tensors of PyTorch, JAX and TensorFlow do.

    Returns:
        None for everything else, for single numbers, for arrays that are masked or of another class with a
        meaning of its own, and for those that cannot be read as they are, such as those on a GPU.
    """
    kind = type(value)
    interfaces = [name for name in ("__array_interface__", "__dlpack__", "numpy") if hasattr(kind, name)]
    if not interfaces or (numpy := _find_numpy()) is None:
        return None
    if isinstance(value, numpy.ndarray | numpy.generic):
        array = value if kind in (numpy.ndarray, numpy.memmap) else None
    else:
        array = _convert(numpy, value, interfaces)
    return array if array is not None and array.ndim and array.dtype.kind in "fiub" else None


def read_list(value: Any) -> Array | None:  # noqa: ANN401 - whatever users hold
    """Returns nested lists of numbers or booleans as an array; None for everything else."""
    numpy = _find_numpy()
    if numpy is None or not isinstance(value, list | tuple):
        return None
    try:
        array = numpy.array(value)
    except (ValueError, TypeError, OverflowError):  # ragged
        return None
    return read_array(array)


def _convert(numpy: Any, value: Any, interfaces: list[str]) -> Array | None:  # noqa: ANN401 - of any library
    try:
        if "__array_interface__" in interfaces:
            return numpy.asarray(value)
        return numpy.from_dlpack(value) if "__dlpack__" in interfaces else numpy.asarray(value.numpy())
    except (TypeError, ValueError, RuntimeError, BufferError, AttributeError):
        return None  # on another device, or part of a gradient


def has_numpy() -> bool:
    """Whether NumPy is installed."""
    return _find_numpy() is not None


def list_values(output: Any) -> Any:  # noqa: ANN401 - JSON
    """Returns an output that `read_result_arrays` returned as the JSON of a result has it: NaN is null."""
    if not hasattr(output, "dtype"):
        return output
    if output.dtype.kind != "f":
        return output.tolist()
    is_finite = import_module("numpy").isfinite(output)
    wide = widen_floats(output)
    if not is_finite.all():
        wide = wide.astype(object)
        wide[~is_finite] = None
    return wide.tolist()


def _find_numpy() -> Any | None:  # noqa: ANN401 - a module
    try:
        return import_module("numpy")
    except ModuleNotFoundError:
        return None


def fit_array(array: Array, tensor: Mapping[str, Any]) -> Array | None:
    """Converts an array to the datatype of an input, as JSON would.

    Args:
        array: The array, of numbers or booleans.
        tensor: The input, as the model's document has it.

    Returns:
        An array of that datatype; None where a value would change by more than it is rounded, so that the
        service is to say what does not fit.
    """
    if tensor["datatype"] not in Datatype or tensor["datatype"] == Datatype.BYTES:
        return None
    if not Datatype(tensor["datatype"]).is_in_numpy:  # goes as JSON
        return None
    numpy = import_module("numpy")
    target = numpy.dtype(name_numpy_type(Datatype(tensor["datatype"])))
    array = _add_axes(array, tensor["shape"])
    if array.dtype == target:
        return array
    kinds = array.dtype.kind + target.kind
    if kinds == "ff" and target.itemsize > array.dtype.itemsize:
        return widen_floats(array).astype(target)
    if kinds in ("ff", "if", "uf"):
        with numpy.errstate(over="ignore", invalid="ignore"):
            fitted = array.astype(target)
        return fitted if (numpy.isfinite(fitted) | ~numpy.isfinite(array)).all() else None
    if kinds in ("ii", "iu", "ui", "uu"):
        fitted = array.astype(target)
        return fitted if (fitted == array).all() else None
    return None


def _add_axes(array: Array, shape: list[int]) -> Array:
    """Adds the axes of length 1 that a flat column lacks, or those that empty lists cannot tell."""
    if array.ndim < len(shape) and array.shape[-1:] == (0,):
        return array.reshape(*array.shape, *(max(size, 0) for size in shape[array.ndim :]))
    if array.ndim == 1 and len(shape) > 1 and all(size in (1, -1) for size in shape[1:]):
        return array.reshape(len(array), *[1] * (len(shape) - 1))
    return array


def stack_columns(columns: list[Any]) -> Array | None:
    """Puts columns of numbers beside each other; None where one of them is none of numbers."""
    numpy = _find_numpy()
    if numpy is None:
        return None
    arrays = []
    for column in columns:
        try:
            array = column.to_numpy() if hasattr(column, "to_numpy") else column
        except (ValueError, TypeError, ImportError, RuntimeError):  # nulls in pyarrow; polars without NumPy
            return None
        if type(array) is not numpy.ndarray or array.dtype.kind not in "fiu" or array.ndim != 1:
            return None
        arrays.append(array)
    return numpy.stack(arrays, axis=1) if len({len(array) for array in arrays}) == 1 else None


def get_datatype(array: Array) -> Datatype:
    """Returns the datatype of an array that `fit_array` returned."""
    return next(one for one in Datatype if name_numpy_type(one) == array.dtype.name)


def get_bytes(array: Array) -> memoryview:
    """Returns the values of an array as a raw tensor has them."""
    flat = import_module("numpy").ascontiguousarray(array).reshape(-1)
    return memoryview(flat.view("u1"))


def write_npy(array: Array) -> bytes:
    """Writes an `.npy` file."""
    return b"".join((write_header(get_datatype(array), array.shape), get_bytes(array)))


def write_npz(arrays: Mapping[str, Array]) -> bytes:
    """Writes an `.npz` archive, without compression."""
    headers = {name: write_header(get_datatype(one), one.shape) for name, one in arrays.items()}
    writer = ZipWriter([(f"{name}.npy", len(headers[name]) + one.nbytes) for name, one in arrays.items()])
    parts: list[bytes | bytearray | memoryview] = []
    for name, array in arrays.items():
        parts += [writer.begin_member(), writer.add(headers[name]), writer.add(get_bytes(array))]
        parts.append(writer.end_member())
    return b"".join((*parts, writer.end()))


def list_array(array: Array) -> dict[str, Any]:
    """Returns an array as JSON may carry it: its bytes in base64."""
    text = base64.b64encode(get_bytes(array)).decode()
    return {"b64": text, "datatype": get_datatype(array), "shape": list(array.shape)}


def read_result_arrays(answer: bytes, head_bytes: int) -> dict[str, Any]:
    """Reads a binary answer of the Open Inference Protocol.

    Args:
        answer: The answer.
        head_bytes: How long its head is.

    Returns:
        Each output by its name: an array of NumPy that can be changed, of BYTES one of strings, of a datatype
        that NumPy lacks one of float32, int8 or uint8; of a
        sequence a list of arrays, of another output that is no tensor, such as a map, its JSON.

    Raises:
        InvalidInputError: NumPy is not installed.
        UnexpectedAnswerError: It is something else.
    """
    numpy = _find_numpy()
    if numpy is None:
        raise InvalidInputError(
            "Results as arrays need NumPy: pip install numpy. Or ask for the result as JSON."
        )
    begin = write_begin(head_bytes)
    try:
        head = read_result_head(begin + answer[:head_bytes])
        check_length(head, len(begin) + len(answer))
    except InvalidInputError as error:
        raise UnexpectedAnswerError(f"The result cannot be read: {error.message}") from error
    arrays: dict[str, Any] = {}
    for output in head.outputs:
        start = output.start - len(begin)
        data = memoryview(answer)[start : start + (output.size or 0)]
        if output.size is None:
            array = output.values
        elif output.datatype is Datatype.BYTES:
            texts = read_strings(
                RawTensor(output.datatype, output.shape, data), f"The output {output.name!r}"
            )
            array = numpy.array(texts, dtype=str).reshape(output.shape)
        else:
            array = _read_numbers(numpy, output, data)
        if output.sequence:
            arrays.setdefault(output.sequence, []).append(array)
        else:
            arrays[output.name] = array
    return arrays


def _read_numbers(numpy: Any, output: OutputEntry, data: memoryview) -> Array:  # noqa: ANN401 - a module
    if output.datatype.is_in_numpy:
        return numpy.frombuffer(data, dtype=name_numpy_type(output.datatype)).reshape(output.shape).copy()
    numbers = read_numbers(output.datatype, data, prod(output.shape))
    wide = "float32" if output.datatype.is_float else "uint8" if output.datatype.startswith("U") else "int8"
    return numpy.array(numbers, dtype=wide).reshape(output.shape)
