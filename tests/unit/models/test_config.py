from pathlib import Path

import pytest

from inferq.errors import InvalidModelError
from tests import onnx_models
from tests.models import load_models


def find_error(path: Path) -> str:
    with pytest.raises(InvalidModelError) as caught:
        load_models(path)
    assert "\n" not in caught.value.message
    return caught.value.message


def find_config_error(tmp_path: Path, text: str) -> str:
    folder = onnx_models.write_softmax(tmp_path / "soft")
    (folder / "model.toml").write_text(text)
    message = find_error(tmp_path)
    assert "model.toml" in message
    return message


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("class_names = [", "is not valid TOML"),
        ("classes = ['a']", "'classes' is no key of a model.toml. Known keys: description, class_names"),
        ("class_names = 'a'", "'class_names' is not valid"),
        ("class_names = []", "'class_names' is not valid"),
        ("class_names = [1]", "'class_names.0' is not valid"),
        (
            "class_names = ['a', 'b']",
            "class_names has 2 names, but the output 'probabilities' (FP32, shape [-1, 3])",
        ),
        ("class_names = {a = 'b'}", "class_names has 1 names, but the output 'probabilities'"),
        ("class_names = {a = 1}", "'class_names.a' is not valid: Input should be a valid string"),
        ("feature_names = ['a']", "feature_names has 1 names"),
        ("label_output = 'probabilities'", "need class_names"),
        ("example = [[1, 2]]", "The example does not fit the model. data[0] has 2 values"),
        ("example = [[1, 2, 1979-05-27]]", "got a date"),
        ("example = [[1, 2], [1979-05-27, 1]]", "data[0] has 2 values"),
        ("example = [[1, 2, 1" + "0" * 400 + "]]", "data[0][2] must be a number between"),
        ("example = [[1, 2, 1" + "0" * 5000 + "]]", "4300 digits"),
        ("example = " + "[" * 5000 + "]" * 5000, "too deep"),
        ("non_finite = 'NaN'", "'non_finite' is not valid: Input should be 'null' or 'string'"),
        ("sample_shape = [1, 2]", "sample_shape says [1, 2] for 'scores', but the model takes 'scores'"),
        ("sample_shape = [1]", "sample_shape says [1]"),
        ("sample_shape = [10000000, 3]", "more than 5000000 values"),
        ("sample_shape = {x = [1, 3]}", "for 'x', but the model takes 'scores'"),
        ("sample_shape = [-1, 3]", "'sample_shape.0' is not valid"),
    ],
)
def test_a_configuration_that_is_wrong_says_what_is_wrong(tmp_path, text, reason):
    assert reason in find_config_error(tmp_path, text)


def test_a_configuration_that_is_not_utf8_is_refused(tmp_path):
    folder = onnx_models.write_softmax(tmp_path / "soft")
    (folder / "model.toml").write_bytes(b"description = '\xff'")
    assert "is not UTF-8" in find_error(tmp_path)


def test_a_configuration_may_begin_with_a_byte_order_mark(tmp_path):
    folder = onnx_models.write_softmax(tmp_path / "soft")
    (folder / "model.toml").write_bytes(b"\xef\xbb\xbfdescription = 'as of an editor on Windows'")
    assert load_models(tmp_path)["soft"].document.description == "as of an editor on Windows"
