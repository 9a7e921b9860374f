"""Strings that are no UTF-8."""

import numpy as np
import pytest
from onnx import helper

from inferq.errors import InvalidInputError, ModelError
from inferq.models.repository.model_folder import load_model
from inferq.models.sessions.text_values import make_text_value, read_text_value
from tests import onnx_models
from tests.models import predict
from tests.onnx_models import STRING
from tests.tensors import make_envelope, make_npy, read_outputs

BYTES = [b"\xff\xfe\0", b"", b"abc\0", b"caf\xc3\xa9 \x80", b"\xff" * 300]


def escape(*values):
    return np.array([value.decode("utf-8", "surrogateescape") for value in values], object)


def read_bytes(result, name):
    return [text.encode("utf-8", "surrogateescape") for text in read_outputs(result)[name].reshape(-1)]


@pytest.mark.parametrize("shape", [(5,), (1, 5), (5, 1, 1)])
def test_strings_of_any_bytes_are_values_of_onnx_runtime_and_come_back(shape):
    texts = escape(*BYTES).reshape(shape)
    value = make_text_value(texts)
    assert (value.data_type(), tuple(value.shape())) == ("tensor(string)", shape)
    np.testing.assert_array_equal(read_text_value(value), texts)


@pytest.mark.parametrize(
    "texts", [np.array("é", object), np.empty((0, 2), object), escape(b"\x80").reshape(())]
)
def test_single_and_no_strings_have_their_shape(texts):
    found = read_text_value(make_text_value(texts))
    assert (found.shape, found.tolist()) == (texts.shape, texts.tolist())


def test_raw_tensors_carry_any_bytes_through_a_model(tmp_path):
    model = load_model(onnx_models.write_text(tmp_path / "text"))
    result = predict(model, make_envelope({"text": escape(*BYTES)}))
    assert read_bytes(result, "loud") == [value + b"!" for value in BYTES]
    fixed = predict(model, make_npy(np.array([b"\xff", b"ok"])))
    assert read_bytes(fixed, "loud") == [b"\xff!", b"ok!"]


def test_jobs_of_text_and_of_other_bytes_share_a_run(tmp_path):
    model = load_model(onnx_models.write_text(tmp_path / "text"))
    jobs = [model.decode(make_envelope({"text": escape(value)})) for value in (b"a", b"\x80")]
    results = model.predict_together(jobs)
    assert [read_bytes(result, "loud") for result in results] == [[b"a!"], [b"\x80!"]]


def test_json_cannot_say_what_is_no_text(tmp_path):
    folder = onnx_models.write(
        tmp_path / "bytes",
        [helper.make_node("Identity", ["constant"], ["y"])],
        inputs=[],
        outputs=[onnx_models.value("y", STRING, [1])],
        constants={"constant": np.array([b"\x80"], object)},
    )
    model = load_model(folder)
    with pytest.raises(ModelError, match="not UTF-8, which JSON cannot say"):
        predict(model, b"[]")
    assert read_bytes(predict(model, make_envelope({})), "y") == [b"\x80"]


def test_a_sequence_takes_text_alone_and_anything_else_is_the_fault_of_the_data(tmp_path):
    kind = onnx_models.make_sequence(STRING)
    model = load_model(onnx_models.write_container(tmp_path / "m", kind))
    assert read_bytes(predict(model, make_envelope({"x/0": escape(b"a")})), "y/0") == [b"a"]
    with pytest.raises(InvalidInputError, match="A string is no UTF-8"):
        predict(model, make_envelope({"x/0": escape(b"\x80")}))
