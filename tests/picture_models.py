"""ONNX models for pictures, each written into a folder of a model repository."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
from onnx import helper

from tests.onnx_models import FP32, Shape, value, write


def write_color_mean(
    folder: Path, shape: Shape = ("n", 3, "height", "width"), element: int = FP32, name: str = "pixel_values"
) -> Path:
    """Pictures, `shape`, to `logits`: the FP32 mean of each channel, [n, 3]."""
    channels_last = shape[-1] == 3
    return write(
        folder,
        [
            helper.make_node("Cast", [name], ["floats"], to=FP32),
            helper.make_node("ReduceMean", ["floats", "axes"], ["logits"], keepdims=0),
        ],
        inputs=[value(name, element, shape)],
        outputs=[value("logits", FP32, [shape[0], 3])],
        constants={"axes": np.array([1, 2] if channels_last else [2, 3])},
    )


def write_identity(folder: Path, shape: Shape, element: int = FP32) -> Path:
    """`x` of any shape to `y`, the same: shows what becomes of a file."""
    return write(
        folder,
        [helper.make_node("Identity", ["x"], ["y"])],
        inputs=[value("x", element, shape)],
        outputs=[value("y", element, shape)],
    )


def write_processor(folder: Path, **keys: object) -> None:
    """Writes `preprocessor_config.json`: that of a ViT, with other keys."""
    config = {"image_processor_type": "ViTImageProcessor", "size": {"height": 8, "width": 8}, **keys}
    (folder / "preprocessor_config.json").write_text(json.dumps(config))


def write_labels(folder: Path, names: list[str], **keys: object) -> None:
    """Writes a `config.json` of an image classifier."""
    config = {"architectures": ["ViTForImageClassification"], "id2label": dict(enumerate(names))} | keys
    (folder / "config.json").write_text(json.dumps(config))


def write_yolo(
    folder: Path, found: np.ndarray, metadata: Mapping[str, str], shape: Shape = (1, 3, 32, 32)
) -> Path:
    """Pictures as `images` to `output0`, which is always `found`, [1, …], once for each picture."""
    write(
        folder,
        [
            helper.make_node("ReduceMean", ["images", "axes"], ["means"], keepdims=1),
            helper.make_node("Mul", ["means", "nothing"], ["zeros"]),
            helper.make_node("Squeeze", ["zeros", "last"], ["rows"]),
            helper.make_node("Add", ["rows", "found"], ["output0"]),
        ],
        inputs=[value("images", FP32, shape)],
        outputs=[value("output0", FP32, [shape[0], *found.shape[1:]])],
        constants={
            "axes": np.array([1, 2, 3]),
            "nothing": np.zeros((), np.float32),
            "last": np.arange(found.ndim, 4),
            "found": found.astype(np.float32),
        },
    )
    model = onnx.load(folder / "model.onnx")
    helper.set_model_props(model, dict(metadata))
    onnx.save(model, folder / "model.onnx")
    return folder


def make_metadata(**changes: str) -> dict[str, str]:
    """What Ultralytics writes into a file."""
    return {
        "description": "Ultralytics YOLO11n model trained on coco8.yaml",
        "author": "Ultralytics",
        "stride": "32",
        "task": "detect",
        "batch": "1",
        "imgsz": "[32, 32]",
        "names": "{0: 'cat', 1: 'dog'}",
        "args": "{'batch': 1, 'half': False, 'dynamic': False, 'opset': None, 'nms': False}",
        "channels": "3",
    } | changes


def write_decoding(folder: Path, path: Path) -> Path:
    """Puts a decoder of onnxruntime-extensions before a model in `path`, by the package's own tool."""
    from onnxruntime_extensions.tools import add_pre_post_processing_to_model as tool

    folder.mkdir(parents=True)
    tool.mobilenet(path, folder / "model.onnx", tool.ModelSource.PYTORCH, 20)
    return folder
