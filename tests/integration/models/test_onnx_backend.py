"""ONNX's own backend tests, through all that happens to a job's values: from validation to the result.

What ONNX Runtime itself runs is served, and gives the same. To write `onnx_backend_not_served.txt` anew after
a new version of ONNX, take the difference that the test prints.
"""

import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import orjson
import pytest
from onnx import numpy_helper
from onnx.backend.test import loader
from pydantic_core import to_json

from inferq.errors import InvalidModelError
from inferq.models.execution_providers import ExecutionConfig, make_session_options
from inferq.models.model import Model
from inferq.models.model_folder import load_model
from inferq.tensors.data_validator import DataValidator
from tests.models import predict
from tests.tensors import make_envelope, read_outputs

# 20 s on a machine that does nothing else
pytestmark = pytest.mark.timeout(600)

ONE_THREAD = ExecutionConfig(threads=1)
NOT_SERVED = Path(__file__).with_name("onnx_backend_not_served.txt")
"""The cases that a model's signature rules out: `name: type of an input or output`."""


@dataclass
class Case:
    """One of ONNX's cases, as ONNX Runtime runs it by itself.

    Attributes:
        name: What ONNX calls it.
        model: The ONNX file.
        runs: Inputs by name, and what ONNX Runtime gives for each output; none where it does not take them.
    """

    name: str
    model: bytes
    runs: list[tuple[Mapping[str, Any], list[Any]]]


def _read(file: Path, kind: onnx.TypeProto) -> Any:
    if kind.HasField("sequence_type"):
        return [
            numpy_helper.to_array(one)
            for one in onnx.SequenceProto.FromString(file.read_bytes()).tensor_values
        ]
    return numpy_helper.to_array(onnx.TensorProto.FromString(file.read_bytes()))


def _plain(value: Any) -> Any:
    if isinstance(value, onnx.TensorProto):
        return numpy_helper.to_array(value)
    return value if value is None or isinstance(value, list) else np.asarray(value)


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


def _cases() -> Iterator[Case]:
    """All that ONNX Runtime loads."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the computation of what is expected
        found = [
            case
            for kind in ("node", "simple", "pytorch-converted", "pytorch-operator")
            for case in loader.load_model_tests(kind=kind)
        ]
    options = make_session_options(ONE_THREAD)
    for case in found:
        proto, data = _inputs_of(case)
        model = proto.SerializeToString()
        try:
            session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        except Exception:  # noqa: BLE001 - whatever ONNX Runtime says of an operator that it lacks
            continue
        names = [value.name for value in proto.graph.input]
        runs = []
        for values in data:
            inputs = {name: _plain(value) for name, value in zip(names, values, strict=False)}
            try:
                runs.append((inputs, session.run(None, inputs)))
            except Exception:  # noqa: BLE001 - nor can inferq run it then
                continue
        yield Case(case.name, model, runs)


def _is_same(got: Any, expected: Any) -> bool:
    if isinstance(expected, list):
        return len(got) == len(expected) and all(map(_is_same, got, expected))
    if expected is None:
        return got is None
    array = np.array(got, dtype=expected.dtype)
    if not expected.size:  # what lies below an empty array is not written
        return not array.size and array.shape == expected.shape[: array.ndim]
    return array.shape == expected.shape and np.array_equal(
        array, expected, equal_nan=expected.dtype.kind == "f"
    )


def _is_same_tensor(got: Any, expected: Any) -> bool:
    if not isinstance(expected, np.ndarray):
        return _is_same(got, expected)
    return got.dtype == expected.dtype and got.shape == expected.shape and _is_same(got, expected)


def _difference_raw(case: Case, model: Model) -> str | None:
    """The same for jobs whose data and results are raw tensors."""
    for inputs, expected in case.runs:
        outputs = read_outputs(predict(model, make_envelope(inputs)))
        for (name, got), array in zip(outputs.items(), expected, strict=True):
            if not _is_same_tensor(got, array):
                return f"{name}: {str(got)[:100]} for {str(array)[:100]}"
    return None


def _difference(case: Case, model: Model) -> str | None:
    """What a job gets that ONNX Runtime does not give; None if nothing."""
    names = [tensor.name for tensor in model.document.outputs]
    for inputs, expected in case.runs:
        data = {name: value.tolist() for name, value in inputs.items()}
        DataValidator(model.document).validate(data)
        outputs = orjson.loads(predict(model, to_json(data, inf_nan_mode="strings")))["outputs"]
        for name, array in zip(names, expected, strict=True):
            if not _is_same(outputs[name], array):
                return f"{name}: {str(outputs[name])[:100]} for {str(array)[:100]}"
    return None


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    """How each case ends, as JSON and as raw tensors: None as it should, else why not."""
    served: dict[tuple[str, str], str | None] = {}
    refused: dict[str, str] = {}
    folder = tmp_path_factory.mktemp("repository") / "case"
    folder.mkdir()
    (folder / "model.toml").write_text('non_finite = "string"')
    for case in _cases():
        (folder / "model.onnx").write_bytes(case.model)
        try:
            model = load_model(folder, ONE_THREAD)
        except InvalidModelError as error:
            refused[case.name] = error.message.partition(" is a ")[2].partition(", ")[0]
            continue
        for form, find in (("JSON", _difference), ("raw", _difference_raw)) if case.runs else ():
            try:
                served[form, case.name] = find(case, model)
            except Exception as error:  # noqa: BLE001 - shown with all others
                served[form, case.name] = f"{type(error).__name__}: {error}"
    return served, refused


@pytest.mark.parametrize("form", ["JSON", "raw"])
def test_what_onnx_runtime_gives_comes_through(outcomes, form):
    served, _ = outcomes
    of_form = {name: reason for (its_form, name), reason in served.items() if its_form == form}
    assert {name: reason for name, reason in of_form.items() if reason is not None} == {}
    assert len(of_form) > 1600


def test_cases_that_are_not_served_are_those_known_to_have_types_that_json_cannot_carry(outcomes):
    _, refused = outcomes
    known = dict(line.split(": ", 1) for line in NOT_SERVED.read_text(encoding="utf-8").splitlines())
    assert refused == known
