"""The table `[audio]` of a model.toml: how sound becomes an input."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from inferq.errors import InvalidModelError
from inferq.tensors.media_specs import AudioSpec
from inferq.tensors.signature import Tensor

type _Layout = Literal["T", "NT", "CT", "TC", "NCT", "NTC"]


class AudioTable(BaseModel):
    """The keys of `[audio]`.

    Attributes:
        sampling_rate: Samples in a second that the model takes.
        input: The input, where the model has several.
        mono: Whether the channels are averaged.
        layout: The axes of the input: N (recordings), C (channels), T (samples).
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    sampling_rate: Annotated[int, Field(ge=1000, le=384_000)]
    input: str | None = None
    mono: bool = True
    layout: _Layout | None = None


def read_audio_table(table: AudioTable, inputs: list[Tensor]) -> AudioSpec:
    """Returns what a table says of a model with these inputs.

    Raises:
        InvalidModelError: It does not fit them; the message names the key.
    """
    found = ", ".join(map(str, inputs)) or "none"
    if table.input is None and len(inputs) != 1:
        raise InvalidModelError(f"audio.input is needed: it names the input for sound. There are {found}.")
    tensor = next((one for one in inputs if table.input in (None, one.name)), None)
    if tensor is None:
        raise InvalidModelError(f"audio.input is {table.input!r}, but the inputs are {found}.")
    if not tensor.datatype.is_float:
        raise InvalidModelError(
            f"The input {tensor} takes no sound: its values are no floats. Remove [audio]."
        )
    layout = table.layout or {1: "T", 2: "NT"}.get(len(tensor.shape))
    if layout is None or (len(layout) != len(tensor.shape) and not tensor.is_unranked):
        raise InvalidModelError(
            f"audio.layout must name each axis of the input {tensor}, such as NT for [recordings, samples], "
            "or NCT for [recordings, channels, samples]."
        )
    if "C" not in layout and not table.mono:
        raise InvalidModelError(
            f"audio.mono is false, but the layout {layout} has no axis for channels. Correct one of them."
        )
    return AudioSpec(
        source="model.toml",
        input=tensor.name,
        sampling_rate=table.sampling_rate,
        mono=table.mono,
        layout=layout,
    )
