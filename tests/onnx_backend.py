"""ONNX's own backend tests: the cases that ONNX Runtime runs by itself, and what it gives for them."""

import ctypes
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from onnx import numpy_helper
from onnx.backend.test import loader

from inferq.models.arrays import Array
from inferq.models.providers.execution_providers import ExecutionConfig, make_session_options
from tests.tensors import narrow_onnx_types, pack_array, read_array

ONE_THREAD = ExecutionConfig(threads=1)
KINDS = ("node", "simple", "pytorch-converted", "pytorch-operator")
_NARROW = narrow_onnx_types()


@dataclass
class Case:
    """One of ONNX's cases.

    Attributes:
        name: What ONNX calls it.
        model: The ONNX file.
        types: ONNX Runtime's types of its inputs and outputs; none where it does not load the model.
        problem: Why ONNX Runtime does not load or run it by itself; empty if it does.
        runs: Inputs by name, and what ONNX Runtime gives for each output; none where it does not take them.
    """

    name: str
    model: bytes
    types: frozenset[str] = frozenset()
    problem: str = ""
    runs: list[tuple[Mapping[str, Any], Mapping[str, Any]]] = field(default_factory=list)


def list_cases() -> Iterator[Case]:
    """Yields all cases that ONNX knows, but for whole networks, which it would have to download."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the computation of what is expected
        found = [case for kind in KINDS for case in loader.load_model_tests(kind=kind)]
    options = make_session_options(ONE_THREAD)
    for one in found:
        proto, data = _inputs_of(one)
        case = Case(one.name, proto.SerializeToString())
        try:
            session = ort.InferenceSession(case.model, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # noqa: BLE001 - whatever ONNX Runtime says of an operator that it lacks
            case.problem = f"not loaded: {type(error).__name__}"
            yield case
            continue
        case.types = frozenset(node.type for node in (*session.get_inputs(), *session.get_outputs()))
        names = [value.name for value in proto.graph.input]
        for values in data:
            inputs = {name: _plain(value) for name, value in zip(names, values, strict=False)}
            try:
                case.runs.append((inputs, run_alone(session, inputs)))
            except Exception as error:  # noqa: BLE001 - nor can inferq run it then
                case.problem = f"not run: {type(error).__name__}"
        if not case.runs:
            case.problem = case.problem or "without inputs to run it on"
        yield case


def run_alone(session: ort.InferenceSession, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what ONNX Runtime gives for each output; of types that NumPy lacks arrays of ml_dtypes."""
    nodes = session.get_outputs()
    feeds = {name: _make_value(value) for name, value in inputs.items()}
    if not any(node.type in _NARROW for node in nodes):
        return dict(zip((node.name for node in nodes), session.run(None, feeds), strict=True))
    feeds = {
        name: value if isinstance(value, ort.OrtValue) else ort.OrtValue.ortvalue_from_numpy(value)
        for name, value in feeds.items()
    }
    return {
        node.name: _read_value(value)
        for node, value in zip(nodes, session.run_with_ort_values(None, feeds), strict=True)
    }


def is_same(got: Any, expected: Any) -> bool:
    """Whether values are the same; what lies below an empty array is not looked at."""
    if isinstance(expected, list):
        return len(got) == len(expected) and all(map(is_same, got, expected))
    if expected is None:
        return got is None
    array = np.array(got, dtype=float if is_float(expected) else expected.dtype).astype(expected.dtype)
    if not expected.size:
        return not array.size and array.shape == expected.shape[: array.ndim]
    return array.shape == expected.shape and _are_equal(array, expected)


def is_float(array: Array) -> bool:
    """Whether an array is one of floats, also of those that NumPy lacks."""
    return array.dtype.kind == "f" or "float" in array.dtype.name


def is_same_tensor(got: Any, expected: Any) -> bool:
    """Whether arrays, or sequences of them, are the same with their types and shapes."""
    if isinstance(expected, list):
        return len(got) == len(expected) and all(map(is_same_tensor, got, expected))
    if expected is None:
        return got is None
    return got.dtype == expected.dtype and got.shape == expected.shape and _are_equal(got, expected)


def _are_equal(array: Array, expected: Array) -> bool:
    if array.dtype.kind not in "fV":
        return bool(np.array_equal(array, expected))
    with np.errstate(invalid="ignore"):
        return np.array_equal(array.astype(float), expected.astype(float), equal_nan=True)


def _make_value(value: Any) -> Any:
    number = next((number for number, dtype in _NARROW.values() if dtype == getattr(value, "dtype", None)), 0)
    if not number:
        return value
    made = ort.OrtValue.ortvalue_from_shape_and_type(value.shape, number)
    ctypes.memmove(made.data_ptr(), data := pack_array(value), len(data))
    return made


def _read_value(value: ort.OrtValue) -> Array:
    if value.data_type() not in _NARROW:
        return value.numpy()
    data = ctypes.string_at(value.data_ptr(), value.tensor_size_in_bytes())
    return read_array(data, _NARROW[value.data_type()][1], value.shape())


def _inputs_of(case: Any) -> tuple[onnx.ModelProto, list[list[Any]]]:
    if case.model is not None:
        return case.model, [list(inputs) for inputs, _ in case.data_sets]
    folder = Path(case.model_dir)
    model = onnx.load(folder / "model.onnx")
    kinds = [value.type for value in model.graph.input]
    return model, [
        [_read(one / f"input_{number}.pb", kinds[number]) for number in range(len(list(one.glob("input_*"))))]
        for one in sorted(folder.glob("test_data_set_*"))
    ]


def _read(file: Path, kind: onnx.TypeProto) -> Any:
    if kind.HasField("sequence_type"):
        return [
            numpy_helper.to_array(one)
            for one in onnx.SequenceProto.FromString(file.read_bytes()).tensor_values
        ]
    if kind.HasField("optional_type"):
        return _read_optional(file)
    return numpy_helper.to_array(onnx.TensorProto.FromString(file.read_bytes()))


def _read_optional(file: Path) -> Any:
    given = onnx.OptionalProto.FromString(file.read_bytes())
    if given.HasField("sequence_value"):
        return [numpy_helper.to_array(one) for one in given.sequence_value.tensor_values]
    return numpy_helper.to_array(given.tensor_value) if given.HasField("tensor_value") else None


def _plain(value: Any) -> Any:
    if isinstance(value, onnx.TensorProto):
        return numpy_helper.to_array(value)
    return value if value is None or isinstance(value, list) else np.asarray(value)


def list_value(value: Any) -> Any:
    """Returns a value as JSON has it."""
    if value is None or isinstance(value, list):
        return value and [list_value(one) for one in value]
    if value.dtype.kind not in "fiubO":
        value = value.astype(np.float32 if "float" in value.dtype.name else int)
    return value.tolist()
