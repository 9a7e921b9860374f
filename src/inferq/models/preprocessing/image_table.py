"""The table `[image]` of a model.toml: how pictures become an input."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

from inferq.errors import InvalidModelError
from inferq.tensors.media_inputs import find_layout, takes_pictures
from inferq.tensors.media_specs import Color, ImagePreprocessing, ImageSpec, Interpolation, Resize
from inferq.tensors.signature import Tensor

_Length = Annotated[int, Field(gt=0, le=16_384)]
_Byte = Annotated[int, Field(ge=0, le=255)]
type _Layout = Literal["NCHW", "NHWC", "NHW", "CHW", "HWC", "HW"]


class ImageTable(BaseModel):
    """The keys of `[image]`.

    Attributes:
        input: The input, where several may be meant.
        resize: How the picture gets its size.
        size: One length, or height and width.
        crop: The part in the middle that is kept: one length for both, or height and width.
        interpolation: The filter that resizes.
        antialias: Whether the filter grows with the scale.
        color: What each pixel is turned into.
        background: On which colour transparent pixels are laid: red, green, blue.
        pad_color: What fills a letterbox: one value, or one for each channel.
        scale: What the values from 0 to 255 are multiplied by.
        mean: What is subtracted then: one number, or one for each channel.
        std: What it is divided by at last.
        layout: The axes of the input.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    input: str | None = None
    resize: Resize
    size: _Length | Annotated[list[_Length], Field(min_length=2, max_length=2)] | None = None
    crop: _Length | Annotated[list[_Length], Field(min_length=2, max_length=2)] | None = None
    interpolation: Interpolation = "bilinear"
    antialias: bool = True
    color: Color | None = None
    background: Annotated[list[_Byte], Field(min_length=3, max_length=3)] | None = None
    pad_color: _Byte | list[_Byte] = 0
    scale: FiniteFloat | Literal["1/255"] | None = None
    mean: FiniteFloat | list[FiniteFloat] = 0.0
    std: Annotated[float, Field(gt=0)] | list[Annotated[float, Field(gt=0)]] = 1.0
    layout: _Layout | None = None


def read_image_table(table: ImageTable, inputs: list[Tensor]) -> ImageSpec:
    """Returns what a table says of a model with these inputs.

    Raises:
        InvalidModelError: It does not fit them, or contradicts itself; the message names the key.
    """
    if not table.antialias and table.interpolation != "bilinear":
        raise InvalidModelError('image.antialias = false needs interpolation = "bilinear". Correct one.')
    if table.crop is not None and table.resize == "letterbox":
        raise InvalidModelError("image.crop has no use where a letterbox shows all. Remove it.")
    tensor = _find_input(table, inputs)
    layout = table.layout or find_layout(tensor)
    if layout is None:
        raise InvalidModelError(
            f"image.layout is needed: the input {tensor} does not tell which of its axes are channels, "
            'height and width. Write it, such as layout = "NCHW".'
        )
    if len(layout) != len(tensor.shape) and not tensor.is_unranked:
        raise InvalidModelError(
            f"image.layout is {layout!r}, but the input {tensor} has {len(tensor.shape)} axes. Name each."
        )
    if "C" not in layout and table.color not in (None, "grey"):
        raise InvalidModelError(
            f"image.color is {table.color!r}, which has three channels, but image.layout {layout!r} has no "
            'axis for them. Write color = "grey", or a layout with C.'
        )
    channels = 1 if "C" not in layout else _find_channels(table, layout, tensor)
    scale = _find_scale(table, tensor)
    steps = ImagePreprocessing(
        color=table.color or ("grey" if channels == 1 else "RGB"),
        background=None if table.background is None else tuple(table.background),
        resize=table.resize,
        size=_find_size(table, layout, tensor),
        interpolation=table.interpolation,
        antialias=table.antialias,
        pad_color=_repeat("pad_color", table.pad_color, channels),
        crop=None if table.crop is None else _make_pair(table.crop),
        scale=scale,
        mean=_repeat("mean", table.mean, channels),
        std=_repeat("std", table.std, channels),
        layout=layout,
    )
    misfit = find_misfit(steps, tensor)
    if misfit is not None:
        raise InvalidModelError(f"[image] does not fit: {misfit}. Correct size, crop, color or layout.")
    return ImageSpec(source="model.toml", input=tensor.name, preprocessing=steps)


def find_misfit(steps: ImagePreprocessing, tensor: Tensor) -> str | None:
    """Returns why what the steps make of pictures does not fit an input, as a clause; None if it does."""
    if tensor.is_unranked:
        return None
    if len(tensor.shape) != len(steps.layout):
        return f"pictures have the axes {steps.layout}, but the input {tensor} has {len(tensor.shape)}"
    shape = steps.shape
    for axis, length, expected in zip(steps.layout, shape, tensor.shape, strict=True):
        if expected >= 0 and length not in (expected, -1):
            return (
                f"pictures become {steps.layout} {shape}, but axis {axis} of the input {tensor} is {expected}"
            )
    is_open = any(tensor.shape[steps.layout.index(axis)] >= 0 for axis in "HW")
    if steps.resize == "shortest" and steps.crop is None and is_open:
        return f'"shortest" without a crop leaves the longer edge open, but not so the input {tensor}'
    return None


def _find_input(table: ImageTable, inputs: list[Tensor]) -> Tensor:
    found = ", ".join(map(str, inputs)) or "none"
    if table.input is not None:
        for tensor in inputs:
            if tensor.name == table.input:
                return tensor
        raise InvalidModelError(f"image.input is {table.input!r}, but the inputs are {found}.")
    fitting = [tensor for tensor in inputs if takes_pictures(tensor)]
    if len(inputs) == 1:
        return inputs[0]
    if len(fitting) == 1:
        return fitting[0]
    raise InvalidModelError(f"image.input is needed: it names the input for pictures. There are {found}.")


def _find_channels(table: ImageTable, layout: str, tensor: Tensor) -> int:
    if table.color is not None:
        return 1 if table.color == "grey" else 3
    position = layout.index("C")
    channels = tensor.shape[position] if position < len(tensor.shape) else -1
    if channels in (1, 3):
        return channels
    raise InvalidModelError(
        f"image.color is needed, since the input {tensor} does not have 1 or 3 channels at the axis C of "
        f'{layout}. Write "RGB", "BGR" or "grey", or another layout.'
    )


def _find_size(table: ImageTable, layout: str, tensor: Tensor) -> tuple[int, ...] | None:
    size = table.size
    if table.resize == "none":
        if size is not None:
            raise InvalidModelError('image.size has no use where resize is "none". Remove one of them.')
        return None
    if table.resize == "shortest":
        if not isinstance(size, int):
            raise InvalidModelError('image.size must be one length where resize is "shortest".')
        return (size,)
    if size is not None:
        return _make_pair(size)
    if len(layout) == len(tensor.shape):
        height, width = (tensor.shape[layout.index(axis)] for axis in "HW")
        if height > 0 and width > 0:
            return height, width
    raise InvalidModelError(
        f"image.size is needed, since the input {tensor} has no fixed height and width. Write size = "
        "[height, width]."
    )


def _find_scale(table: ImageTable, tensor: Tensor) -> float:
    if tensor.datatype.is_float:
        if table.scale is None:
            raise InvalidModelError(
                f'image.scale is needed for the input {tensor}. Write scale = "1/255" where the model takes '
                "values from 0 to 1 before mean and std, scale = 1 where it takes those from 0 to 255."
            )
        return 1 / 255 if table.scale == "1/255" else float(table.scale)
    if tensor.datatype != "UINT8":
        raise InvalidModelError(
            f"The input {tensor} takes no pictures. Expected FP16, FP32, FP64, or UINT8, which takes pixels "
            "as they are."
        )
    if table.scale not in (None, 1) or table.mean != 0 or table.std != 1:
        raise InvalidModelError(
            f"The input {tensor} takes pixels as they are. Remove scale, mean and std from [image]."
        )
    return 1.0


def _make_pair(size: int | list[int]) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else (size[0], size[1])


def _repeat[Number: (int, float)](
    key: str, value: Number | list[Number], channels: int
) -> tuple[Number, ...]:
    if not isinstance(value, list):
        return (value,) * channels
    if len(value) != channels:
        raise InvalidModelError(
            f"image.{key} has {len(value)} values, but there are {channels} channels. Write one for each."
        )
    return tuple(value)
