"""Jobs that run together."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from inferq.jobs import ClaimedJob

if TYPE_CHECKING:
    from inferq.models.model import Inputs


@dataclass(slots=True)
class Batch:
    """Jobs of one model with their decoded inputs, in three lists of equal length.

    Attributes:
        jobs: The claimed jobs.
        inputs: The inputs of each.
        rows: How many rows the inputs of each have.
        total_rows: Sum of `rows`.
    """

    jobs: list[ClaimedJob] = field(default_factory=list)
    inputs: list["Inputs"] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)
    total_rows: int = 0

    def __len__(self) -> int:
        return len(self.jobs)

    def add(self, job: ClaimedJob, inputs: "Inputs", rows: int) -> None:
        """Adds a job.

        Args:
            job: The claimed job.
            inputs: Its decoded inputs.
            rows: How many rows they have.
        """
        self.jobs.append(job)
        self.inputs.append(inputs)
        self.rows.append(rows)
        self.total_rows += rows

    def split(self) -> Iterator["Batch"]:
        """Returns a batch of its own for each job."""
        for job, inputs, rows in zip(self.jobs, self.inputs, self.rows, strict=True):
            yield Batch([job], [inputs], [rows], rows)
