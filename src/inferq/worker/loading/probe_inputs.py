"""Values to probe a model with, made from those of a sample."""

import numpy as np

from inferq.models.arrays import Array

_AMPLIFICATION = 1000
_SMALL_NUMBER = 7
"""A whole number up to which most models accept all: indices in a table, for example."""


def fill_zeros(array: Array) -> Array:
    """Returns the array; of one that is all zeros (or empty strings), one of values that differ."""
    if array.astype(bool).any():
        return array
    positions = np.arange(1, array.size + 1).reshape(array.shape)
    if array.dtype.kind == "f":
        return np.sin(positions).astype(array.dtype)
    if array.dtype == np.object_:
        return np.where(positions % 2, "a", "b").astype(np.object_)
    return (positions % 8).astype(array.dtype)


def reverse(array: Array) -> Array:
    """Returns the rows in reverse order, floats halved."""
    return array[::-1] * 0.5 if array.dtype.kind == "f" else array[::-1]


def negate(array: Array) -> Array:
    """Returns negated floats and booleans; of other datatypes, other values of the same kind."""
    if array.dtype == np.bool_:
        return ~array
    if array.dtype.kind == "f":
        return -array
    return np.add(array, "a" if array.dtype == np.object_ else 1)


def make_zeros_like(array: Array) -> Array:
    """Returns zeros, or empty strings."""
    return np.full_like(array, "" if array.dtype == np.object_ else 0)


def scatter(array: Array, number: int) -> Array:
    """Returns floats at half to full size, or whole numbers within the range of those given.

    Args:
        array: The values of the sample.
        number: Each number gives other values.
    """
    positions = np.arange(1, array.size + 1).reshape(array.shape)
    shares = 0.5 + np.sin(positions * (number + 1)) / 2
    if array.dtype.kind == "f":
        sizes: Array = ((1 + shares) / 2).astype(array.dtype)
        return array * sizes
    if array.dtype.kind not in "iu":
        return array
    low, high = int(array.min()), int(array.max())
    if low == high:
        low, high = min(low, 0), max(high, _SMALL_NUMBER)
    offsets = np.floor(shares * (min(high - low, 2**52) + 0.999))
    wide = np.int64 if array.dtype.kind == "i" else np.uint64
    numbers: Array = (offsets.astype(wide) + wide(low)).astype(array.dtype)
    return numbers


def amplify(array: Array) -> Array:
    """Returns floats so large that a scale taken from all rows is lost, as in dynamic quantization."""
    with np.errstate(over="ignore"):
        return array * array.dtype.type(_AMPLIFICATION) if array.dtype.kind == "f" else array
