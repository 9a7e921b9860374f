"""timm's `pretrained_cfg` in a `config.json`: how pictures were prepared, as `ImagePreprocessing`."""

import math
from typing import Any

from inferq.errors import InvalidModelError
from inferq.tensors.media_specs import ImagePreprocessing, Interpolation, Resize

_INTERPOLATIONS: tuple[Interpolation, ...] = ("nearest", "bilinear", "bicubic", "lanczos", "box", "hamming")


def read_timm_config(config: dict[str, Any], layout: str) -> ImagePreprocessing:
    """Returns the steps of timm's transforms for evaluation.

    Args:
        config: The parsed `pretrained_cfg`. Defaults are timm's own.
        layout: The axes of the model's input.

    Raises:
        InvalidModelError: It does something that is not known here; the message is a clause with the key.
    """
    channels, height, width = _read_input_size(config)
    resize, size = _read_resize(config, height, width)
    return ImagePreprocessing(
        color="RGB" if channels == 3 else "grey",
        resize=resize,
        size=size,
        interpolation=_read_interpolation(config),
        crop=(height, width),
        scale=1 / 255,
        pad_color=(0,) * channels,
        mean=_read_channels(config.get("mean", (0.485, 0.456, 0.406)), "mean", channels),
        std=_read_channels(config.get("std", (0.229, 0.224, 0.225)), "std", channels),
        layout=layout,
    )


def _read_input_size(config: dict[str, Any]) -> tuple[int, int, int]:
    size = config.get("input_size")
    are_lengths = isinstance(size, list) and all(type(one) is int and 0 < one <= 16_384 for one in size)
    if isinstance(size, list) and are_lengths and len(size) == 3 and size[0] in (1, 3):
        return size[0], size[1], size[2]
    raise InvalidModelError(f"its 'input_size' is {size!r}, expected [3, height, width]")


def _read_resize(config: dict[str, Any], height: int, width: int) -> tuple[Resize, tuple[int, ...]]:
    crop_pct = config.get("crop_pct", 0.875)
    if type(crop_pct) not in (int, float) or not 0.1 <= crop_pct <= 10:
        raise InvalidModelError(f"its 'crop_pct' is {crop_pct!r}, expected a positive number")
    mode = config.get("crop_mode") or "center"
    enlarged = (math.floor(height / crop_pct), math.floor(width / crop_pct))
    if mode == "center" and enlarged[0] == enlarged[1]:
        return "shortest", enlarged[:1]
    if mode == "squash":
        return "stretch", enlarged
    raise InvalidModelError(
        f"its 'crop_mode' is {mode!r} for a picture of {height} × {width}, which is not known here"
    )


def _read_interpolation(config: dict[str, Any]) -> Interpolation:
    given = config.get("interpolation", "bicubic")
    for known in _INTERPOLATIONS:
        if known == given:
            return known
    raise InvalidModelError(f"its 'interpolation' is {given!r}, which is not known here")


def _read_channels(value: Any, key: str, channels: int) -> tuple[float, ...]:  # noqa: ANN401 - any JSON value
    are_numbers = isinstance(value, list | tuple) and all(type(one) in (int, float) for one in value)
    if not are_numbers or len(value) != channels or not all(abs(one) < 1e6 for one in value):
        raise InvalidModelError(f"its {key!r} is {value!r}, expected {channels} numbers")
    if key == "std" and min(value) <= 0:
        raise InvalidModelError(f"its 'std' is {value!r}, expected positive numbers")
    return tuple(map(float, value))
