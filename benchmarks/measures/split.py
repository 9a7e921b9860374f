"""large job: 1,000,000 rows on a model of 20 µs a row, on one worker and on two, whole and in chunks."""

import asyncio
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import NamedTuple

import numpy as np
import redis

from benchmarks.dense_model import write_dense_model
from benchmarks.figures import Figure, figure_of
from benchmarks.idle import processor_seconds
from benchmarks.processes import BenchmarkError, program, python, redis_server, wait_until
from benchmarks.rounds import interleave
from inferq.queue.producer.producer import Producer
from inferq.queue.producer.submission import Submission
from inferq.settings import Settings, load_settings
from inferq.tensors.envelope import write_envelope
from inferq.tensors.envelope_codec import describe_tensor
from inferq.tensors.signature import Datatype

_WIDTH, _HIDDEN = 16, 900
_SPEED_UP = 1.8
_CASES = {"one worker, whole": (1, 0), "one worker": (1, 10_000), "two workers": (2, 10_000)}
"""How many workers, and INFERQ_SPLIT_ROWS."""


class _Run(NamedTuple):
    """How one large job went.

    Attributes:
        seconds: From its claim to its end.
        processor_seconds: Of all workers, in that time.
        memory_bytes: The most that any worker had.
    """

    seconds: float
    processor_seconds: float
    memory_bytes: int

    def __str__(self) -> str:
        return (
            f"{self.seconds:.1f} s, {self.processor_seconds:.1f} s of processors, "
            f"{self.memory_bytes / 1e6:,.0f} MB"
        )


def measure(quick: bool) -> list[Figure]:
    """Runs one large job in each case; the rounds go through all of them."""
    rows = 200_000 if quick else 1_000_000
    with tempfile.TemporaryDirectory(prefix="inferq-benchmark-") as folder:
        # some 20 µs a row on one thread
        write_dense_model(Path(folder) / "models" / "split", [_WIDTH, _HIDDEN, _HIDDEN, _WIDTH], "Relu")
        runs = interleave("split", list(_CASES), quick, lambda name: _run(Path(folder), rows, *_CASES[name]))
    whole, one, two = (runs[name] for name in _CASES)
    ratio = median(run.seconds for run in one) / median(run.seconds for run in two)
    shared = median(run.processor_seconds for run in two) / median(run.processor_seconds for run in one)
    target = f"≥ {_SPEED_UP} × one worker ({ratio:.2f}; processor time {shared:.2f} ×)"
    rates = {name: [rows / run.seconds for run in runs[name]] for name in _CASES}
    figures = [
        figure_of(
            "large job",
            "inferq, two workers",
            rates["two workers"],
            "rows/s",
            target=target,
            met=ratio >= _SPEED_UP,
        ),
        figure_of("large job", "inferq, one worker", rates["one worker"], "rows/s"),
        figure_of("large job", "inferq, one worker, not divided", rates["one worker, whole"], "rows/s"),
    ]
    memory = {"inferq, in chunks": [*one, *two], "inferq, not divided": whole}
    return figures + [
        figure_of("large job: memory of a worker", name, [run.memory_bytes / 1e6 for run in those], "MB")
        for name, those in memory.items()
    ]


def _run(folder: Path, rows: int, workers: int, split_rows: int) -> _Run:
    with redis_server() as url, redis.Redis.from_url(url) as client, ExitStack() as stack:
        store = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=folder))).as_uri()
        settings = {
            "INFERQ_BLOB_STORE": store,
            "INFERQ_BLOB_RESERVE_BYTES": "0",
            "INFERQ_MODELS_DIR": str(folder / "models"),
            "INFERQ_DEFAULT_MODEL": "split",
            "INFERQ_MODEL_THREADS": "1",
            "INFERQ_MAX_ROWS": str(rows),
            "INFERQ_SPLIT_ROWS": str(split_rows),
        }
        processes = [
            stack.enter_context(
                program(python("-m", "inferq", "worker"), "a worker", url=url, settings=settings)
            )
            for _ in range(workers)
        ]
        wait_until(lambda: _have_stores(client, workers), "the workers serve", alive=processes[0])
        pids = [process.pid for process in processes]
        before, began = sum(map(processor_seconds, pids)), time.perf_counter()
        job_id = asyncio.run(
            _submit(load_settings(redis_url=url, blob_store=store, blob_reserve_bytes=0), rows)
        )
        key = f"job:{job_id}:status"
        wait_until(lambda: client.get(key) in (b"completed", b"failed"), "the job ends", seconds=600)
        seconds = time.perf_counter() - began
        if client.get(key) != b"completed":
            raise BenchmarkError(f"the job failed: {client.get(f'job:{job_id}:error')!r}")
        used = sum(map(processor_seconds, pids)) - before
        return _Run(seconds, used, max(map(_read_peak_memory, pids)))


def _have_stores(client: redis.Redis, count: int) -> bool:
    """Whether so many workers have told which blob store they share: before that, Redis holds all data."""
    return sum(bool(client.hget(key, "blob_store")) for key in client.scan_iter("worker:*")) == count


async def _submit(settings: Settings, rows: int) -> str:
    producer = Producer.from_settings(settings)
    values = np.random.default_rng(3).standard_normal((rows, _WIDTH)).astype(np.float32)
    head = {"inputs": [describe_tensor("x", Datatype.FP32, values.shape, values.nbytes)]}
    try:
        return await producer.submit(Submission("split", write_envelope(head, [values.tobytes()])))
    finally:
        await producer.close()


def _read_peak_memory(pid: int) -> int:
    text = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(text.partition("VmHWM:")[2].split()[0]) * 1024
