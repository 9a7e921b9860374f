"""Where the pixels of a picture come to lie in the input of a model."""

from dataclasses import dataclass
from typing import NamedTuple

from inferq.tensors.media_specs import ImagePreprocessing


class Frame(NamedTuple):
    """How a picture lies in an input: a point at x is found there at `x * scale_x + left`.

    Attributes:
        width: The picture's own width in pixels, as people see it.
        height: Its height.
        scale_x: By how much it was made wider.
        scale_y: By how much it was made higher.
        left: Where its left edge lies; negative where it was cut off.
        top: Where its upper edge lies.
    """

    width: int
    height: int
    scale_x: float
    scale_y: float
    left: int
    top: int


@dataclass(frozen=True, slots=True)
class PicturePlan:
    """What is done with a picture of a certain size.

    Attributes:
        resized: Width and height that it gets.
        canvas: Height and width of the input.
        frame: How it lies there.
    """

    resized: tuple[int, int]
    canvas: tuple[int, int]
    frame: Frame


def plan_picture(width: int, height: int, steps: ImagePreprocessing) -> PicturePlan:
    """Returns what is done with a picture.

    Args:
        width: Its width in pixels, at least 1.
        height: Its height.
        steps: What the model needs.
    """
    scale_x = scale_y = 1.0
    resized, size = (width, height), steps.size or ()
    if steps.resize == "shortest":
        scale_x = scale_y = size[0] / min(width, height)
        longer = int(size[0] * max(width, height) / min(width, height))
        resized = (size[0], longer) if width <= height else (longer, size[0])
    elif steps.resize == "stretch":
        resized = (size[-1], size[0])
        scale_x, scale_y = resized[0] / width, resized[1] / height
    elif steps.resize == "letterbox":
        scale_x = scale_y = min(size[0] / height, size[-1] / width)
        resized = (max(1, round(width * scale_x)), max(1, round(height * scale_y)))
        # a pixel more goes below and to the right, as Ultralytics has it
        top, left = (round((full - part) / 2 - 0.1) for full, part in zip(size, resized[::-1], strict=True))
        return PicturePlan(
            resized, (size[0], size[-1]), Frame(width, height, scale_x, scale_y, left=left, top=top)
        )
    canvas = steps.crop or (resized[1], resized[0])
    top, left = (
        -_find_crop(length, kept, steps.crop_rounding)
        for length, kept in zip(resized[::-1], canvas, strict=True)
    )
    return PicturePlan(resized, canvas, Frame(width, height, scale_x, scale_y, left=left, top=top))


def _find_crop(length: int, kept: int, rounding: str) -> int:
    """Returns where the middle part begins; negative where it is longer than all."""
    if rounding == "down":
        return (length - kept) // 2
    return round((length - kept) / 2) if length >= kept else -((kept - length) // 2)
