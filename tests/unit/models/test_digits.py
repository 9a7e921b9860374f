import subprocess
import sys

import numpy as np
import orjson
import pytest
from sklearn.datasets import load_digits

from inferq.models import digits
from inferq.models.repository.model_folder import load_model
from inferq.tensors.envelope import read_envelope
from tests.models import predict
from tests.pictures import encode
from tests.unit.test_documents import ROOT

COMMITTED, PICTURE = ROOT / digits.FOLDER, ROOT / digits.PICTURE


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "digits"
    digits.export(folder)
    return folder


def read_picture(model, file):
    result = model.predict_together([model.decode(file)])[0]
    return read_envelope(result).head["result"]["prediction"]


def test_the_committed_model_is_small_and_reads_what_is_said_of_it(exported):
    file = COMMITTED / "model.onnx"
    assert file.stat().st_size < 200_000
    assert digits.measure(file) == pytest.approx(0.94, abs=0.001)
    assert digits.measure(exported / "model.onnx") > 0.92  # another processor may round otherwise


def test_the_committed_configuration_is_the_one_the_export_writes(exported):
    assert (COMMITTED / "model.toml").read_bytes() == (exported / "model.toml").read_bytes()


def test_the_committed_picture_is_the_one_that_the_script_writes(tmp_path):
    digits.write_picture(tmp_path / "digit.png")
    assert (tmp_path / "digit.png").read_bytes() == PICTURE.read_bytes()


def test_the_picture_of_the_documents_is_read(exported):
    model = load_model(COMMITTED)
    assert read_picture(model, PICTURE.read_bytes()) == 7
    assert orjson.loads(predict(model, orjson.dumps(model.document.example)))["class_name"] == "8"


def test_pictures_give_what_the_data_set_gives():
    model, data = load_model(COMMITTED), load_digits()
    for image in data.images[-20:]:
        [label] = model.run({"pixels": image[None, None].astype(np.float32)})["label"]
        large = np.kron(np.rint(image * 255 / 16), np.ones((20, 20)))
        assert read_picture(model, encode(large)) == label


def test_without_the_development_dependencies_the_export_says_what_to_do_in_one_line(tmp_path):
    code = "import sys; sys.modules['skl2onnx'] = None; from inferq.models.digits import main; main()"
    command = [sys.executable, "-c", code, str(tmp_path), str(tmp_path / "digit.png")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "uv sync" in done.stderr
