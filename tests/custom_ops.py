"""A real library of a custom operator, built when a test needs it, and models that use it."""

import shutil
import subprocess
from pathlib import Path

import pytest
from onnx import helper

from tests.onnx_models import FP32, value

SOURCE = Path(__file__).with_suffix(".c")


def build_library(path: Path, *options: str) -> Path:
    """Builds tests/custom_ops.c; the test is skipped where there is no C compiler."""
    compiler = shutil.which("cc") or pytest.skip("there is no C compiler (cc)")
    path.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(
        [compiler, "-std=gnu11", "-w", "-shared", "-fPIC", *options, "-o", path, SOURCE], check=True
    )
    return path


def write_twice(folder: Path, operator: str = "Twice", config: str = "") -> Path:
    """FP32 [n, 2]: doubles it, by the operator of the library."""
    node = helper.make_node(operator, ["x"], ["y"], domain="test.inferq")
    graph = helper.make_graph([node], folder.name, [value("x", FP32, ["n", 2])], [value("y", FP32, ["n", 2])])
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("test.inferq", 1)]
    folder.mkdir(parents=True, exist_ok=True)
    # ONNX cannot check what it does not know
    (folder / "model.onnx").write_bytes(
        helper.make_model(graph, opset_imports=opsets, ir_version=9).SerializeToString()
    )
    if config:
        (folder / "model.toml").write_text(config)
    return folder
