from pathlib import Path

import pytest
from structlog.testing import capture_logs

from inferq.errors import InvalidModelError
from inferq.models.repository.repository import load_each
from inferq.tensors.signature import Datatype
from tests import onnx_models
from tests.models import load_folder, load_models


def find_error(path: Path) -> str:
    with pytest.raises(InvalidModelError) as caught:
        load_models(path)
    assert "\n" not in caught.value.message
    return caught.value.message


def test_several_models_are_loaded_in_alphabetical_order_and_other_folders_skipped(tmp_path):
    onnx_models.write_text(tmp_path / "text")
    onnx_models.write_image(tmp_path / "image")
    onnx_models.write_text(tmp_path / ".hidden")
    (tmp_path / "notes").mkdir()
    models = load_models(tmp_path)
    assert list(models) == ["image", "text"]
    assert [model.name for model in models.values()] == ["image", "text"]
    assert models["image"].document.inputs[0].shape == [-1, 3, -1, -1]
    assert models["text"].document.inputs[0].datatype is Datatype.BYTES
    assert models["text"].document.example is None


def test_each_model_that_is_left_out_is_one_line_of_the_log(tmp_path):
    onnx_models.write_text(tmp_path / "good")
    for name in ("bad", "two words"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.onnx").write_bytes(b"no model")
    with capture_logs() as logged:
        loaded = load_each(tmp_path, load_folder)
    lines = {line["model"]: line["reason"] for line in logged if line["event"] == "model_left_out"}
    assert lines == loaded.left_out
    assert list(lines) == ["bad", "two words"]
    assert lines["bad"].startswith("bad/model.onnx cannot be loaded")
    assert not any("\n" in reason for reason in lines.values())


def test_an_error_that_nobody_foresaw_leaves_one_model_out(tmp_path):
    for name in ("bad", "good"):
        onnx_models.write_text(tmp_path / name)

    def load(folder):
        if folder.name == "bad":
            raise RecursionError("too deep")
        return load_folder(folder)

    loaded = load_each(tmp_path, load)
    assert list(loaded.models) == ["good"]
    assert "RecursionError: too deep" in loaded.left_out["bad"]


def test_a_strict_repository_has_no_model_that_cannot_be_served(tmp_path):
    onnx_models.write_text(tmp_path / "good")
    (tmp_path / "foo.onnx").touch()
    with pytest.raises(InvalidModelError, match=r"Move it to foo/model.onnx"):
        load_each(tmp_path, load_folder, is_strict=True)


def test_a_folder_without_models_shows_what_is_expected(tmp_path):
    message = find_error(tmp_path)
    assert "has no models" in message
    assert str(Path("iris", "model.onnx")) in message
