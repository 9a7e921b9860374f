"""The models of these measures, the same files for inferq and all peers; weights are random, from a seed."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from benchmarks.processes import ROOT

PICTURE = (3, 224, 224)
"""One picture, FP32: 602,112 bytes."""
LARGE_OUTPUT = (21, 512, 512)
"""What a model for segmentation answers for a picture, FP32: 22 MB."""
TRIVIAL, CNN, LARGE = "mean", "cnn", "segments"

_CLASSES = 1000
_CONVOLUTIONS = 4
_CHANNELS = (64, 128, 256, 512)


def write_models(folder: Path) -> None:
    """Writes models as `{name}/model.onnx`, from `image` [n, …] to `output` [n, …], FP32; and copies iris."""
    axes = numpy_helper.from_array(np.array([2, 3]), "axes")
    mean = helper.make_node("ReduceMean", ["image", "axes"], ["output"], keepdims=0)
    _save(folder / TRIVIAL, [mean], PICTURE, (3,), [axes])
    _write_cnn(folder / CNN)
    values = np.random.default_rng(7).standard_normal((1, *LARGE_OUTPUT)).astype(np.float32)
    add = helper.make_node("Add", ["image", "values"], ["output"])
    shutil.copytree(ROOT / "models" / "iris", folder / "iris")
    _save(folder / LARGE, [add], (21, 1, 1), LARGE_OUTPUT, [numpy_helper.from_array(values, "values")])


def _write_cnn(folder: Path) -> None:
    """A chain of convolutions with the work of ResNet18: 1.8 billion multiplications a picture."""
    random = np.random.default_rng(7)
    nodes: list[onnx.NodeProto] = []
    weights: list[onnx.TensorProto] = []
    name, channels = "image", PICTURE[0]

    def add(into: int, size: int, stride: int) -> None:
        nonlocal name, channels
        number = len(weights)
        spread = np.sqrt(2 / (channels * size * size))
        kernel = random.standard_normal((into, channels, size, size)) * spread
        weights.append(numpy_helper.from_array(kernel.astype(np.float32), f"w{number}"))
        pads, strides = [size // 2] * 4, [stride] * 2
        nodes.append(
            helper.make_node("Conv", [name, f"w{number}"], [f"c{number}"], pads=pads, strides=strides)
        )
        nodes.append(helper.make_node("Relu", [f"c{number}"], [f"r{number}"]))
        name, channels = f"r{number}", into

    add(_CHANNELS[0], 7, 4)
    for stage, into in enumerate(_CHANNELS):
        for convolution in range(_CONVOLUTIONS):
            add(into, 3, 2 if stage and not convolution else 1)
    matrix = random.standard_normal((channels, _CLASSES)) / np.sqrt(channels)
    weights.append(numpy_helper.from_array(matrix.astype(np.float32), "classes"))
    nodes += [
        helper.make_node("GlobalAveragePool", [name], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["features"]),
        helper.make_node("MatMul", ["features", "classes"], ["output"]),
    ]
    _save(folder, nodes, PICTURE, (_CLASSES,), weights)


def _save(
    folder: Path,
    nodes: Sequence[onnx.NodeProto],
    taken: Sequence[int],
    answered: Sequence[int],
    weights: Sequence[onnx.TensorProto],
) -> None:
    image, output = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", *shape])
        for name, shape in (("image", taken), ("output", answered))
    )
    graph = helper.make_graph(list(nodes), folder.name, [image], [output], list(weights))
    folder.mkdir(parents=True)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.save(model, folder / "model.onnx")
