"""Whether jobs may share a run of a model: found out with some that differ, where its graph says nothing.

A dynamic first axis is not always a batch: it may be time, and a model may compare its rows, sum them up, or
take its scale from all of them. Jobs may share a run where each gets what it gets alone.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from inferq.errors import ModelError
from inferq.models.arrays import Array
from inferq.models.model import Inputs, stack

_CROWD = 12
"""Jobs like the sample in a large trial, for models that look for neighbours, duplicates or outliers."""
_CROWD_OF_LABELS = 48
"""The same of a model that gives labels alone: few of them change with a scale."""
_LOUD = 1000
_SMALL = 7
"""A whole number up to which most models take all: indices in a table, say."""
_RELATIVE, _OF_LARGEST, _ABSOLUTE = 1e-2, 1e-3, 1e-6
"""How much may change with the number of rows, as ONNX Runtime chooses its kernels by it."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a trial has found.

    Attributes:
        reason: Why jobs must not share a run; None where they may.
        rows: Rows in the run of all jobs; 0 where there was none.
        seconds: How long that took.
    """

    reason: str | None
    rows: int = 0
    seconds: float = 0.0


def try_together(run: Callable[[Inputs], Inputs], sample: Inputs, *, is_large: bool) -> Verdict:
    """Runs jobs alone and together.

    Args:
        run: Runs the model, whose inputs all have rows; raises ModelError where it fails.
        sample: Inputs of a job. Those that are all zeros show nothing, so that others are made up.
        is_large: Whether there is time for a few dozen runs.
    """
    values = {name: _fill(array) for name, array in sample.items()}
    row = {name: array[:1] for name, array in values.items()}
    jobs, alone = [], []
    for job in (values, row, *_variations(values)):
        try:
            alone.append(run(job))
            jobs.append(job)
        except ModelError as error:  # made-up values need not be any that the model takes
            if job is row and jobs:
                return Verdict(f"it does not take a single row: {error.message}")
    for job in _crowd(values, alone) if is_large else ():
        with suppress(ModelError):
            alone.append(run(job))
            jobs.append(job)
    if all(_are_alike(job, jobs[0]) for job in jobs):
        return Verdict("it takes no values but one row's: give it an example of several rows that differ")
    loud = {name: _louder(array) for name, array in values.items()}
    beside = [loud] if _runs(run, loud) else []
    started = time.perf_counter()
    try:
        together = run(stack([*jobs, *beside]))
    except ModelError as error:
        return Verdict(f"it fails with several: {error.message}")
    seconds = time.perf_counter() - started
    rows = [len(next(iter(job.values()))) for job in (*jobs, *beside)]
    output = _find_difference(together, alone, rows)
    reason = output and f"jobs change each other's {output!r}, or it has not one entry for each row"
    return Verdict(reason, sum(rows), seconds)


def _are_alike(job: Inputs, other: Inputs) -> bool:
    return all(np.array_equal(array, other[name][: len(array)]) for name, array in job.items())


def _runs(run: Callable[[Inputs], Inputs], job: Inputs) -> bool:
    try:
        run(job)
    except ModelError:
        return False
    return True


def _variations(values: Inputs) -> list[Inputs]:
    changes = (_turn, _shift, _zeros_like)
    return [{name: change(array) for name, array in values.items()} for change in changes]


def _crowd(values: Inputs, results: Sequence[Inputs]) -> Iterator[Inputs]:
    """Jobs like the sample, each with other values; more where results show no little changes."""
    shows_little = not any(array.dtype.kind == "f" for outputs in results for array in outputs.values())
    for number in range(_CROWD_OF_LABELS if shows_little else _CROWD):
        yield {name: _scatter(array, number) for name, array in values.items()}


def _fill(array: Array) -> Array:
    if array.astype(bool).any():
        return array
    places = np.arange(1, array.size + 1).reshape(array.shape)
    if array.dtype.kind == "f":
        return np.sin(places).astype(array.dtype)
    if array.dtype == np.object_:
        return np.where(places % 2, "a", "b").astype(np.object_)
    return (places % 8).astype(array.dtype)


def _turn(array: Array) -> Array:
    """Rows in reverse order, floats halved."""
    return array[::-1] * 0.5 if array.dtype.kind == "f" else array[::-1]


def _shift(array: Array) -> Array:
    """Other values of the same kind."""
    if array.dtype == np.bool_:
        return ~array
    if array.dtype.kind == "f":
        return -array
    return np.add(array, "a" if array.dtype == np.object_ else 1)


def _zeros_like(array: Array) -> Array:
    return np.full_like(array, "" if array.dtype == np.object_ else 0)


def _scatter(array: Array, number: int) -> Array:
    """Floats at half to full size, whole numbers within the range of those given, each time others."""
    places = np.arange(1, array.size + 1).reshape(array.shape)
    shares = 0.5 + np.sin(places * (number + 1)) / 2
    if array.dtype.kind == "f":
        sizes: Array = ((1 + shares) / 2).astype(array.dtype)
        return array * sizes
    if array.dtype.kind not in "iu":
        return array
    low, high = int(array.min()), int(array.max())
    if low == high:
        low, high = min(low, 0), max(high, _SMALL)
    offsets = np.floor(shares * (min(high - low, 2**52) + 0.999))
    wide = np.int64 if array.dtype.kind == "i" else np.uint64
    numbers: Array = (offsets.astype(wide) + wide(low)).astype(array.dtype)
    return numbers


def _louder(array: Array) -> Array:
    """Values by which a scale would be lost that is taken from all rows, as of dynamic quantization."""
    with np.errstate(over="ignore"):
        return array * array.dtype.type(_LOUD) if array.dtype.kind == "f" else array


def _find_difference(together: Inputs, alone: Sequence[Inputs], rows: Sequence[int]) -> str | None:
    """Returns the name of an output that the first jobs do not get as alone; None if there is none."""
    for name, array in together.items():
        if array.shape[:1] != (sum(rows),):
            return name
        first = 0
        for outputs, count in zip(alone, rows, strict=False):
            if not _are_close(array[first : first + count], outputs[name]):
                return name
            first += count
    return None


def _are_close(got: Array, expected: Array) -> bool:
    if got.dtype.kind != "f" or got.shape != expected.shape:
        return np.array_equal(got, expected)
    largest = float(np.abs(expected[np.isfinite(expected)]).max(initial=0))
    return np.allclose(got, expected, rtol=_RELATIVE, atol=_OF_LARGEST * largest + _ABSOLUTE, equal_nan=True)
