"""backlog: 2,000 pictures that wait, and what Redis and the processes hold of them."""

import os
import signal
import time
from pathlib import Path

import redis

from benchmarks.figures import Figure, figure_of
from benchmarks.rounds import tell
from benchmarks.tensors.callers import Connection
from benchmarks.tensors.model_servers import FOLDER, IN_REDIS, start_inferq
from benchmarks.tensors.payloads import make_pictures, write_binary
from benchmarks.tensors.pictures import wait_for_answer
from benchmarks.tensors.process_tree import measure_peak_bytes
from benchmarks.tensors.tensor_models import PICTURE, TRIVIAL

MEMORY = "2,000 waiting pictures, Redis's memory"
_JOBS, _QUICK_JOBS = 2000, 500


def measure(models: Path, quick: bool) -> list[Figure]:
    """Stops the workers as a debugger does, submits, and asks Redis; a quick run reckons from fewer jobs."""
    jobs = _QUICK_JOBS if quick else _JOBS
    picture = make_pictures(1, *PICTURE)
    figures = []
    for name, has_store in ((FOLDER, True), (IN_REDIS, False)):
        with (
            start_inferq(models, has_store=has_store) as running,
            redis.Redis.from_url(running.url) as client,
        ):
            wait_for_answer(running, write_binary(TRIVIAL, picture))
            used = client.info("memory")["used_memory"]
            held = measure_peak_bytes([running.proxy])
            for worker in running.workers:
                os.kill(worker, signal.SIGSTOP)
            rate = _submit(running.port, write_binary(TRIVIAL, picture, "respond-async"), jobs)
            grown = max(0, client.info("memory")["used_memory"] - used) * _JOBS / jobs / 1e6
            held = measure_peak_bytes([running.proxy]) - held
            for worker in running.workers:
                os.kill(worker, signal.SIGCONT)
        tell(f"backlog: {name} {grown:,.1f} MB in Redis, {rate:,.0f} submits/s")
        figures.append(figure_of(MEMORY, name, [grown], "MB"))
        figures.append(figure_of("pictures submitted by one caller", name, [rate], "jobs/s"))
        figures.append(figure_of("2,000 waiting pictures, proxy's memory", name, [held / 1e6], "MB"))
    return figures


def _submit(port: int, request: bytes, count: int) -> float:
    """Submits that many jobs one after the other, and returns how many in a second."""
    connection = Connection(port)
    began = time.perf_counter()
    try:
        for _ in range(count):
            connection.ask(request, 202)
    finally:
        connection.close()
    return count / (time.perf_counter() - began)
