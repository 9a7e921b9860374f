from pathlib import Path

import numpy as np
import orjson
import pytest

from inferq.errors import InvalidModelError, ModelError
from inferq.models.repository.model_folder import load_model
from inferq.models.results.classifier_encoder import ClassifierEncoder
from inferq.queue.retry_policy import RETRIED_KINDS
from tests import onnx_models
from tests.models import run_job

NAMES = ["a", "b", "c"]


def with_names(folder: Path, names: list[str]) -> Path:
    (folder / "model.toml").write_text(f"class_names = {names}")
    return folder


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
    result = run_job(with_names(onnx_models.write_softmax(tmp_path / "m"), NAMES), [[0, 5, 0], [9, 0, 0]])
    assert isinstance(result, dict)
    assert (result["prediction"], result["class_name"]) == ([1, 0], ["b", "a"])


def test_without_probabilities_they_are_null(tmp_path):
    folder = with_names(onnx_models.write_labels(tmp_path / "m"), NAMES)
    assert run_job(folder, [2]) == {"prediction": 2, "class_name": "c", "probabilities": None}
    assert run_job(folder, [2, 0]) == {
        "prediction": [2, 0],
        "class_name": ["c", "a"],
        "probabilities": None,
    }


def test_labels_that_are_strings_become_indices(tmp_path):
    folder = with_names(onnx_models.write_text_labels(tmp_path / "m"), ["cat", "dog"])
    result = run_job(folder, [[0, 1]])
    assert isinstance(result, dict)
    assert (result["prediction"], result["class_name"]) == (1, "dog")


def test_a_label_outside_of_the_class_names_names_the_remedy_and_is_not_tried_again(tmp_path):
    folder = with_names(onnx_models.write_labels(tmp_path / "m"), NAMES)
    for label in (3, -1):
        with pytest.raises(
            InvalidModelError, match=f"class {label}, which class_names .* as a table"
        ) as caught:
            run_job(folder, [label])
        assert caught.value.kind not in RETRIED_KINDS


def test_labels_that_are_no_indices_are_told_by_a_table(tmp_path):
    folder = onnx_models.write_labels(tmp_path / "m")
    (folder / "model.toml").write_text('class_names = {"10" = "low", "-1" = "high"}')
    assert run_job(folder, [-1, 10, -1]) == {
        "prediction": [1, 0, 1],
        "class_name": ["high", "low", "high"],
        "probabilities": None,
    }
    document = load_model(folder).document
    assert (document.class_names, document.class_labels) == (["low", "high"], [10, -1])
    with pytest.raises(InvalidModelError, match="its labels are 10, -1"):
        run_job(folder, [0])


def test_a_table_whose_labels_are_no_numbers_does_not_fit_labels_that_are(tmp_path):
    folder = onnx_models.write_labels(tmp_path / "m")
    (folder / "model.toml").write_text('class_names = {a = "low"}')
    with pytest.raises(
        InvalidModelError, match=r'has the labels "a", but those of the output .* whole numbers'
    ):
        load_model(folder)


@pytest.mark.parametrize(
    ("labels", "example"),
    [
        ([1, 2, 3], [[9, 0, 0]]),
        ([1, 2, 3], None),
        ([-1, 0, 1], None),
        ([10, 20, 30], None),
        ([0, 2, 1], None),
    ],
)
def test_labels_that_contradict_the_probabilities_are_found_when_the_model_is_loaded(
    tmp_path, labels, example
):
    folder = with_names(onnx_models.write_labelled_softmax(tmp_path / "m", labels), NAMES)
    if example:
        (folder / "model.toml").write_text(f"class_names = {NAMES}\nexample = {example}")
    with pytest.raises(
        InvalidModelError, match=r"The model answered with class .* as a table from each label"
    ):
        load_model(folder).warm_up()


def test_a_table_names_labels_beside_probabilities(tmp_path):
    folder = onnx_models.write_labelled_softmax(tmp_path / "m", [1, 2, 3])
    (folder / "model.toml").write_text(
        'class_names = {1 = "first", 2 = "second", 3 = "third"}\nexample = [[9, 0, 0]]'
    )
    load_model(folder).warm_up()
    result = run_job(folder, [[9, 0, 0], [0, 0, 9]])
    assert isinstance(result, dict)
    assert (result["prediction"], result["class_name"]) == ([0, 2], ["first", "third"])


def test_a_table_in_another_order_than_the_probabilities_is_found_by_the_example(tmp_path):
    folder = onnx_models.write_labelled_softmax(tmp_path / "m", [1, 2, 3])
    (folder / "model.toml").write_text('class_names = {3 = "c", 2 = "b", 1 = "a"}\nexample = [[9, 0, 0]]')
    with pytest.raises(InvalidModelError, match=r"answered with class 1, but the largest value .* of 'c'"):
        load_model(folder).warm_up()


def test_a_label_that_differs_from_the_largest_probability_counts_where_a_table_says_what_it_is():
    encoder = ClassifierEncoder(["no", "yes"], "label", "scores", [0, 1])  # a threshold of 0.3
    found = encode(encoder, 1, label=np.array([1]), scores=np.array([[0.625, 0.375]]))
    assert found == {"prediction": 1, "class_name": "yes", "probabilities": [0.625, 0.375]}


def test_a_label_decides_between_probabilities_that_are_equal():
    encoder = ClassifierEncoder(["no", "yes"], "label", "scores")
    for label, scores in ((1, [0.5, 0.5]), (1, [0.5001, 0.4999]), (0, [np.nan, 1])):
        result = encode(encoder, 1, label=np.array([label]), scores=np.array([scores]))
        assert isinstance(result, dict)
        assert result["prediction"] == label


@pytest.mark.parametrize(
    ("labels", "names", "result"),
    [
        ([1, 2], ["a", "b"], ([1, 0], ["b", "a"], [[0.25, 0.75], [1, 0]])),
        ([1, 2], {"2": "b", "1": "a"}, ([0, 1], ["b", "a"], [[0.75, 0.25], [0, 1]])),
        (["cat", "dog"], ["dog", "cat"], ([0, 1], ["dog", "cat"], [[0.75, 0.25], [0, 1]])),
        (["cat", "dog"], ["Katze", "Hund"], ([1, 0], ["Hund", "Katze"], [[0.25, 0.75], [1, 0]])),
    ],
)
def test_the_keys_of_maps_tell_which_class_is_which(tmp_path, labels, names, result):
    folder = onnx_models.write_zip_map(tmp_path / "m", labels)
    table = ", ".join(f'{key} = "{name}"' for key, name in names.items()) if isinstance(names, dict) else ""
    (folder / "model.toml").write_text(f"class_names = {{{table}}}" if table else f"class_names = {names}")
    load_model(folder).warm_up()
    found = run_job(folder, [[0.25, 0.75], [1, 0]])
    assert isinstance(found, dict)
    assert tuple(found.values()) == result


def test_a_table_of_other_labels_than_the_keys_of_maps_is_refused(tmp_path):
    folder = onnx_models.write_zip_map(tmp_path / "m", [1, 2])
    (folder / "model.toml").write_text('class_names = {0 = "a", 1 = "b"}')
    with pytest.raises(InvalidModelError, match="tells of the classes 1, 2, but class_names of 0, 1"):
        load_model(folder).warm_up()


def test_names_in_another_order_than_the_probabilities_are_refused(tmp_path):
    folder = with_names(onnx_models.write_text_labels(tmp_path / "m"), ["dog", "cat"])
    with pytest.raises(
        InvalidModelError, match=r'answered with class "cat", but the largest value .* of .dog.'
    ):
        run_job(folder, [[5, 0]])


def test_probabilities_of_a_dynamic_number_are_counted_when_the_model_is_warmed_up(tmp_path):
    folder = with_names(onnx_models.write_widths(tmp_path / "m"), NAMES)
    with pytest.raises(InvalidModelError, match="class_names has 3 names"):
        load_model(folder).warm_up()


def test_probabilities_that_are_nan_decide_nothing():
    scores = np.array([[0.5, np.nan, 0]], dtype=np.float16)
    found = encode(ClassifierEncoder(NAMES, None, "scores"), 1, scores=scores)
    assert found == {"prediction": None, "class_name": None, "probabilities": [0.5, None, 0]}


@pytest.mark.parametrize("shape", [(1, 2), (1, 1, 3), (2,)])
def test_probabilities_that_do_not_match_the_class_names_are_refused(shape):
    with pytest.raises(InvalidModelError, match="class_names has 3 names"):
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
