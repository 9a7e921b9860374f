"""Nested arrays as JSON has them: their shape, paths to their values, and descriptions for errors."""

import json
import math
from collections.abc import Sequence
from itertools import batched, chain
from typing import Any

from inferq.errors import InvalidInputError
from inferq.tensors.values import ListedTensor, MediaFile, RawTensor

_LONGEST_QUOTE = 40


def measure(value: Any, where: str, axes: int | None = None) -> tuple[list[int], list[Any]]:  # noqa: ANN401
    """Measures nested arrays axis by axis, up to the first empty axis, and refuses ragged ones.

    It works level by level over flat lists, not by recursion: 400,000 values take some tens of milliseconds,
    and no depth can exhaust the stack.

    Args:
        value: Nested lists, or a single value, which has no axes.
        where: The path of `value`, for errors.
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
                f"{where}{format_path(index, lengths)} must be an array like its neighbours, got "
                f"{describe(level[index])}. Every row needs the same depth and length."
            )
        length = len(level[0])
        for index, item in enumerate(level):
            if len(item) != length:
                raise InvalidInputError(
                    f"{where}{format_path(index, lengths)} has {len(item)} values, but others have {length}. "
                    "Every row needs the same length: pad or split the data."
                )
        lengths.append(length)
        level = list(chain.from_iterable(level))
    return lengths, level


def nest(values: list[Any], shape: Sequence[int]) -> Any:  # noqa: ANN401 - a single value where there is no axis
    """Returns values in row-major order as nested lists.

    Args:
        values: As many as the shape has.
        shape: Length of each axis. Behind an empty axis nothing is nested.
    """
    if not shape:
        return values[0]
    if 0 in shape:
        first, *rest = shape
        return [nest([], rest) for _ in range(first)]
    level = values
    for size in reversed(shape[1:]):
        level = [list(part) for part in batched(level, size, strict=True)]
    return level


def format_path(index: int, lengths: list[int]) -> str:
    """Returns the path, such as `[3][0]`, of a flat row-major index in an array of these axes."""
    path = ""
    for length in reversed(lengths):
        index, position = divmod(index, length)
        path = f"[{position}]{path}"
    return path


def describe(value: object) -> str:
    """Names a JSON value in an error: short, printable and valid UTF-8 for any value."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int():
            # Python refuses to print integers of more than 4300 digits
            return f"the number {value}" if value.bit_length() <= 128 else "an integer of more than 128 bits"
        case float():
            return f"the number {value}" if math.isfinite(value) else name_non_finite(value)
        case str():
            return f"the string {quote(value)}"
        case list():
            return f"an array of {len(value)}" if value else "an empty array"
        case dict():
            return "an object"
        case RawTensor() | ListedTensor() | MediaFile():
            return str(value)
        case _:
            return f"a {type(value).__name__}"


def name_non_finite(value: float) -> str:
    """Returns the word for NaN or an infinity, as `data` and results have it."""
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def quote(text: str) -> str:
    """Quotes a string for an error: shortened, and without what UTF-8 cannot encode."""
    short = text if len(text) <= _LONGEST_QUOTE else text[:_LONGEST_QUOTE] + "…"
    return json.dumps(short.encode("utf-8", "replace").decode(), ensure_ascii=False)
