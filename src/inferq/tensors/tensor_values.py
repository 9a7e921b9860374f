"""The values of raw tensors as Python's own, which JSON can hold, without NumPy."""

import struct
from collections.abc import Sequence
from itertools import chain
from math import prod
from typing import Any

from inferq.tensors.narrow_types import read_numbers, write_numbers
from inferq.tensors.raw_tensors import read_strings
from inferq.tensors.signature import Datatype
from inferq.tensors.values import ITEM_BYTES, PACKED, Buffer, RawTensor

_CODES = {
    Datatype.UINT8: "B",
    Datatype.UINT16: "H",
    Datatype.UINT32: "I",
    Datatype.UINT64: "Q",
    Datatype.INT8: "b",
    Datatype.INT16: "h",
    Datatype.INT32: "i",
    Datatype.INT64: "q",
    Datatype.FP16: "e",
    Datatype.FP32: "f",
    Datatype.FP64: "d",
}
_LENGTH = struct.Struct("<I")
_DIGITS = {Datatype.FP16: (3, 4, 5), Datatype.FP32: (6, 7, 8, 9)}
"""With so many significant digits some values are told from all others; with the last number, all are."""


def list_values(datatype: Datatype, data: Buffer, count: int | None = None) -> list[Any]:
    """Returns the values of a tensor, or of a part of it, in their order.

    Floats of less than 64 bits become those that print as their own shortest decimal: 0.1, not
    0.10000000149011612; those that NumPy lacks print as FP32. A million of FP32 takes about a second.

    Args:
        datatype: Any but BYTES.
        data: The values as a raw tensor has them.
        count: How many values there are, where several share a byte; None: as many as fit.
    """
    if not datatype.is_in_numpy:
        most = len(data) * PACKED.get(datatype, 1) // ITEM_BYTES.get(datatype, 1)
        numbers = read_numbers(datatype, data, most if count is None else min(count, most))
        return _shorten(numbers, Datatype.FP32) if datatype.is_float else numbers
    if datatype is Datatype.BOOL:
        return [value != 0 for value in bytes(data)]
    values = list(struct.unpack(f"<{len(data) // ITEM_BYTES[datatype]}{_CODES[datatype]}", data))
    return _shorten(values, datatype) if datatype in _DIGITS else values


def list_all_values(tensor: RawTensor) -> list[Any]:
    """Returns all values of a tensor as the Open Inference Protocol has it, of any datatype.

    Raises:
        InvalidInputError: It is of BYTES, and they are not what its shape promises.
    """
    if tensor.datatype is Datatype.BYTES:
        return read_strings(tensor, "The tensor")
    return list_values(tensor.datatype, tensor.data, prod(tensor.shape))


def pack_values(datatype: Datatype, values: Sequence[Any]) -> bytes:
    """Returns values as a raw tensor has them.

    Raises:
        struct.error: One is of another type, or out of range.
        OverflowError: A float is out of range.
        TypeError: One is no string.
    """
    if datatype is Datatype.BYTES:
        # bytes that are no UTF-8 stand in text so, in the worker
        texts = [str.encode(value, errors="surrogateescape") for value in values]
        return b"".join(chain.from_iterable((_LENGTH.pack(len(text)), text) for text in texts))
    if not datatype.is_in_numpy:
        return write_numbers(datatype, values)
    code = "?" if datatype is Datatype.BOOL else _CODES[datatype]
    if datatype is Datatype.BOOL and not all(type(value) is bool for value in values):
        raise TypeError("no boolean")
    return struct.pack(f"<{len(values)}{code}", *values)


def _shorten(values: list[float], datatype: Datatype) -> list[float]:
    fewest, *more = _DIGITS[datatype]
    short = _round(values, fewest)
    left: Sequence[int] = range(len(values))
    for digits in more:
        form = f"<{len(left)}{_CODES[datatype]}"
        again = struct.unpack(form, struct.pack(form, *[short[index] for index in left]))
        # what is not a number stays as it is
        left = [
            index for index, value in zip(left, again, strict=True) if value != values[index] == values[index]
        ]
        for index, value in zip(left, _round([values[index] for index in left], digits), strict=True):
            short[index] = value
    return short


def _round(values: list[float], digits: int) -> list[float]:
    """Rounds to so many significant digits; all values as one text, which takes half the time."""
    return list(map(float, (f"%.{digits}g " * len(values) % tuple(values)).split()))
