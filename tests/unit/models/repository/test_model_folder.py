import hashlib
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper

from inferq.errors import InvalidModelError
from inferq.tensors.signature import Datatype, ModelDocument, Tensor
from tests import onnx_models
from tests.models import load_models

REPOSITORY = Path(__file__).parents[4] / "models"


def find_error(path: Path) -> str:
    with pytest.raises(InvalidModelError) as caught:
        load_models(path)
    assert "\n" not in caught.value.message
    return caught.value.message


def test_the_repository_of_the_project_holds_iris():
    document = load_models(REPOSITORY)["iris"].document
    digest = hashlib.sha256((REPOSITORY / "iris" / "model.onnx").read_bytes()).hexdigest()
    assert document.version == digest[:12]
    assert document.versions == [document.version]
    assert document.platform == "onnxruntime_onnx"
    assert document.inputs == [Tensor(name="features", datatype=Datatype.FP32, shape=[-1, 4])]
    assert [tensor.shape for tensor in document.outputs] == [[-1], [-1, 3]]
    assert document.class_names == ["setosa", "versicolor", "virginica"]
    assert document.feature_names is not None
    assert document.example == [[5.1, 3.5, 1.4, 0.2]]
    assert document.batched


@pytest.mark.parametrize("content", [b"", b"not a model", b"\x08"])
def test_a_corrupt_model_is_named(tmp_path, content):
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "model.onnx").write_bytes(content)
    assert "model.onnx" in find_error(tmp_path)


def test_a_truncated_model_is_named(tmp_path):
    file = onnx_models.write_image(tmp_path / "cut") / "model.onnx"
    file.write_bytes(file.read_bytes()[:-20])
    assert "cannot be loaded" in find_error(tmp_path)


def test_a_name_that_cannot_be_a_key_is_refused(tmp_path):
    onnx_models.write_text(tmp_path / "two words")
    assert "'two words' is no name for a model" in find_error(tmp_path)


def test_feature_names_for_several_inputs_are_refused(tmp_path):
    folder = onnx_models.write_two_by_two(tmp_path / "two")
    (folder / "model.toml").write_text("feature_names = ['a', 'b', 'c']")
    assert "only input" in find_error(tmp_path)


def test_an_example_may_be_a_table_of_named_inputs(tmp_path):
    folder = onnx_models.write_two_by_two(tmp_path / "two")
    (folder / "model.toml").write_text("[example]\ncount = [[1, 2, 3]]\nprice = [[0.5, 1, 2]]")
    model = load_models(tmp_path)["two"]
    model.warm_up()
    assert model.document.example == {"count": [[1, 2, 3]], "price": [[0.5, 1, 2]]}


@pytest.mark.parametrize(
    ("names", "batched"), [(["n", "n"], True), (["n", "m"], False), (["unk__1", "unk__2"], True)]
)
def test_first_axes_of_different_names_are_no_batch(tmp_path, names, batched):
    folder = onnx_models.write(
        tmp_path / "m",
        [helper.make_node("Relu", [one], [f"{one}_out"]) for one in "ab"],
        inputs=[
            onnx_models.value(one, TensorProto.FLOAT, [name, 2])
            for one, name in zip("ab", names, strict=True)
        ],
        outputs=[onnx_models.value(f"{one}_out", TensorProto.FLOAT, [None, 2]) for one in "ab"],
    )
    model = load_models(tmp_path)["m"]
    assert model.document.batched is batched
    assert (model.dependence is None) is batched
    (folder / "model.toml").write_text("batch = true")
    model = load_models(tmp_path)["m"]
    assert model.document.batched
    assert model.dependence is None


def test_an_example_may_hold_numbers_beyond_64_bits_and_none_at_all(tmp_path):
    folder = onnx_models.write_softmax(tmp_path / "soft")
    (folder / "model.toml").write_text("example = [[100000000000000000000, nan, -inf]]")
    model = load_models(tmp_path)["soft"]
    model.warm_up()
    assert model.make_sample().inputs["scores"][0, 0] == np.float32(1e20)
    assert ModelDocument.from_json(model.document.to_json()).example == [[10**20, "NaN", "-Infinity"]]
