"""ONNX models for the tests, each written into a folder of a model repository."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

# dynamic axes are strings, as ONNX names them
Shape = Sequence[str | int]

BOOL, INT64, UINT8 = TensorProto.BOOL, TensorProto.INT64, TensorProto.UINT8
FP16, FP32, FP64, STRING = TensorProto.FLOAT16, TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.STRING
BF16, INT4 = TensorProto.BFLOAT16, TensorProto.INT4


def write_two_by_two(folder: Path) -> Path:
    """No classifier: INT64 `count` and FP64 `price`, [n, 3] each, to FP64 `total` and BOOL `is_free`."""
    return write(
        folder,
        [
            helper.make_node("Cast", ["count"], ["count_as_double"], to=FP64),
            helper.make_node("Mul", ["count_as_double", "price"], ["total"]),
            helper.make_node("Equal", ["total", "zero"], ["is_free"]),
        ],
        inputs=[value("count", INT64, ["n", 3]), value("price", FP64, ["n", 3])],
        outputs=[value("total", FP64, ["n", 3]), value("is_free", BOOL, ["n", 3])],
        constants={"zero": np.array(0.0)},
    )


def write_fixed_batch(folder: Path) -> Path:
    """FP32 [2, 3], no dynamic axis: doubles it."""
    return write(
        folder,
        [helper.make_node("Add", ["x", "x"], ["y"])],
        inputs=[value("x", FP32, [2, 3])],
        outputs=[value("y", FP32, [2, 3])],
    )


def write_text(folder: Path) -> Path:
    """Strings [n]: puts an exclamation mark behind each."""
    return write(
        folder,
        [helper.make_node("StringConcat", ["text", "mark"], ["loud"])],
        inputs=[value("text", STRING, ["n"])],
        outputs=[value("loud", STRING, ["n"])],
        constants={"mark": np.array("!", dtype=object)},
    )


def write_upper_case(folder: Path) -> Path:
    """Strings [n]: writes each in capital letters, for which the runtime looks up the locale en_US.UTF-8."""
    return write(
        folder,
        [helper.make_node("StringNormalizer", ["text"], ["upper"], case_change_action="UPPER")],
        inputs=[value("text", STRING, ["n"])],
        outputs=[value("upper", STRING, ["n"])],
    )


def write_repeat(folder: Path) -> Path:
    """Input `s`, a string, and `k`: gives the string so many times. A short request makes a long result."""
    return write(
        folder,
        [helper.make_node("Expand", ["s", "k"], ["y"])],
        inputs=[value("s", STRING, [1]), value("k", INT64, [1])],
        outputs=[value("y", STRING, ["n"])],
    )


def write_failing_model(folder: Path) -> Path:
    """INT64 [n], an index in a table of 10, 20, 30, 40: fails at run time for one outside -4 to 3."""
    return write(
        folder,
        [helper.make_node("Gather", ["table", "index"], ["entry"], name="look_up")],
        inputs=[value("index", INT64, ["n"])],
        outputs=[value("entry", FP32, ["n"])],
        constants={"table": np.array([10, 20, 30, 40], dtype=np.float32)},
    )


def write_narrow(folder: Path) -> Path:
    """INT64 [n] to [n]: takes 2 and 3 alone."""
    return write(
        folder,
        [
            helper.make_node("Sub", ["x", "three"], ["index"]),
            helper.make_node("Gather", ["table", "index"], ["y"]),
        ],
        inputs=[value("x", INT64, ["n"])],
        outputs=[value("y", FP32, ["n"])],
        constants={"three": np.array(3), "table": np.array([10], dtype=np.float32)},
    )


def write_reshape(folder: Path) -> Path:
    """FP32 [n] to [-1, 4]: fails at run time where n is no multiple of 4."""
    return write(
        folder,
        [helper.make_node("Reshape", ["x", "shape"], ["y"])],
        inputs=[value("x", FP32, ["n"])],
        outputs=[value("y", FP32, ["m", 4])],
        constants={"shape": np.array([-1, 4])},
    )


def write_half(folder: Path) -> Path:
    """FP16 [n, 2]: doubles it."""
    return write(
        folder,
        [helper.make_node("Add", ["x", "x"], ["y"])],
        inputs=[value("x", FP16, ["n", 2])],
        outputs=[value("y", FP16, ["n", 2])],
    )


def write_image(folder: Path) -> Path:
    """UINT8 images [n, 3, height, width] to the FP32 mean of each colour, [n, 3]."""
    return write(
        folder,
        [
            helper.make_node("Cast", ["image"], ["pixels"], to=FP32),
            helper.make_node("ReduceMean", ["pixels", "axes"], ["colour"], keepdims=0),
        ],
        inputs=[value("image", UINT8, ["n", 3, "height", "width"])],
        outputs=[value("colour", FP32, ["n", 3])],
        constants={"axes": np.array([2, 3])},
    )


def write_ramp(folder: Path, bend: float = 0.0) -> Path:
    """FP32 [n] to [n]: doubles it; with a bend, what is above 10 becomes more by so much of the rest."""
    return write(
        folder,
        [
            helper.make_node("Sub", ["x", "ten"], ["above"]),
            helper.make_node("Relu", ["above"], ["rest"]),
            helper.make_node("Mul", ["rest", "bend"], ["more"]),
            helper.make_node("Add", ["x", "x"], ["double"]),
            helper.make_node("Add", ["double", "more"], ["y"]),
        ],
        inputs=[value("x", FP32, ["n"])],
        outputs=[value("y", FP32, ["n"])],
        constants={"ten": np.array(10, np.float32), "bend": np.array(bend, np.float32)},
    )


def write_convolutions(folder: Path) -> Path:
    """FP32 pictures [n, 3, height, width] to FP32 [n, 4]: two convolutions, their mean, and a softmax."""
    random = np.random.default_rng(0)
    return write(
        folder,
        [
            helper.make_node("Conv", ["x", "first"], ["a"], pads=[1, 1, 1, 1]),
            helper.make_node("Relu", ["a"], ["b"]),
            helper.make_node("Conv", ["b", "second"], ["c"]),
            helper.make_node("GlobalAveragePool", ["c"], ["d"]),
            helper.make_node("Flatten", ["d"], ["e"]),
            helper.make_node("Softmax", ["e"], ["y"]),
        ],
        inputs=[value("x", FP32, ["n", 3, "height", "width"])],
        outputs=[value("y", FP32, ["n", 4])],
        constants={
            "first": random.normal(size=(8, 3, 3, 3)).astype("f4"),
            "second": random.normal(size=(4, 8, 3, 3)).astype("f4"),
        },
    )


def write_scalar(folder: Path) -> Path:
    """A single FP32, no axes at all: its natural logarithm (NaN for -1, minus infinity for 0)."""
    return write(
        folder,
        [helper.make_node("Log", ["x"], ["y"])],
        inputs=[value("x", FP32, [])],
        outputs=[value("y", FP32, [])],
    )


def write_softmax(folder: Path, classes: int = 3) -> Path:
    """A classifier without labels: FP32 scores [n, classes] to `probabilities`."""
    return write(
        folder,
        [helper.make_node("Softmax", ["scores"], ["probabilities"])],
        inputs=[value("scores", FP32, ["n", classes])],
        outputs=[value("probabilities", FP32, ["n", classes])],
    )


def write_labels(folder: Path) -> Path:
    """A classifier without probabilities: INT64 [n] to `label`, the same."""
    return write(
        folder,
        [helper.make_node("Identity", ["x"], ["label"])],
        inputs=[value("x", INT64, ["n"])],
        outputs=[value("label", INT64, ["n"])],
    )


def write_text_labels(folder: Path) -> Path:
    """A classifier whose labels are strings: FP32 [n, 2] to `label`, cat or dog, and `probabilities`."""
    return write(
        folder,
        [
            helper.make_node("Softmax", ["scores"], ["probabilities"]),
            helper.make_node("ArgMax", ["scores"], ["index"], axis=1, keepdims=0),
            helper.make_node("Gather", ["names", "index"], ["label"]),
        ],
        inputs=[value("scores", FP32, ["n", 2])],
        outputs=[value("label", STRING, ["n"]), value("probabilities", FP32, ["n", 2])],
        constants={"names": np.array(["cat", "dog"], dtype=object)},
    )


def write_labelled_softmax(folder: Path, labels: Sequence[int]) -> Path:
    """As of scikit-learn: FP32 scores [n, classes] to INT64 `label`, one of these, and `probabilities`."""
    return write(
        folder,
        [
            helper.make_node("Softmax", ["scores"], ["probabilities"]),
            helper.make_node("ArgMax", ["scores"], ["index"], axis=1, keepdims=0),
            helper.make_node("Gather", ["labels", "index"], ["label"]),
        ],
        inputs=[value("scores", FP32, ["n", len(labels)])],
        outputs=[value("label", INT64, ["n"]), value("probabilities", FP32, ["n", len(labels)])],
        constants={"labels": np.array(labels)},
    )


def write_zip_map(folder: Path, labels: Sequence[int] | Sequence[str] = (0, 1)) -> Path:
    """As skl2onnx exports: FP32 [n, classes] to `label` and a sequence of maps, `probabilities`."""
    is_text = isinstance(labels[0], str)
    maps = helper.make_map_type_proto(STRING if is_text else INT64, helper.make_tensor_type_proto(FP32, []))
    zip_map = helper.make_node("ZipMap", ["x"], ["probabilities"], domain="ai.onnx.ml")
    attribute = helper.make_attribute("classlabels_strings" if is_text else "classlabels_int64s", labels)
    zip_map.attribute.append(attribute)
    return write(
        folder,
        [
            helper.make_node("ArgMax", ["x"], ["index"], axis=1, keepdims=0),
            helper.make_node("Gather", ["labels", "index"], ["label"]),
            zip_map,
        ],
        inputs=[value("x", FP32, ["n", len(labels)])],
        outputs=[
            value("label", STRING if is_text else INT64, ["n"]),
            helper.make_value_info("probabilities", helper.make_sequence_type_proto(maps)),
        ],
        constants={"labels": np.array(labels, dtype=object if is_text else np.int64)},
    )


def write_outlooks(folder: Path) -> Path:
    """As of several outputs in scikit-learn: FP32 [n, 2] to a sequence of two, itself and twice itself."""
    output = helper.make_tensor_sequence_value_info("both", FP32, None)
    return write(
        folder,
        [
            helper.make_node("Add", ["x", "x"], ["twice"]),
            helper.make_node("SequenceConstruct", ["x", "twice"], ["both"]),
        ],
        inputs=[value("x", FP32, ["n", 2])],
        outputs=[output],
    )


def write_split_rows(folder: Path) -> Path:
    """FP32 [n, 2] to a sequence of n tensors [2]."""
    return write(
        folder,
        [helper.make_node("SplitToSequence", ["x"], ["rows"], axis=0, keepdims=0)],
        inputs=[value("x", FP32, ["n", 2])],
        outputs=[helper.make_tensor_sequence_value_info("rows", FP32, None)],
    )


def write_any_shape(folder: Path) -> Path:
    """FP32 of a shape that the file leaves open: no value below 0."""
    return write(
        folder,
        [helper.make_node("Relu", ["x"], ["y"])],
        inputs=[value("x", FP32, None)],
        outputs=[value("y", FP32, None)],
    )


def write_decoder(folder: Path) -> Path:
    """FP32 `past` [n, p, 2] and `x` [n, t, 2] to `present`, one after the other; a first step has no past."""
    return write(
        folder,
        [helper.make_node("Concat", ["past", "x"], ["present"], axis=1)],
        inputs=[value("x", FP32, ["n", "t", 2]), value("past", FP32, ["n", "p", 2])],
        outputs=[value("present", FP32, ["n", "q", 2])],
    )


def write_scaled(folder: Path) -> Path:
    """FP32 `x` [n, 2] times `scale` [1], which is 10 where a caller does not send it."""
    return write(
        folder,
        [helper.make_node("Mul", ["x", "scale"], ["y"])],
        inputs=[value("x", FP32, ["n", 2]), value("scale", FP32, [1])],
        outputs=[value("y", FP32, ["n", 2])],
        constants={"scale": np.array([10], dtype=np.float32)},
    )


def write_constant(folder: Path) -> Path:
    """No inputs: FP32 [2], always 1 and 2."""
    return write(
        folder,
        [helper.make_node("Identity", ["c"], ["y"])],
        inputs=[],
        outputs=[value("y", FP32, [2])],
        constants={"c": np.array([1, 2], dtype=np.float32)},
    )


def write_imputer(folder: Path) -> Path:
    """FP32 [n, 2]: 7 where a value is NaN, else the same."""
    return write(
        folder,
        [
            helper.make_node("IsNaN", ["x"], ["is_missing"]),
            helper.make_node("Where", ["is_missing", "seven", "x"], ["y"]),
        ],
        inputs=[value("x", FP32, ["n", 2])],
        outputs=[value("y", FP32, ["n", 2])],
        constants={"seven": np.array(7, dtype=np.float32)},
    )


def write_every_type(folder: Path) -> Path:
    """Each datatype, [n, 2], to the same: inputs `x_FP32` … and outputs `y_FP32` …"""
    types = {
        "BOOL": BOOL,
        "UINT8": UINT8,
        "UINT16": TensorProto.UINT16,
        "UINT32": TensorProto.UINT32,
        "UINT64": TensorProto.UINT64,
        "INT8": TensorProto.INT8,
        "INT16": TensorProto.INT16,
        "INT32": TensorProto.INT32,
        "INT64": INT64,
        "FP16": FP16,
        "FP32": FP32,
        "FP64": FP64,
        "BYTES": STRING,
    }
    return write(
        folder,
        [helper.make_node("Identity", [f"x_{name}"], [f"y_{name}"]) for name in types],
        inputs=[value(f"x_{name}", element, ["n", 2]) for name, element in types.items()],
        outputs=[value(f"y_{name}", element, ["n", 2]) for name, element in types.items()],
    )


def write_large_copy(folder: Path) -> Path:
    """FP32 [n, m] to [n, m]: the same again."""
    return write(
        folder,
        [helper.make_node("Identity", ["x"], ["y"])],
        inputs=[value("x", FP32, ["n", "m"])],
        outputs=[value("y", FP32, ["n", "m"])],
    )


def value(name: str, element: int, shape: Shape | None) -> onnx.ValueInfoProto:
    """Describes an input or output; a shape of None is left open."""
    return helper.make_tensor_value_info(name, element, shape)


def write(
    folder: Path,
    nodes: Sequence[onnx.NodeProto],
    *,
    inputs: Sequence[onnx.ValueInfoProto],
    outputs: Sequence[onnx.ValueInfoProto],
    constants: dict[str, np.ndarray] | None = None,
    opset: int = 20,
) -> Path:
    """Writes `model.onnx` into `folder`, which it creates and returns."""
    initializers = [numpy_helper.from_array(array, name) for name, array in (constants or {}).items()]
    graph = helper.make_graph(list(nodes), folder.name, list(inputs), list(outputs), initializers)
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("ai.onnx.ml", 3)]
    folder.mkdir(parents=True, exist_ok=True)
    version = 9 if opset <= 20 else 13
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=version), folder / "model.onnx")
    return folder


def write_container(folder: Path, kind: onnx.TypeProto) -> Path:
    """`x` of any type to `y`, the same again."""
    return write(
        folder,
        [helper.make_node("Identity", ["x"], ["y"])],
        inputs=[helper.make_value_info("x", kind)],
        outputs=[helper.make_value_info("y", kind)],
    )


def make_sequence(element: int, *, is_optional: bool = False) -> onnx.TypeProto:
    """The type of a sequence of tensors, which may be absent."""
    kind = helper.make_sequence_type_proto(helper.make_tensor_type_proto(element, None))
    return helper.make_optional_type_proto(kind) if is_optional else kind


def make_optional(element: int) -> onnx.TypeProto:
    """The type of a tensor that may be absent."""
    return helper.make_optional_type_proto(helper.make_tensor_type_proto(element, None))


def write_map(folder: Path, keys: int = STRING) -> Path:
    """A map `x` from strings or integers to FP32, to the values of "a" and "b", or of 1 and 2, [1, 2]."""
    words: dict[str, list[str] | list[int]] = (
        {"string_vocabulary": ["a", "b"]} if keys == STRING else {"int64_vocabulary": [1, 2]}
    )
    kind = helper.make_map_type_proto(keys, helper.make_tensor_type_proto(FP32, None))
    return write(
        folder,
        [helper.make_node("DictVectorizer", ["x"], ["y"], domain="ai.onnx.ml", **words)],
        inputs=[helper.make_value_info("x", kind)],
        outputs=[value("y", FP32, [1, 2])],
    )


def write_casts(folder: Path, element: int) -> Path:
    """FP32 `x` [n, 3] and `code` [n, 3] of a type that NumPy lacks: each cast to the other's type."""
    return write(
        folder,
        [
            helper.make_node("Cast", ["x"], ["as_code"], to=element),
            helper.make_node("Cast", ["code"], ["as_float"], to=FP32),
        ],
        inputs=[value("x", FP32, ["n", 3]), value("code", element, ["n", 3])],
        outputs=[value("as_code", element, ["n", 3]), value("as_float", FP32, ["n", 3])],
        opset=25,
    )


def write_slow_loop(folder: Path) -> Path:
    """INT64 [n], a number of rounds: a loop that takes so many, a fraction of a microsecond each."""
    return write(
        folder,
        [
            helper.make_node("ReduceMax", ["rounds"], ["most"], keepdims=0),
            helper.make_node("Loop", ["most", "yes", "zero"], ["counted"], body=_counting()),
        ],
        inputs=[value("rounds", INT64, ["n"])],
        outputs=[value("counted", INT64, [])],
        constants={"yes": np.array(True), "zero": np.array(0), "one": np.array(1)},
    )


def write_slow_echo(folder: Path) -> Path:
    """INT64 [n] to [n]: the same again, after as many rounds as the largest of them says."""
    return write(
        folder,
        [
            helper.make_node("ReduceMax", ["x"], ["most"], keepdims=0),
            helper.make_node("Loop", ["most", "yes", "zero"], ["counted"], body=_counting()),
            helper.make_node("Mul", ["counted", "zero"], ["nothing"]),
            helper.make_node("Add", ["x", "nothing"], ["y"]),
        ],
        inputs=[value("x", INT64, ["n"])],
        outputs=[value("y", INT64, ["n"])],
        constants={"yes": np.array(True), "zero": np.array(0), "one": np.array(1)},
    )


def _counting() -> onnx.GraphProto:
    return helper.make_graph(
        [
            helper.make_node("Identity", ["going_on"], ["still_going_on"]),
            helper.make_node("Add", ["sum", "one"], ["next_sum"]),
        ],
        "body",
        [value("round", INT64, []), value("going_on", BOOL, []), value("sum", INT64, [])],
        [value("still_going_on", BOOL, []), value("next_sum", INT64, [])],
    )


def write_one_long_node(folder: Path) -> Path:
    """INT64 [n], the side of a square matrix: multiplies it with itself in one node; 5,000 takes seconds."""
    return write(
        folder,
        [
            helper.make_node("ReduceMax", ["side"], ["most"], keepdims=1),
            helper.make_node("Concat", ["most", "most"], ["shape"], axis=0),
            helper.make_node(
                "ConstantOfShape", ["shape"], ["square"], value=helper.make_tensor("v", INT64, [1], [1])
            ),
            helper.make_node("MatMul", ["square", "square"], ["product"]),
            helper.make_node("ReduceMax", ["product"], ["largest"], keepdims=0),
        ],
        inputs=[value("side", INT64, ["n"])],
        outputs=[value("largest", INT64, [])],
    )


def write_softmax_over_rows(folder: Path) -> Path:
    """FP32 [n, 3] to [n, 3]: what a row gives depends on the other rows of the run."""
    return write(
        folder,
        [helper.make_node("Softmax", ["x"], ["y"], axis=0)],
        inputs=[value("x", FP32, ["n", 3])],
        outputs=[value("y", FP32, ["n", 3])],
    )


def write_mean_of_rows(folder: Path) -> Path:
    """FP32 [n, 3] to [1, 3]: the mean of all rows."""
    return write(
        folder,
        [helper.make_node("ReduceMean", ["x", "axes"], ["y"], keepdims=1)],
        inputs=[value("x", FP32, ["n", 3])],
        outputs=[value("y", FP32, ["m", 3])],
        constants={"axes": np.array([0])},
    )


def write_centred(folder: Path) -> Path:
    """FP32 [n, 3] to [n, 3]: takes the mean of all rows off each."""
    return write(
        folder,
        [
            helper.make_node("ReduceMean", ["x", "axes"], ["mean"], keepdims=1),
            helper.make_node("Sub", ["x", "mean"], ["y"]),
        ],
        inputs=[value("x", FP32, ["n", 3])],
        outputs=[value("y", FP32, ["n", 3])],
        constants={"axes": np.array([0])},
    )


def write_shares_of_largest(folder: Path) -> Path:
    """FP32 [n, 3] to [n, 3]: divides by the largest value of each column."""
    return write(
        folder,
        [
            helper.make_node("ReduceMax", ["x", "axes"], ["largest"], keepdims=1),
            helper.make_node("Div", ["x", "largest"], ["y"]),
        ],
        inputs=[value("x", FP32, ["n", 3])],
        outputs=[value("y", FP32, ["n", 3])],
        constants={"axes": np.array([0])},
    )


def write_running_sum(folder: Path) -> Path:
    """INT64 [n] to [n]: each value with all before it, so that only later rows depend on others."""
    return write(
        folder,
        [helper.make_node("CumSum", ["x", "axis"], ["y"])],
        inputs=[value("x", INT64, ["n"])],
        outputs=[value("y", INT64, ["n"])],
        constants={"axis": np.array(0)},
    )


def write_recurrent(folder: Path) -> Path:
    """FP32 [t, 1, 2] to [t, 1, 1, 2]: an LSTM whose first axis is time, as ONNX has it."""
    weights = np.linspace(-1, 1, 16, dtype=np.float32).reshape(1, 8, 2)
    return write(
        folder,
        [helper.make_node("LSTM", ["x", "w", "r"], ["y"], hidden_size=2)],
        inputs=[value("x", FP32, ["t", 1, 2])],
        outputs=[value("y", FP32, ["t", 1, 1, 2])],
        constants={"w": weights, "r": weights[:, ::-1]},
    )


def write_products(folder: Path) -> Path:
    """FP32 [n, 3] to [n, n]: the product of each row with each, so that the shape depends on the others."""
    return write(
        folder,
        [
            helper.make_node("Transpose", ["x"], ["turned"], perm=[1, 0]),
            helper.make_node("MatMul", ["x", "turned"], ["y"]),
        ],
        inputs=[value("x", FP32, ["n", 3])],
        outputs=[value("y", FP32, ["n", "m"])],
    )


def write_quantized(folder: Path) -> Path:
    """FP32 [n, 3] to [n, 3]: to 8 bits and back, on a scale taken from all rows, as quantized models do."""
    return write(
        folder,
        [
            helper.make_node("DynamicQuantizeLinear", ["x"], ["small", "scale", "zero"]),
            helper.make_node("DequantizeLinear", ["small", "scale", "zero"], ["y"]),
        ],
        inputs=[value("x", FP32, ["n", 3])],
        outputs=[value("y", FP32, ["n", 3])],
    )


def write_ranks(folder: Path) -> Path:
    """INT64 [n] to [n]: the values in order, so that a row gets what another had."""
    return write(
        folder,
        [
            helper.make_node("Shape", ["x"], ["count"]),
            helper.make_node("TopK", ["x", "count"], ["y", "places"], axis=0),
        ],
        inputs=[value("x", INT64, ["n"])],
        outputs=[value("y", INT64, ["n"])],
    )


def write_pairs(folder: Path) -> Path:
    """FP32 [n, 1] to [n, 1]: takes from each the mean of its pair, and no odd number of rows."""
    return write(
        folder,
        [
            helper.make_node("Reshape", ["x", "pairs"], ["paired"]),
            helper.make_node("ReduceMean", ["paired", "axes"], ["mean"], keepdims=1),
            helper.make_node("Sub", ["paired", "mean"], ["centred"]),
            helper.make_node("Reshape", ["centred", "rows"], ["y"]),
        ],
        inputs=[value("x", FP32, ["n", 1])],
        outputs=[value("y", FP32, ["n", 1])],
        constants={"pairs": np.array([-1, 2]), "axes": np.array([1]), "rows": np.array([-1, 1])},
    )


def write_doubling(folder: Path) -> Path:
    """FP32 [n] to [n]: doubles all until each is at least 1, which zeros never are."""
    body = helper.make_graph(
        [
            helper.make_node("Add", ["x_in", "x_in"], ["x_out"]),
            helper.make_node("ReduceMin", ["x_out"], ["smallest"], keepdims=0),
            helper.make_node("Less", ["smallest", "one"], ["going_on"]),
        ],
        "body",
        [value("round", INT64, []), value("was_going_on", BOOL, []), value("x_in", FP32, ["n"])],
        [value("going_on", BOOL, []), value("x_out", FP32, ["n"])],
    )
    return write(
        folder,
        [helper.make_node("Loop", ["", "yes", "x"], ["y"], body=body)],
        inputs=[value("x", FP32, ["n"])],
        outputs=[value("y", FP32, ["n"])],
        constants={"yes": np.array(True), "one": np.array(1, dtype=np.float32)},
    )


def write_alarm(folder: Path) -> Path:
    """FP32 [n] to [n]: adds 1 to every row of a run where one is over 1,000, which no probe could guess."""
    return write(
        folder,
        [
            helper.make_node("ReduceMax", ["x", "axes"], ["largest"], keepdims=1),
            helper.make_node("Greater", ["largest", "limit"], ["is_over"]),
            helper.make_node("Cast", ["is_over"], ["more"], to=FP32),
            helper.make_node("Add", ["x", "more"], ["y"]),
        ],
        inputs=[value("x", FP32, ["n"])],
        outputs=[value("y", FP32, ["n"])],
        constants={"axes": np.array([0]), "limit": np.array(1000, dtype=np.float32)},
    )


def write_widths(folder: Path) -> Path:
    """FP32 [n, w], both dynamic: doubles it."""
    return write(
        folder,
        [helper.make_node("Add", ["x", "x"], ["y"])],
        inputs=[value("x", FP32, ["n", "w"])],
        outputs=[value("y", FP32, ["n", "w"])],
    )


def write_deep_tree(folder: Path, depth: int = 100_000) -> Path:
    """FP32 [n, 1] to [n, 1]: a tree so deep that ONNX Runtime, which recurses, is killed when it loads it."""
    leaves = range(depth + 1)
    node = helper.make_node(
        "TreeEnsembleRegressor",
        ["x"],
        ["y"],
        domain="ai.onnx.ml",
        n_targets=1,
        nodes_treeids=[0] * (2 * depth + 1),
        nodes_nodeids=range(2 * depth + 1),
        nodes_featureids=[0] * (2 * depth + 1),
        nodes_modes=["BRANCH_LEQ"] * depth + ["LEAF"] * len(leaves),
        nodes_values=[float(number) for number in range(2 * depth + 1)],
        nodes_truenodeids=[*range(1, depth), 2 * depth] + [0] * len(leaves),
        nodes_falsenodeids=[depth + number for number in range(depth)] + [0] * len(leaves),
        target_treeids=[0] * len(leaves),
        target_nodeids=[depth + number for number in leaves],
        target_ids=[0] * len(leaves),
        target_weights=[1.0] * len(leaves),
    )
    return write(folder, [node], inputs=[value("x", FP32, ["n", 1])], outputs=[value("y", FP32, ["n", 1])])


def write_factor(folder: Path, factor: float, width: int = 1) -> Path:
    """FP32 `x` [n, width] to `y` [n, width]: multiplied by the factor."""
    return write(
        folder,
        [helper.make_node("Mul", ["x", "factor"], ["y"])],
        inputs=[value("x", FP32, ["n", width])],
        outputs=[value("y", FP32, ["n", width])],
        constants={"factor": np.array([factor], dtype=np.float32)},
    )
