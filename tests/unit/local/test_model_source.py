import filecmp
import re
import shutil
from pathlib import Path

import onnx
import pytest

from inferq.errors import InvalidSettingError
from inferq.local.model_source import DEFAULT_REPOSITORY, open_model_source
from inferq.settings import Settings
from tests.models import load_models
from tests.onnx_models import write_two_by_two

MODELS = Path(__file__).parents[3] / "models"


def test_package_has_the_same_default_model_as_the_clone():
    comparison = filecmp.dircmp(MODELS / "iris", DEFAULT_REPOSITORY / "iris", shallow=False)
    assert comparison.left_list == comparison.right_list == ["model.onnx", "model.toml"]
    assert comparison.same_files == comparison.left_list
    assert [folder.name for folder in DEFAULT_REPOSITORY.iterdir()] == ["iris"]


def test_package_serves_its_own_model_where_no_folder_of_models_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with open_model_source(Settings()) as source:
        assert source.repository == DEFAULT_REPOSITORY
        assert source.only_model is None
        assert "part of inferq; there is no folder 'models' here" in source.description


def test_folder_of_models_here_comes_before_that_of_the_package(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models").mkdir()
    with open_model_source(Settings()) as source:
        assert (source.repository, source.only_model) == (tmp_path / "models", None)


def test_folder_of_one_model_is_a_repository_of_that_model(tmp_path, monkeypatch):
    monkeypatch.chdir(MODELS / "iris")
    for path in (MODELS / "iris", MODELS / "iris" / "model.onnx", Path()):
        with open_model_source(Settings(models_dir=path)) as source:
            assert source.only_model == "iris"
            assert load_models(source.repository)["iris"].document.class_names[0] == "setosa"
        assert not source.repository.exists()
    assert (MODELS / "iris" / "model.onnx").exists()


@pytest.mark.parametrize("versions", [("1", "v2.1"), ("old", "new")])
def test_folder_of_a_model_with_versions_is_a_repository_of_that_model(tmp_path, versions):
    for version in versions:
        write_two_by_two(tmp_path / "prices" / version)
    if "old" in versions:  # nothing else tells that these are no models
        (tmp_path / "prices/model.toml").write_text("description = 'Prices'")
    with open_model_source(Settings(models_dir=tmp_path / "prices")) as source:
        assert source.only_model == "prices"
        assert {f"prices@{version}" for version in versions} == load_models(source.repository).keys()
    for path in (tmp_path / "prices" / versions[0], tmp_path / "prices" / versions[0] / "model.onnx"):
        with open_model_source(Settings(models_dir=path)) as source:
            assert source.only_model == "prices"
            [model] = load_models(source.repository).values()
            assert model.document.description == ("Prices" if "old" in versions else "")
    with open_model_source(Settings(models_dir=tmp_path)) as source:
        assert source.only_model is None


def test_onnx_file_is_a_repository_of_its_model_with_the_weights_beside_it(tmp_path):
    written = write_two_by_two(tmp_path / "written") / "model.onnx"
    file = tmp_path / "prices.onnx"
    onnx.save(onnx.load(written), file, save_as_external_data=True, location="prices.data", size_threshold=0)
    (tmp_path / "other.onnx").write_bytes(b"no model")
    with open_model_source(Settings(models_dir=file)) as source:
        assert (source.only_model, source.description) == ("prices", str(file))
        assert list(load_models(source.repository)) == ["prices"]


def test_weights_outside_the_folder_are_not_linked(tmp_path):
    file = tmp_path / "folder" / "prices.onnx"
    file.parent.mkdir()
    model = onnx.load(write_two_by_two(tmp_path / "written") / "model.onnx")
    onnx.save(model, file, save_as_external_data=True, location="prices.data", size_threshold=0)
    shutil.move(file.parent / "prices.data", tmp_path / "prices.data")
    model = onnx.load(file, load_external_data=False)
    for tensor in model.graph.initializer:
        tensor.external_data[0].value = "../prices.data"
    onnx.save(model, file)
    with open_model_source(Settings(models_dir=file)) as source:
        assert [path.name for path in source.repository.rglob("*")] == ["prices", "model.onnx"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("nothing", None, "There is nothing at .*nothing. Expected a folder of models"),
        ("nothing.onnx", None, "There is nothing at .*nothing.onnx"),
        ("model.pt", b"", r"model.pt is no ONNX model. Expected a file whose name ends in .onnx"),
        ("my model.onnx", b"", "'my model' is no name for a model.* Rename the file"),
    ],
)
def test_path_that_is_no_models_is_told_what_was_expected(tmp_path, name, content, message):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with (
        pytest.raises(InvalidSettingError, match=re.compile(message)),
        open_model_source(Settings(models_dir=tmp_path / name)),
    ):
        pass
