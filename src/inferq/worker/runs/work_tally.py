"""What a claim costs in time and memory, counted while it is run."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from inferq.jobs import Outcome
from inferq.worker.runs.batch import Batch
from inferq.worker.runs.batch_planner import Work


class WorkTally:
    """Counts the work that one claim gives; jobs that do not run, as they wait for files, are none.

    Attributes:
        held_bytes: How long the results are that wait to be stored.
    """

    def __init__(self) -> None:
        self._began = time.perf_counter()
        self._data_bytes = self._input_bytes = 0
        self._jobs = self._rows = self._runs = self._result_bytes = 0
        self.held_bytes = 0

    def add_inputs(self, size: int) -> None:
        """Counts inputs that take so many bytes."""
        self._input_bytes += size

    def add_run(self, batch: Batch, outcomes: Sequence[Outcome]) -> None:
        """Counts the run of a batch, and what came of it."""
        self._jobs += len(batch)
        self._data_bytes += sum([len(job.data) for job in batch.jobs])
        self._rows += batch.total_rows
        self._runs += 1
        self.held_bytes += sum([len(outcome.result or b"") for outcome in outcomes])

    @contextmanager
    def storing(self) -> Iterator[None]:
        """Does not count the time in which results are stored within; none waits after that."""
        began = time.perf_counter()
        yield
        self._began += time.perf_counter() - began
        self._result_bytes += self.held_bytes
        self.held_bytes = 0

    def measure(self) -> tuple[Work, float] | None:
        """Returns the work and how many seconds it took; None if nothing ran."""
        if not self._runs:
            return None
        work = Work(
            jobs=self._jobs,
            rows=self._rows,
            runs=self._runs,
            data_bytes=max(self._data_bytes, self._input_bytes),
            result_bytes=self._result_bytes + self.held_bytes,
        )
        return work, time.perf_counter() - self._began
