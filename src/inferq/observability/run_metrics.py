"""What one worker process runs, by model."""

from collections import Counter
from collections.abc import Iterator, Sequence

from inferq.jobs import ClaimedJob, Outcome
from inferq.observability.buckets import Buckets
from inferq.observability.metrics import WORKER_ATTEMPTS, WORKER_BATCH, WORKER_ROWS, WORKER_RUN, Reading

_SECONDS = (
    *(0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5),
    *(1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 3600.0),
)
_JOBS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0)
"""Both as Redis counts for the whole service, so that they can be compared."""


class RunMetrics:
    """Counts the runs of one process. A `JobObserver`."""

    def __init__(self) -> None:
        self._seconds: dict[str, Buckets] = {}
        self._jobs: dict[str, Buckets] = {}
        self._rows: dict[str, int] = {}
        self._attempts: dict[tuple[str, str], int] = {}

    def jobs_claimed(self, jobs: Sequence[ClaimedJob]) -> None:
        """Does nothing: how long jobs waited is counted in Redis."""

    def run_ended(self, model: str, jobs: int, rows: int, seconds: float) -> None:
        """Counts a run; see `JobObserver.run_ended`."""
        if model not in self._rows:
            self._seconds[model], self._jobs[model], self._rows[model] = Buckets(_SECONDS), Buckets(_JOBS), 0
        self._seconds[model].add(seconds)
        self._jobs[model].add(jobs)
        self._rows[model] += rows

    def jobs_ended(self, outcomes: Sequence[Outcome], verdicts: Sequence[str]) -> None:
        """Counts the ends of attempts; see `JobObserver.jobs_ended`."""
        models = [outcome.job.model for outcome in outcomes]
        for ended, count in Counter(zip(models, verdicts, strict=True)).items():
            self._attempts[ended] = self._attempts.get(ended, 0) + count

    def read(self) -> Iterator[Reading]:
        """Yields what was counted. For another thread."""
        for model, rows in list(self._rows.items()):
            yield Reading(WORKER_RUN, (model,), self._seconds[model])
            yield Reading(WORKER_BATCH, (model,), self._jobs[model])
            yield Reading(WORKER_ROWS, (model,), rows)
        for ended, count in list(self._attempts.items()):
            yield Reading(WORKER_ATTEMPTS, ended, count)
