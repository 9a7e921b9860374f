"""reload: ten new versions of a model of 64 MB take over, one after the other, under 500 jobs a second."""

import asyncio
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple, cast

import numpy as np
import onnx
import orjson
import redis
from onnx import TensorProto, helper, numpy_helper

from benchmarks.figures import Figure, figure_of
from benchmarks.idle import resident_megabytes
from benchmarks.processes import program, python, redis_server, wait_until
from benchmarks.rounds import tell
from inferq.queue.producer.producer import Producer
from inferq.queue.producer.submission import Submission
from inferq.queue.schema.record import parse_record
from inferq.settings import Settings, load_settings

_MODEL = "table"
_ENTRIES = 16 * 1024 * 1024
_WORKERS = 2
_RATE = 500
_TICK_SECONDS = 0.01
_RELOADS = 10
_QUICK_RELOADS = 3
_QUIET_SECONDS = 20.0
_QUICK_QUIET_SECONDS = 8.0
_MOST_TIMES = 1.5
_MOST_MEMORY = 1.1
_SETTINGS = {"INFERQ_MODELS_POLL_SECONDS": "0.5", "INFERQ_HEARTBEAT_SECONDS": "0.5"}


class Ends(NamedTuple):
    """How the jobs of a while ended.

    Attributes:
        milliseconds: From submission to end, of each that completed.
        others: How many did not complete.
    """

    milliseconds: Sequence[int]
    others: int

    @property
    def p99(self) -> float:
        """The 99th percentile."""
        return float(np.percentile(self.milliseconds, 99))


def write_version(folder: Path, number: int) -> None:
    """A table from which each row takes one entry, INT64 [n] to FP32 [n]."""
    table = np.full(_ENTRIES, number, dtype=np.float32)
    graph = helper.make_graph(
        [helper.make_node("Gather", ["entries", "x"], ["y"])],
        _MODEL,
        [helper.make_tensor_value_info("x", TensorProto.INT64, ["n"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n"])],
        [numpy_helper.from_array(table, "entries")],
    )
    folder.mkdir(parents=True)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, folder / "model.onnx")


def measure(quick: bool) -> list[Figure]:
    """Measures jobs without reloads, then with them."""
    reloads = _QUICK_RELOADS if quick else _RELOADS
    with tempfile.TemporaryDirectory(prefix="inferq-benchmark-") as path, ExitStack() as stack:
        folder = Path(path) / _MODEL
        write_version(folder / "1", 1)
        for number in range(2, reloads + 2):
            write_version(folder / f".{number}", number)
        url = stack.enter_context(redis_server())
        client = stack.enter_context(redis.Redis.from_url(url))
        settings = {**_SETTINGS, "INFERQ_MODELS_DIR": path}
        command = python("-m", "inferq", "worker")
        workers = [
            stack.enter_context(program(command, f"worker {number + 1}", url=url, settings=settings))
            for number in range(_WORKERS)
        ]
        wait_until(lambda: _is_served(client, 1), "all workers report", seconds=120)
        chosen = load_settings(redis_url=url)
        quiet = asyncio.run(_run_jobs(chosen, _QUICK_QUIET_SECONDS if quick else _QUIET_SECONDS))
        tell(f"reload: p99 {quiet.p99:.1f} ms without")
        memory: list[float] = []

        def replace_versions() -> None:
            for number in range(2, reloads + 2):
                (folder / f".{number}").rename(folder / str(number))
                wait_until(lambda at=number: _is_served(client, at), "the new version serves", seconds=120)  # type: ignore[misc] # its own number
                shutil.rmtree(folder / str(number - 1))
                wait_until(lambda at=number: _is_gone(client, at - 1), "the old one has gone", seconds=120)  # type: ignore[misc] # likewise
                time.sleep(2.0)
                memory.append(sum(resident_megabytes(worker.pid) for worker in workers))
                tell(f"reload: {number - 1} of {reloads}, {memory[-1]:.0f} MB")

        busy = asyncio.run(_run_jobs_beside(chosen, replace_versions))
        tell(f"reload: p99 {busy.p99:.1f} ms with {reloads} reloads, {busy.others} jobs failed or lost")
    times, growth = busy.p99 / quiet.p99, memory[-1] / memory[0]
    lost = quiet.others + busy.others
    return [
        figure_of("reload, p99", "without", [quiet.p99], "ms"),
        figure_of(
            "reload, p99",
            "inferq",
            [busy.p99],
            "ms",
            target=f"≤ {_MOST_TIMES} × without ({times:.2f})",
            met=times <= _MOST_TIMES,
        ),
        figure_of("reload, jobs failed or lost", "inferq", [lost], "jobs", target="0 jobs", met=not lost),
        figure_of("reload, memory", "after the first", [memory[0]], "MB"),
        figure_of(
            "reload, memory",
            "inferq",
            [memory[-1]],
            "MB",
            target=f"≤ {_MOST_MEMORY} × after the first ({growth:.2f})",
            met=growth <= _MOST_MEMORY,
        ),
    ]


def _read_workers(client: redis.Redis) -> list[dict[str, str]]:
    ids = cast("list[bytes]", client.zrange("workers", 0, -1))
    return [orjson.loads(client.hget(f"worker:{one.decode()}", "versions") or b"{}") for one in ids]


def _is_served(client: redis.Redis, number: int) -> bool:
    """Whether all workers run jobs that name no version on this one."""
    served = [versions.get(_MODEL) for versions in _read_workers(client)]
    return served == [str(number)] * _WORKERS


def _is_gone(client: redis.Redis, number: int) -> bool:
    """Whether no worker has this version any more."""
    return not any(f"{_MODEL}@{number}" in versions for versions in _read_workers(client))


async def _run_jobs(settings: Settings, seconds: float) -> Ends:
    return await _run_jobs_beside(settings, lambda: time.sleep(seconds))


async def _run_jobs_beside(settings: Settings, work: Callable[[], None]) -> Ends:
    """Submits jobs at a steady rate while something is done, and waits for their ends."""
    producer, ids = Producer.from_settings(settings), list[asyncio.Task[str]]()
    done = asyncio.create_task(asyncio.to_thread(work))
    loop = asyncio.get_running_loop()
    due = loop.time()
    while not done.done():
        for _ in range(round(_RATE * _TICK_SECONDS)):
            ids.append(asyncio.create_task(producer.submit(Submission(_MODEL, b"[%d]" % (len(ids) % 1000)))))
        due += _TICK_SECONDS
        await asyncio.sleep(max(0.0, due - loop.time()))
    await done
    accepted = await asyncio.gather(*ids)
    await producer.close()
    return await asyncio.to_thread(_read_ends, settings, accepted)


def _read_ends(settings: Settings, ids: Sequence[str]) -> Ends:
    with redis.Redis.from_url(settings.redis_url) as client:
        wait_until(lambda: not client.zcard(f"queue:{_MODEL}:open:normal"), "all jobs end", seconds=60)
        records = [parse_record(record) for record in client.hmget("jobs:records", list(ids))]
        statuses = client.mget([f"job:{job_id}:status" for job_id in ids])
    milliseconds = [
        int(record["ended_ms"]) - int(record["submitted_ms"])
        for record, status in zip(records, statuses, strict=True)
        if status == b"completed"
    ]
    return Ends(milliseconds, len(ids) - len(milliseconds))
