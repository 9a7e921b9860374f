"""The models with which `benchmarks.gpu` checks a provider; their weights are random, from a seed."""

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from benchmarks.dense_model import write_dense_model
from benchmarks.processes import ROOT

FEATURES = 16
"""Values in a row of the heavy model: few, so that a card computes more than it waits for data."""
HEAVY = "heavy"

_FLOAT, _HALF, _INT = TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.INT64
_WORDS, _TOKENS, _WIDTH, _HEADS = 500, 16, 64, 4


def write_models(folder: Path, hidden: int) -> dict[str, Callable[[int], dict[str, npt.NDArray[np.generic]]]]:
    """Writes models as `{name}/model.onnx`, and copies iris and the digits of the documents.

    Args:
        folder: The model repository.
        hidden: Width of the heavy model's layers.

    Returns:
        By the name of each model, what makes its inputs for a number of rows.
    """
    random = np.random.default_rng(11)
    shutil.copytree(ROOT / "models" / "iris", folder / "iris")
    shutil.copytree(ROOT / "docs" / "examples" / "digits", folder / "digits")
    _write_convolutions(folder / "convolutions")
    _write_attention(folder / "attention")
    _write_half(folder / "half")
    write_dense_model(folder / HEAVY, [FEATURES, *[hidden] * 4, FEATURES], "Tanh")

    def make_floats(name: str, *shape: int) -> Callable[[int], dict[str, npt.NDArray[np.generic]]]:
        return lambda rows: {name: random.random((rows, *shape), dtype=np.float32)}

    return {
        "iris": make_floats("features", 4),
        "digits": make_floats("pixels", 1, 8, 8),
        "convolutions": make_floats("x", 3, 64, 64),
        "attention": lambda rows: {"tokens": random.integers(0, _WORDS, (rows, _TOKENS))},
        "half": lambda rows: {"x": random.random((rows, 128), dtype=np.float32).astype(np.float16)},
        HEAVY: make_floats("x", FEATURES),
    }


def _write_convolutions(folder: Path) -> None:
    """FP32 pictures [n, 3, 64, 64] to the probabilities of ten classes."""
    nodes, weights, name = [], {}, "x"
    for layer, (given, made) in enumerate([(3, 32), (32, 64), (64, 64), (64, 128)]):
        weights[f"w{layer}"] = _draw(made, given, 3, 3, inputs=9 * given)
        strides = [1 + layer % 2] * 2
        nodes.append(
            helper.make_node("Conv", [name, f"w{layer}"], [f"c{layer}"], pads=[1] * 4, strides=strides)
        )
        nodes.append(helper.make_node("Relu", [f"c{layer}"], [name := f"r{layer}"]))
    weights["last"] = _draw(128, 10)
    nodes += [
        helper.make_node("GlobalAveragePool", [name], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("MatMul", ["flat", "last"], ["scores"]),
        helper.make_node("Softmax", ["scores"], ["y"]),
    ]
    _save(folder, nodes, ("x", _FLOAT, [3, 64, 64]), ("y", _FLOAT, [10]), weights)


def _write_attention(folder: Path) -> None:
    """Token numbers, INT64 [n, 16], to FP32 [n, 16, 64]: an embedding, one layer of attention, its norm."""
    weights = {"words": _draw(_WORDS, _WIDTH, inputs=1)}
    weights |= {name: _draw(_WIDTH, _WIDTH) for name in ("wq", "wk", "wv", "wo")}
    weights |= {"one": np.ones(_WIDTH, "f4"), "nought": np.zeros(_WIDTH, "f4")}
    weights["scale"] = np.array((_WIDTH / _HEADS) ** -0.5, "f4")
    weights["heads"] = np.array([0, _TOKENS, _HEADS, _WIDTH // _HEADS])
    weights["joined"] = np.array([0, _TOKENS, _WIDTH])
    nodes = [helper.make_node("Gather", ["words", "tokens"], ["e"])]
    for part, turn in (("q", [0, 2, 1, 3]), ("k", [0, 2, 3, 1]), ("v", [0, 2, 1, 3])):
        nodes += [
            helper.make_node("MatMul", ["e", f"w{part}"], [f"{part}1"]),
            helper.make_node("Reshape", [f"{part}1", "heads"], [f"{part}2"]),
            helper.make_node("Transpose", [f"{part}2"], [part], perm=turn),
        ]
    nodes += [
        helper.make_node("MatMul", ["q", "k"], ["s1"]),
        helper.make_node("Mul", ["s1", "scale"], ["s2"]),
        helper.make_node("Softmax", ["s2"], ["s"]),
        helper.make_node("MatMul", ["s", "v"], ["a1"]),
        helper.make_node("Transpose", ["a1"], ["a2"], perm=[0, 2, 1, 3]),
        helper.make_node("Reshape", ["a2", "joined"], ["a3"]),
        helper.make_node("MatMul", ["a3", "wo"], ["a"]),
        helper.make_node("Add", ["a", "e"], ["sum"]),
        helper.make_node("LayerNormalization", ["sum", "one", "nought"], ["y"]),
    ]
    _save(folder, nodes, ("tokens", _INT, [_TOKENS]), ("y", _FLOAT, [_TOKENS, _WIDTH]), weights)


def _write_half(folder: Path) -> None:
    """FP16 [n, 128] to FP16 [n, 32]: a matrix product."""
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y"])]
    weights = {"w": _draw(128, 32).astype(np.float16)}
    _save(folder, nodes, ("x", _HALF, [128]), ("y", _HALF, [32]), weights)


def _draw(*shape: int, inputs: int | None = None) -> npt.NDArray[np.float32]:
    """Draws weights that keep the size of values, for so many inputs of each output."""
    random = np.random.default_rng(sum(shape))
    return random.standard_normal(shape, np.float32) / np.float32((inputs or shape[0]) ** 0.5)


def _save(
    folder: Path,
    nodes: Sequence[onnx.NodeProto],
    given: tuple[str, int, list[int]],
    made: tuple[str, int, list[int]],
    weights: Mapping[str, npt.NDArray[np.generic]],
) -> None:
    ends = [
        helper.make_tensor_value_info(name, element, ["n", *shape]) for name, element, shape in (given, made)
    ]
    constants = [
        numpy_helper.from_array(np.ascontiguousarray(array), name) for name, array in weights.items()
    ]
    graph = helper.make_graph(list(nodes), folder.name, ends[:1], ends[1:], constants)
    folder.mkdir(parents=True)
    opsets = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=9), folder / "model.onnx")
