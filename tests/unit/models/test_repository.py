import hashlib
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from inferq.jobs import InvalidModelError
from inferq.models.repository import load_repository
from inferq.models.signature import Datatype, Tensor
from tests import onnx_models

REPOSITORY = Path(__file__).parents[3] / "models"


def refusal(path: Path) -> str:
    with pytest.raises(InvalidModelError) as caught:
        load_repository(path)
    assert "\n" not in caught.value.message
    return caught.value.message


def refusal_of_card(tmp_path: Path, text: str) -> str:
    folder = onnx_models.write_softmax(tmp_path / "soft")
    (folder / "model.toml").write_text(text)
    message = refusal(tmp_path)
    assert "model.toml" in message
    return message


def test_the_repository_of_the_project_holds_iris():
    document = load_repository(REPOSITORY)["iris"].document
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


def test_several_models_are_loaded_in_alphabetical_order_and_other_folders_passed_over(tmp_path):
    onnx_models.write_text(tmp_path / "text")
    onnx_models.write_image(tmp_path / "image")
    onnx_models.write_text(tmp_path / ".hidden")
    (tmp_path / "notes").mkdir()
    models = load_repository(tmp_path, threads=1)
    assert list(models) == ["image", "text"]
    assert [model.name for model in models.values()] == ["image", "text"]
    assert models["image"].document.inputs[0].shape == [-1, 3, -1, -1]
    assert models["text"].document.inputs[0].datatype is Datatype.BYTES
    assert models["text"].document.example is None


def test_a_folder_that_is_missing_names_the_setting(tmp_path):
    assert "INFERQ_MODELS_DIR" in refusal(tmp_path / "absent")


def test_a_folder_without_models_shows_what_is_expected(tmp_path):
    message = refusal(tmp_path)
    assert "has no models" in message
    assert str(Path("iris", "model.onnx")) in message


@pytest.mark.parametrize("content", [b"", b"not a model", b"\x08"])
def test_a_corrupt_model_is_named(tmp_path, content):
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "model.onnx").write_bytes(content)
    assert "model.onnx" in refusal(tmp_path)


def test_a_truncated_model_is_named(tmp_path):
    file = onnx_models.write_image(tmp_path / "cut") / "model.onnx"
    file.write_bytes(file.read_bytes()[:-20])
    assert "cannot be loaded" in refusal(tmp_path)


def test_a_model_that_is_a_folder_is_named(tmp_path):
    (tmp_path / "bad" / "model.onnx").mkdir(parents=True)
    assert "cannot be read" in refusal(tmp_path)


def test_a_name_that_cannot_be_a_key_is_refused(tmp_path):
    onnx_models.write_text(tmp_path / "two words")
    assert "'two words' is no name for a model" in refusal(tmp_path)


def test_a_zip_map_output_is_refused_with_the_way_to_export_without(tmp_path):
    onnx_models.write_zip_map(tmp_path / "zipped")
    assert "zipmap" in refusal(tmp_path)


def test_a_datatype_that_json_cannot_carry_is_refused(tmp_path):
    onnx_models.write(
        tmp_path / "complex",
        [helper.make_node("Identity", ["x"], ["y"])],
        inputs=[onnx_models.value("x", TensorProto.BFLOAT16, ["n"])],
        outputs=[onnx_models.value("y", TensorProto.BFLOAT16, ["n"])],
    )
    message = refusal(tmp_path)
    assert "bfloat16" in message
    assert "Cast it" in message


def test_a_model_without_inputs_is_refused(tmp_path):
    onnx_models.write(
        tmp_path / "constant",
        [helper.make_node("Identity", ["c"], ["y"])],
        inputs=[],
        outputs=[onnx_models.value("y", TensorProto.FLOAT, [1])],
        constants={"c": np.zeros(1, dtype=np.float32)},
    )
    assert "no inputs" in refusal(tmp_path)


def test_weights_in_a_file_beside_the_model_are_found(tmp_path):
    file = onnx_models.write_failing_model(tmp_path / "lookup") / "model.onnx"
    onnx.save(onnx.load(file), file, save_as_external_data=True, location="weights", size_threshold=0)
    assert (tmp_path / "lookup" / "weights").exists()
    assert b"40.0" in load_repository(tmp_path)["lookup"].predict(b"[3]")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("class_names = [", "is not valid TOML"),
        ("classes = ['a']", "'classes' is no key of a model.toml. Known keys: description, class_names"),
        ("class_names = 'a'", "'class_names' is not valid"),
        ("class_names = []", "'class_names' is not valid"),
        ("class_names = [1]", "'class_names.0' is not valid"),
        ("class_names = ['a', 'b']", "no output fits a classifier"),
        ("feature_names = ['a']", "feature_names has 1 names"),
        ("label_output = 'probabilities'", "need class_names"),
        ("example = [[1, 2]]", "The example does not fit the model. data[0] has 2 values"),
        ("example = [[1, 2, nan]]", "finite"),
        ("example = [[1, 2, 1979-05-27]]", "got a date"),
    ],
)
def test_a_card_that_is_wrong_says_what_is_wrong(tmp_path, text, reason):
    assert reason in refusal_of_card(tmp_path, text)


def test_a_card_that_is_not_utf8_is_refused(tmp_path):
    folder = onnx_models.write_softmax(tmp_path / "soft")
    (folder / "model.toml").write_bytes(b"description = '\xff'")
    assert "is not UTF-8" in refusal(tmp_path)


def test_feature_names_for_several_inputs_are_refused(tmp_path):
    folder = onnx_models.write_two_by_two(tmp_path / "two")
    (folder / "model.toml").write_text("feature_names = ['a', 'b', 'c']")
    assert "only input" in refusal(tmp_path)


def test_an_example_may_be_a_table_of_named_inputs(tmp_path):
    folder = onnx_models.write_two_by_two(tmp_path / "two")
    (folder / "model.toml").write_text("[example]\ncount = [[1, 2, 3]]\nprice = [[0.5, 1, 2]]")
    model = load_repository(tmp_path)["two"]
    model.warm_up()
    assert model.document.example == {"count": [[1, 2, 3]], "price": [[0.5, 1, 2]]}
