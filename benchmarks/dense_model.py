"""A model that only computes: a chain of matrix products, whose weights are random, from a seed."""

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def write_dense_model(folder: Path, sizes: Sequence[int], activation: Literal["Relu", "Tanh"]) -> None:
    """Writes the model as `model.onnx`: FP32 `x` [n, first size] to `y` [n, last size].

    Args:
        folder: Its folder, which is made.
        sizes: Values in a row before the first product, and after each.
        activation: ONNX's operator behind each product.
    """
    random = np.random.default_rng(7)
    nodes, weights, name = [], [], "x"
    for layer, (rows, columns) in enumerate(itertools.pairwise(sizes)):
        matrix = (random.standard_normal((rows, columns)) / np.sqrt(rows)).astype(np.float32)
        weights.append(numpy_helper.from_array(matrix, f"w{layer}"))
        into = "y" if layer == len(sizes) - 2 else f"a{layer}"
        nodes += [
            helper.make_node("MatMul", [name, f"w{layer}"], [f"m{layer}"]),
            helper.make_node(activation, [f"m{layer}"], [into]),
        ]
        name = into
    graph = helper.make_graph(
        nodes,
        "dense",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", sizes[0]])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", sizes[-1]])],
        weights,
    )
    folder.mkdir(parents=True)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, folder / "model.onnx")
