"""What is asked of inferq with pictures and arrays, mostly beside others of the same run; is it met?"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from benchmarks.figures import Figure
from benchmarks.report import number
from benchmarks.tensors.backlog import MEMORY
from benchmarks.tensors.large_tensors import HELD, IN, OUT
from benchmarks.tensors.model_servers import (
    BENTOML,
    FLOOR,
    FLOOR_JSON,
    FOLDER,
    IN_REDIS,
    JSON,
    LITSERVE,
    MLSERVER,
    RAY,
    TRITON,
)
from benchmarks.tensors.pictures import CNN_MODEL, TRIVIAL_MODEL
from benchmarks.tensors.uploads import OTHERS

_CPU = f"{TRIVIAL_MODEL}, processor time"


@dataclass(frozen=True)
class TensorTarget:
    """A bound on a figure of inferq's.

    Attributes:
        measure: Of which measure.
        subject: Which of inferq's ways.
        bound: The bound: times the other's figure, or in the measure's unit where there is no other.
        other: What it is compared with; empty for nothing.
        at_most: Whether less is better.
    """

    measure: str
    subject: str
    bound: float
    other: str = ""
    at_most: bool = False

    def __str__(self) -> str:
        sign = "≤" if self.at_most else "≥"
        return f"{sign} {self.bound:g} × {self.other}" if self.other else f"{sign} {self.bound:g}"


@dataclass(frozen=True)
class Verdict:
    """Whether a target is met.

    Attributes:
        target: Which target.
        found: The ratio that was measured, or the figure; None where one of the two was not measured.
    """

    target: TensorTarget
    found: float | None

    @property
    def met(self) -> bool | None:
        """Whether it is met; None where that cannot be told."""
        if self.found is None:
            return None
        if self.target.at_most:
            return self.found <= self.target.bound
        return self.found >= self.target.bound

    def __str__(self) -> str:
        """A row of a table."""
        words = {True: "yes", False: "**missed**", None: "not measured"}[self.met]
        found = "" if self.found is None else number(self.found) + (" ×" if self.target.other else "")
        return f"| {self.target.measure} | {self.target.subject} | {self.target} | {found} | {words} |"


TENSOR_TARGETS = (
    TensorTarget(TRIVIAL_MODEL, FOLDER, 20, JSON),
    TensorTarget(TRIVIAL_MODEL, FOLDER, 0.33, FLOOR),
    TensorTarget(TRIVIAL_MODEL, FOLDER, 0.9, TRITON),
    TensorTarget(TRIVIAL_MODEL, FOLDER, 1, BENTOML),
    TensorTarget(TRIVIAL_MODEL, FOLDER, 8, MLSERVER),
    TensorTarget(TRIVIAL_MODEL, FOLDER, 9, RAY),
    TensorTarget(TRIVIAL_MODEL, FOLDER, 9, LITSERVE),
    TensorTarget(TRIVIAL_MODEL, IN_REDIS, 10, JSON),
    TensorTarget(TRIVIAL_MODEL, IN_REDIS, 0.15, FLOOR),
    TensorTarget(_CPU, FOLDER, 3, FLOOR, at_most=True),
    TensorTarget(_CPU, IN_REDIS, 6, FLOOR, at_most=True),
    TensorTarget(CNN_MODEL, FOLDER, 0.95, FLOOR),
    TensorTarget(CNN_MODEL, FOLDER, 1, TRITON),
    TensorTarget(CNN_MODEL, FOLDER, 1.5, LITSERVE),
    TensorTarget(CNN_MODEL, FOLDER, 1.5, MLSERVER),
    TensorTarget(CNN_MODEL, FOLDER, 1.5, RAY),
    TensorTarget(OUT, FOLDER, 0.15, JSON, at_most=True),
    TensorTarget(OUT, IN_REDIS, 0.15, JSON, at_most=True),
    TensorTarget(IN, FOLDER, 0.08, JSON, at_most=True),
    TensorTarget(IN, IN_REDIS, 0.08, JSON, at_most=True),
    TensorTarget(HELD, FOLDER, 1.5, at_most=True),
    TensorTarget(HELD, IN_REDIS, 1.5, at_most=True),
    # twice what inferq had before it took bytes, which was a quarter of this endpoint's
    TensorTarget(TRIVIAL_MODEL, JSON, 0.5, FLOOR_JSON),
    TensorTarget(OTHERS, FOLDER, 50, at_most=True),
    TensorTarget(OTHERS, IN_REDIS, 50, at_most=True),
    TensorTarget(MEMORY, FOLDER, 5, at_most=True),
)


def judge_tensors(
    figures: Sequence[Figure], targets: Sequence[TensorTarget] = TENSOR_TARGETS
) -> Iterator[Verdict]:
    """Says of each target whether it is met.

    Args:
        figures: What was measured.
        targets: What is asked for.
    """
    values = {(figure.measure, figure.subject): figure.value for figure in figures}
    for target in targets:
        ours = values.get((target.measure, target.subject))
        other = values.get((target.measure, target.other)) if target.other else 1.0
        yield Verdict(target, None if ours is None or not other else ours / other)
