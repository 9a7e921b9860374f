import hashlib
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from inferq.errors import InvalidModelError
from tests import onnx_models
from tests.models import load_models, predict


def find_error(path: Path) -> str:
    with pytest.raises(InvalidModelError) as caught:
        load_models(path)
    assert "\n" not in caught.value.message
    return caught.value.message


def save_with_weights_outside(folder, weight, location="weights"):
    file = onnx_models.write(
        folder,
        [helper.make_node("Mul", ["x", "w"], ["y"])],
        inputs=[onnx_models.value("x", TensorProto.FLOAT, ["n", 2])],
        outputs=[onnx_models.value("y", TensorProto.FLOAT, ["n", 2])],
        constants={"w": np.full(2, weight, dtype=np.float32)},
    )
    file = file / "model.onnx"
    onnx.save(onnx.load(file), file, save_as_external_data=True, location=location, size_threshold=0)
    return file


def test_weights_in_a_file_beside_the_model_are_found(tmp_path):
    file = onnx_models.write_failing_model(tmp_path / "lookup") / "model.onnx"
    onnx.save(onnx.load(file), file, save_as_external_data=True, location="weights", size_threshold=0)
    assert (tmp_path / "lookup" / "weights").exists()
    assert b"40.0" in predict(load_models(tmp_path)["lookup"], b"[3]")


def test_version_covers_external_data(tmp_path):
    versions, digests = set(), set()
    for weight in (1, 2):
        file = save_with_weights_outside(tmp_path / "m", weight)
        versions.add(load_models(tmp_path)["m"].document.version)
        digests.add(hashlib.sha256(file.read_bytes()).hexdigest())
        file.with_name("weights").unlink()
    assert len(versions) == 2
    assert len(digests) == 1


def test_version_with_external_data_can_be_had_with_sha256sum(tmp_path):
    file = save_with_weights_outside(tmp_path / "m", 1)
    files = (file, file.with_name("weights"))
    lines = [f"{hashlib.sha256(one.read_bytes()).hexdigest()}  {one.name}\n" for one in files]
    expected = hashlib.sha256("".join(lines).encode()).hexdigest()[:12]
    assert load_models(tmp_path)["m"].document.version == expected


def test_external_data_that_is_missing_or_elsewhere_is_named(tmp_path):
    file = save_with_weights_outside(tmp_path / "m", 1)
    file.with_name("weights").rename(tmp_path / "weights")
    assert "has weights in 'weights', but" in find_error(tmp_path)
    model = onnx.load(file, load_external_data=False)
    model.graph.initializer[0].external_data[0].value = "../weights"
    file.write_bytes(model.SerializeToString())
    assert "outside its folder" in find_error(tmp_path)
