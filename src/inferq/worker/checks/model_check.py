"""Does with a model what a worker does, and says how that went: `python -m inferq.worker.checks.model_check`.

`inferq models check` runs it as a process of its own, since a model may hang, or kill what loads it.
"""

import os
import resource
import signal
import statistics
import sys
import time
from collections.abc import MutableMapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

import structlog

from inferq.errors import InferqError, ModelError
from inferq.models.decoded_job import Inputs
from inferq.models.model import Model, stack
from inferq.models.repository.repository_scan import ModelFolder
from inferq.processes import end_with_parent
from inferq.settings import Settings, load_settings
from inferq.tensors.signature import ModelDocument
from inferq.worker.checks.check_report import CheckReport, RunTime
from inferq.worker.loading.model_preparation import prepare

_SOME_ROWS = 32
_MOST_BYTES = 32 * 1024 * 1024
"""Of inputs in a run of some rows."""
_MEASURE_SECONDS = 0.2
_MOST_RUNS = 20


def check_model(folder: ModelFolder, settings: Settings) -> CheckReport:
    """Loads a model, warms it up, tries its batch, and measures its runs.

    Args:
        folder: Its folder.
        settings: Those of a worker. If loading takes longer than they allow, SIGALRM ends this process.
    """
    events: list[dict[str, Any]] = []

    def collect(_logger: object, _method: str, event: MutableMapping[str, Any]) -> NoReturn:
        events.append({key: value for key, value in event.items() if key != "model"})
        raise structlog.DropEvent

    structlog.configure(processors=[collect])
    before, started_at = _read_memory(), time.perf_counter()
    signal.setitimer(signal.ITIMER_REAL, settings.model_load_timeout_seconds)
    try:
        model = prepare(folder, settings).model
    except InferqError as error:
        return CheckReport(name=folder.name, problem=error.message, notes=events)
    seconds, after = time.perf_counter() - started_at, _read_memory()
    signal.setitimer(signal.ITIMER_REAL, settings.model_load_timeout_seconds)
    reasons = [event for event in events if event["event"] == "model_runs_jobs_one_by_one"]
    reason = reasons[0]["reason"] if reasons else _explain_fixed_batch(model.document)
    return CheckReport(
        name=folder.name,
        document=model.document,
        shares_runs=reason is None,
        reason=reason,
        notes=[event for event in events if event not in reasons],
        load_seconds=seconds,
        model_bytes=None if before is None or after is None else max(0, after - before),
        runs=_measure_runs(model),
        peak_bytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        * (1 if sys.platform == "darwin" else 1024),
    )


def _explain_fixed_batch(document: ModelDocument) -> str | None:
    """Returns why jobs of a model cannot share runs by its signature; None where they can."""
    if document.batched:
        return None
    if not document.inputs:
        return "it has no inputs"
    container = next((tensor for tensor in document.inputs if tensor.onnx_type), None)
    if container is not None:
        return f"{container} has no rows"
    fixed = next((tensor for tensor in document.inputs if tensor.shape[:1] != [-1]), None)
    if fixed is not None:
        return f"the first axis of {fixed} is not dynamic"
    return "batch = false in model.toml, the names of its axes, or files as inputs say that they are no rows"


def _measure_runs(model: Model) -> list[RunTime]:
    sample = model.make_sample()
    with suppress(ModelError):  # the notes say that it does not run
        if not model.document.batched or not sample.rows:
            return [_measure(model, sample.inputs, max(1, sample.rows))]
        row = {name: array[:1] for name, array in sample.inputs.items()}
        single = _measure(model, row, 1)
        rows = min(_SOME_ROWS, _MOST_BYTES * sample.rows // max(1, sample.input_bytes))
        if rows < 2:
            return [single]
        with suppress(ModelError):
            return [single, _measure(model, stack([row] * rows), rows)]
        return [single]
    return []


def _measure(model: Model, inputs: Inputs, rows: int) -> RunTime:
    times: list[float] = []
    while len(times) < _MOST_RUNS and sum(times) < _MEASURE_SECONDS:
        started_at = time.perf_counter()
        model.run(inputs)
        times.append(time.perf_counter() - started_at)
    return RunTime(rows, statistics.median(times))


def _read_memory() -> int | None:
    """Returns how many bytes this process has in memory; None where the system does not tell."""
    with suppress(OSError):
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    return None


def main() -> None:
    """Writes the report as JSON to standard output."""
    end_with_parent()
    with suppress(OSError):  # where memory runs out, the kernel is to kill this process
        Path("/proc/self/oom_score_adj").write_text("1000")
    report = os.dup(1)
    os.dup2(2, 1)  # what a library prints is no report
    version, path = sys.argv[1:]
    folder = ModelFolder.locate(Path(path), version)
    os.write(report, check_model(folder, load_settings()).model_dump_json().encode())


if __name__ == "__main__":
    main()
