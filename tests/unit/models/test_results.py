from pathlib import Path

import numpy as np
import orjson
import pytest

from inferq.jobs import InvalidModelError, ModelError
from inferq.models.card import ModelCard
from inferq.models.repository import load_model
from inferq.models.results import ClassifierEncoder, TensorEncoder, choose_encoder
from inferq.models.signature import Datatype, Tensor
from tests import onnx_models

NAMES = ["a", "b", "c"]
LABEL = Tensor(name="label", datatype=Datatype.INT64, shape=[-1])
SCORES = Tensor(name="scores", datatype=Datatype.FP32, shape=[-1, 3])


def with_names(folder: Path, names: list[str]) -> Path:
    (folder / "model.toml").write_text(f"class_names = {names}")
    return folder


def predict(folder: Path, data: object) -> object:
    return orjson.loads(load_model(folder).predict(orjson.dumps(data)))


def encode(encoder: ClassifierEncoder, rows: int | None, **outputs: np.ndarray) -> object:
    [result] = encoder.encode(outputs, None if rows is None else [rows])
    return orjson.loads(result)


def test_one_row_gives_single_values_and_more_give_lists():
    encoder = ClassifierEncoder(NAMES, "label", "scores")
    scores = np.array([[0, 0.25, 0.75], [1, 0, 0]], dtype=np.float32)
    label = np.array([2, 0])
    assert encode(encoder, 1, label=label[:1], scores=scores[:1]) == {
        "prediction": 2,
        "class_name": "c",
        "probabilities": [0, 0.25, 0.75],
    }
    assert encode(encoder, 2, label=label, scores=scores) == {
        "prediction": [2, 0],
        "class_name": ["c", "a"],
        "probabilities": [[0, 0.25, 0.75], [1, 0, 0]],
    }


def test_without_labels_the_largest_probability_decides(tmp_path):
    result = predict(with_names(onnx_models.write_softmax(tmp_path / "m"), NAMES), [[0, 5, 0], [9, 0, 0]])
    assert isinstance(result, dict)
    assert (result["prediction"], result["class_name"]) == ([1, 0], ["b", "a"])


def test_without_probabilities_they_are_null(tmp_path):
    folder = with_names(onnx_models.write_labels(tmp_path / "m"), NAMES)
    assert predict(folder, [2]) == {"prediction": 2, "class_name": "c", "probabilities": None}
    assert predict(folder, [2, 0]) == {"prediction": [2, 0], "class_name": ["c", "a"], "probabilities": None}


def test_labels_that_are_strings_become_indices(tmp_path):
    folder = with_names(onnx_models.write_text_labels(tmp_path / "m"), ["dog", "cat"])
    result = predict(folder, [[0, 0]])
    assert result == {"prediction": 1, "class_name": "cat", "probabilities": [0.5, 0.5]}


def test_a_label_outside_of_the_class_names_is_a_model_error(tmp_path):
    folder = with_names(onnx_models.write_labels(tmp_path / "m"), NAMES)
    for label in (3, -1):
        with pytest.raises(ModelError, match=f"class {label}, which class_names"):
            predict(folder, [label])


def test_probabilities_that_are_nan_decide_nothing():
    scores = np.array([[0.5, np.nan, 0]], dtype=np.float16)
    found = encode(ClassifierEncoder(NAMES, None, "scores"), 1, scores=scores)
    assert found == {"prediction": None, "class_name": None, "probabilities": [0.5, None, 0]}


@pytest.mark.parametrize("shape", [(1, 2), (1, 1, 3), (2,)])
def test_probabilities_that_do_not_match_the_class_names_are_a_model_error(shape):
    with pytest.raises(ModelError, match="class_names has 3 names"):
        encode(ClassifierEncoder(NAMES, None, "scores"), 1, scores=np.zeros(shape))


def test_outputs_for_another_number_of_rows_are_a_model_error():
    encoder = ClassifierEncoder(NAMES, "label", "scores")
    for rows, label, scores in (
        (2, np.zeros(1, int), np.zeros((1, 3))),
        (None, np.zeros(2, int), np.zeros((1, 3))),
    ):
        with pytest.raises(ModelError, match="one for each"):
            encode(encoder, rows, label=label, scores=scores)


def test_a_model_with_a_fixed_batch_classifies_each_of_its_rows():
    found = encode(ClassifierEncoder(NAMES, "label", None), None, label=np.array([1, 2]))
    assert found == {"prediction": [1, 2], "class_name": ["b", "c"], "probabilities": None}


def test_a_tensor_of_any_layout_is_encoded():
    outputs = {
        "strided": np.arange(6).reshape(2, 3)[:, 1],
        "empty": np.zeros((2, 0), dtype=np.float32),
        "big": np.array([2**64 - 1], dtype=np.uint64),
        "text": np.array([["a"], ["花"]], dtype=object),
        "flag": np.array(True),
    }
    assert orjson.loads(TensorEncoder().encode(outputs, [1])[0]) == {
        "outputs": {
            "strided": [1, 4],
            "empty": [[], []],
            "big": [2**64 - 1],
            "text": [["a"], ["花"]],
            "flag": True,
        }
    }


def test_outputs_are_found_by_shape_and_type():
    other = Tensor(name="hidden", datatype=Datatype.FP32, shape=[-1, 8])
    chosen = choose_encoder([other, SCORES, LABEL], ModelCard(class_names=NAMES))
    assert chosen == ClassifierEncoder(NAMES, "label", "scores")


def test_outputs_named_in_the_card_are_taken_even_where_their_shape_is_unknown():
    unknown = Tensor(name="unknown", datatype=Datatype.FP32, shape=[])
    card = ModelCard(class_names=NAMES, probabilities_output="unknown")
    assert choose_encoder([SCORES, unknown], card) == ClassifierEncoder(NAMES, None, "unknown")


def test_a_model_without_class_names_is_no_classifier():
    assert isinstance(choose_encoder([LABEL, SCORES], ModelCard()), TensorEncoder)


@pytest.mark.parametrize(
    ("card", "reason"),
    [
        (ModelCard(class_names=["a", "b"], label_output="scores"), "No output named 'scores' fits"),
        (ModelCard(class_names=NAMES, label_output="absent"), "No output named 'absent' fits"),
        (ModelCard(label_output="label"), "need class_names"),
    ],
)
def test_a_card_that_does_not_fit_the_outputs_is_refused(card, reason):
    with pytest.raises(InvalidModelError, match=reason):
        choose_encoder([LABEL, SCORES], card)


def test_class_names_without_a_fitting_output_are_refused():
    with pytest.raises(InvalidModelError, match=r"no output fits a classifier: .* shape \[-1, 2\]"):
        choose_encoder([SCORES], ModelCard(class_names=["a", "b"]))
