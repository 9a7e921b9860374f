"""What `inferq models check` finds out about a model."""

from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict

from inferq.tensors.signature import ModelDocument


class RunTime(NamedTuple):
    """How long a run takes.

    Attributes:
        rows: Rows in it.
        seconds: The median of several runs.
    """

    rows: int
    seconds: float


class CheckReport(BaseModel):
    """What a worker would do with a model.

    Attributes:
        name: The model's name.
        problem: Why it cannot be served, and what to do; None where it can.
        document: What the worker would announce; None where it cannot be served.
        shares_runs: Whether jobs share runs.
        reason: Why they do not, as a clause.
        notes: What else the worker would log: `event`, and what belongs to it.
        load_seconds: How long it took to load, warm up and try it.
        model_bytes: How much memory the process has taken for it; None where that is not known.
        peak_bytes: Most memory that the process has had.
        runs: Times of a run with one row, and with some; none where its sample does not run.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    problem: str | None = None
    document: ModelDocument | None = None
    shares_runs: bool = False
    reason: str | None = None
    notes: list[dict[str, Any]] = []
    load_seconds: float = 0.0
    model_bytes: int | None = None
    peak_bytes: int = 0
    runs: list[RunTime] = []
