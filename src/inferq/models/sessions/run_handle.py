"""A handle by which another thread stops a run of a model."""

import threading

import onnxruntime as ort


class RunHandle:
    """Lets another thread stop a run."""

    def __init__(self) -> None:
        self.options = ort.RunOptions()
        self._stopped = threading.Event()

    def stop(self) -> None:
        """Makes the run end with an error as soon as the present node of the graph is done."""
        self.options.terminate = True
        self._stopped.set()

    @property
    def is_stopped(self) -> bool:
        """Whether the run was told to stop."""
        return self._stopped.is_set()

    def rest(self, seconds: float) -> bool:
        """Waits, and returns whether the run was stopped meanwhile."""
        return self._stopped.wait(seconds)
