"""heavy model: 1 ms and more for a row. How near a worker comes to ONNX Runtime alone at its batch size."""

import asyncio
import os
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np
import onnxruntime as ort
import orjson
import redis

from benchmarks.dense_model import write_dense_model
from benchmarks.figures import Figure, figure_of
from benchmarks.processes import BenchmarkError, program, python, redis_server, wait_until
from benchmarks.rounds import rounds, tell
from inferq.models.providers.execution_providers import ExecutionConfig
from inferq.models.sessions.onnx_runtime import open_session
from inferq.queue.producer.producer import Producer
from inferq.queue.producer.submission import Submission
from inferq.queue.schema.record import parse_record
from inferq.settings import Settings, load_settings

_WIDTH = 64
_LAYERS = 4
_HIDDEN = 2048
_SHARE = 0.85


def measure(quick: bool) -> list[Figure]:
    """Drains a queue of one-row jobs, then runs the model alone at the batch size that the worker chose."""
    jobs = 400 if quick else 3000
    with tempfile.TemporaryDirectory(prefix="inferq-benchmark-") as folder:
        # some 35 million multiplications for each row
        write_dense_model(Path(folder) / "heavy", [_WIDTH, *[_HIDDEN] * _LAYERS, _WIDTH], "Tanh")
        file = Path(folder) / "heavy" / "model.onnx"
        session = open_session(file, ExecutionConfig(threads=1)).session
        ours, alone, sizes, single = [], [], [], []
        for _ in range(rounds(quick)):
            rate, size = _drain(Path(folder), jobs)
            ours.append(rate)
            sizes.append(size)
            alone.append(_alone(session, size, jobs))
            single.append(1000 / _alone(session, 1, 200))
            tell(
                f"heavy: {rate:,.0f} jobs/s in batches of {size}; ONNX Runtime alone {alone[-1]:,.0f} rows/s"
            )
    share = median(ours) / median(alone)
    target, met = f"≥ {_SHARE} × ONNX Runtime alone ({share:.2f})", share >= _SHARE
    batch = f"batches of {round(median(sizes))}"
    return [
        figure_of("heavy model", "inferq", ours, "jobs/s", target=target, met=met),
        figure_of("heavy model", f"ONNX Runtime alone, {batch}", alone, "jobs/s"),
        figure_of("heavy model: one row alone", "ONNX Runtime alone", single, "ms"),
    ]


def _drain(models: Path, count: int) -> tuple[float, int]:
    """Jobs per second from the first end to the last, and the usual number of jobs in a run."""
    settings = {
        "INFERQ_MODELS_DIR": str(models),
        "INFERQ_DEFAULT_MODEL": "heavy",
        "INFERQ_MODEL_THREADS": "1",
    }
    with redis_server() as url, redis.Redis.from_url(url) as client:
        ids = asyncio.run(_submit(load_settings(redis_url=url), count))
        with program(python("-m", "inferq", "worker"), "the worker", url=url, settings=settings) as worker:
            wait_until(
                lambda: not client.zcard("queue:heavy:open:normal"),
                "the queue is drained",
                seconds=120,
                alive=worker,
            )
        ends = [int(parse_record(record).get("ended_ms", 0)) for record in client.hmget("jobs:records", ids)]
    # the first batches are small, while the worker learns
    counted = sorted(ends)[count // 5 :]
    if counted[-1] == counted[0]:
        raise BenchmarkError("all jobs ended at once; there is nothing to measure")
    sizes = [ends.count(end) for end in sorted(set(ends))]
    rate = sum(end > counted[0] for end in counted) / (counted[-1] - counted[0]) * 1000
    return rate, max(1, round(median(sizes)))


def _alone(session: ort.InferenceSession, size: int, rows: int) -> float:
    """Rows per second of ONNX Runtime, called again and again in this process."""
    inputs = {"x": np.zeros((size, _WIDTH), dtype=np.float32)}
    session.run(None, inputs)
    runs = max(3, rows // size)
    began = time.perf_counter()
    for _ in range(runs):
        session.run(None, inputs)
    return runs * size / (time.perf_counter() - began)


async def _submit(settings: Settings, count: int) -> list[str]:
    producer = Producer.from_settings(settings)
    random = np.random.default_rng(os.getpid())
    try:
        ids: list[str] = []
        while len(ids) < count:
            rows = random.standard_normal((min(64, count - len(ids)), 1, _WIDTH)).astype(np.float32)
            bodies = [orjson.dumps(row, option=orjson.OPT_SERIALIZE_NUMPY) for row in rows]
            ids += await asyncio.gather(*(producer.submit(Submission("heavy", body)) for body in bodies))
        return ids
    finally:
        await producer.close()
