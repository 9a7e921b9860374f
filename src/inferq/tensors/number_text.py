"""Reads long JSON arrays of numbers without an object of Python for each: a third of the time.

Only what is plainly right is read so: numbers in range, in arrays of one length along each axis. All other
texts are left to `json_codec` and `DataValidator`, which say what is wrong with them, and know the words for
NaN and infinities. Both give the same arrays: a test compares them.
"""

from functools import lru_cache
from math import prod
from typing import Any

from inferq.tensors.signature import Datatype
from inferq.tensors.values import RawTensor

try:
    import simdjson
except ImportError:  # proxies and workers have it
    simdjson = None  # type: ignore[assignment]

LEAST_BYTES = 16384
"""A shorter text is not read sooner."""

_LEAST_INNERMOST = 32
"""Arrays of fewer numbers are not looked at one by one."""
_NUMBERS = b"0123456789+-.eE \t\r\n"
# the first bits of a double's exponent: with these it is below 2**113, and so in the range of FP32
_SMALL = bytes(byte for byte in range(256) if byte & 0x7F <= 0x46)


def read_numbers(text: bytes, datatype: Datatype) -> RawTensor | None:
    """Reads nested arrays of numbers.

    Args:
        text: JSON, UTF-8.
        datatype: What they are to become.

    Returns:
        A tensor of that datatype, whose bytes are doubles or integers of 64 bits; None where the text is
        anything else, or no number of the datatype.
    """
    if simdjson is None or not (datatype.is_float or datatype.is_integer):
        return None
    kind: Any = "d" if datatype.is_float else "u" if datatype is Datatype.UINT64 else "i"
    try:
        array: Any = simdjson.Parser().parse(text)
        shape = _measure_first(array)
        if not shape or not _has_shape(array, text, shape):
            return None
        data = memoryview(array.as_buffer(of_type=kind))
    except (ValueError, TypeError, RuntimeError):  # the last one for integers of more than 64 bits
        return None
    if data.nbytes != 8 * prod(shape) or not _is_in_range(data, datatype):
        return None
    return RawTensor(datatype, shape, data, dtype={"d": "<f8", "i": "<i8", "u": "<u8"}[kind])


def _measure_first(array: Any) -> tuple[int, ...]:  # noqa: ANN401 - an array of simdjson, or any value
    """Returns the length of the first array along each axis; nothing where one is empty."""
    shape = []
    while isinstance(array, simdjson.Array):
        if not len(array):
            return ()
        shape.append(len(array))
        array = array[0]
    return tuple(shape)


def _has_shape(array: Any, text: bytes, shape: tuple[int, ...]) -> bool:  # noqa: ANN401 - of simdjson
    """Whether all arrays along each axis have one length, and there are no others within them."""
    if shape[-1] < _LEAST_INNERMOST:
        return _has_skeleton(text.translate(None, _NUMBERS), shape)
    level, count = [array], 1
    for axis, length in enumerate(shape):
        if any(type(one) is not simdjson.Array or len(one) != length for one in level):
            return False
        if axis < len(shape) - 1:
            level = [inner for one in level for inner in one]
            count += len(level)
    return text.count(b"[") == count


def _has_skeleton(skeleton: bytes, shape: tuple[int, ...]) -> bool:
    """Whether a text without its numbers is that of arrays of a shape."""
    *outer, innermost = shape
    length = innermost + 1
    for count in reversed(outer):
        length = count * (length + 1) + 1
    # compared first: the first arrays of a text that is ragged may promise more than any memory holds
    return len(skeleton) == length and skeleton == _make_skeleton(shape)


@lru_cache(maxsize=2)
def _make_skeleton(shape: tuple[int, ...]) -> bytes:
    """Returns the JSON of arrays of a shape without the numbers in them."""
    *outer, innermost = shape
    part = b"[" + b"," * (innermost - 1) + b"]"
    for length in reversed(outer):
        part = b"[" + b",".join([part] * length) + b"]"
    return part


def _is_in_range(data: memoryview, datatype: Datatype) -> bool:
    if datatype in (Datatype.FP64, Datatype.INT64, Datatype.UINT64):
        return True
    if datatype is Datatype.FP32 and not bytes(data)[7::8].translate(None, _SMALL):
        return True
    values: Any = data.cast("d") if datatype.is_float else data.cast("q")
    low, high = datatype.limits
    return bool(low <= min(values) and max(values) <= high)
