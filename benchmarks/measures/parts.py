"""parts: what Redis and ONNX Runtime do by themselves, beside `submit`, which has the parts of a proxy."""

import csv
import shutil
import subprocess
import time
from functools import partial

import numpy as np

from benchmarks.figures import Figure, figure_of
from benchmarks.processes import BenchmarkError, redis_server
from benchmarks.rivals import iris
from benchmarks.rounds import interleave

_ALONE = "one GET at a time from 50 clients"
_PIPELINED = "GETs of 50 clients in pipelines of 100"
_MODEL = "the iris model in batches of 32"
_REQUESTS = 200_000
_PIPELINED_REQUESTS = 2_000_000
_QUICK_SHARE = 10
_ROWS = 32
_RUNS = 20_000
_REDIS, _ONNX_RUNTIME = ("Redis alone", "op/s"), ("ONNX Runtime alone", "rows/s")
_OF = {_ALONE: _REDIS, _PIPELINED: _REDIS, _MODEL: _ONNX_RUNTIME}


def measure(quick: bool) -> list[Figure]:
    """Takes the measure with redis-benchmark, and with one thread of ONNX Runtime."""
    if shutil.which("redis-benchmark") is None:
        raise BenchmarkError("redis-benchmark is not installed: on Debian, apt-get install redis-tools.")
    share = _QUICK_SHARE if quick else 1
    takes = {
        _ALONE: partial(_operations_per_second, _REQUESTS // share, 1),
        _PIPELINED: partial(_operations_per_second, _PIPELINED_REQUESTS // share, 100),
        _MODEL: partial(_rows_per_second, _RUNS // share),
    }
    results = interleave("parts", list(takes), quick, lambda name: takes[name]())
    return [figure_of(_OF[name][0], name, values, _OF[name][1]) for name, values in results.items()]


def _operations_per_second(requests: int, in_pipeline: int) -> float:
    with redis_server() as url:
        command = ["redis-benchmark", "-u", url, "-t", "get", "--csv", "-c", "50"]
        output = subprocess.run(
            [*command, "-n", str(requests), "-P", str(in_pipeline)],
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        ).stdout
    [row] = csv.DictReader(output.splitlines())
    return float(row["rps"])


def _rows_per_second(runs: int) -> float:
    rows = np.repeat(np.asarray(iris.ROW, np.float32), _ROWS, axis=0)
    iris.run(rows)
    started = time.perf_counter()
    for _ in range(runs):
        iris.run(rows)
    return runs * _ROWS / (time.perf_counter() - started)
