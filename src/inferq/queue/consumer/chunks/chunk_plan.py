"""How a large job is divided into chunks: jobs of their own, each for a range of its rows."""

import json
from dataclasses import asdict, dataclass, replace
from typing import Self


@dataclass(frozen=True, slots=True)
class ChunkPlan:
    """What a large job is divided into. Redis has it from the first chunk until the last one is removed.

    Attributes:
        queue: Name of the queue in which the chunks wait.
        rows: How many rows the job has.
        chunks: Into how many parts these are divided.
        made_by: The `Provenance`, as text, that each of the chunks must have.
        submitted_ms: When the job was accepted, ms: one that is retried by order has another plan.
    """

    queue: str
    rows: int
    chunks: int
    made_by: str
    submitted_ms: int

    @classmethod
    def parse(cls, stored: bytes) -> Self | None:
        """Reads what `str` wrote; None where another program has written something else."""
        try:
            return cls(**json.loads(stored))
        except (ValueError, TypeError):
            return None

    def __str__(self) -> str:
        return json.dumps(asdict(self))

    def is_alike(self, other: Self) -> bool:
        """Whether both divide the same job, to be run on the same version; into parts of any number."""
        return replace(self, chunks=other.chunks) == other

    def name_chunk(self, job_id: str, index: int) -> str:
        """Returns the id of a chunk, always the same."""
        return f"{job_id}-chunk{index}"

    def find_rows(self, index: int) -> tuple[int, int]:
        """Returns the first row of a chunk, and the one behind its last: all have nearly the same number."""
        return index * self.rows // self.chunks, (index + 1) * self.rows // self.chunks
