"""`inferq models check`, and what it prints, against a whole service."""

import json
import subprocess
import sys
from pathlib import Path

from tests import onnx_models

ROOT = Path(__file__).parents[3]


def check(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "inferq", "models", "check", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_line_for_curl_works_as_it_is_printed(service):
    shown = check(ROOT / "models/iris/model.onnx", "--url", service)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "iris: can be served, as version 96a938666450" in shown.stdout
    line = shown.stdout.splitlines()[-1]
    answer = subprocess.run(["bash", "-c", f"{line} --silent --fail"], capture_output=True, check=True)
    assert json.loads(answer.stdout)["result"]["class_name"] == "setosa"


def test_what_becomes_of_pictures_is_told():
    shown = check(ROOT / "docs/examples/digits").stdout
    assert "pictures  for 'pixels', as model.toml says: resize letterbox (8, 8)" in shown
    assert "image/png" in shown
    assert "audio/wav" not in shown


def test_repository_is_checked_model_by_model_and_one_that_fails_makes_the_exit_code(tmp_path):
    onnx_models.write_text(tmp_path / "text")
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "model.onnx").write_text("no model")
    shown = check(tmp_path, "--json")
    assert shown.returncode == 1
    bad, good = map(json.loads, shown.stdout.splitlines())
    assert bad["problem"].startswith("bad/model.onnx cannot be loaded")
    assert (bad["document"], bad["curl"]) == (None, None)
    assert (good["name"], good["problem"]) == ("text", None)
    assert "bad: cannot be served. bad/model.onnx" in check(tmp_path).stdout


def test_versions_are_checked_each_or_one_alone(tmp_path):
    for version in ("1", "2"):
        onnx_models.write_text(tmp_path / "text" / version)
    (tmp_path / "text/model.toml").write_text("example = ['hello']")
    shown = check(tmp_path / "text", "--json").stdout.splitlines()
    assert [json.loads(line)["name"] for line in shown] == ["text@1", "text@2"]
    shown = check(tmp_path / "text/2").stdout
    assert "text@2: can be served, as version 2" in shown
    assert '"model": "text@2"' in shown
    assert "hello" in shown
    (tmp_path / "text/model.onnx").symlink_to("2/model.onnx")
    assert "text: cannot be served. It has a model.onnx" in check(tmp_path / "text/2").stdout


def test_file_that_is_checked_alone_is_named_as_the_command_did(tmp_path):
    file = tmp_path / "mine.onnx"
    file.write_text("no model")
    assert f"mine: cannot be served. {file} cannot be loaded" in check(file).stdout


def test_folder_without_models_and_one_that_is_not_there_are_errors(tmp_path):
    for path, words in ((tmp_path, "has no models"), (tmp_path / "away", "There is nothing at")):
        shown = check(path)
        assert shown.returncode == 1
        assert words in shown.stderr
