"""What all peers share: ONNX Runtime with one thread, and where the models lie."""

import os
from pathlib import Path

import numpy as np
import onnxruntime as ort

MODELS_VARIABLE = "BENCHMARK_MODELS"
"""By this a peer learns where the models are."""
PORT_VARIABLE = "BENCHMARK_PORT"
"""By this a peer learns on which port of loopback it is to listen."""
PROCESSES = 2
"""How many processes of a peer run models."""
PICTURE = (3, 224, 224)

Array = np.ndarray[tuple[int, ...], np.dtype[np.float32]]


def get_port() -> int:
    """The port to listen on."""
    return int(os.environ[PORT_VARIABLE])


class Session:
    """One model, loaded."""

    def __init__(self, name: str) -> None:
        """Loads it.

        Args:
            name: Of the model.
        """
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        path = Path(os.environ[MODELS_VARIABLE]) / name / "model.onnx"
        self._session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def run(self, images: Array) -> Array:
        """Runs the model on pictures [n, 3, 224, 224] and returns its output."""
        output: Array = self._session.run(None, {"image": images})[0]
        return output

    def run_raw(self, body: bytes) -> bytes:
        """The same of bytes, to bytes."""
        return self.run(np.frombuffer(body, np.float32).reshape(-1, *PICTURE)).tobytes()
