"""The metadata that Ultralytics writes into the models that it exports."""

import ast
from collections.abc import Mapping
from typing import NamedTuple

from inferq.errors import InvalidModelError
from inferq.tensors.media_specs import DetectionSpec, ImagePreprocessing, ImageSpec
from inferq.tensors.signature import Tensor

_GREY = 114


class YoloModel(NamedTuple):
    """What the metadata says.

    Attributes:
        image: How pictures become the input.
        class_names: Names of the classes, by index.
        detections: Where boxes are found; None for a model that classifies.
    """

    image: ImageSpec
    class_names: list[str]
    detections: DetectionSpec | None


def is_yolo(metadata: Mapping[str, str]) -> bool:
    """Whether metadata is that of an export by Ultralytics."""
    return {"names", "task", "imgsz", "stride"} <= metadata.keys()


def read_yolo(metadata: Mapping[str, str], inputs: list[Tensor], outputs: list[Tensor]) -> YoloModel:
    """Reads the metadata of an export by Ultralytics.

    Args:
        metadata: All metadata in the file, texts by name.
        inputs: The model's inputs.
        outputs: Its outputs.

    Raises:
        InvalidModelError: It is no model for detection or classification, or its tensors are none of such a
            model; the message is a clause.
    """
    task = metadata["task"]
    if task not in ("detect", "classify"):
        raise InvalidModelError(f"its task is {task!r}, of which inferq knows 'detect' and 'classify' alone")
    names = _read_names(metadata["names"])
    if len(inputs) != 1 or len(inputs[0].shape) != 4 or inputs[0].shape[1] not in (-1, 3):
        found = ", ".join(map(str, inputs)) or "nothing"
        raise InvalidModelError(f"it takes {found}, expected pictures as [n, 3, height, width]")
    [tensor] = inputs
    size = _read_size(metadata["imgsz"], tensor)
    if task == "classify":
        if size[0] != size[1]:
            raise InvalidModelError(f"it classifies pictures of {size[0]} × {size[1]}, expected a square")
        steps = ImagePreprocessing(resize="shortest", size=size[:1], crop=size, scale=1 / 255)
        return YoloModel(_make_spec(tensor, steps), names, None)
    steps = ImagePreprocessing(
        resize="letterbox", size=size, antialias=False, pad_color=(_GREY,) * 3, scale=1 / 255
    )
    return YoloModel(_make_spec(tensor, steps), names, _find_boxes(metadata, outputs, len(names)))


def _make_spec(tensor: Tensor, steps: ImagePreprocessing) -> ImageSpec:
    return ImageSpec(source="metadata", input=tensor.name, preprocessing=steps)


def _find_boxes(metadata: Mapping[str, str], outputs: list[Tensor], classes: int) -> DetectionSpec:
    """Returns where boxes are found, by the shape of the output; how, by what the metadata says of it."""
    if len(outputs) == 1 and len(outputs[0].shape) == 3:
        _, second, third = outputs[0].shape
        is_suppressed = metadata.get("end2end") == "True" or _read_arguments(metadata).get("nms") is True
        if is_suppressed and third in (-1, 6):
            return DetectionSpec(source="metadata", output=outputs[0].name, form="boxes")
        if not is_suppressed and second in (-1, 4 + classes):
            return DetectionSpec(source="metadata", output=outputs[0].name, form="candidates")
    found = ", ".join(map(str, outputs))
    raise InvalidModelError(
        f"it gives {found}, expected boxes as [n, {4 + classes}, places], or as [n, boxes, 6] of a model "
        "with end2end or nms"
    )


def _read_names(text: str) -> list[str]:
    names = _read_literal(text, "names")
    if isinstance(names, list):
        names = dict(enumerate(names))
    if isinstance(names, dict) and names and sorted(names, key=str) == sorted(range(len(names)), key=str):
        return [str(names[index]) for index in range(len(names))]
    raise InvalidModelError("its 'names' are no names of classes from 0 on")


def _read_size(text: str, tensor: Tensor) -> tuple[int, int]:
    """Returns height and width: those of the input where they are fixed, else those of the metadata."""
    size = _read_literal(text, "imgsz")
    if isinstance(size, int):
        size = [size, size]
    if not isinstance(size, list | tuple) or len(size) != 2:
        raise InvalidModelError(f"its 'imgsz' is {text[:80]!r}, expected [height, width]")
    height, width = (
        fixed if fixed > 0 else given for fixed, given in zip(tensor.shape[2:], size, strict=True)
    )
    if not all(isinstance(length, int) and 0 < length <= 16_384 for length in (height, width)):
        raise InvalidModelError(f"its 'imgsz' is {text[:80]!r}, expected [height, width]")
    return height, width


def _read_arguments(metadata: Mapping[str, str]) -> dict[str, object]:
    arguments = _read_literal(metadata.get("args", "{}"), "args")
    return arguments if isinstance(arguments, dict) else {}


def _read_literal(text: str, key: str) -> object:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as error:
        raise InvalidModelError(f"its {key!r} cannot be read: {text[:80]!r}") from error
