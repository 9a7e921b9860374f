"""The iris model as every rival runs it: one thread, no batches, and the same result as inferq's."""

from functools import cache
from typing import Any

import numpy as np
import onnxruntime

from benchmarks.processes import ROOT

ROW = [[5.1, 3.5, 1.4, 0.2]]
_CLASS_NAMES = ["setosa", "versicolor", "virginica"]


@cache
def _session() -> onnxruntime.InferenceSession:
    """The model, loaded once by whoever runs it: a pool's child rather than its parent."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # the fastest for a model so small, and kind to the other processes
    return onnxruntime.InferenceSession(
        ROOT / "models" / "iris" / "model.onnx", options, providers=["CPUExecutionProvider"]
    )


def predict(rows: list[list[float]]) -> dict[str, Any]:
    """Runs the model on one row.

    Args:
        rows: Shape (1, 4).

    Returns:
        `prediction`, `class_name` and `probabilities`.
    """
    session = _session()
    label, probabilities = session.run(None, {session.get_inputs()[0].name: np.asarray(rows, np.float32)})
    index = int(label[0])
    return {
        "prediction": index,
        "class_name": _CLASS_NAMES[index],
        "probabilities": probabilities[0].tolist(),
    }
