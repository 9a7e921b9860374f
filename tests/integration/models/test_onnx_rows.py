"""ONNX's own node tests as models of many rows: none whose rows affect each other counts as independent."""

from functools import partial

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import numpy_helper
from onnx.backend.test.case.node import collect_testcases

from inferq.models.onnx_files.graph import read_graph
from inferq.models.providers.execution_providers import ExecutionConfig, make_session_options


@pytest.mark.timeout(600)  # 10 s on a machine that does nothing else
@pytest.mark.filterwarnings("ignore")
def test_no_test_model_of_onnx_whose_rows_depend_on_each_other_is_passed(tmp_path):
    """The rows are the first input's; the others are made part of the model."""
    file, passed, wrongly = tmp_path / "model.onnx", [], []
    for case in collect_testcases(None):
        prepared = case.model is not None and prepare(case)
        if not prepared:
            continue
        model, rows = prepared
        file.write_bytes(model.SerializeToString())
        mixes = mixes_when_run(file, model.graph.input[0].name, rows)
        if mixes is None:
            continue
        found = read_graph(file).dependence
        passed += [case.name] if found is None else []
        wrongly += [case.name] if mixes and found is None else []
        if found and not mixes:
            assert any(name in case.name for name in ("dropout_zero_ratio", "tri", "unique_length_1")), found
    assert wrongly == []
    assert len(passed) > 500


def prepare(case):
    """The model with a first axis of any length, and a value for it; None where that makes no sense."""
    inputs = case.data_sets[0][0]
    model = onnx.ModelProto()
    model.CopyFrom(case.model)
    graph = model.graph
    rows = inputs[0] if inputs else None
    if not isinstance(rows, np.ndarray) or not rows.ndim or not len(rows):
        return None
    if not all(isinstance(array, np.ndarray) for array in inputs):
        return None
    for described, array in list(zip(graph.input, inputs, strict=True))[1:]:
        graph.initializer.append(numpy_helper.from_array(array, described.name))
        graph.input.remove(described)
    if not graph.input[0].type.HasField("tensor_type"):
        return None
    axis = graph.input[0].type.tensor_type.shape.dim[0]
    axis.Clear()
    axis.dim_param = "n"
    for output in graph.output:
        for axis in output.type.tensor_type.shape.dim:
            axis.Clear()
    return model, rows


def mixes_when_run(file, name, rows):
    """Whether a row gives something else beside others than alone; None where that cannot be told."""
    options = ort.RunOptions()
    options.log_severity_level = 4
    session_options = make_session_options(ExecutionConfig(threads=1))
    try:
        session = ort.InferenceSession(file, session_options, providers=["CPUExecutionProvider"])
        run = partial(session.run, None, run_options=options)
        together = run({name: rows})
        alone = [run({name: rows[at : at + 1]}) for at in range(len(rows))]
        crowd = []
        if rows.dtype.kind == "f":
            crowd = [run({name: np.concatenate([rows, other])}) for other in (rows * 1000, rows[::-1] * -3)]
    except Exception:  # noqa: BLE001 - whatever a model does with rows that it is not made for
        return None
    count = len(rows)
    for index, array in enumerate(together):
        if not isinstance(array, np.ndarray) or array.shape[:1] != (count,):
            return None
        if any(len(one[index]) != 2 * count for one in crowd):
            return None
        for at in range(count):
            if alone[at][index].shape[:1] != (1,):
                return None
            if not are_close(array[at], alone[at][index][0]):
                return True
        if any(not are_close(array, one[index][:count]) for one in crowd):
            return True
    return False


def are_close(one, other):
    one, other = np.asarray(one), np.asarray(other)
    if one.dtype.kind not in "fiub":
        return np.array_equal(one, other)
    return np.allclose(one.astype(float), other.astype(float), rtol=1e-3, atol=1e-4, equal_nan=True)
