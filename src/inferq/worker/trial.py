"""Whether jobs may share a run of a model: found out with a few that differ, as no ONNX file says it.

A dynamic first axis is not always a batch: it may be time, and a model may compare its rows or sum them up.
Jobs may share a run where each gets what it gets alone.
"""

from collections.abc import Sequence

import numpy as np

from inferq.models.session import Inputs
from inferq.models.tensors import Array

_RELATIVE, _OF_LARGEST, _ABSOLUTE = 1e-2, 1e-3, 1e-6
"""How much may change with the number of rows, as ONNX Runtime chooses its kernels by it."""


def variations(sample: Inputs) -> list[Inputs]:
    """Jobs for a trial: no two alike, yet with values that the model is likely to take.

    Args:
        sample: A job's inputs. Of those that are all zeros, and so would show nothing, others are made up.

    Returns:
        Three jobs of the same shape: smaller values in reverse order, the values themselves, and zeros.
    """
    values = {name: _fill(array) for name, array in sample.items()}
    smaller = {name: _reverse(array) for name, array in values.items()}
    return [smaller, values, {name: _zeros_like(array) for name, array in sample.items()}]


def _fill(array: Array) -> Array:
    if array.astype(bool).any():
        return array
    places = np.arange(1, array.size + 1).reshape(array.shape)
    if array.dtype.kind == "f":
        return np.sin(places).astype(array.dtype)
    if array.dtype == np.object_:
        return np.where(places % 2, "a", "b").astype(np.object_)
    return (places % 2).astype(array.dtype)


def _reverse(array: Array) -> Array:
    return np.flip(array) * 0.5 if array.dtype.kind == "f" else np.flip(array)


def _zeros_like(array: Array) -> Array:
    return np.full_like(array, "" if array.dtype == np.object_ else 0)


def find_difference(together: Inputs, alone: Sequence[Inputs], rows: int) -> str | None:
    """Compares what jobs gave in one run with what each gave in a run of its own.

    Args:
        together: The outputs of the run of all.
        alone: The outputs of each job's own run, in the same order.
        rows: Rows of each job.

    Returns:
        The name of an output that differs, or has not one entry for each row; None if there is none.
    """
    for name, array in together.items():
        if array.shape[:1] != (rows * len(alone),):
            return name
        for place, outputs in enumerate(alone):
            if not _are_close(array[place * rows :][:rows], outputs[name]):
                return name
    return None


def _are_close(got: Array, expected: Array) -> bool:
    if got.dtype.kind != "f" or got.shape != expected.shape:
        return np.array_equal(got, expected)
    largest = float(np.abs(expected[np.isfinite(expected)]).max(initial=0))
    return np.allclose(got, expected, rtol=_RELATIVE, atol=_OF_LARGEST * largest + _ABSOLUTE, equal_nan=True)
