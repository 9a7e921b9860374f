"""Models whose inputs and outputs are of types that NumPy lacks."""

import numpy as np
import onnx
import orjson
import pytest
from onnx import helper

from inferq.errors import InvalidInputError, InvalidModelError
from inferq.models.repository.model_folder import load_model
from inferq.tensors.signature import Datatype
from inferq.worker.loading.batch_probe import probe_model
from tests import onnx_models
from tests.models import predict
from tests.tensors import make_envelope, make_npz, narrow_dtype, read_outputs

ELEMENTS = {
    Datatype.BF16: "BFLOAT16",
    **{one: one.value for one in Datatype if not one.is_in_numpy and one is not Datatype.BF16},
}
SERVED = [one for one in ELEMENTS if one is not Datatype.FLOAT4E2M1]
"""ONNX Runtime casts them on a CPU."""
VALUES = [[1.0, 2.0, 1.0], [2.0, 1.0, 2.0]]
"""Which all of them but the integers of two bits have."""
WITHOUT_NUMPY = "NumPy lacks it, so send JSON numbers, or its own bytes as a raw tensor"


def load(folder, datatype):
    element = getattr(onnx.TensorProto, ELEMENTS[datatype])
    return load_model(onnx_models.write_casts(folder / "narrow", element))


def make_arrays(datatype):
    values = np.array([[0, 1, 1], [1, 0, 1]] if datatype is Datatype.INT2 else VALUES)
    return {"x": values.astype(np.float32), "code": values.astype(narrow_dtype(datatype))}


@pytest.mark.parametrize("datatype", SERVED)
def test_raw_tensors_go_in_and_come_out_as_their_own_bytes(tmp_path, datatype):
    model, arrays = load(tmp_path, datatype), make_arrays(datatype)
    assert [tensor.datatype for tensor in model.document.inputs] == ["FP32", datatype]
    outputs = read_outputs(predict(model, make_envelope(arrays)))
    assert outputs["as_code"].dtype == narrow_dtype(datatype)
    for name, twin in (("as_code", "x"), ("as_float", "code")):
        np.testing.assert_array_equal(outputs[name].astype(float), arrays[twin].astype(float))


@pytest.mark.parametrize("datatype", SERVED)
def test_json_holds_their_numbers(tmp_path, datatype):
    model, arrays = load(tmp_path, datatype), make_arrays(datatype)
    values = arrays["x"].astype(int if datatype.is_integer else float).tolist()
    result = orjson.loads(predict(model, orjson.dumps({"x": values, "code": values})))
    assert result == {"outputs": {"as_code": values, "as_float": values}}


@pytest.mark.parametrize("datatype", SERVED)
def test_jobs_share_a_run(tmp_path, datatype):
    model, arrays = load(tmp_path, datatype), make_arrays(datatype)
    model.warm_up()
    assert probe_model(model).may_share_runs
    rows = [{name: array[[row]] for name, array in arrays.items()} for row in (0, 1)]
    results = model.predict_together([model.decode(make_envelope(row)) for row in rows])
    for row, result in zip(rows, results, strict=True):
        np.testing.assert_array_equal(read_outputs(result)["as_code"].astype(float), row["x"])


def test_numbers_become_the_nearest_that_there_are(tmp_path):
    model = load(tmp_path, Datatype.BF16)
    data = {"x": [[0.1, 0.2, 0.3]], "code": [[0.1, None, "-Infinity"]]}
    outputs = orjson.loads(predict(model, orjson.dumps(data)))["outputs"]
    assert np.array(outputs["as_code"], np.float32).tolist() == [[0.10009765625, 0.2001953125, 0.30078125]]
    assert np.array(outputs["as_float"][0][0], np.float32) == 0.10009765625
    assert outputs["as_float"][0][1:] == [None, None]


@pytest.mark.parametrize(
    ("datatype", "value", "message"),
    [
        (Datatype.INT4, 8, r"must be a whole number between -8 and 7 \(INT4\), got the number 8"),
        (Datatype.UINT2, -1, r"between 0 and 3 \(UINT2\), got the number -1"),
        (Datatype.BF16, 3.4e38, r"between -3.38953e\+38 and 3.38953e\+38 \(BF16\)"),
        (Datatype.FLOAT8E4M3FN, "Infinity", r'a number, null or "NaN" \(FLOAT8E4M3FN\)'),
        (Datatype.FLOAT8E8M0, 0, r"a number between 5.87747e-39 and 1.70141e\+38"),
    ],
)
def test_what_the_datatype_lacks_is_refused(tmp_path, datatype, value, message):
    model = load(tmp_path, datatype)
    with pytest.raises(InvalidInputError, match=message):
        model.decode(orjson.dumps({"x": [[0, 0, 0]], "code": [[value] * 3]}))


def test_arrays_of_numpy_are_not_converted(tmp_path):
    model, x = load(tmp_path, Datatype.BF16), np.ones((1, 3), np.float32)
    with pytest.raises(InvalidInputError, match=f"is FP32, but .* expects BF16.* {WITHOUT_NUMPY}"):
        model.decode(make_npz({"x": x, "code": x}))


def test_text_as_input_keeps_such_an_output_from_being_served(tmp_path):
    folder = onnx_models.write(
        tmp_path / "mixed",
        [helper.make_node("Cast", ["text"], ["y"], to=onnx_models.BF16)],
        inputs=[onnx_models.value("text", onnx_models.STRING, ["n"])],
        outputs=[onnx_models.value("y", onnx_models.BF16, ["n"])],
    )
    with pytest.raises(InvalidModelError, match=r"'y' \(BF16.*all inputs are tensors of numbers.*'text'"):
        load_model(folder)


def test_such_an_input_that_is_only_passed_on_comes_back(tmp_path):
    element = onnx.TensorProto.FLOAT4E2M1
    folder = onnx_models.write(
        tmp_path / "pass",
        [helper.make_node("Identity", ["x"], ["y"])],
        inputs=[onnx_models.value("x", onnx_models.FP32, [1]), onnx_models.value("w", element, [3])],
        outputs=[onnx_models.value("y", onnx_models.FP32, [1]), onnx_models.value("w", element, [3])],
        opset=25,
    )
    w = np.array([0.5, -6, 3]).astype(narrow_dtype(Datatype.FLOAT4E2M1))
    outputs = read_outputs(predict(load_model(folder), make_envelope({"x": np.ones(1, np.float32), "w": w})))
    np.testing.assert_array_equal(outputs["w"], w)


def test_scalars_and_empty_arrays_are_taken(tmp_path):
    folder = onnx_models.write(
        tmp_path / "copy",
        [helper.make_node("Identity", ["x"], ["y"])],
        inputs=[onnx_models.value("x", onnx_models.BF16, None)],
        outputs=[onnx_models.value("y", onnx_models.BF16, None)],
    )
    model = load_model(folder)
    for shape in ((), (0, 2), (2, 1)):
        x = np.full(shape, 0.5).astype(narrow_dtype(Datatype.BF16))
        outputs = read_outputs(predict(model, make_envelope({"x": x})))
        assert outputs["y"].shape == shape
        np.testing.assert_array_equal(outputs["y"], x)
