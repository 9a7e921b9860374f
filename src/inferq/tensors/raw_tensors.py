"""Checks of raw tensors by themselves: that their bytes are what their datatype and shape promise."""

import struct
from math import prod
from typing import Any

from inferq.errors import InvalidInputError
from inferq.tensors.nested_arrays import describe
from inferq.tensors.signature import Datatype
from inferq.tensors.values import Buffer, RawTensor

MOST_AXES = 32
"""Of any tensor: more are more likely a mistake."""
_MOST_BYTES = 2**62
"""NumPy counts the bytes of an array, its empty axes left out, in 64 bits."""

_LENGTH = struct.Struct("<I")
_NUMPY_NAMES = {
    Datatype.BOOL: "bool",
    Datatype.FP16: "float16",
    Datatype.FP32: "float32",
    Datatype.FP64: "float64",
    Datatype.BYTES: "str",
}


def name_numpy_type(datatype: Datatype) -> str:
    """Returns NumPy's name for a datatype, such as `float32`, as `astype` takes it."""
    return _NUMPY_NAMES.get(datatype, datatype.lower())


def read_datatype(name: object, where: str) -> Datatype:
    """Returns the datatype of a name.

    Raises:
        InvalidInputError: There is none.
    """
    try:
        return Datatype(name)  # type: ignore[arg-type]
    except ValueError as error:
        raise InvalidInputError(
            f"{where} has the datatype {describe(name)}, expected one of {', '.join(Datatype)}."
        ) from error


def read_shape(shape: Any, where: str) -> tuple[int, ...]:  # noqa: ANN401 - of any JSON
    """Returns a shape that stands in JSON.

    Raises:
        InvalidInputError: It is no array of whole numbers from 0, or has too many or too long axes.
    """
    if not isinstance(shape, list) or not all(type(size) is int and size >= 0 for size in shape):
        raise InvalidInputError(
            f"The shape of {where} must be an array of whole numbers from 0, such as [1, 3, 224, 224], "
            f"got {describe(shape)}."
        )
    check_shape(tuple(shape), 1, where)
    return tuple(shape)


def check_shape(shape: tuple[int, ...], item_bytes: int, where: str) -> None:
    """Refuses a shape of which no array can be made.

    Raises:
        InvalidInputError: It has too many axes, or they are too long.
    """
    if len(shape) > MOST_AXES:
        raise InvalidInputError(f"{where} has {len(shape)} axes, but at most {MOST_AXES} are possible.")
    if prod(max(size, 1) for size in shape) * item_bytes >= _MOST_BYTES:
        raise InvalidInputError(f"{where} has a shape that is larger than any memory.")


def check_tensor(tensor: RawTensor, where: str) -> None:
    """Checks that the bytes of a tensor are those of its datatype and shape.

    Args:
        tensor: The tensor.
        where: Its path, for errors.

    Raises:
        InvalidInputError: They are too few or too many, or hold what is no value of the datatype.
    """
    check_shape(tensor.shape, tensor.item_bytes or 1, where)
    expected, got = tensor.expected_bytes, memoryview(tensor.data).nbytes
    if expected is not None and got != expected:
        raise InvalidInputError(
            f"{where} has {got:,} bytes, but {tensor.datatype} of shape {list(tensor.shape)} has "
            f"{expected:,}. Send all its values, row by row, and nothing else."
        )
    if tensor.datatype is Datatype.BOOL and bytes(tensor.data).translate(None, b"\0\1"):
        raise InvalidInputError(f"{where} must hold bytes 0 and 1 (BOOL), got others.")
    if tensor.datatype is Datatype.BYTES:
        _check_strings(tensor, where)


def read_strings(tensor: RawTensor, where: str) -> list[str]:
    """Returns the values of a BYTES tensor whose values stand behind their lengths, as text.

    Args:
        tensor: The tensor; one without a `dtype`.
        where: Its path, for errors.

    Raises:
        InvalidInputError: They are more or fewer than its shape has, or not UTF-8.
    """
    texts: list[str] = []
    try:
        texts.extend(str(value, "utf-8") for value in split_strings(tensor, where))
    except UnicodeDecodeError as error:
        raise InvalidInputError(
            f"{where} has a value that is not UTF-8, the {len(texts) + 1:,}. in row-major order, which no "
            "text can say. Ask for its bytes."
        ) from error
    return texts


def split_strings(tensor: RawTensor, where: str) -> list[memoryview]:
    """Returns the same values as they are.

    Raises:
        InvalidInputError: They are more or fewer than its shape has.
    """
    view, position, values = memoryview(tensor.data), 0, []
    count = prod(tensor.shape)
    if len(view) < count * _LENGTH.size:
        raise _make_length_error(tensor, where)
    try:
        for _ in range(count):
            [length] = _LENGTH.unpack_from(view, position)
            position += _LENGTH.size
            values.append(view[position : position + length])
            position += length
    except struct.error as error:
        raise _make_length_error(tensor, where) from error
    if position != len(view):
        raise _make_length_error(tensor, where)
    return values


def _check_strings(tensor: RawTensor, where: str) -> None:
    if not tensor.dtype:
        split_strings(tensor, where)
    elif tensor.dtype[1] == "U":
        _check_wide_text(tensor.data, "utf-32-be" if tensor.dtype[0] == ">" else "utf-32-le", where)


def _check_wide_text(data: Buffer, encoding: str, where: str) -> None:
    try:
        str(data, encoding)
    except UnicodeDecodeError as error:
        raise InvalidInputError(f"{where} holds what is no text: {error.reason}. Send Unicode.") from error


def _make_length_error(tensor: RawTensor, where: str) -> InvalidInputError:
    return InvalidInputError(
        f"{where} does not hold {prod(tensor.shape):,} values (BYTES, shape {list(tensor.shape)}): expected "
        "each behind its length, four bytes (little-endian), and nothing else."
    )
