"""Models of any cost: a matrix product that is repeated."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

WIDTH = 16
"""Length of a row."""
_HIDDEN = 1024


def write_repeated_model(folder: Path, repetitions: int) -> None:
    """Writes a model, FP32 [n, 16] to [n, 16]; each repetition takes some 0.1 ms, more with more rows."""
    random_weights = np.random.default_rng(7)
    sizes = {"first": (WIDTH, _HIDDEN), "again": (_HIDDEN, _HIDDEN), "last": (_HIDDEN, WIDTH)}
    weights = [
        numpy_helper.from_array((random_weights.standard_normal(size) / 64).astype(np.float32), name)
        for name, size in sizes.items()
    ]
    weights.append(numpy_helper.from_array(np.array(repetitions, dtype=np.int64), "repetitions"))
    weights.append(numpy_helper.from_array(np.array(1, dtype=np.bool_), "goes_on"))
    hidden: list[str | int | None] = ["n", _HIDDEN]
    body = helper.make_graph(
        [
            helper.make_node("MatMul", ["before", "again"], ["product"]),
            helper.make_node("Tanh", ["product"], ["after"]),
            helper.make_node("Identity", ["condition"], ["still"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("number", TensorProto.INT64, []),
            helper.make_tensor_value_info("condition", TensorProto.BOOL, []),
            helper.make_tensor_value_info("before", TensorProto.FLOAT, hidden),
        ],
        [
            helper.make_tensor_value_info("still", TensorProto.BOOL, []),
            helper.make_tensor_value_info("after", TensorProto.FLOAT, hidden),
        ],
    )
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["x", "first"], ["h"]),
            helper.make_node("Loop", ["repetitions", "goes_on", "h"], ["repeated"], body=body),
            helper.make_node("MatMul", ["repeated", "last"], ["y"]),
        ],
        "repeated",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", WIDTH])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", WIDTH])],
        weights,
    )
    folder.mkdir(parents=True)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, folder / "model.onnx")
