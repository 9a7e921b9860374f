"""What a worker knows of a job once its data is read."""

from typing import NamedTuple

from inferq.media.geometry import Frame
from inferq.models.arrays import Array

Inputs = dict[str, Array]
"""An array for each input of a model, by name."""


class DecodedJob(NamedTuple):
    """A job whose data is read and checked. A tuple, since every job becomes one.

    Attributes:
        inputs: The inputs, each of its datatype and shape; of optional ones those that the job has.
        rows: How many rows they have; 1 for a model whose first axes are fixed.
        is_json: Whether its data came as JSON, so that its result is JSON too.
        outputs: Names of the outputs that it asks for; all if there are none.
        frame: How the picture of it lies in its input, for boxes in the picture's own pixels.
    """

    inputs: Inputs
    rows: int
    is_json: bool = True
    outputs: tuple[str, ...] = ()
    frame: Frame | None = None

    @property
    def input_bytes(self) -> int:
        """How much memory its inputs take."""
        return sum([array.nbytes for array in self.inputs.values()])
