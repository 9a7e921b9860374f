"""Hugging Face's `preprocessor_config.json`: what an image processor does, as `ImagePreprocessing`.

The subset for classification: processors that resize, crop, rescale and normalize. Those steps are done as
the processors with Pillow do them (`…ImageProcessorPil`, and those once called slow); the ones with
torchvision differ in the last digits. A key that changes anything else is refused by its name.
"""

from dataclasses import dataclass
from typing import Any

from inferq.errors import InvalidModelError
from inferq.tensors.media_specs import ImagePreprocessing, Interpolation

_RESAMPLE: dict[int, Interpolation] = {
    0: "nearest",
    1: "lanczos",
    2: "bilinear",
    3: "bicubic",
    4: "box",
    5: "hamming",
}
_HALF = (0.5, 0.5, 0.5)
_IMAGENET_MEAN, _IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
_CLIP_STD = (0.26862954, 0.26130258, 0.27577711)

_FOLLOWED = {
    "do_resize",
    "size",
    "resample",
    "do_center_crop",
    "crop_size",
    "do_rescale",
    "rescale_factor",
    "do_normalize",
    "image_mean",
    "image_std",
    "crop_pct",
    "do_flip_channel_order",
}
_WITHOUT_EFFECT = {
    "image_processor_type",
    "feature_extractor_type",
    "processor_class",
    "_processor_class",
    "_valid_processor_keys",
    "do_convert_rgb",  # pictures are RGB here
    "do_reduce_labels",  # of the maps that segmentation is trained with
    "reduce_labels",
    "default_to_square",
    "disable_grouping",
    "device",
    "return_tensors",
    "image_seq_length",
}


@dataclass(frozen=True, slots=True)
class _Processor:
    """What a class of processors does where its file says nothing.

    Attributes:
        size: Its size.
        is_square: Whether a size of one number is height and width; else it is the shorter edge.
        crop: Height and width of its crop; None for one that crops only where its file says so.
        resample: Pillow's number of its filter; None where versions differ.
        mean: What it subtracts.
        std: What it divides by.
        normalizes: Whether it does either.
        is_bgr: Whether it turns the channels round.
        enlarges: How it makes the shorter edge longer than `size`: by `crop_pct`, by 256/224, or not at all.
    """

    size: int
    is_square: bool = False
    crop: int | None = None
    resample: int | None = None
    mean: tuple[float, ...] = _HALF
    std: tuple[float, ...] = _HALF
    normalizes: bool = True
    is_bgr: bool = False
    enlarges: str = ""


_CLIP = _Processor(224, crop=224, resample=3, mean=_CLIP_MEAN, std=_CLIP_STD)
_MOBILENET = _Processor(256, crop=224, resample=2)
_PROCESSORS = {
    "ViT": _Processor(224, is_square=True, resample=2),
    "DeiT": _Processor(256, is_square=True, crop=224, resample=3),
    "Beit": _Processor(224, is_square=True, resample=3),
    "Siglip": _Processor(224, is_square=True, resample=3),
    "CLIP": _CLIP,
    "Bit": _CLIP,
    "MobileNetV1": _MOBILENET,
    "MobileNetV2": _MOBILENET,
    "MobileViT": _Processor(224, crop=256, normalizes=False, is_bgr=True),
    "Levit": _Processor(
        224, crop=224, resample=3, mean=_IMAGENET_MEAN, std=_IMAGENET_STD, enlarges="256/224"
    ),
    "ConvNext": _Processor(384, enlarges="crop_pct"),
}


def read_image_processor(config: dict[str, Any], layout: str) -> ImagePreprocessing:
    """Returns the steps of an image processor.

    Args:
        config: The parsed `preprocessor_config.json`.
        layout: The axes of the model's input.

    Raises:
        InvalidModelError: It does something that is not known here; the message is a clause with the key.
    """
    kind, processor = _find_processor(config)
    for key, value in config.items():
        if key not in _FOLLOWED | _WITHOUT_EFFECT and value not in (None, False, {}, []):
            if (key, value) in (("data_format", "channels_first"), ("size_divisor", 1)):
                continue
            raise InvalidModelError(f"it has {key!r} ({_shorten(value)}), which is not known here")
    resize, size, crop = _read_sizes(config, processor, kind)
    does_normalize = _read_flag(config, "do_normalize", default=processor.normalizes)
    does_rescale = _read_flag(config, "do_rescale", default=True)
    scale = _read_number(config, "rescale_factor", 1 / 255) if does_rescale else 1.0
    channels = 3
    return ImagePreprocessing(
        color="BGR" if _read_flag(config, "do_flip_channel_order", default=processor.is_bgr) else "RGB",
        resize=resize,
        size=size,
        interpolation=_read_resample(config, processor) if resize != "none" else "bilinear",
        crop=crop,
        crop_rounding="down",
        scale=scale,
        mean=_read_numbers(config, "image_mean", processor.mean) if does_normalize else (0.0,) * channels,
        std=_read_numbers(config, "image_std", processor.std) if does_normalize else (1.0,) * channels,
        layout=layout,
    )


def _find_processor(config: dict[str, Any]) -> tuple[str, _Processor]:
    name = config.get("image_processor_type") or config.get("feature_extractor_type")
    if name is None:
        return "", _check_is_complete(config)
    kind = str(name)
    for ending in ("ImageProcessorFast", "ImageProcessorPil", "ImageProcessor", "FeatureExtractor"):
        kind = kind.removesuffix(ending)
    if kind not in _PROCESSORS:
        known = ", ".join(f"{known}ImageProcessor" for known in _PROCESSORS)
        raise InvalidModelError(f"{_shorten(name)} is no image processor that is known here ({known})")
    return kind, _PROCESSORS[kind]


def _check_is_complete(config: dict[str, Any]) -> _Processor:
    """Returns a processor without defaults, for a file that names no class but says all it does."""
    needed = {"do_resize": ("size", "resample"), "do_center_crop": ("crop_size",)}
    needed |= {"do_normalize": ("image_mean", "image_std"), "do_rescale": ("rescale_factor",)}
    for flag, keys in needed.items():
        for key in (flag, *(keys if config.get(flag) else ())):
            if key not in config:
                raise InvalidModelError(f"it has neither image_processor_type nor {key!r}")
    return _Processor(0)


def _read_sizes(
    config: dict[str, Any], processor: _Processor, kind: str
) -> tuple[Any, tuple[int, ...] | None, tuple[int, int] | None]:
    """Returns how pictures are resized, to which size, and what is kept of them."""
    crops = _read_flag(config, "do_center_crop", default=processor.crop is not None)
    crop = _read_pair(config.get("crop_size", processor.crop), "crop_size") if crops else None
    if not _read_flag(config, "do_resize", default=True):
        return "none", None, crop
    given = config.get("size", processor.size)
    if isinstance(given, dict):
        given = {key: value for key, value in given.items() if value is not None}
        if given.keys() == {"shortest_edge"}:
            shortest = _read_length(given["shortest_edge"], "size")
        else:
            return "stretch", _read_pair(given, "size"), crop
    elif processor.is_square or isinstance(given, list):
        return "stretch", _read_pair(given, "size"), crop
    else:
        shortest = _read_length(given, "size")
    if "crop_pct" in config and processor.enlarges != "crop_pct" and config["crop_pct"] is not None:
        raise InvalidModelError(f"it has 'crop_pct', which is not known here of {kind or 'no'}ImageProcessor")
    if processor.enlarges == "crop_pct":
        if shortest >= 384:
            return "stretch", (shortest, shortest), crop
        if crop is not None:
            raise InvalidModelError("it crops twice, by 'crop_pct' and by 'crop_size'")
        enlarged = int(shortest / _read_number(config, "crop_pct", 224 / 256))
        return "shortest", (enlarged,), (shortest, shortest)
    if processor.enlarges == "256/224":
        shortest = int(256 / 224 * shortest)
    return "shortest", (shortest,), crop


def _read_resample(config: dict[str, Any], processor: _Processor) -> Interpolation:
    number = config.get("resample", processor.resample)
    if type(number) is int and number in _RESAMPLE:
        return _RESAMPLE[number]
    raise InvalidModelError(f"its 'resample' is {_shorten(number)}, expected a number from 0 to 5")


def _read_flag(config: dict[str, Any], key: str, *, default: bool) -> bool:
    value = config.get(key)
    if value is None:
        return default
    if isinstance(value, bool):
        return value
    raise InvalidModelError(f"its {key!r} is {_shorten(value)}, expected true or false")


def _read_number(config: dict[str, Any], key: str, default: float) -> float:
    value = config.get(key, default)
    if type(value) in (int, float) and 0 < value < 1e6:
        return float(value)
    raise InvalidModelError(f"its {key!r} is {_shorten(value)}, expected a positive number")


def _read_numbers(config: dict[str, Any], key: str, default: tuple[float, ...]) -> tuple[float, ...]:
    value = config.get(key, default)
    numbers = [value] * 3 if type(value) in (int, float) else value
    are_numbers = isinstance(numbers, list | tuple) and all(type(one) in (int, float) for one in numbers)
    if not are_numbers or len(numbers) != 3 or not all(abs(one) < 1e6 for one in numbers):
        raise InvalidModelError(f"its {key!r} is {_shorten(value)}, expected a number for each of 3 channels")
    if key == "image_std" and min(numbers) <= 0:
        raise InvalidModelError(f"its {key!r} is {_shorten(value)}, expected positive numbers")
    return tuple(map(float, numbers))


def _read_pair(value: object, key: str) -> tuple[int, int]:
    if isinstance(value, dict) and value.keys() == {"height", "width"}:
        return _read_length(value["height"], key), _read_length(value["width"], key)
    if isinstance(value, list | tuple) and len(value) == 2:
        return _read_length(value[0], key), _read_length(value[1], key)
    length = _read_length(value, key)
    return length, length


def _read_length(value: object, key: str) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= 16_384:
        return value
    raise InvalidModelError(f"its {key!r} is {_shorten(value)}, which is not known here")


def _shorten(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:80]}…"
