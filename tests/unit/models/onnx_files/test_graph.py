"""What the graph of a file says beyond ONNX Runtime's signature."""

import tracemalloc

import numpy as np
import onnx
import pytest
from onnx import helper

from inferq.models.onnx_files.graph import GraphSummary, read_graph
from tests import onnx_models
from tests.onnx_models import FP32, INT64, value


def summary_of(folder):
    return read_graph(folder / "model.onnx")


def test_names_of_axes_are_those_in_the_file(tmp_path):
    summary = summary_of(onnx_models.write_image(tmp_path / "m"))
    assert summary.axis_names == {"image": ("n", None, "height", "width"), "colour": ("n", None)}
    assert summary.unranked == set()


def test_value_without_a_shape_is_told_from_a_single_value(tmp_path):
    folder = onnx_models.write(
        tmp_path / "m",
        [helper.make_node("Relu", ["any"], ["y"]), helper.make_node("Relu", ["single"], ["z"])],
        inputs=[value("any", FP32, None), value("single", FP32, [])],
        outputs=[value("y", FP32, None), value("z", FP32, [])],
    )
    summary = summary_of(folder)
    assert summary.unranked == {"any", "y"}
    assert summary.axis_names == {"single": (), "z": ()}


def test_input_that_has_an_initializer_is_overridable(tmp_path):
    folder = onnx_models.write(
        tmp_path / "m",
        [helper.make_node("Add", ["x", "bias"], ["y"])],
        inputs=[value("x", FP32, ["n"]), value("bias", FP32, [1])],
        outputs=[value("y", FP32, ["n"])],
        constants={"bias": np.ones(1, dtype=np.float32)},
    )
    assert summary_of(folder).overridable == {"bias"}


def test_external_files_are_found_in_initializers_attributes_and_sub_graphs(tmp_path):
    def outside(name, location):
        tensor = onnx.numpy_helper.from_array(np.zeros(2, dtype=np.float32), name)
        onnx.external_data_helper.set_external_data(tensor, location)
        tensor.ClearField("raw_data")
        return tensor

    def branch(name):
        node = helper.make_node("Constant", [], [name], value=outside("", f"in-{name}.bin"))
        return helper.make_graph([node], name, [], [value(name, FP32, [2])])

    nodes = [
        helper.make_node("If", ["is"], ["one"], then_branch=branch("yes"), else_branch=branch("no")),
        helper.make_node("Sum", ["one", "a", "b"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [value("is", onnx_models.BOOL, [])],
        [value("y", FP32, [2])],
        [outside("a", "weights"), outside("b", "weights")],
    )
    (tmp_path / "model.onnx").write_bytes(helper.make_model(graph).SerializeToString())
    assert summary_of(tmp_path).external_files == ("in-no.bin", "in-yes.bin", "weights")


@pytest.mark.parametrize("content", [b"", b"not a model", b"\x08", b"\x3a\x80\x80\x04" + b"\x0a" * 100])
def test_file_that_is_not_onnx_says_nothing(tmp_path, content):
    (tmp_path / "model.onnx").write_bytes(content)
    assert summary_of(tmp_path) == GraphSummary()


def test_file_cut_anywhere_says_something_or_nothing(tmp_path):
    file = onnx_models.write_image(tmp_path / "m") / "model.onnx"
    content = file.read_bytes()
    for length in range(len(content)):
        file.write_bytes(content[:length])
        assert isinstance(read_graph(file), GraphSummary)


def test_weights_are_not_read(tmp_path):
    big = np.zeros((1000, 25_000), dtype=np.float32)
    folder = onnx_models.write(
        tmp_path / "m",
        [helper.make_node("Gather", ["table", "ids"], ["y"])],
        inputs=[value("ids", INT64, ["n"])],
        outputs=[value("y", FP32, ["n", 25_000])],
        constants={"table": big},
    )

    tracemalloc.start()
    summary_of(folder)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1_000_000 < big.nbytes
