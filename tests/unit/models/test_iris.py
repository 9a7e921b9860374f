import subprocess
import sys
from pathlib import Path

import numpy as np
import orjson
import pytest
from sklearn.datasets import load_iris

from inferq.models import iris
from inferq.models.repository.model_folder import load_model
from tests.models import predict

COMMITTED = Path(__file__).parents[3] / "models" / "iris"


@pytest.fixture(scope="module")
def pipeline():
    return iris.train()


@pytest.fixture(scope="module")
def flowers():
    return load_iris().data


def probabilities_of(folder: Path, flowers: np.ndarray) -> np.ndarray:
    result = orjson.loads(predict(load_model(folder), orjson.dumps(flowers.tolist())))
    return np.array(result["probabilities"])


def test_a_fresh_export_gives_the_probabilities_of_scikit_learn_for_all_150_flowers(
    tmp_path, pipeline, flowers
):
    iris.export(tmp_path / "iris", pipeline)
    found = probabilities_of(tmp_path / "iris", flowers)
    assert found.shape == (150, 3)
    np.testing.assert_allclose(found, pipeline.predict_proba(flowers), rtol=0, atol=1e-5)


def test_the_committed_model_gives_the_probabilities_of_a_fresh_training(pipeline, flowers):
    found = probabilities_of(COMMITTED, flowers)
    np.testing.assert_allclose(found, pipeline.predict_proba(flowers), rtol=0, atol=1e-5)


def test_two_exports_write_the_same_bytes(tmp_path, pipeline):
    first, second = (iris.export(tmp_path / name, pipeline).read_bytes() for name in ("first", "second"))
    assert first == second


def test_the_committed_configuration_is_the_one_the_export_writes(tmp_path, pipeline):
    iris.export(tmp_path / "iris", pipeline)
    assert (COMMITTED / "model.toml").read_bytes() == (tmp_path / "iris" / "model.toml").read_bytes()


@pytest.mark.parametrize(
    ("flower", "prediction", "class_name"),
    [([6.3, 3.3, 6.0, 2.5], 2, "virginica"), ([5.1, 3.5, 1.4, 0.2], 0, "setosa")],
)
def test_the_flowers_of_the_contract_are_recognised(flower, prediction, class_name):
    result = orjson.loads(predict(load_model(COMMITTED), orjson.dumps([flower])))
    assert list(result) == ["prediction", "class_name", "probabilities"]
    assert (result["prediction"], result["class_name"]) == (prediction, class_name)
    assert sum(result["probabilities"]) == pytest.approx(1)


def test_without_the_development_dependencies_the_export_says_what_to_do_in_one_line(tmp_path):
    code = "import sys; sys.modules['sklearn'] = None; from inferq.models.iris import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "uv sync" in done.stderr
