"""Whether jobs may share a run of a model, and what its first runs cost: found out when a worker starts.

A dynamic first axis is not always a batch: it may be time, and a model may compare its rows, sum them up, or
take its scale from all of them. Jobs may share a run where each gets the result that it gets by itself. Where
the graph of the model does not tell, runs of jobs with different values do.
"""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

import numpy as np

from inferq.errors import ModelError
from inferq.models.arrays import Array
from inferq.models.decoded_job import Inputs
from inferq.models.model import Model, stack
from inferq.models.run_handle import RunHandle
from inferq.worker import probe_inputs

_SHORT_RUN_SECONDS = 0.02
"""A model that is as fast as this is probed with many jobs."""
_LONG_RUN_SECONDS = 0.25
"""One that is slower than this is not probed with several at all."""
_LONGEST_PROBE_SECONDS = 5.0
_MANY_JOBS = 12
"""Jobs like the sample in a large probe, for models that search for neighbours, duplicates or outliers."""
_MANY_LABEL_JOBS = 48
"""The same of a model that gives labels alone: few of them change with a scale."""
_RELATIVE, _OF_LARGEST, _ABSOLUTE = 1e-2, 1e-3, 1e-6
"""How much may change with the number of rows, since ONNX Runtime chooses its kernels by it."""


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """What the probe of a model has found.

    Attributes:
        may_share_runs: Whether jobs may share a run.
        reason: Why not, as a clause; None where they may, and for a model whose batch axis is fixed.
        costs: Rows and seconds of each run that was measured.
    """

    may_share_runs: bool
    reason: str | None = None
    costs: tuple[tuple[int, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Comparison:
    """What came of running jobs one by one and together.

    Attributes:
        reason: Why jobs must not share a run; None where they may.
        rows: Rows in the run of all jobs; 0 where there was none.
        seconds: How long that run took.
    """

    reason: str | None
    rows: int = 0
    seconds: float = 0.0


def probe_model(model: Model, handle: RunHandle | None = None) -> ProbeResult:
    """Measures a run of a model, and whether jobs that share one change each other's results.

    Args:
        model: The model, warmed up.
        handle: Lets another thread stop the first run.

    Raises:
        ModelError: It was stopped.
    """
    sample = model.make_sample()
    rows = max(1, sample.rows)
    started_at = time.perf_counter()
    try:
        model.run(sample.inputs, handle)
    except ModelError as error:
        if handle is not None and handle.is_stopped:
            raise
        return ProbeResult(may_share_runs=False, reason=error.message)
    seconds = time.perf_counter() - started_at
    costs: tuple[tuple[int, float], ...] = ((rows, seconds),)
    if model.dependence:
        reason = f"{model.dependence}; batch = true in model.toml passes over that"
        return ProbeResult(may_share_runs=False, reason=reason, costs=costs)
    if not model.document.batched:
        return ProbeResult(may_share_runs=False, costs=costs)
    if seconds > _LONG_RUN_SECONDS:
        reason = f"it takes {seconds:.2g} s, too long to probe it with several jobs"
        return ProbeResult(may_share_runs=False, reason=reason, costs=costs)
    found = _compare_within_limit(model, sample.inputs, is_large=seconds < _SHORT_RUN_SECONDS)
    if found.rows:
        costs = (*costs, (found.rows, found.seconds))
    return ProbeResult(may_share_runs=found.reason is None, reason=found.reason, costs=costs)


def _compare_within_limit(model: Model, sample: Inputs, *, is_large: bool) -> Comparison:
    handle = RunHandle()
    timer = threading.Timer(_LONGEST_PROBE_SECONDS, handle.stop)  # made-up values may make a loop endless
    timer.start()
    try:
        found = compare_runs(partial(model.run, handle=handle), sample, is_large=is_large)
    finally:
        timer.cancel()
    return Comparison("the probe took too long") if handle.is_stopped else found


def compare_runs(run: Callable[[Inputs], Inputs], sample: Inputs, *, is_large: bool) -> Comparison:
    """Runs jobs one by one and together, and compares their results.

    Args:
        run: Runs the model, whose inputs all have rows; raises ModelError where it fails.
        sample: Inputs of a job. Those that are all zeros show nothing, so that others are made up.
        is_large: Whether there is time for a few dozen runs.
    """
    values = {name: probe_inputs.fill_zeros(array) for name, array in sample.items()}
    row = {name: array[:1] for name, array in values.items()}
    jobs, results = [], []
    for job in (values, row, *_vary(values)):
        try:
            results.append(run(job))
            jobs.append(job)
        except ModelError as error:  # the model need not accept made-up values
            if job is row and jobs:
                return Comparison(f"it does not take a single row: {error.message}")
    for job in _make_many(values, results) if is_large else ():
        with suppress(ModelError):
            results.append(run(job))
            jobs.append(job)
    if all(_are_equal(job, jobs[0]) for job in jobs):
        return Comparison("it takes no values but one row's: give it an example of several rows that differ")
    amplified = {name: probe_inputs.amplify(array) for name, array in values.items()}
    last = [amplified] if _runs(run, amplified) else []
    started_at = time.perf_counter()
    try:
        together = run(stack([*jobs, *last]))
    except ModelError as error:
        return Comparison(f"it fails with several: {error.message}")
    seconds = time.perf_counter() - started_at
    rows = [len(next(iter(job.values()))) for job in (*jobs, *last)]
    output = _find_difference(together, results, rows)
    reason = output and f"jobs change each other's {output!r}, or it has not one entry for each row"
    return Comparison(reason, sum(rows), seconds)


def _are_equal(job: Inputs, other: Inputs) -> bool:
    return all(np.array_equal(array, other[name][: len(array)]) for name, array in job.items())


def _runs(run: Callable[[Inputs], Inputs], job: Inputs) -> bool:
    try:
        run(job)
    except ModelError:
        return False
    return True


def _vary(values: Inputs) -> list[Inputs]:
    changes = (probe_inputs.reverse, probe_inputs.negate, probe_inputs.make_zeros_like)
    return [{name: change(array) for name, array in values.items()} for change in changes]


def _make_many(values: Inputs, results: Sequence[Inputs]) -> Iterator[Inputs]:
    """Makes jobs like the sample, each with other values; more where the results show no small changes."""
    has_floats = any(array.dtype.kind == "f" for outputs in results for array in outputs.values())
    for number in range(_MANY_JOBS if has_floats else _MANY_LABEL_JOBS):
        yield {name: probe_inputs.scatter(array, number) for name, array in values.items()}


def _find_difference(together: Inputs, single: Sequence[Inputs], rows: Sequence[int]) -> str | None:
    """Returns the name of an output that jobs do not get as by themselves; None if there is none."""
    for name, array in together.items():
        if array.shape[:1] != (sum(rows),):
            return name
        first = 0
        for outputs, count in zip(single, rows, strict=False):
            if not _are_close(array[first : first + count], outputs[name]):
                return name
            first += count
    return None


def _are_close(got: Array, expected: Array) -> bool:
    if got.dtype.kind != "f" or got.shape != expected.shape:
        return np.array_equal(got, expected)
    largest = float(np.abs(expected[np.isfinite(expected)]).max(initial=0))
    return np.allclose(got, expected, rtol=_RELATIVE, atol=_OF_LARGEST * largest + _ABSOLUTE, equal_nan=True)
