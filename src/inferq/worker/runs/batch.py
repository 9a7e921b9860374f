"""Jobs that run together."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from inferq.jobs import ClaimedJob
from inferq.models.decoded_job import DecodedJob


@dataclass(slots=True)
class Batch:
    """Jobs of one model, in two lists of equal length.

    Attributes:
        jobs: The claimed jobs.
        decoded: The same, decoded.
        total_rows: How many rows they have together.
    """

    jobs: list[ClaimedJob] = field(default_factory=list)
    decoded: list[DecodedJob] = field(default_factory=list)
    total_rows: int = 0

    def __len__(self) -> int:
        return len(self.jobs)

    def add(self, job: ClaimedJob, decoded: DecodedJob) -> None:
        """Adds a job."""
        self.jobs.append(job)
        self.decoded.append(decoded)
        self.total_rows += decoded.rows

    def split(self) -> Iterator["Batch"]:
        """Returns a batch of its own for each job."""
        for job, decoded in zip(self.jobs, self.decoded, strict=True):
            yield Batch([job], [decoded], decoded.rows)
