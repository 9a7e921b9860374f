"""Results as JSON: how the outputs of a model become what `GET /job/{id}` shows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import ClassVar, Protocol

from inferq.errors import ModelError
from inferq.media.geometry import Frame
from inferq.models.arrays import Array, make_jsonable
from inferq.tensors.json_codec import write_arrays
from inferq.tensors.signature import NonFinite

Outputs = Mapping[str, Array]


class ResultEncoder(Protocol):
    """Turns the outputs of one model into JSON.

    NaN and infinities, which JSON lacks, become null, or strings where model.toml says so.

    Attributes:
        gives_outputs: Whether that JSON is the outputs themselves, as nested lists, and nothing more.
    """

    gives_outputs: ClassVar[bool]

    def encode(
        self, outputs: Outputs, rows: Sequence[int] | None, frames: Sequence[Frame | None] = (), /
    ) -> list[bytes]:
        """Returns the JSON of the result of each job in a run.

        Args:
            outputs: The model's outputs, by name.
            rows: Number of rows of each job, in order; None for a single job whose outputs are not by row.
            frames: How the picture of each job lies in its input; None where it came as an array.

        Raises:
            ModelError: The outputs are not what the signature promises.
            InvalidModelError: They are not what model.toml says of them, and never will be.
        """

    def check_example(self, outputs: Outputs) -> None:
        """Checks the outputs for the example of the model, for errors that `encode` cannot be sure of.

        Raises:
            InvalidModelError: model.toml contradicts them.
        """


@dataclass(frozen=True, slots=True)
class TensorEncoder:
    """The result of any model: `{"outputs": {name: nested list}}`.

    Attributes:
        non_finite: Whether NaN and infinities become null or strings.
    """

    gives_outputs: ClassVar[bool] = True
    non_finite: NonFinite = "null"

    def encode(
        self, outputs: Outputs, rows: Sequence[int] | None, _frames: Sequence[Frame | None] = (), /
    ) -> list[bytes]:
        """Returns the JSON of each job's result; see `ResultEncoder`."""
        return [self._dump(part) for part in split_outputs(outputs, rows)]

    def check_example(self, outputs: Outputs) -> None:
        """Accepts all outputs."""

    def _dump(self, outputs: Outputs) -> bytes:
        try:
            return write_arrays(
                {"outputs": {name: make_jsonable(array, self.non_finite) for name, array in outputs.items()}}
            )
        except TypeError as error:
            if "surrogates" not in str(error):
                raise
            raise ModelError(
                "The result has a string that is not UTF-8, which JSON cannot say. Send the data as raw "
                "tensors, as /v2 does: their results have the bytes."
            ) from error


def split_outputs(outputs: Outputs, rows: Sequence[int] | None) -> list[Outputs]:
    """Returns the outputs of each job in a run, as views.

    Args:
        outputs: The model's outputs, by name.
        rows: Number of rows of each job, in order; None for a single job whose outputs are not by row.

    Raises:
        ModelError: Several jobs shared the run, and an output has not one entry for each of their rows.
    """
    if rows is None or len(rows) == 1:
        return [outputs]
    total = sum(rows)
    for name, array in outputs.items():
        if array.shape[:1] != (total,):
            raise ModelError(
                f"Output {name!r} has shape {list(array.shape)} for {total} rows of data; it must have "
                "one entry for each, or the rows of several jobs cannot be told apart."
            )
    return [{name: array[part] for name, array in outputs.items()} for part in slice_rows(rows)]


def slice_rows(rows: Sequence[int]) -> list[slice]:
    """Returns where the rows of each job are along the first axis of an output."""
    return [slice(end - count, end) for count, end in zip(rows, accumulate(rows), strict=True)]
