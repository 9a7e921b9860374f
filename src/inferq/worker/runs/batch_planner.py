"""How many jobs a worker claims and runs at once: learned from what its runs have cost, not configured.

A model that is fast, or whose runs have a high fixed cost, is given many rows at once. One that takes seconds
for each row gets one job at a time, so that idle workers share the queue.
"""

from collections.abc import Callable
from typing import NamedTuple

from inferq.models.decoded_job import DecodedJob
from inferq.worker.runs.batch import Batch
from inferq.worker.runs.run_cost import LinearCost, RunCost

MAX_JOBS = 128
"""Most jobs in one claim: with more, Redis serves no other client for milliseconds."""
_MAX_GROWTH = 4
"""How many times more rows than ever seen a run may be given: beyond, the learned cost is a guess."""
_NEW_SHARE = 0.1
"""How much the latest jobs count in the mean of rows per job."""
MOST_OUTPUT_BYTES = 32 * 1024 * 1024
"""Of one run's outputs and one claim's results, unless a single job has more."""
_CLAIM_DATA_BYTES = 8 * 1024 * 1024
"""Data that a claim is to bring at most: half of what the script hands out, as jobs differ in size."""


class Work(NamedTuple):
    """What came of a claim.

    Attributes:
        jobs: How many jobs were run, at least one.
        rows: How many rows they had.
        runs: In how many runs.
        data_bytes: How much data they had, or inputs where these were more.
        result_bytes: How long their results are.
    """

    jobs: int
    rows: int
    runs: int
    data_bytes: int = 0
    result_bytes: int = 0


class BatchPlanner:
    """Plans the batches of one model.

    Args:
        sharing_key: Returns what jobs must have in common to share a run, from one of them.
        budget_seconds: Longest run accepted for the sake of throughput.
        shares_runs: Whether jobs may share a run at all.
        input_bytes: How many bytes of inputs a row has, as far as is known.
        output_bytes: How many bytes of outputs it gives then.

    Attributes:
        shares_runs: See above.
    """

    def __init__(
        self,
        sharing_key: Callable[[DecodedJob], object],
        budget_seconds: float,
        *,
        shares_runs: bool,
        input_bytes: float = 0.0,
        output_bytes: float = 0.0,
    ) -> None:
        self._sharing_key = sharing_key
        self._budget_seconds = budget_seconds
        self.shares_runs = shares_runs
        self._cost = RunCost()
        self._rows_per_job = 1.0
        self._output_bytes = output_bytes  # of a row
        self._output_ratio = output_bytes / input_bytes if input_bytes else 0.0
        self._data_bytes = input_bytes  # of a job

    def plan_claim(self) -> int:
        """Returns how many jobs to claim at once, in view of what runs have cost so far; at least 1."""
        return max(1, min(self._plan_by_cost(), self._plan_by_bytes()))

    def _plan_by_cost(self) -> int:
        if self.shares_runs:
            return plan_jobs(self._rows_per_run(), self._rows_per_job)
        seconds_per_job = self._cost.estimate().seconds(self._rows_per_job)
        return plan_jobs(int(self._budget_seconds / seconds_per_job), 1.0) if seconds_per_job else 1

    def _plan_by_bytes(self) -> int:
        result_bytes = self._output_bytes * self._rows_per_job
        most = MAX_JOBS * max(self._data_bytes / _CLAIM_DATA_BYTES, result_bytes / MOST_OUTPUT_BYTES)
        return int(MAX_JOBS / max(most, 1.0))

    def plan_batches(self, batch: Batch) -> list[Batch]:
        """Divides jobs into batches that can share a run.

        Args:
            batch: Jobs of the model, of any inputs.

        Returns:
            Batches of jobs that are alike in all but their number of rows, and have not too many of these.
        """
        if not self.shares_runs:
            return list(batch.split())
        most_by_cost = 2.0 * self._rows_per_run()
        planned: list[Batch] = []
        open_batches: dict[object, Batch] = {}
        most_rows: dict[object, float] = {}
        for job, decoded in zip(batch.jobs, batch.decoded, strict=True):
            key = self._sharing_key(decoded)
            fitting = open_batches.get(key)
            if fitting is None:
                most_rows[key] = min(most_by_cost, self._fit_outputs(decoded))
            if fitting is None or fitting.total_rows + decoded.rows > most_rows[key]:
                fitting = open_batches[key] = Batch()
                planned.append(fitting)
            fitting.add(job, decoded)
        return planned

    def _fit_outputs(self, decoded: DecodedJob) -> float:
        """How many rows like those of a job may share a run: outputs may grow with the inputs."""
        by_inputs = self._output_ratio * decoded.input_bytes / max(decoded.rows, 1)
        return MOST_OUTPUT_BYTES / max(self._output_bytes, by_inputs, 1.0)

    def add_cost(self, rows: int, seconds: float) -> None:
        """Notes what one run has cost.

        Args:
            rows: Rows in the run.
            seconds: How long it took.
        """
        self._cost.add(max(1, rows), seconds)

    def learn(self, work: Work, seconds: float) -> None:
        """Notes what came of a claim.

        Args:
            work: Its jobs, and how they were run.
            seconds: How long all took, with reading data and writing results.
        """
        self.note_size(work.rows / work.jobs, work.data_bytes / work.jobs)
        self._output_bytes = _follow(self._output_bytes, work.result_bytes / max(work.rows, work.jobs))
        self.add_cost(work.rows // work.runs, seconds / work.runs)

    def note_size(self, rows: float, data_bytes: float) -> None:
        """Notes how large jobs are.

        Args:
            rows: How many rows a job has had.
            data_bytes: How much data.
        """
        self._rows_per_job += _NEW_SHARE * (rows - self._rows_per_job)
        self._data_bytes = _follow(self._data_bytes, data_bytes)

    def _rows_per_run(self) -> int:
        return plan_rows(self._cost.estimate(), self._cost.most_rows, self._budget_seconds)


def plan_rows(cost: LinearCost, most_rows: float, budget_seconds: float) -> int:
    """Returns the most rows that one run shall have.

    Args:
        cost: What a run costs.
        most_rows: The most rows that a run has had.
        budget_seconds: How long a run may take for the sake of a larger batch.

    Returns:
        As many as the budget allows; or, where the fixed part of a run's cost is more than that of a row, as
        many as fit into twice the time of a single one. At least 1.
    """
    bound = max(1.0, _MAX_GROWTH * most_rows)
    if cost.per_row <= 0:
        return int(bound)
    rows = (budget_seconds - cost.fixed) / cost.per_row
    if cost.fixed > cost.per_row:
        rows = max(rows, (2 * cost.seconds(1) - cost.fixed) / cost.per_row)
    return int(max(1.0, min(bound, rows)))


def plan_jobs(rows: int, rows_per_job: float) -> int:
    """Returns how many jobs have about so many rows together: 1 to `MAX_JOBS`."""
    return max(1, min(MAX_JOBS, int(rows / max(1.0, rows_per_job))))


def _follow(before: float, latest: float) -> float:
    """A mean that rises at once, since memory is at stake, and falls slowly."""
    return max(latest, before + _NEW_SHARE * (latest - before))
