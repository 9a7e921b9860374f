"""The jobs of a run: known data, with the results that ONNX Runtime gives for them beforehand."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from random import Random

import orjson

from inferq.errors import ErrorKind
from inferq.models.providers.execution_providers import ExecutionConfig
from tests.chaos.cluster import ROOT
from tests.chaos.worker_entry import KILLER_DATA
from tests.models import load_models, predict
from tests.onnx_models import write_failing_model, write_fixed_batch

_SMALL, _LARGE = 200, 3
_LARGE_ROWS = 700
"""Both data and result are then too long to pass through Lua, and lie in the blob store."""
BLOB_BYTES = 10_000
_SPOILED = (b"not JSON", b"[[1,2]]", b'{"x":', b'[[1,2,3,"a"]]', b"[[1e999,0,0,0]]")


@dataclass(frozen=True, slots=True)
class Case:
    """Data, and what must become of it.

    Attributes:
        model: Which model it is for.
        data: JSON.
        expected: The result, byte for byte; None if it must fail.
        kind: How it must fail; None if it must complete.
    """

    model: str
    data: bytes
    expected: bytes | None
    kind: ErrorKind | None = None


KILLER = Case("iris", KILLER_DATA, None, ErrorKind.CRASHED)
FAILING = Case("table", b"[99]", None, ErrorKind.MODEL_ERROR)


class Cases:
    """What the producers draw from.

    Args:
        folder: Where the model repository is made.
        random: Makes the data.
        large_share: How many of 1 are large.
    """

    def __init__(self, folder: Path, random: Random, large_share: float = 0.1) -> None:
        self.folder = folder
        self._large_share = large_share
        shutil.copytree(ROOT / "models" / "iris", folder / "iris")
        write_fixed_batch(folder / "doubles")
        write_failing_model(folder / "table")
        models = load_models(folder, ExecutionConfig(threads=1))

        def solved(model: str, value: object) -> Case:
            data = orjson.dumps(value)
            return Case(model, data, predict(models[model], data))

        def row(length: int) -> list[float]:
            return [round(random.uniform(0.1, 8.0), 3) for _ in range(length)]

        self._iris = [solved("iris", [row(4)]) for _ in range(_SMALL)]
        self._doubles = [solved("doubles", [row(3), row(3)]) for _ in range(_SMALL)]
        self._table = [
            solved("table", [random.randrange(-4, 4) for _ in range(1 + number % 9)])
            for number in range(_SMALL)
        ]
        self._large = [solved("iris", [row(4) for _ in range(_LARGE_ROWS)]) for _ in range(_LARGE)]

    def draw(self, random: Random) -> Case:
        """A job of any model, some large, one in two hundred failing."""
        lot = random.random()
        if lot < 0.005:
            return FAILING
        if lot < 0.005 + self._large_share:
            return random.choice(self._large)
        return random.choice(random.choice((self._iris, self._iris, self._doubles, self._table)))

    def draw_foreign(self, random: Random) -> Case:
        """A job of the default model, since one lost in BRPOP is requeued for that; some are spoiled."""
        if random.random() < 0.2:
            return Case("iris", random.choice(_SPOILED), None, ErrorKind.INVALID_INPUT)
        return random.choice(self._iris)
