"""Whether jobs may share a run of a model, and what its first runs cost: found out when a worker starts.

A dynamic first axis is not always a batch: it may be time, and a model may compare its rows, sum them up, or
take its scale from all of them. Jobs may share a run where each gets the result that it gets by itself. Where
the graph of the model does not tell, runs of jobs with different values do.
"""

import math
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

import numpy as np
import structlog

from inferq.errors import ModelError
from inferq.models.arrays import Array
from inferq.models.decoded_job import Inputs
from inferq.models.model import Model, stack
from inferq.models.sessions.run_handle import RunHandle
from inferq.number_format import format_number
from inferq.worker.loading import probe_inputs
from inferq.worker.runs.batch_planner import BatchPlanner

_SHORT_RUN_SECONDS = 0.02
"""A model that is as fast as this is probed with many jobs."""
_LONG_RUN_SECONDS = 0.25
"""One that is slower than this is not probed with several at all."""
_LONGEST_PROBE_SECONDS = 5.0
_MANY_JOBS = 12
"""Jobs like the sample in a large probe, for models that search for neighbours, duplicates or outliers."""
_MANY_LABEL_JOBS = 48
"""The same of a model that gives labels alone: few of them change with a scale."""
_MOST_BYTES = 32 * 1024 * 1024
"""Of inputs and outputs of jobs in a probe: ONNX Runtime keeps the memory of its largest run."""
_FEWEST_ROWS = 3
"""In a probe with several jobs: two that differ, and one of large values."""
_RELATIVE, _OF_LARGEST, _ABSOLUTE = 1e-2, 1e-3, 1e-6
"""How much may change with the number of rows, since ONNX Runtime chooses its kernels by it."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """What the probe of a model has found.

    Attributes:
        may_share_runs: Whether jobs may share a run.
        reason: Why not, as a clause; None where they may, and for a model whose batch axis is fixed.
        costs: Rows and seconds of each run that was measured.
        input_bytes: How many bytes of inputs a row of the sample has; 0 where the model does not take it.
        output_bytes: How many bytes of outputs it has.
    """

    may_share_runs: bool
    reason: str | None = None
    costs: tuple[tuple[int, float], ...] = ()
    input_bytes: float = 0.0
    output_bytes: float = 0.0


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
        outputs = model.run(sample.inputs, handle)
    except ModelError as error:
        if handle is not None and handle.is_stopped:
            raise
        return ProbeResult(may_share_runs=False, reason=error.message)
    seconds = time.perf_counter() - started_at
    costs: tuple[tuple[int, float], ...] = ((rows, seconds),)
    sizes = sample.input_bytes / rows, sum(array.nbytes for array in outputs.values()) / rows
    del outputs
    most_rows = int(_MOST_BYTES / max(sum(sizes), 1.0))
    reason = _find_obstacle(model, seconds, most_rows)
    if reason is not None or not model.document.batched:
        return ProbeResult(False, reason, costs, *sizes)
    found = _compare_within_limit(
        model, sample.inputs, is_large=seconds < _SHORT_RUN_SECONDS, most_rows=most_rows
    )
    if found.rows:
        costs = (*costs, (found.rows, found.seconds))
    return ProbeResult(found.reason is None, found.reason, costs, *sizes)


def plan_after_probe(model: Model, budget_seconds: float, handle: RunHandle | None = None) -> BatchPlanner:
    """Probes a model, and returns what plans its batches by what was found.

    Args:
        model: The model, warmed up.
        budget_seconds: Longest run accepted for the sake of throughput.
        handle: Lets another thread stop the first run.

    Raises:
        ModelError: It was stopped.
    """
    probe = probe_model(model, handle)
    if probe.reason:
        log.info("model_runs_jobs_one_by_one", model=model.name, reason=probe.reason)
    planner = BatchPlanner(
        model.make_sharing_key,
        budget_seconds,
        shares_runs=probe.may_share_runs,
        input_bytes=probe.input_bytes,
        output_bytes=probe.output_bytes,
    )
    for rows, seconds in probe.costs:
        planner.add_cost(rows, seconds)
    return planner


def _find_obstacle(model: Model, seconds: float, most_rows: int) -> str | None:
    """Returns why jobs are not even tried together, as a clause; None if nothing is known against it."""
    if model.dependence:
        return f"{model.dependence}; batch = true in model.toml passes over that"
    if not model.document.batched:
        return None
    if seconds > _LONG_RUN_SECONDS:
        return f"it takes {format_number(seconds, 2)} s, too long to probe it with several jobs"
    if most_rows < _FEWEST_ROWS:
        return f"a row's inputs and outputs have more than {_MOST_BYTES // _FEWEST_ROWS // 1_000_000} MB"
    return None


def _compare_within_limit(model: Model, sample: Inputs, *, is_large: bool, most_rows: int) -> Comparison:
    handle = RunHandle()
    timer = threading.Timer(_LONGEST_PROBE_SECONDS, handle.stop)  # made-up values may make a loop endless
    timer.start()
    try:
        run = partial(model.run, handle=handle)
        found = compare_runs(run, sample, is_large=is_large, most_rows=most_rows)
    finally:
        timer.cancel()
    return Comparison("the probe took too long") if handle.is_stopped else found


def compare_runs(
    run: Callable[[Inputs], Inputs], sample: Inputs, *, is_large: bool, most_rows: float = math.inf
) -> Comparison:
    """Runs jobs one by one and together, and compares their results.

    Args:
        run: Runs the model, whose inputs all have rows; raises ModelError where it fails.
        sample: Inputs of a job. Those that are all zeros show nothing, so that others are made up.
        is_large: Whether there is time for a few dozen runs.
        most_rows: Most rows of all jobs together; there are two jobs at least, and one of large values.
    """
    values = {name: probe_inputs.fill_zeros(array) for name, array in sample.items()}
    count = _count_rows(values)
    if count > 1 and 3 * count + 1 > most_rows:  # itself, others made of it, a single row
        count = max(1, int(most_rows) // 3)
        values = {name: array[:count] for name, array in values.items()}
    row = {name: array[:1] for name, array in values.items()}
    most_rows -= count  # for the last one
    jobs: list[Inputs] = []
    results: list[Inputs] = []
    for job in (values, row, *_vary(values)) if count > 1 else (values, *_vary(values), row):
        if len(jobs) > 1 and sum(map(_count_rows, [*jobs, job])) > most_rows:
            break
        try:
            results.append(run(job))
            jobs.append(job)
        except ModelError as error:  # the model need not accept made-up values
            if job is row and jobs and count > 1:
                return Comparison(f"it does not take a single row: {error.message}")
    for job in _make_many(values, results) if is_large else ():
        if sum(map(_count_rows, [*jobs, job])) > most_rows:
            break
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
    rows = [_count_rows(job) for job in (*jobs, *last)]
    output = _find_difference(together, results, rows)
    reason = output and f"jobs change each other's {output!r}, or it has not one entry for each row"
    return Comparison(reason, sum(rows), seconds)


def _count_rows(job: Inputs) -> int:
    return len(next(iter(job.values())))


def _are_equal(job: Inputs, other: Inputs) -> bool:
    return all(np.array_equal(array, other[name][: len(array)]) for name, array in job.items())


def _runs(run: Callable[[Inputs], Inputs], job: Inputs) -> bool:
    try:
        run(job)
    except ModelError:
        return False
    return True


def _vary(values: Inputs) -> list[Inputs]:
    changes = (probe_inputs.negate, probe_inputs.reverse, probe_inputs.make_zeros_like)
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
