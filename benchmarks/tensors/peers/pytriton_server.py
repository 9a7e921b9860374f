"""Triton by pytriton, with its dynamic batching."""

import ctypes.util
import sys
from collections.abc import Callable

import numpy as np
from pytriton.decorators import batch
from pytriton.model_config import ModelConfig, Tensor
from pytriton.triton import Triton, TritonConfig

from benchmarks.tensors.peers.sessions import PICTURE, PROCESSES, Array, Session, get_port

_OUTPUTS = {"mean": 3, "cnn": 1000}
_INFERENCE_PROCESSES = {"mean": 1, "cnn": PROCESSES}
"""The best for each."""


def make_function(name: str) -> Callable[..., list[Array]]:
    """What Triton's process runs."""
    session = Session(name)

    @batch
    def infer(image: Array) -> list[Array]:
        return [session.run(image)]

    return infer  # type: ignore[no-any-return, unused-ignore]


def main() -> None:
    """Serves both models until it is ended."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    if ctypes.util.find_library(f"python{version}") is None:
        sys.exit(f"Triton's stub needs libpython{version}.so, and this machine's Python has none.")
    config = TritonConfig(
        http_address="127.0.0.1",
        http_port=get_port(),
        grpc_address="127.0.0.1",
        allow_grpc=False,
        allow_metrics=False,
        log_verbose=0,
    )
    with Triton(config=config) as triton:
        for name, length in _OUTPUTS.items():
            triton.bind(
                model_name=name,
                infer_func=[make_function(name) for _ in range(_INFERENCE_PROCESSES[name])],
                inputs=[Tensor(name="image", dtype=np.float32, shape=PICTURE)],
                outputs=[Tensor(name="output", dtype=np.float32, shape=(length,))],
                config=ModelConfig(max_batch_size=16),
            )
        triton.serve()


if __name__ == "__main__":
    main()
