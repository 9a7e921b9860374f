"""The data of users, written as JSON: nested lists, NumPy arrays and the like."""

import json
import math
import sys
from collections.abc import Mapping
from datetime import date, time, timedelta
from decimal import Decimal
from typing import Any

from inferq.errors import InvalidInputError
from inferq.tensors import json_codec


def write_json(value: Any) -> bytes:  # noqa: ANN401 - whatever users hold
    """Writes a value as JSON, without spaces.

    NaN and missing values (`None`, `pandas.NA`, masked) become null, infinities "Infinity" and "-Infinity";
    numbers of 16 and 32 bits are written as their own shortest decimals.

    Args:
        value: Numbers, booleans, texts; nested lists, tuples and arrays of these; mappings of names to them.

    Raises:
        InvalidInputError: JSON cannot represent something in it.
    """
    try:
        return _write(value)
    except RecursionError:
        raise InvalidInputError("data is nested too deeply. Send arrays of a few axes.") from None
    except ValueError as error:  # such as a number of more than 4,300 digits
        raise InvalidInputError(f"The request cannot be written as JSON: {error}.") from error


def simplify(value: Any) -> Any:  # noqa: ANN401 - whatever users hold
    """Turns a value into one that the JSON encoder knows, or into one that is a step closer to that.

    Raises:
        InvalidInputError: JSON cannot represent it.
    """
    if isinstance(value, Mapping):
        return {str(name): one for name, one in value.items()}
    if isinstance(value, Decimal):
        return int(value) if value.as_tuple().exponent == 0 else float(value)
    if type(value).__name__ == "NAType":  # pandas' missing value
        return None
    dtype = getattr(value, "dtype", None)
    # NumPy turns times in nanoseconds into bare numbers, and records into tuples; column names would be lost
    is_unclear = (
        isinstance(value, date | time | timedelta)
        or getattr(dtype, "kind", "") in ("m", "M")
        or getattr(dtype, "names", None)
        or hasattr(type(value), "columns")
    )
    if not is_unclear:
        if _is_numpy_value(value):
            return widen_floats(value).tolist()
        for method in ("tolist", "to_list", "to_pylist", "to_numpy", "__array__"):
            if callable(convert := getattr(value, method, None)):
                return convert()
    kind = type(value).__name__ if dtype is None else f"{type(value).__name__} of {dtype}"
    raise InvalidInputError(
        "data may hold numbers, booleans, texts, lists, arrays and data frames, or be a file (a Path, its "
        f"bytes, an image of Pillow; of several each is a job), got {kind}. Convert it first."
    )


def widen_floats(array: Any) -> Any:  # noqa: ANN401 - a NumPy array or number
    """Widens floats to 64 bits so that each prints with as few digits as tell it from its neighbours.

    Args:
        array: NumPy array or number of any datatype and shape; one that is not of floats, or is masked, stays
            as it is.
    """
    if array.dtype.kind != "f" or array.dtype.itemsize == 8 or hasattr(array, "mask"):
        return array
    numpy = sys.modules["numpy"]
    wide = numpy.asanyarray(array, dtype="f8")
    if array.dtype.itemsize > 8:
        return wide
    most, fewest = (9, 6) if array.dtype.itemsize == 4 else (5, 3)
    best = wide
    with numpy.errstate(all="ignore"):
        magnitude = numpy.floor(numpy.log10(numpy.abs(wide)))
        for digits in range(most, fewest - 1, -1):
            decimals = digits - 1 - magnitude
            # by a power of ten up to 10**22, which is exact; by a negative one it would be rounded twice
            scaled = numpy.where(
                decimals < 0,
                numpy.rint(wide / 10.0**-decimals) * 10.0**-decimals,
                numpy.rint(wide * 10.0**decimals) / 10.0**decimals,
            )
            best = numpy.where(scaled.astype(array.dtype) == array, scaled, best)
    return numpy.where(numpy.isfinite(wide), best, wide)


def _write(value: Any) -> bytes:  # noqa: ANN401 - whatever users hold
    if isinstance(value, Mapping):
        members = (json.dumps(str(name)).encode() + b":" + _write(one) for name, one in value.items())
        return b"{" + b",".join(members) + b"}"
    if _is_plain_array(value):
        return _write_array(value)
    if isinstance(value, list | tuple) and value and _is_plain_array(value[0]):
        return b"[" + b",".join(map(_write, value)) + b"]"
    try:
        text = _ENCODER.encode(value)
    except ValueError:  # a number that is not finite
        text = _ENCODER.encode(_replace_non_finite(value))
    return text.encode()


_ENCODER = json.JSONEncoder(separators=(",", ":"), allow_nan=False, default=simplify)


def _replace_non_finite(value: Any) -> Any:  # noqa: ANN401 - whatever users hold
    """Replaces numbers that are not finite by null and strings."""
    if isinstance(value, float):
        # null, since a text model could take the string "NaN" for a text
        return value if math.isfinite(value) else _INFINITIES.get(float(value))
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, list | tuple):
        return [_replace_non_finite(one) for one in value]
    if isinstance(value, dict):
        return {str(name): _replace_non_finite(one) for name, one in value.items()}
    return _replace_non_finite(simplify(value))


_INFINITIES = {math.inf: "Infinity", -math.inf: "-Infinity"}


def _is_numpy_value(value: Any) -> bool:  # noqa: ANN401 - whatever users hold
    numpy = sys.modules.get("numpy")  # a program that has an array has imported it
    return numpy is not None and isinstance(value, numpy.ndarray | numpy.generic)


def _is_plain_array(value: Any) -> bool:  # noqa: ANN401 - whatever users hold
    """Whether it is an array of ordinary numbers, of no class that gives its values another meaning."""
    numpy = sys.modules.get("numpy")
    return (
        numpy is not None
        and type(value) in (numpy.ndarray, numpy.memmap)
        and value.dtype.kind in "fiub"
        and not (value.dtype.kind == "f" and numpy.isinf(value).any())
    )


def _write_array(array: Any) -> bytes:  # noqa: ANN401 - a NumPy array
    try:
        # orjson writes numbers of 16 bits with the digits that they have in 32
        known = widen_floats(array) if array.dtype.itemsize == 2 else array
        # C-contiguous; a single value stays one
        return json_codec.write_arrays(sys.modules["numpy"].asarray(known, order="C"))
    except TypeError:
        # no orjson, or a byte order or width that it does not know; this is six times as slow
        return json_codec.write(widen_floats(array).tolist(), non_finite="null")
