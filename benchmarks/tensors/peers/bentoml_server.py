"""BentoML with raw bodies: a positional `Path` is the whole body, as a file."""

from pathlib import Path

import bentoml

from benchmarks.tensors.peers.sessions import PROCESSES, Session


@bentoml.service(workers=PROCESSES, threads=1, traffic={"timeout": 60})
class BentoModels:
    """Both models in each process."""

    def __init__(self) -> None:
        self.sessions = {name: Session(name) for name in ("mean", "cnn")}

    @bentoml.api
    def mean(self, body: Path, /) -> bytes:
        """Runs the trivial model."""
        return self.sessions["mean"].run_raw(body.read_bytes())

    @bentoml.api
    def cnn(self, body: Path, /) -> bytes:
        """Runs the CNN."""
        return self.sessions["cnn"].run_raw(body.read_bytes())
