"""Nested arrays as JSON has them: their axes, their paths, and words for what is found in them."""

import json
import math
from itertools import chain
from typing import Any

from inferq.errors import InvalidInputError

_LONGEST_QUOTE = 40


def measure(value: Any, where: str, axes: int | None = None) -> tuple[list[int], list[Any]]:  # noqa: ANN401
    """Measures nested arrays axis by axis down to an empty one, and refuses ragged ones.

    It works level by level over flat lists, not by recursion: 400,000 values take some tens of milliseconds,
    and no depth of nesting can exhaust the stack.

    Args:
        value: Nested lists, or a single value, which has no axes.
        where: What to call `value` in an error.
        axes: How many axes to measure; None for all.

    Returns:
        The length of each axis, the last one 0 where the arrays are empty, and the values below in row-major
        order.

    Raises:
        InvalidInputError: Arrays of one axis differ in length, or an array stands beside a single value.
    """
    lengths: list[int] = []
    level = [value]
    while axes is None or len(lengths) < axes:
        kinds = set(map(type, level))
        if list not in kinds:
            break
        if len(kinds) > 1:
            index = next(index for index, item in enumerate(level) if type(item) is not list)
            raise InvalidInputError(
                f"{where}{path_of(index, lengths)} must be an array like its neighbours, got "
                f"{describe(level[index])}. Every row needs the same depth and length."
            )
        length = len(level[0])
        for index, item in enumerate(level):
            if len(item) != length:
                raise InvalidInputError(
                    f"{where}{path_of(index, lengths)} has {len(item)} values, but others have {length}. "
                    "Every row needs the same length: pad or split the data."
                )
        lengths.append(length)
        level = list(chain.from_iterable(level))
    return lengths, level


def path_of(index: int, lengths: list[int]) -> str:
    """Returns the path, such as `[3][0]`, of a flat row-major index in an array of these axes."""
    path = ""
    for length in reversed(lengths):
        index, position = divmod(index, length)
        path = f"[{position}]{path}"
    return path


def describe(value: object) -> str:
    """Names a JSON value in an error: short, printable and encodable whatever it is."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int():
            # Python refuses to print integers of more than 4300 digits
            return f"the number {value}" if value.bit_length() <= 128 else "an integer of more than 128 bits"
        case float():
            return f"the number {value}" if math.isfinite(value) else spell(value)
        case str():
            return f"the string {quote(value)}"
        case list():
            return f"an array of {len(value)}" if value else "an empty array"
        case dict():
            return "an object"
        case _:
            return f"a {type(value).__name__}"


def spell(value: float) -> str:
    """Names a float that is not finite as `data` and results do."""
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def quote(text: str) -> str:
    """Quotes a string for an error: shortened, and without what UTF-8 cannot encode."""
    short = text if len(text) <= _LONGEST_QUOTE else text[:_LONGEST_QUOTE] + "…"
    return json.dumps(short.encode("utf-8", "replace").decode(), ensure_ascii=False)
