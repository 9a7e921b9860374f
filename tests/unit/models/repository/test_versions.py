"""Folders of versions in the folder of a model."""

import shutil

import pytest

from inferq.errors import InvalidModelError
from inferq.model_names import order_version
from inferq.models.repository.model_choice import ModelChoice
from inferq.models.repository.repository import load_each
from inferq.models.repository.repository_scan import scan_repository
from tests import onnx_models
from tests.models import load_folder, load_models


def write_versions(folder, *versions):
    for version in versions:
        onnx_models.write_softmax(folder / version)
    return folder


def names(path):
    return [folder.name for folder in scan_repository(path).folders]


def test_versions_are_in_their_natural_order():
    versions = ["10", "v2", "1.10", "1.9", "2", "01", "v10", "a", "1"]
    assert sorted(versions, key=order_version) == ["01", "1", "1.9", "1.10", "2", "10", "a", "v2", "v10"]


def test_each_version_is_a_model_of_its_own_that_bears_the_name_of_all(tmp_path):
    write_versions(tmp_path / "soft", "2", "10", ".cache")
    onnx_models.write_text(tmp_path / "text")
    models = load_models(tmp_path)
    assert list(models) == ["soft@2", "soft@10", "text"]
    document = models["soft@10"].document
    assert (document.name, document.version, len(document.digest)) == ("soft", "10", 64)
    flat = models["text"].document
    assert flat.version == flat.digest[:12]


def test_keys_of_a_version_replace_those_of_the_model(tmp_path):
    write_versions(tmp_path / "soft", "1", "2")
    (tmp_path / "soft" / "model.toml").write_text("description = 'all'\nfeature_names = ['a', 'b', 'c']\n")
    (tmp_path / "soft" / "2" / "model.toml").write_text("description = 'second'\n")
    models = load_models(tmp_path)
    assert [models[name].document.description for name in ("soft@1", "soft@2")] == ["all", "second"]
    assert {tuple(model.document.feature_names) for model in models.values()} == {("a", "b", "c")}


@pytest.mark.parametrize(
    ("shared", "own", "file", "reason"),
    [
        ("description = 1", "", "soft/model.toml", "'description' is not valid"),
        ("", "description = 1", "soft/1/model.toml", "'description' is not valid"),
        ("", "[rollout]\nserve = '1'", "soft/1/model.toml", "Move it to"),
        ("[rollout]\nserved = '1'", "", "soft/model.toml", "'rollout.served' is no key of [rollout]"),
        ("[rollout]\nshares = {2 = 1.5}", "", "soft/model.toml", "'rollout.shares.2' is not valid"),
        ("[rollout]\nshares = {2 = 0.8, 3 = 0.4}", "", "soft/model.toml", "the shares are 1.2 together"),
        ("[rollout]\nshadow = {2 = 0.8, 3 = 0.4}", "", "soft/model.toml", "the shares are 1.2 together"),
    ],
)
def test_error_names_the_file_that_has_the_key(tmp_path, shared, own, file, reason):
    write_versions(tmp_path / "soft", "1")
    (tmp_path / "soft" / "model.toml").write_text(shared)
    (tmp_path / "soft" / "1" / "model.toml").write_text(own)
    with pytest.raises(InvalidModelError) as caught:
        load_models(tmp_path)
    assert f"soft@1: {file}" in caught.value.message
    assert reason in caught.value.message


def test_file_beside_folders_of_versions_is_refused_with_what_to_do(tmp_path):
    onnx_models.write_text(tmp_path / "good")
    write_versions(onnx_models.write_softmax(tmp_path / "soft"), "1", "2")
    left_out = load_each(tmp_path, load_folder).left_out
    assert list(left_out) == ["soft"]
    assert "folders of versions (1, 2)" in left_out["soft"]
    assert "Move the file with what belongs to it to soft/VERSION/model.onnx" in left_out["soft"]


def test_what_looks_like_a_version_and_is_none_is_named(tmp_path):
    write_versions(tmp_path / "soft", "1", "2 b")
    for file in ("3/other.onnx", "4/model.toml", "tokenizer/vocabulary.txt"):
        (tmp_path / "soft" / file).parent.mkdir()
        (tmp_path / "soft" / file).touch()
    (tmp_path / "soft" / "5").symlink_to("absent")
    scan = scan_repository(tmp_path)
    assert [folder.name for folder in scan.folders] == ["soft@1"]
    assert list(scan.skipped) == ["soft@2 b", "soft@3", "soft@4", "soft@5"]
    assert "no name for a version" in scan.skipped["soft@2 b"]
    assert "Move that to 3/model.onnx" in scan.skipped["soft@3"]


def test_link_to_a_version_beside_it_is_none_of_its_own_and_one_to_elsewhere_is(tmp_path):
    folder = write_versions(tmp_path / "models" / "soft", "1", "2")
    write_versions(tmp_path / "elsewhere", "3")
    (folder / "latest").symlink_to("2")
    (folder / "3").symlink_to(tmp_path / "elsewhere" / "3")
    assert names(tmp_path / "models") == ["soft@1", "soft@2", "soft@3"]
    shutil.rmtree(folder / "2")  # the link leads nowhere
    scan = scan_repository(tmp_path / "models")
    assert list(scan.skipped) == ["soft@latest"]


@pytest.mark.parametrize(
    ("text", "taken"),
    [
        ("", ["iris", "iris@1", "iris@2", "other"]),
        ("iris", ["iris", "iris@1", "iris@2"]),
        ("iris@2, other", ["iris@2", "other"]),
        ("!iris", ["other"]),
        ("iris,!iris@1", ["iris", "iris@2"]),
    ],
)
def test_setting_chooses_models_and_versions(text, taken):
    choice = ModelChoice(text)
    assert [name for name in ("iris", "iris@1", "iris@2", "other") if choice.takes(name)] == taken


def test_names_that_stand_for_nothing_are_found(tmp_path):
    write_versions(tmp_path / "soft", "1")
    folders = scan_repository(tmp_path).folders
    assert ModelChoice("soft, soft@2, !absent, soft@1").find_absent(folders) == ["absent", "soft@2"]
