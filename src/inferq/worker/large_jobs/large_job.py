"""A job with more rows than a worker runs at once."""

from collections.abc import Callable
from typing import NamedTuple

from inferq.jobs import ClaimedJob
from inferq.models.decoded_job import DecodedJob
from inferq.worker.runs.batch import Batch
from inferq.worker.serving.served_models import ServedVersion


class LargeJob(NamedTuple):
    """A large job, claimed and decoded.

    Attributes:
        claimed: The job.
        decoded: The same, decoded.
        served: The version of the model that runs it.
        timeout_seconds: Longest time that it may take.
    """

    claimed: ClaimedJob
    decoded: DecodedJob
    served: ServedVersion
    timeout_seconds: float


def take_large(
    served: ServedVersion, batch: Batch, find_timeout: Callable[[ClaimedJob], float]
) -> list[LargeJob]:
    """Takes the large jobs out of a batch.

    Args:
        served: What runs the batch.
        batch: Jobs; those that are left can be run as they are.
        find_timeout: Returns the longest time that a job may take, seconds.
    """
    model = served.model
    if not 0 < model.split_rows < batch.total_rows or not served.planner.shares_runs:
        return []
    large, others = list[LargeJob](), Batch()
    for job, decoded in zip(batch.jobs, batch.decoded, strict=True):
        if model.is_large(decoded) and not job.output:  # that is written by who has the result
            large.append(LargeJob(job, decoded, served, find_timeout(job)))
        else:
            others.add(job, decoded)
    batch.jobs, batch.decoded, batch.total_rows = others.jobs, others.decoded, others.total_rows
    return large


class NotDivisibleError(Exception):
    """A large job has to run as a whole.

    Args:
        reason: Why, as a clause.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
