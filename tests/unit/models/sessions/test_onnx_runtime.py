from pathlib import Path

import numpy as np
import orjson
import pytest
from onnx import helper

from inferq.errors import InvalidModelError, ModelError
from inferq.models.repository.model_folder import load_model
from inferq.models.runtime_errors import explain_runtime_error, shorten
from tests import onnx_models
from tests.models import predict, run_job

IRIS = Path(__file__).parents[4] / "models" / "iris"


def test_a_missing_locale_is_named_with_what_to_install(tmp_path):
    folder = onnx_models.write(
        tmp_path / "normalizer",
        [
            helper.make_node(
                "StringNormalizer", ["x"], ["y"], case_change_action="LOWER", locale="xx_YY.UTF-8"
            )
        ],
        inputs=[onnx_models.value("x", onnx_models.STRING, [2])],
        outputs=[onnx_models.value("y", onnx_models.STRING, [2])],
    )
    with pytest.raises(InvalidModelError, match=r"xx_YY.* Install the locale"):
        load_model(folder)


def test_a_run_that_fails_says_where_and_why_without_codes(tmp_path):
    model = load_model(onnx_models.write_failing_model(tmp_path / "lookup"))
    assert orjson.loads(predict(model, b"[0, -1]")) == {"outputs": {"entry": [10, 40]}}
    with pytest.raises(ModelError) as caught:
        predict(model, b"[0, 9]")
    assert caught.value.message == (
        "The model 'lookup' failed: in Gather 'look_up': indices element out of data bounds, idx=9 must be "
        "within the inclusive range [-4,3]."
    )
    assert orjson.loads(predict(model, b"[3]")) == {"outputs": {"entry": [40]}}


def test_a_reshape_that_fails_is_explained_without_source_files(tmp_path):
    with pytest.raises(ModelError) as caught:
        run_job(onnx_models.write_reshape(tmp_path / "reshape"), [1, 2, 3])
    assert "cannot be reshaped" in caught.value.message
    assert ".h:" not in caught.value.message
    assert "onnxruntime::" not in caught.value.message


def test_a_run_that_fails_prints_nothing_of_its_own(tmp_path, capfd):
    with pytest.raises(ModelError):
        run_job(onnx_models.write_failing_model(tmp_path / "lookup"), [9])
    assert capfd.readouterr() == ("", "")


def test_arrays_of_a_wrong_type_given_to_run_are_a_model_error():
    with pytest.raises(ModelError, match="The model 'iris' failed"):
        load_model(IRIS).run({"features": np.zeros((1, 4))})
    with pytest.raises(ModelError, match="The model 'iris' failed"):
        load_model(IRIS).run({})


def test_an_error_without_a_message_is_called_by_its_type():
    assert explain_runtime_error(MemoryError()) == "MemoryError."


def test_a_long_message_is_cut_at_a_word():
    assert shorten("one " * 100).endswith("one one …")
    assert shorten("one two") == "one two"
