"""Measures what rows of an ONNX file cost, and adds it to the recorded costs.

Run: uv run python -m benchmarks.scaling.record_costs NAME FILE ORIGIN [NAME=SHAPE ...]

Each run has one thread, as a worker of a small pod has, and its processor time counts, so that others on the
machine do not. The costs follow from the runs as a worker learns them. A
shape gives the sizes of one row of an input, with `x` between them, where the file leaves any open.
"""

import json
import math
import sys
import time
from pathlib import Path
from statistics import median

import numpy as np
import onnxruntime

from benchmarks.machine import Machine
from benchmarks.scaling.cost_curves import FILE
from inferq.worker.runs.run_cost import RunCost

_ROWS = (1, 2, 4, 8, 16)
_TRIES = 5
_LONGEST_SECONDS = 20.0
_TYPES: dict[str, type[np.generic]] = {
    "tensor(float)": np.float32,
    "tensor(int32)": np.int32,
    "tensor(int64)": np.int64,
}


def record(name: str, file: Path, origin: str, shapes: dict[str, list[int]]) -> dict[str, object]:
    """Runs the file with more and more rows.

    Args:
        name: What the curve is to be called.
        file: The ONNX file; its first axis is that of rows.
        origin: Where the file can be had.
        shapes: Name to sizes of a row of an input; those that the file tells may be left out.

    Returns:
        The curve, as it is kept.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    random = np.random.default_rng(7)
    cost, runs = RunCost(), []
    for rows in _ROWS:
        inputs = {
            one.name: _fill(random, [rows, *(shapes.get(one.name) or one.shape[1:])], _TYPES[one.type])
            for one in session.get_inputs()
        }
        session.run(None, inputs)
        taken = []
        for _ in range(_TRIES):
            began = time.thread_time()
            session.run(None, inputs)
            taken.append(time.thread_time() - began)
        seconds = median(taken)
        cost.add(rows, seconds)
        runs.append([rows, round(seconds, 7)])
        if seconds > _LONGEST_SECONDS:
            break
    learned = cost.estimate()
    machine = Machine.this()
    return {
        "name": name,
        "origin": origin,
        "row": shapes,
        "runs": runs,
        "fixed_seconds": float(f"{learned.fixed:.4g}"),
        "row_seconds": float(f"{learned.per_row:.4g}"),
        "runtime": f"onnxruntime {onnxruntime.__version__}, 1 thread, {machine.processor}",
    }


def _fill(random: np.random.Generator, shape: list[int], datatype: type[np.generic]) -> np.ndarray:
    count = math.prod(shape)
    values = random.random(count, np.float32) if datatype is np.float32 else random.integers(0, 256, count)
    return values.astype(datatype).reshape(shape)


def main() -> None:
    """Records one file."""
    name, file, origin, *given = sys.argv[1:]
    pairs = (one.split("=", 1) for one in given)
    shapes = {name: [int(size) for size in sizes.split("x")] for name, sizes in pairs}
    kept = json.loads(FILE.read_text(encoding="utf-8")) if FILE.exists() else []
    kept = [one for one in kept if one["name"] != name]
    curve = record(name, Path(file), origin, shapes)
    FILE.write_text(json.dumps([*kept, curve], indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"{name}: {curve['fixed_seconds']} s + {curve['row_seconds']} s a row")


if __name__ == "__main__":
    main()
