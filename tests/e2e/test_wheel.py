"""The wheel, installed outside of the clone: all that a user has who never saw the clone."""

import email.parser
import os
import re
import shutil
import subprocess
import tomllib
import zipfile

import pytest

from tests.e2e.processes import ROOT, call, submit, wait_for_job
from tests.onnx_models import write_two_by_two
from tests.servers import free_port, wait_until

UV = os.environ.get("UV") or shutil.which("uv")
pytestmark = pytest.mark.skipif(UV is None, reason="uv is not installed")


def uv(*command, cwd=ROOT):
    done = subprocess.run([UV, *command], cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dist")
    uv("build", "--wheel", "--quiet", "--out-dir", folder)
    [wheel] = folder.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def python(wheel, tmp_path_factory):
    """The Python of an environment that has the wheel and what it asks for, each in the pinned version."""
    folder = tmp_path_factory.mktemp("environment")
    tool = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["uv"]
    (folder / "pins.txt").write_text("\n".join(tool["constraint-dependencies"]))
    uv("venv", "--quiet", "--python", "3.13", folder / "venv", cwd=folder)
    python = folder / "venv" / "bin" / "python"
    uv(
        *("pip", "install", "--quiet", "--python", python, "--constraints", folder / "pins.txt"),
        f"{wheel}[all]",
        cwd=folder,
    )
    return python


@pytest.fixture
def start_up(start, python, tmp_path):
    """Starts `inferq up` in an empty folder, and returns the program and its URL."""
    folder = tmp_path / "empty"
    folder.mkdir()

    def start_in_empty_folder(*options):
        port = free_port()
        program = start("inferq", "up", *options, "--workers", "1", "--port", port, python=python, cwd=folder)
        wait_until(
            lambda: "Ready in" in program.output or program.process.poll() is not None, 60, "the start"
        )
        assert program.process.poll() is None, program.output
        return program, f"http://127.0.0.1:{port}"

    return start_in_empty_folder


def test_wheel_serves_its_own_model_in_an_empty_folder(start_up):
    program, url = start_up()
    assert re.search(r"Models +/.*/site-packages/.*part of inferq", program.output)
    assert wait_for_job(url, submit(url))["result"]["class_name"] == "setosa"
    assert program.stop() == 0


def test_wheel_serves_a_single_onnx_file_as_the_default_model(start_up, tmp_path):
    file = write_two_by_two(tmp_path / "written").rename(tmp_path / "there") / "prices.onnx"
    (file.parent / "model.onnx").rename(file)
    program, url = start_up(file)
    assert call("GET", f"{url}/models")[1]["default"] == "prices"
    data = {"count": [[1, 2, 3]], "price": [[1.0, 2.0, 0.0]]}
    answer = call("POST", f"{url}/predict", {"data": data})[1]
    assert wait_for_job(url, answer["job_id"])["result"]["outputs"]["total"] == [[1.0, 4.0, 0.0]]
    assert program.stop() == 0


def test_wheel_has_every_file_of_the_live_page(wheel):
    folder = ROOT / "src" / "inferq" / "proxy" / "ui"
    with zipfile.ZipFile(wheel) as files:
        packed = {name.rpartition("/")[2] for name in files.namelist() if name.startswith("inferq/proxy/ui/")}
    assert packed - {""} == {path.name for path in folder.iterdir()}
    assert "index.html" in packed


def test_what_the_wheel_shows_has_no_link_into_a_repository_that_is_not_there(wheel):
    with zipfile.ZipFile(wheel) as files:
        [name] = [name for name in files.namelist() if name.endswith(".dist-info/METADATA")]
        metadata = email.parser.Parser().parsestr(files.read(name).decode())
    assert (metadata["Author"], metadata["License-Expression"]) == ("inferq maintainers", "MIT")
    links = re.findall(r"\]\(([^)]+)\)", metadata.get_payload())
    assert links
    assert all(target.startswith("https://") for target in links)
