"""Whether rows depend on each other, told from graphs; each verdict is what the model does when it is run."""

from itertools import pairwise

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    quantize_dynamic,
    quantize_static,
)
from skl2onnx import to_onnx
from skl2onnx.common.data_types import StringTensorType
from sklearn.datasets import load_iris
from sklearn.discriminant_analysis import QuadraticDiscriminantAnalysis
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier, StackingClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.mixture import GaussianMixture
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from inferq.models.onnx_files.graph import read_graph
from tests import onnx_models
from tests.onnx_models import BOOL, FP32, INT64, value

node = helper.make_node
FIRST, SECOND = np.array([0]), np.array([1])


def dependence(path, nodes, *, shape=("n", 3), element=FP32, opset=20, constants=None, functions=()):
    """The verdict on a graph from `x` to `y`."""
    graph = helper.make_graph(
        nodes,
        "g",
        [value("x", element, shape)],
        [helper.make_empty_tensor_value_info("y")],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in (constants or {}).items()],
    )
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("ai.onnx.ml", 3)]
    opsets += [helper.make_opsetid(domain, 1) for domain in ("com.microsoft", "own")]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10, functions=list(functions))
    (path / "model.onnx").write_bytes(model.SerializeToString())
    return read_graph(path / "model.onnx").dependence


def mix(operator, *more, how, shape=("n", 3), opset=20, constants=None, **attributes):
    """A case whose only node mixes rows."""
    one = node(operator, ["x", *more], ["y"], name="it", **attributes)
    return pytest.param([one], how, {"shape": shape, "opset": opset, "constants": constants}, id=operator)


MIXING = [
    mix("ReduceSum", "a", how="takes all rows together", constants={"a": FIRST}),
    mix("ReduceMax", how="takes all rows together"),
    mix("ReduceMean", how="takes all rows together", opset=13, axes=[-2]),
    mix("ArgMax", how="compares all rows"),
    mix("Softmax", how="normalizes over all rows", axis=0),
    mix("Softmax", how="normalizes over all rows", opset=11, axis=0),
    mix("LogSoftmax", how="normalizes over all rows", axis=-2),
    mix("Hardmax", how="normalizes over all rows", axis=-1, shape=("n",)),
    mix("LpNormalization", how="normalizes over all rows", axis=0),
    mix("MeanVarianceNormalization", how="normalizes over all rows", shape=("n", 3, 4, 4)),
    mix("LayerNormalization", "s", how="normalizes", axis=0, constants={"s": np.ones(3, np.float32)}),
    mix("CumSum", "a", how="sums rows up", constants={"a": np.array(0)}),
    mix("TopK", "k", how="sorts all rows", axis=0, constants={"k": SECOND}),
    mix("NonZero", how="lists places"),
    mix("Unique", how="compares all rows"),
    mix("Compress", "c", how="drops some", axis=0, constants={"c": np.array([True, False])}),
    mix("Gather", "i", how="picks some of all rows", constants={"i": FIRST}),
    mix("GatherElements", "i", how="picks from all rows", constants={"i": np.array([[0, 1, 0]])}),
    mix("ScatterElements", "i", "x", how="puts values", constants={"i": np.array([[0, 1, 0]])}),
    mix("Slice", "a", "b", how="takes some of all rows", constants={"a": SECOND, "b": np.array([9])}),
    mix("Concat", "c", how="joins rows", axis=0, constants={"c": np.zeros((1, 3), np.float32)}),
    mix("Pad", "p", how="adds rows", constants={"p": np.array([1, 0, 0, 0])}),
    mix("Tile", "r", how="repeats all rows", constants={"r": np.array([2, 1])}),
    mix("Reshape", "s", how="joins values of several rows", constants={"s": np.array([-1, 6])}),
    mix("Reshape", "s", how="joins values of several rows", constants={"s": np.array([3, -1])}),
    mix("Trilu", how="takes all rows for those of one matrix"),
    mix("Det", how="takes all rows for those of one matrix", shape=("n", 3)),
    mix("Einsum", how="sums over all rows", equation="ij->j"),
    mix("Einsum", "x", how="combines each row", equation="ij,kj->ik"),
    mix("Dropout", "r", "t", how="random", constants={"r": np.float32(0.5), "t": np.array(True)}),
    mix("RandomNormalLike", how="random"),
]


@pytest.mark.parametrize(("nodes", "how", "graph"), MIXING)
def test_operator_over_the_rows_is_named(tmp_path, nodes, how, graph):
    found = dependence(tmp_path, nodes, **graph)
    assert found is not None
    assert found.startswith(f"{nodes[0].op_type} 'it' ")
    assert how in found


def lone(operator, *more, shape=("n", 3), opset=20, constants=None, **attributes):
    """A case whose only node takes each row by itself."""
    one = node(operator, ["x", *more], ["y"], **attributes)
    return pytest.param([one], {"shape": shape, "opset": opset, "constants": constants}, id=operator)


@pytest.mark.parametrize(
    ("nodes", "graph"),
    [
        lone("ReduceSum", "a", constants={"a": SECOND}),
        lone("ReduceSum", noop_with_empty_axes=1),
        lone("ReduceMean", opset=13, axes=[-1]),
        lone("ArgMax", axis=-1),
        lone("Softmax"),
        lone("Softmax", opset=11),
        lone("MeanVarianceNormalization", shape=("n", 3, 4, 4), axes=[1, 2, 3]),
        lone("LayerNormalization", "s", constants={"s": np.ones(3, np.float32)}),
        lone("CumSum", "a", constants={"a": np.array(1)}),
        lone("TopK", "k", constants={"k": SECOND}),
        lone("Gather", "i", axis=1, constants={"i": np.array([0, 2])}),
        lone("Slice", "a", "b", "c", constants={"a": SECOND, "b": np.array([2]), "c": SECOND}),
        lone("Slice", "a", "b", constants={"a": FIRST, "b": np.array([2**63 - 1])}),
        lone("Concat", "x", axis=1),
        lone("Pad", "p", constants={"p": np.array([0, 1, 0, 1])}),
        lone("Reshape", "s", constants={"s": np.array([0, -1, 1])}),
        lone("Reshape", "s", constants={"s": np.array([-1, 3, 1])}),
        lone("Reshape", "s", shape=("n", "t", 6), constants={"s": np.array([-1, 2])}),
        lone("Trilu", shape=("n", 3, 3)),
        lone("Einsum", "w", equation="ij,jk->ik", constants={"w": np.ones((3, 2), np.float32)}),
        lone("GlobalAveragePool", shape=("n", 3, 8, 8)),
        lone("Resize", "", "s", shape=("n", 3, 8, 8), constants={"s": np.array([1, 1, 2, 2], np.float32)}),
    ],
)
def test_operator_within_a_row_is_not_held_against_it(tmp_path, nodes, graph):
    assert dependence(tmp_path, nodes, **graph) is None


def test_recurrent_layer_whose_first_axis_is_time_mixes_rows(tmp_path):
    assert "LSTM" in read_graph(onnx_models.write_recurrent(tmp_path / "m") / "model.onnx").dependence


def test_recurrent_layer_whose_rows_are_put_second_does_not(tmp_path):
    weights = {"w": np.ones((1, 8, 2), np.float32), "r": np.ones((1, 8, 2), np.float32)}
    nodes = [
        node("Transpose", ["x"], ["turned"], perm=[1, 0, 2]),
        node("LSTM", ["turned", "w", "r"], ["all", "last"], hidden_size=2),
        node("Squeeze", ["all", "second"], ["states"]),
        node("Transpose", ["states"], ["back"], perm=[1, 0, 2]),
        node("Softmax", ["back"], ["soft"]),
        node("Squeeze", ["last", "first"], ["state"]),
        node("ReduceMax", ["soft", "second"], ["most"], keepdims=0),
        node("Add", ["most", "state"], ["y"]),
    ]
    constants = {"second": SECOND, "first": FIRST, **weights}
    assert dependence(tmp_path, nodes, shape=("n", "t", 2), constants=constants) is None
    nodes[6] = node("ReduceMax", ["soft", "first"], ["most"], keepdims=0)
    assert "ReduceMax" in dependence(tmp_path, nodes, shape=("n", "t", 2), constants=constants)


def attention(mask_axis=3):
    """A layer of attention as torch exports it: heads by Shape, Gather, Concat, Reshape and Transpose."""

    def heads(name):
        return [
            node("MatMul", ["x", "w"], [name]),
            node("Reshape", [name, "split"], [f"{name}_split"]),
            node("Transpose", [f"{name}_split"], [f"{name}_heads"], perm=[0, 2, 1, 3]),
        ]

    return [
        node("Shape", ["x"], ["shape"]),
        node("Gather", ["shape", "zero"], ["batch"]),
        node("Gather", ["shape", "one"], ["length"]),
        node("Unsqueeze", ["batch", "first"], ["batches"]),
        node("Unsqueeze", ["length", "first"], ["lengths"]),
        node("Concat", ["batches", "lengths", "four", "two"], ["split"], axis=0),
        *heads("q"),
        *heads("k"),
        *heads("v"),
        node("Transpose", ["k_heads"], ["k_turned"], perm=[0, 1, 3, 2]),
        node("MatMul", ["q_heads", "k_turned"], ["scores"]),
        node("Softmax", ["scores"], ["weights"], axis=mask_axis),
        node("MatMul", ["weights", "v_heads"], ["context"]),
        node("Transpose", ["context"], ["back"], perm=[0, 2, 1, 3]),
        node("Mul", ["four", "two"], ["width"]),
        node("Concat", ["batches", "lengths", "width"], ["joined"], axis=0),
        node("Reshape", ["back", "joined"], ["hidden"]),
        node("ReduceMean", ["hidden", "second"], ["y"], keepdims=0),
    ]


ATTENTION = {
    "zero": np.array(0),
    "one": np.array(1),
    "first": FIRST,
    "second": SECOND,
    "four": np.array([4]),
    "two": np.array([2]),
    "w": np.ones((8, 8), np.float32),
}


def test_shapes_that_are_computed_from_the_number_of_rows_are_no_rows(tmp_path):
    arguments = {"shape": ("n", "t", 8), "constants": ATTENTION}
    assert dependence(tmp_path, attention(), **arguments) is None
    assert "Softmax" in dependence(tmp_path, attention(mask_axis=0), **arguments)


def test_rows_are_followed_through_heads_that_are_merged_with_them(tmp_path):
    """As torch's MultiheadAttention has it: [t, n, e] to [t, n × heads, e ÷ heads] and back."""
    nodes = [
        node("Transpose", ["x"], ["turned"], perm=[1, 0, 2]),
        node("Shape", ["turned"], ["shape"]),
        node("Gather", ["shape", "zero"], ["length"]),
        node("Gather", ["shape", "one"], ["batch"]),
        node("Mul", ["batch", "heads"], ["both"]),
        *(node("Unsqueeze", [name, "first"], [f"{name}s"]) for name in ("length", "both")),
        node("Concat", ["lengths", "boths", "two"], ["split"], axis=0),
        node("Reshape", ["turned", "split"], ["heads_apart"]),
        node("Transpose", ["heads_apart"], ["q"], perm=[1, 0, 2]),
        node("Transpose", ["heads_apart"], ["k"], perm=[1, 2, 0]),
        node("MatMul", ["q", "k"], ["scores"]),
        node("Softmax", ["scores"], ["weights"]),
        node("MatMul", ["weights", "q"], ["context"]),
        node("Transpose", ["context"], ["back"], perm=[1, 0, 2]),
        node("Reshape", ["back", "shape"], ["joined"]),
        node("ReduceMean", ["joined", "axis"], ["y"], keepdims=0),
    ]
    constants = {**ATTENTION, "heads": np.array(4), "axis": FIRST}
    assert dependence(tmp_path, nodes, shape=("n", "t", 8), constants=constants) is None
    constants["axis"] = SECOND
    assert "ReduceMean" in dependence(tmp_path, nodes, shape=("n", "t", 8), constants=constants)


def test_rows_that_are_compared_with_all_rows_mix(tmp_path):
    nodes = [
        node("Unsqueeze", ["x", "first"], ["across"]),
        node("Unsqueeze", ["x", "second"], ["down"]),
        node("Sub", ["across", "down"], ["y"]),
    ]
    assert "Sub" in dependence(tmp_path, nodes, constants={"first": FIRST, "second": SECOND})


def test_number_of_rows_taken_for_a_value_mixes(tmp_path):
    nodes = [
        node("Shape", ["x"], ["shape"]),
        node("Gather", ["shape", "zero"], ["count"]),
        node("Cast", ["count"], ["share"], to=FP32),
        node("Div", ["x", "share"], ["y"]),
    ]
    assert "Div" in dependence(tmp_path, nodes, constants={"zero": np.array(0)})


def test_node_on_which_no_output_depends_says_nothing(tmp_path):
    assert dependence(tmp_path, [node("ReduceMax", ["x"], ["unused"]), node("Relu", ["x"], ["y"])]) is None


def body(nodes, inputs, outputs):
    return helper.make_graph(
        nodes,
        "body",
        [value(name, element, None) for name, element in inputs],
        [value(name, element, None) for name, element in outputs],
    )


@pytest.mark.parametrize("axis", [0, 1])
def test_branches_and_loops_are_gone_into(tmp_path, axis):
    reduce = node("ReduceMax", ["x", "axis"], ["found"])
    branch = body([reduce], [], [("found", FP32)])
    either = node("If", ["yes"], ["y"], then_branch=branch, else_branch=branch)
    turn = body(
        [node("ReduceMax", ["state", "axis"], ["top"]), node("Sub", ["state", "top"], ["next"])],
        [("round", INT64), ("on", BOOL), ("state", FP32)],
        [("on", BOOL), ("next", FP32), ("next", FP32)],
    )
    loop = node("Loop", ["rounds", "yes", "x"], ["y", "each"], body=turn)
    constants = {"yes": np.array(True), "rounds": np.array(3), "axis": np.array([axis])}
    for one in (either, loop):
        found = dependence(tmp_path, [one], constants=constants)
        assert (found is None) is (axis == 1)
    assert "ReduceMax" in dependence(tmp_path, [loop], constants=constants | {"axis": FIRST})


def test_loop_that_ends_by_its_rows_mixes(tmp_path):
    folder = onnx_models.write_doubling(tmp_path / "m")
    assert "ReduceMin" in read_graph(folder / "model.onnx").dependence


def test_scan_over_rows_mixes_where_it_hands_something_on(tmp_path):
    def scan(handed_on):
        turn = body(
            [node("Add", ["state", "row"], ["sum"]), node("Identity", ["state"], ["same"])],
            [("state", FP32), ("row", FP32)],
            [(handed_on, FP32), ("sum", FP32)],
        )
        return [node("Scan", ["start", "x"], ["end", "y"], num_scan_inputs=1, body=turn)]

    constants = {"start": np.zeros(3, np.float32)}
    assert "from row to row" in dependence(tmp_path, scan("sum"), constants=constants)
    assert dependence(tmp_path, scan("same"), constants=constants) is None


@pytest.mark.parametrize("axis", [0, 1])
def test_functions_of_the_file_are_gone_into_with_their_attributes(tmp_path, axis):
    soft = node("Softmax", ["a"], ["b"])
    soft.attribute.append(
        onnx.AttributeProto(name="axis", type=onnx.AttributeProto.INT, ref_attr_name="along")
    )
    function = helper.make_function(
        "own", "Soft", ["a"], ["b"], [soft], [helper.make_opsetid("", 20)], attributes=["along"]
    )
    call = node("Soft", ["x"], ["y"], domain="own", along=axis)
    found = dependence(tmp_path, [call], functions=[function])
    assert (found is None) is (axis == 1)


def test_rows_lost_sight_of_are_mixed_by_what_takes_all_values(tmp_path):
    lose = node("Odd", ["x"], ["lost"], domain="own")
    assert dependence(tmp_path, [lose, node("Relu", ["lost"], ["y"])]) is None
    assert dependence(tmp_path, [lose, node("Softmax", ["lost"], ["y"])]) is None
    assert "ReduceMax" in dependence(tmp_path, [lose, node("ReduceMax", ["lost"], ["y"])])
    assert "Softmax" in dependence(tmp_path, [lose, node("Softmax", ["lost"], ["y"], axis=0)])
    assert "Dynamic" in dependence(tmp_path, [lose, node("DynamicQuantizeLinear", ["lost"], ["y", "s", "z"])])


def test_functions_that_call_each_other_over_and_over_are_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr("inferq.models.row_dependence.propagation._MOST_NODES", 1000)
    names = [f"f{number}" for number in range(40)]
    opsets = [helper.make_opsetid("own", 1), helper.make_opsetid("", 20)]
    functions = [
        helper.make_function(
            "own",
            name,
            ["a"],
            ["b"],
            [node(after, ["a"], ["c"], domain="own"), node(after, ["c"], ["b"], domain="own")],
            opsets,
        )
        for name, after in pairwise(names)
    ]
    functions.append(
        helper.make_function("own", names[-1], ["a"], ["b"], [node("Relu", ["a"], ["b"])], opsets)
    )
    assert dependence(tmp_path, [node("f0", ["x"], ["y"], domain="own")], functions=functions) is None


@pytest.mark.parametrize(
    "estimator",
    [
        LogisticRegression(max_iter=50),
        make_pipeline(StandardScaler(), MLPClassifier((4,), max_iter=5)),
        RandomForestClassifier(3),
        GradientBoostingClassifier(n_estimators=2),
        SVC(probability=True),
        KNeighborsClassifier(3),
        GaussianNB(),
        GaussianMixture(2),
        QuadraticDiscriminantAnalysis(),
        StackingClassifier([("a", GaussianNB()), ("b", RandomForestClassifier(2))]),
    ],
    ids=lambda estimator: type(estimator).__name__,
)
@pytest.mark.filterwarnings("ignore")
def test_models_of_scikit_learn_share_runs(tmp_path, estimator):
    rows, classes = load_iris(return_X_y=True)
    estimator.fit(rows, classes)
    model = to_onnx(estimator, rows[:1].astype(np.float32))
    (tmp_path / "model.onnx").write_bytes(model.SerializeToString())
    assert read_graph(tmp_path / "model.onnx").dependence is None


@pytest.mark.filterwarnings("ignore")
def test_texts_of_scikit_learn_share_runs(tmp_path):
    pipeline = make_pipeline(TfidfVectorizer(), LogisticRegression())
    pipeline.fit(["a good day", "a bad day", "good", "bad"], [1, 0, 1, 0])
    model = to_onnx(pipeline, initial_types=[("x", StringTensorType([None, 1]))])
    (tmp_path / "model.onnx").write_bytes(model.SerializeToString())
    assert read_graph(tmp_path / "model.onnx").dependence is None


def write_dense(folder):
    """FP32 [n, 3] to a label: two dense layers."""
    rng = np.random.default_rng(0)
    return onnx_models.write(
        folder,
        [
            node("MatMul", ["x", "a"], ["h"]),
            node("Relu", ["h"], ["r"]),
            node("MatMul", ["r", "b"], ["scores"]),
            node("ArgMax", ["scores"], ["label"], axis=1, keepdims=0),
        ],
        inputs=[value("x", FP32, ["n", 3])],
        outputs=[value("label", INT64, ["n"])],
        constants={
            "a": rng.normal(size=(3, 16)).astype(np.float32),
            "b": rng.normal(size=(16, 4)).astype(np.float32),
        },
    )


def write_convolution(folder):
    """FP32 [n, 3, 8, 8] to [n, 4]: a convolution and a pool over all places."""
    return onnx_models.write(
        folder,
        [
            node("Conv", ["x", "w"], ["c"], pads=[1, 1, 1, 1]),
            node("Relu", ["c"], ["r"]),
            node("GlobalAveragePool", ["r"], ["p"]),
            node("Flatten", ["p"], ["f"]),
            node("MatMul", ["f", "b"], ["y"]),
        ],
        inputs=[value("x", FP32, ["n", 3, 8, 8])],
        outputs=[value("y", FP32, ["n", 4])],
        constants={"w": np.ones((4, 3, 3, 3), np.float32), "b": np.ones((4, 4), np.float32)},
    )


class OneBatch(CalibrationDataReader):
    def __init__(self, shape):
        self.batches = iter([{"x": np.random.default_rng(0).normal(size=shape).astype(np.float32)}])

    def get_next(self):
        return next(self.batches, None)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("write", "shape"),
    [(write_dense, (8, 3)), (write_convolution, (8, 3, 8, 8))],
    ids=["dense", "convolution"],
)
def test_scales_that_are_in_the_file_share_runs_and_those_taken_from_the_rows_do_not(tmp_path, write, shape):
    source = write(tmp_path / "float") / "model.onnx"
    assert read_graph(source).dependence is None
    for form in (QuantFormat.QDQ, QuantFormat.QOperator):
        quantize_static(source, tmp_path / "static.onnx", OneBatch(shape), quant_format=form)
        assert read_graph(tmp_path / "static.onnx").dependence is None
    quantize_dynamic(source, tmp_path / "dynamic.onnx")
    assert "takes its scale from all rows" in read_graph(tmp_path / "dynamic.onnx").dependence
