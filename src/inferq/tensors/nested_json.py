"""A tensor as nested arrays in JSON, written part by part."""

from itertools import batched
from math import prod
from typing import Any

from pydantic_core import to_json


class NestedJsonWriter:
    """Writes values that come in row-major order, some at a time. NaN and infinities become null.

    Args:
        shape: Length of each axis.
        position: How many values have been written by another writer.
    """

    def __init__(self, shape: tuple[int, ...], position: int = 0) -> None:
        self._shape = shape
        self._blocks = [prod(shape[axis:]) for axis in range(len(shape))]
        self._row = shape[-1] if shape else 1
        self._position = position

    def write(self, values: list[Any]) -> bytes:
        """Returns the JSON of the next values, with the brackets around them."""
        written, start = [], 0
        while start < len(values):
            if self._position:
                written.append(b",")
            count = self._count_rows(len(values) - start) * self._row
            if count:  # whole rows in one call: they may be short
                rows = [list(row) for row in batched(values[start : start + count], self._row, strict=True)]
                inner = to_json(rows, inf_nan_mode="null")[1:-1]
                axes = len(self._blocks) - 1
            else:
                count = min(self._row - self._position % self._row, len(values) - start)
                inner = to_json(values[start : start + count], inf_nan_mode="null")[1:-1]
                axes = len(self._blocks)
            written.append(b"[" * self._count_edges(axes) + inner)
            self._position += count
            written.append(b"]" * self._count_edges(axes))
            start += count
        return b"".join(written)

    def _count_rows(self, count: int) -> int:
        """Returns how many whole rows of the same array the next values are."""
        if len(self._shape) < 2 or self._position % self._row:
            return 0
        left = self._shape[-2] - self._position // self._row % self._shape[-2]
        return min(count // self._row, left)

    def _count_edges(self, axes: int) -> int:
        """Returns how many arrays, of so many outer axes, begin or end here."""
        return sum(self._position % block == 0 for block in self._blocks[:axes])
