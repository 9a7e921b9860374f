"""What rows of real models cost, as it was recorded by `record_costs`."""

import json
from dataclasses import dataclass
from pathlib import Path

FILE = Path(__file__).parent / "cost_curves.json"


@dataclass(frozen=True, slots=True)
class CostCurve:
    """What a run costs: `fixed_seconds + row_seconds * rows`.

    Attributes:
        name: What the curve is called.
        origin: Where the ONNX file can be had.
        fixed_seconds: Seconds of any run.
        row_seconds: Seconds for each of its rows.
    """

    name: str
    origin: str
    fixed_seconds: float
    row_seconds: float

    def measure(self, rows: int, runs: int) -> float:
        """Returns how long so many rows take in so many runs, in seconds."""
        return self.fixed_seconds * runs + self.row_seconds * rows


def read_curves() -> dict[str, CostCurve]:
    """Returns the recorded curves by name."""
    kept = json.loads(FILE.read_text(encoding="utf-8"))
    return {
        one["name"]: CostCurve(one["name"], one["origin"], one["fixed_seconds"], one["row_seconds"])
        for one in kept
    }
