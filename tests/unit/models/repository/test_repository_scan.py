import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from inferq.errors import InvalidModelError
from inferq.models.repository.repository import load_each
from tests import onnx_models
from tests.models import load_folder, load_models


def find_error(path: Path) -> str:
    with pytest.raises(InvalidModelError) as caught:
        load_models(path)
    assert "\n" not in caught.value.message
    return caught.value.message


def as_another_user(path, *, code):
    """What a program prints that may not read everything, as root may."""
    drop = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search", "--inh-caps", "-all"]
    command = [*(drop if os.geteuid() == 0 else []), sys.executable, "-c", code, str(path)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


SKIPPED = {
    "two folders down": (
        "1/other.onnx",
        "triton",
        "It has no model.onnx, but 1/other.onnx. Move that to triton/model.onnx.",
    ),
    "other name": (
        "foo.onnx",
        "triton",
        "It has no model.onnx, but foo.onnx. Move that to triton/model.onnx.",
    ),
    "capitals": (
        "Model.ONNX",
        "triton",
        "It has no model.onnx, but Model.ONNX. Move that to triton/model.onnx.",
    ),
    "model.toml alone": (
        "model.toml",
        "triton",
        "It has a model.toml, but no model.onnx. Add triton/model.onnx.",
    ),
    "in the root": ("../foo.onnx", "foo", "It has no folder of its own. Move it to foo/model.onnx."),
    "model in the root": ("../model.onnx", "model", "Move it to NAME/model.onnx"),
}


@pytest.mark.parametrize("case", SKIPPED)
def test_what_looks_like_a_model_and_is_none_is_named_with_what_to_do(tmp_path, case):
    file, name, reason = SKIPPED[case]
    onnx_models.write_text(tmp_path / "good")
    (tmp_path / "triton").mkdir()
    path = tmp_path / "triton" / file
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"")
    loaded = load_each(tmp_path, load_folder)
    assert list(loaded.models) == ["good"]
    assert list(loaded.left_out) == [name]
    assert reason in loaded.left_out[name]


def test_a_link_that_leads_nowhere_is_named(tmp_path):
    onnx_models.write_text(tmp_path / "good")
    (tmp_path / "dangling").symlink_to("absent")
    (tmp_path / "round").symlink_to("round")
    left_out = load_each(tmp_path, load_folder).left_out
    assert left_out["dangling"] == "It is a link to absent, which is not there. Correct or remove the link."
    assert "link to round" in left_out["round"]


def test_a_link_to_a_model_of_another_name_is_served_and_one_to_a_file_named(tmp_path):
    onnx_models.write_text(tmp_path / "elsewhere")
    repository = tmp_path / "models"
    repository.mkdir()
    (repository / "linked").symlink_to(tmp_path / "elsewhere")
    (repository / "foo.onnx").symlink_to(tmp_path / "elsewhere" / "model.onnx")
    loaded = load_each(repository, load_folder)
    assert (list(loaded.models), list(loaded.left_out)) == (["linked"], ["foo"])


def test_a_file_beside_the_folder_of_its_name_does_not_take_the_name(tmp_path):
    onnx_models.write_text(tmp_path / "good")
    (tmp_path / "good.onnx").write_bytes(b"")
    assert list(load_each(tmp_path, load_folder).left_out) == ["good.onnx"]


@pytest.mark.parametrize("name", ["model.onnx", "model.toml"])
def test_a_folder_where_a_file_is_expected_is_said_to_be_one(tmp_path, name):
    onnx_models.write_text(tmp_path / "good")
    onnx_models.write_text(tmp_path / "odd")
    (tmp_path / "odd" / name).unlink(missing_ok=True)
    (tmp_path / "odd" / name).mkdir()
    left_out = load_each(tmp_path, load_folder).left_out
    assert left_out == {"odd": f"odd/{name} is a folder. Expected a file."}


def test_a_folder_in_which_nothing_looks_like_a_model_is_in_the_log_alone(tmp_path):
    onnx_models.write_text(tmp_path / "good")
    (tmp_path / "notes").mkdir()
    (tmp_path / ".git").mkdir()
    (tmp_path / "README.md").touch()
    with capture_logs() as logged:
        assert load_each(tmp_path, load_folder).left_out == {}
    assert [(line["event"], line["folders"]) for line in logged] == [("folders_without_model", ["notes"])]


def test_names_that_are_no_utf8_can_be_told(tmp_path):
    onnx_models.write_text(tmp_path / "good")
    name = os.fsdecode(b"\xff")
    try:
        shutil.copytree(tmp_path / "good", tmp_path / name)
        (tmp_path / "link").symlink_to(name + name)
    except OSError:
        pytest.skip("this file system takes UTF-8 alone")
    left_out = load_each(tmp_path, load_folder).left_out
    assert {"\N{REPLACEMENT CHARACTER}", "link"} == set(left_out)
    assert all(reason.isprintable() for reason in left_out.values())


LOAD_AND_PRINT = """
import sys
from pathlib import Path
from inferq.errors import InvalidModelError
from inferq.models.repository.model_folder import load_model
from inferq.models.repository.repository import load_each
try:
    loaded = load_each(Path(sys.argv[1]), lambda folder: load_model(folder.path))
    print("served", *loaded.models)
    for name, reason in loaded.left_out.items():
        print("left out", name, reason)
except InvalidModelError as error:
    print("refused", error.message)
"""


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="root reads everything")
@pytest.mark.parametrize("mode", [0o000, 0o400, 0o100])
def test_a_folder_that_cannot_be_read_is_named(tmp_path, mode):
    onnx_models.write_text(tmp_path / "good")
    onnx_models.write_text(tmp_path / "secret")
    (tmp_path / "lost+found").mkdir(mode=0)
    (tmp_path / "secret").chmod(mode)
    try:
        printed = as_another_user(tmp_path, code=LOAD_AND_PRINT)
    finally:
        (tmp_path / "secret").chmod(0o755)
    if mode == 0o100:  # nobody has to list it
        assert "served good secret" in printed
    else:
        assert "served good\n" in printed
        assert "left out secret" in printed
        assert "Check its permissions" in printed
    assert "left out lost+found" not in printed


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="root reads everything")
@pytest.mark.parametrize("mode", [0o000, 0o400])
def test_a_repository_that_cannot_be_read_is_not_said_to_be_empty(tmp_path, mode):
    onnx_models.write_text(tmp_path / "models" / "good")
    (tmp_path / "models").chmod(mode)
    try:
        printed = as_another_user(tmp_path / "models", code=LOAD_AND_PRINT)
    finally:
        (tmp_path / "models").chmod(0o755)
    assert f"refused The model repository {tmp_path / 'models'} cannot be read: Permission denied" in printed


def test_a_folder_that_is_missing_names_the_setting(tmp_path):
    assert "INFERQ_MODELS_DIR" in find_error(tmp_path / "absent")
