"""Checks a machine with a GPU in ten minutes: values against the CPU, speed of the service, memory.

Run, on Linux with NVIDIA's driver:

    uv run --isolated --no-default-groups --group bench-gpu --extra gpu python -m benchmarks.gpu

Where there is no GPU, it says what it cannot check; `--provider cpu`, or `--provider openvino` with the
extras worker and openvino instead, takes it through all of its code.
"""

import argparse
import asyncio
import gc
import io
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnxruntime as ort
import redis
from rich.console import Console
from rich.table import Table

from benchmarks.gpu_models import FEATURES, HEAVY, write_models
from benchmarks.processes import BenchmarkError, program, python, redis_server, wait_until
from benchmarks.rounds import tell
from inferq.models.model import Model
from inferq.models.providers.execution_providers import RUNTIME, ExecutionConfig
from inferq.models.providers.execution_table import CPU, PROVIDERS
from inferq.models.providers.installed_providers import count_cuda_devices, find_hindrance
from inferq.models.repository.model_folder import load_model
from inferq.models.sessions.device_session import DeviceSession
from inferq.models.sessions.onnx_runtime import open_session
from inferq.queue.producer.producer import Producer
from inferq.queue.producer.submission import Submission
from inferq.queue.schema.record import parse_record
from inferq.settings import Settings, load_settings

_SHARE = 0.85
_LARGEST_DIFFERENCE = 1e-2
"""Of the largest value of an output: CUDA multiplies FP32 with 10 bits (TF32) unless `use_tf32 = 0`."""
_ROWS = (1, 3, 32)
_RUN_SECONDS, _QUICK_RUN_SECONDS = 0.02, 0.005
"""How long a run of the heavy model is to take at least."""
_MOST_ROWS = 65_536
_DRAIN_SECONDS, _QUICK_DRAIN_SECONDS = 20.0, 3.0
_ON_GPU = ("cuda", "tensorrt")


class Check(NamedTuple):
    """One line of the table.

    Attributes:
        what: What was checked.
        found: What was found.
        limit: What was asked for.
        met: Whether it was met; None where it cannot be told here.
    """

    what: str
    found: str
    limit: str = ""
    met: bool | None = None


def main() -> None:
    """Checks a provider; exits 1 where a limit is not met, 2 where the provider cannot be checked here."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__.partition("\n")[0])
    parser.add_argument("--provider", default="cuda", choices=list(PROVIDERS), help="default: cuda")
    parser.add_argument("--quick", action="store_true", help="smaller models, fewer jobs")
    chosen = parser.parse_args()
    console = Console()
    console.print(f"{RUNTIME}, {_describe_gpus()}", highlight=False)
    hindrance = None if chosen.provider == CPU else find_hindrance(chosen.provider)
    if hindrance:
        console.print(
            f"Not checked: values, speed and memory on {chosen.provider}. {hindrance}\n"
            "A dry run through all code of this script: --provider cpu.",
            highlight=False,
            markup=False,
            soft_wrap=True,
        )
        sys.exit(2)
    began = time.monotonic()
    os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))  # as workers do, so that both wait alike
    with tempfile.TemporaryDirectory(prefix="inferq-gpu-") as folder:
        checks = run_checks(Path(folder), chosen.provider, quick=chosen.quick)
    table = Table("check", "found", "limit", "")
    for check in checks:
        verdict = {True: "met", False: "[bold]not met[/bold]", None: ""}[check.met]
        table.add_row(check.what, check.found, check.limit, verdict)
    console.print(table)
    console.print(f"{chosen.provider}, in {time.monotonic() - began:.0f} s", highlight=False)
    sys.exit(1 if any(check.met is False for check in checks) else 0)


def run_checks(folder: Path, provider: str, *, quick: bool) -> list[Check]:
    """Takes all checks of a provider.

    Args:
        folder: Where models, blobs and the like may be written.
        provider: Its name, as settings have it.
        quick: Whether smaller models and fewer jobs are enough.
    """
    models = folder / "models"
    makers = write_models(models, 1024 if quick or provider not in _ON_GPU else 4096)
    # on the CPU one thread, which leaves the other processors to the server
    execution = ExecutionConfig(threads=0 if provider in _ON_GPU else 1, providers=(provider,))
    return [
        *(check_values(models / name, execution, make) for name, make in makers.items()),
        *check_heavy(models / HEAVY, folder, execution, quick=quick),
        check_limit(models / HEAVY, provider),
        check_given_back(models / HEAVY, execution),
    ]


def check_values(folder: Path, execution: ExecutionConfig, make: Callable[[int], Mapping[str, Any]]) -> Check:
    """Compares a model's outputs with those of the CPU, for several numbers of rows."""
    tell(f"values of {folder.name}")
    model, reference = load_model(folder, execution), load_model(folder)
    worst = 0.0
    for rows in _ROWS:
        inputs = dict(make(rows))
        expected, given = reference.run(inputs), model.run(inputs)
        for name, array in expected.items():
            worst = max(worst, measure_difference(np.asarray(given[name]), np.asarray(array)))
    where = ", ".join(one.removesuffix("ExecutionProvider") for one in model.document.providers)
    if model.document.provider_problem:
        where += f" ({model.document.provider_problem})"
    limit = f"≤ {_LARGEST_DIFFERENCE:g} of the largest value"
    return Check(f"values: {folder.name}", f"{worst:.1e} on {where}", limit, worst <= _LARGEST_DIFFERENCE)


def measure_difference(given: Any, expected: Any) -> float:  # noqa: ANN401 - arrays of any type
    """Returns the largest difference, as a share of the largest expected value; infinite for other shapes."""
    if given.shape != expected.shape or given.dtype != expected.dtype:
        return float("inf")
    if not expected.size:
        return 0.0
    wide = expected.astype(np.float64)
    return float(np.abs(given.astype(np.float64) - wide).max() / max(np.abs(wide).max(), 1e-9))


def check_heavy(folder: Path, space: Path, execution: ExecutionConfig, *, quick: bool) -> list[Check]:
    """Drains jobs of a heavy model through a worker, and runs it alone with as many rows."""
    session = open_session(folder / "model.onnx", execution).session
    rows, seconds = _choose_rows(session, _QUICK_RUN_SECONDS if quick else _RUN_SECONDS)
    count = max(30, min(1000, int((_QUICK_DRAIN_SECONDS if quick else _DRAIN_SECONDS) / seconds)))
    tell(f"heavy: {count} jobs of {rows} rows, {1000 * seconds:.1f} ms each alone")
    before = _run_alone(session, execution, rows)
    rate = rows * _drain(folder.parent, space / "blobs", execution, rows, count)
    plain, bound = map(max, zip(before, _run_alone(session, execution, rows), strict=True))
    share = rate / max(plain, bound)
    found = f"{rate:,.0f} rows/s of {max(plain, bound):,.0f} ({share:.2f}), jobs of {rows} rows"
    return [
        Check("heavy model", found, f"≥ {_SHARE} × ONNX Runtime alone", share >= _SHARE),
        Check("heavy model alone", f"{plain:,.0f} rows/s plain, {bound:,.0f} bound"),
    ]


def check_limit(folder: Path, provider: str) -> Check:
    """Loads a model with less memory of the GPU than its weights need."""
    what, limit = "memory limit below the weights", "the CPU runs it, and the document says why"
    if provider != "cuda":
        return Check(what, f"not to be told of {provider}", limit)
    tell("memory limit")
    size = (folder / "model.onnx").stat().st_size
    model = load_model(folder, ExecutionConfig(providers=(provider,), gpu_mem_limit_bytes=size // 2))
    found = f"{', '.join(model.document.providers)}: {model.document.provider_problem or 'no problem'}"
    is_met = model.document.providers == [PROVIDERS[CPU]] and bool(model.document.provider_problem)
    return Check(what, found, limit, is_met)


def check_given_back(folder: Path, execution: ExecutionConfig) -> Check:
    """Loads, runs and drops a model several times, and looks at the memory in use."""
    is_on_gpu = execution.providers[0] in _ON_GPU
    used = []
    for number in range(5):
        tell(f"memory after load {number}")
        model: Model | None = load_model(folder, execution)
        if model is not None:
            model.run(model.make_sample().inputs)
        model = None
        gc.collect()
        if number:  # what is kept for good comes with the first
            used.append(_read_used_bytes(is_on_gpu=is_on_gpu))
    found = " ".join(f"{one / 1e6:,.0f}" for one in used)
    what = "memory of the GPU" if is_on_gpu else "memory of the process"
    return Check(
        f"{what} after each of four loads", f"{found} MB", "≤ 1.1 × the first", used[-1] <= 1.1 * used[0]
    )


def _choose_rows(session: ort.InferenceSession, least_seconds: float) -> tuple[int, float]:
    rows = 1
    while (seconds := _time_run(session.run, rows)) < least_seconds and rows < _MOST_ROWS:
        rows *= 4  # TensorRT builds an engine for each
    return rows, seconds


def _time_run(run: Callable[[list[str], dict[str, Any], None], object], rows: int) -> float:
    """Returns the mean seconds of a run, in two seconds of them: on a busy machine both sides wait."""
    inputs = {"x": np.random.default_rng(rows).random((rows, FEATURES), dtype=np.float32)}
    for _ in range(2):
        run(["y"], inputs, None)
    runs, began = 0, time.perf_counter()
    while runs < 5 or time.perf_counter() - began < 2:
        run(["y"], inputs, None)
        runs += 1
    return (time.perf_counter() - began) / runs


def _bind(session: ort.InferenceSession, execution: ExecutionConfig) -> DeviceSession:
    return DeviceSession(session, "cuda" if execution.providers[0] in _ON_GPU else "cpu")


def _run_alone(session: ort.InferenceSession, execution: ExecutionConfig, rows: int) -> list[float]:
    """Most rows per second in runs of one job's rows or several: plain, and with inputs and outputs bound."""
    sizes = [rows, 2 * rows, 4 * rows]
    runs = [session.run, _bind(session, execution).run]
    return [max(size / _time_run(run, size) for size in sizes) for run in runs]


def _drain(models: Path, blobs: Path, execution: ExecutionConfig, rows: int, count: int) -> float:
    """Jobs per second from the first start to the last end."""
    settings = {
        "INFERQ_MODELS_DIR": str(models),
        "INFERQ_PROVIDERS": execution.providers[0],
        "INFERQ_MODEL_THREADS": str(execution.threads),
        "INFERQ_BLOB_STORE": blobs.as_uri(),
        "INFERQ_MAX_ROWS": str(2 * _MOST_ROWS),
    }
    with redis_server() as url, redis.Redis.from_url(url) as client:
        ids = asyncio.run(
            _submit(load_settings(redis_url=url, blob_store=settings["INFERQ_BLOB_STORE"]), rows, count)
        )
        with program(python("-m", "inferq", "worker"), "the worker", url=url, settings=settings) as worker:
            wait_until(
                lambda: not client.zcard(f"queue:{HEAVY}:open:normal"),
                "the queue is drained",
                seconds=240,
                alive=worker,
            )
        states = client.mget([f"job:{job_id}:status" for job_id in ids])
        if failed := sum(state != b"completed" for state in states):
            raise BenchmarkError(f"{failed} jobs did not complete.")
        records = [parse_record(record) for record in client.hmget("jobs:records", ids)]
    began = min(int(record["started_ms"]) for record in records)
    return 1000 * count / (max(int(record["ended_ms"]) for record in records) - began)


async def _submit(settings: Settings, rows: int, count: int) -> list[str]:
    producer = Producer.from_settings(settings)
    file = io.BytesIO()
    np.save(file, np.random.default_rng(rows).random((rows, FEATURES), dtype=np.float32))
    try:
        return [await producer.submit(Submission(HEAVY, file.getvalue())) for _ in range(count)]
    finally:
        await producer.close()


def _read_used_bytes(*, is_on_gpu: bool) -> int:
    if not is_on_gpu:
        return int(Path("/proc/self/statm").read_text().split()[1]) * 4096
    return int(_ask_driver("memory.used").splitlines()[0].split()[0]) << 20


def _describe_gpus() -> str:
    count = count_cuda_devices()
    return _ask_driver("name,driver_version,memory.total") if count else "no GPU of NVIDIA's"


def _ask_driver(query: str) -> str:
    command = ["nvidia-smi", f"--query-gpu={query}", "--format=csv,noheader"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


if __name__ == "__main__":
    main()
