"""The iris model as every rival runs it: one thread, no batches, and the same result as inferq's."""

from functools import cache
from typing import Any

import numpy as np
import onnxruntime

from benchmarks.processes import ROOT

ROW = [[5.1, 3.5, 1.4, 0.2]]
Rows = np.ndarray[Any, np.dtype[Any]]
_CLASS_NAMES = ["setosa", "versicolor", "virginica"]


@cache
def _session() -> onnxruntime.InferenceSession:
    """The model, loaded once by the process that runs it: a pool's child rather than its parent."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # the fastest for a model so small, and kind to the other processes
    return onnxruntime.InferenceSession(
        ROOT / "models" / "iris" / "model.onnx", options, providers=["CPUExecutionProvider"]
    )


def run(rows: Rows) -> list[Rows]:
    """Runs the model once on rows of shape (n, 4); returns the label, then the probabilities, of each."""
    session = _session()
    outputs: list[Rows] = session.run(None, {session.get_inputs()[0].name: rows})
    return outputs


def predict(rows: list[list[float]]) -> dict[str, Any]:
    """Runs the model on one row.

    Args:
        rows: Shape (1, 4).

    Returns:
        `prediction`, `class_name` and `probabilities`.
    """
    [result] = results(run(np.asarray(rows, np.float32)))
    return result


def results(outputs: list[Rows]) -> list[dict[str, Any]]:
    """The result of each row, of what `run` has returned."""
    labels, probabilities = (output.tolist() for output in outputs)
    return [
        {"prediction": index, "class_name": _CLASS_NAMES[index], "probabilities": row}
        for index, row in zip(labels, probabilities, strict=True)
    ]
