"""What users hold, as JSON has it: NumPy arrays, data frames and the like become nested lists."""

import json
import math
from collections.abc import Mapping
from typing import Any

from inferq.jobs import InvalidInputError


def to_data(value: Any) -> Any:  # noqa: ANN401 - whatever users hold
    """Makes a request's `data` of what a user holds.

    Args:
        value: Nested lists or tuples; a NumPy array or anything else that has `tolist`; a data frame of
            pandas or polars, whose rows become lists; or a mapping of named inputs to any of these.

    Raises:
        InvalidInputError: There is something in it that JSON cannot say.
    """
    try:
        return _to_data(value)
    except RecursionError:
        raise InvalidInputError("data is nested too deeply. Send arrays of a few axes.") from None


def _to_data(value: Any) -> Any:  # noqa: ANN401 - whatever users hold
    if isinstance(value, Mapping):
        return {str(name): _to_data(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_to_data(one) for one in value]
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise InvalidInputError(f"data may hold only finite numbers, got {value}. Fill or drop it first.")
        return value
    for method in ("to_numpy", "tolist", "to_list"):
        convert = getattr(value, method, None)
        if callable(convert):
            converted = convert()
            # a number of extended precision stays what it is
            return float(converted) if type(converted) is type(value) else _to_data(converted)
    if hasattr(value, "__array__"):
        return _to_data(value.__array__())
    raise InvalidInputError(
        "data may hold numbers, booleans, strings, lists, arrays and data frames, got "
        f"{type(value).__name__}."
    )


def to_json(value: Any) -> bytes:  # noqa: ANN401 - JSON
    """Writes JSON, without spaces.

    Raises:
        InvalidInputError: A number is not finite.
    """
    try:
        return json.dumps(value, separators=(",", ":"), allow_nan=False).encode()
    except ValueError as error:
        raise InvalidInputError(f"The request cannot be written as JSON: {error}.") from error
