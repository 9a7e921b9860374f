import numpy as np
import onnxruntime as ort
import pytest

from inferq.errors import ModelError
from inferq.models.repository.model_folder import load_model
from inferq.models.sessions.device_session import DeviceSession, bind_session
from inferq.models.sessions.run_handle import RunHandle
from tests import onnx_models

CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"


def bind(folder, provider=CUDA):
    model = load_model(folder)
    return bind_session(model._session, [provider, CPU], model.document.inputs, model.document.outputs)


@pytest.mark.parametrize("rows", [3, 1, 0])
def test_a_bound_session_gives_what_a_plain_one_gives(tmp_path, rows):
    """In the memory of the CPU, since there is no other here."""
    model = load_model(onnx_models.write_convolutions(tmp_path / "convolutions"))
    pictures = np.random.default_rng(1).random((rows, 3, 8, 9), dtype="f4")
    expected = model.run({"x": pictures})["y"]
    model._session = DeviceSession(model._session, "cpu")
    np.testing.assert_array_equal(model.run({"x": pictures})["y"], expected)
    turned = np.asfortranarray(pictures)
    np.testing.assert_array_equal(model.run({"x": turned})["y"], expected)


def test_a_bound_session_stops_when_it_is_told_to(tmp_path):
    model = load_model(onnx_models.write_slow_loop(tmp_path / "slow"))
    model._session = DeviceSession(model._session, "cpu")
    handle = RunHandle()
    handle.stop()
    with pytest.raises(ModelError, match="terminate"):
        model.run(model.make_sample().inputs, handle)


def test_only_numbers_on_a_device_with_memory_of_its_own_are_bound(tmp_path):
    half = onnx_models.write_half(tmp_path / "half")
    assert isinstance(bind(half), DeviceSession)
    assert isinstance(bind(half, CPU), ort.InferenceSession)
    assert not isinstance(bind(onnx_models.write_text(tmp_path / "text")), DeviceSession)
    assert isinstance(bind(onnx_models.write_zip_map(tmp_path / "maps")), ort.InferenceSession)
