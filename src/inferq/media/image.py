"""From the file of a picture to the input of a model."""

import numpy as np
import numpy.typing as npt
from PIL import Image

from inferq.media.bilinear import resize_bilinear
from inferq.media.geometry import Frame, PicturePlan, plan_picture
from inferq.media.picture_file import Pixels, check_pixels, decode_picture
from inferq.tensors.media_specs import ImagePreprocessing
from inferq.tensors.values import Buffer

type Values = npt.NDArray[np.generic]

_FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "box": Image.Resampling.BOX,
    "bilinear": Image.Resampling.BILINEAR,
    "hamming": Image.Resampling.HAMMING,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


def read_image(
    data: Buffer, steps: ImagePreprocessing, dtype: np.dtype[np.generic], max_pixels: int | None
) -> tuple[Values, Frame]:
    """Returns a picture as the input of a model.

    Args:
        data: The file.
        steps: What is done with it.
        dtype: Type of the input: floats, or `uint8`, which takes the pixels as they are.
        max_pixels: Most pixels of a picture, before and after it is resized; None for no limit.

    Returns:
        The input, with an axis of one where the layout has N; and how the picture lies there.

    Raises:
        InvalidInputError: It cannot be decoded, or has too many pixels.
    """
    pixels = decode_picture(data, steps.color, steps.background, max_pixels)
    plan = plan_picture(pixels.shape[1], pixels.shape[0], steps)
    check_pixels(*plan.resized, max_pixels)  # a narrow picture may grow without bound
    pixels = _fill(_resize(pixels, plan.resized, steps), plan, steps)
    return _arrange(pixels, steps, dtype), plan.frame


def _resize(pixels: Pixels, size: tuple[int, int], steps: ImagePreprocessing) -> Pixels:
    if size == (pixels.shape[1], pixels.shape[0]):
        return pixels
    if not steps.antialias:
        return resize_bilinear(pixels, size)
    image = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else np.ascontiguousarray(pixels))
    resized = np.asarray(image.resize(size, _FILTERS[steps.interpolation]))
    return resized.reshape(size[1], size[0], pixels.shape[2])


def _fill(pixels: Pixels, plan: PicturePlan, steps: ImagePreprocessing) -> Pixels:
    """Returns the part of a picture that the input shows, and fills what it does not cover."""
    (height, width), frame = plan.canvas, plan.frame
    top, left = max(0, -frame.top), max(0, -frame.left)
    part = pixels[top : height - frame.top, left : width - frame.left]
    if part.shape[:2] == (height, width):
        return part
    canvas = np.empty((height, width, pixels.shape[2]), dtype=np.uint8)
    canvas[:] = steps.pad_color
    top, left = max(0, frame.top), max(0, frame.left)
    canvas[top : top + part.shape[0], left : left + part.shape[1]] = part
    return canvas


def _arrange(pixels: Pixels, steps: ImagePreprocessing, dtype: np.dtype[np.generic]) -> Values:
    """Returns pixels in the layout of the input, scaled and normalized."""
    axes = steps.layout.replace("N", "")
    channels_first = axes.startswith("C")
    height, width, channels = pixels.shape
    values: Values = np.empty((channels, height, width) if channels_first else pixels.shape, dtype)
    for channel in range(channels):
        into = values[channel] if channels_first else values[:, :, channel]
        _normalize(pixels[:, :, channel], into, steps, channel)
    if "C" not in axes:
        values = values[:, :, 0]
    return values[np.newaxis] if "N" in steps.layout else values


def _normalize(pixels: Pixels, into: Values, steps: ImagePreprocessing, channel: int) -> None:
    """Writes `(pixels * scale - mean) / std` of one channel."""
    factor, offset = steps.scale / steps.std[channel], -steps.mean[channel] / steps.std[channel]
    if factor == 1 and offset == 0:
        into[...] = pixels
        return
    single = into.dtype != np.float64
    values = np.multiply(pixels, factor, dtype=np.float32 if single else np.float64)
    np.add(values, offset, out=into, casting="same_kind")
