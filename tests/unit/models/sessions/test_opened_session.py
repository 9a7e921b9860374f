import pytest

from inferq.models.providers.execution_providers import ExecutionConfig
from inferq.models.repository.model_folder import load_model
from inferq.models.sessions import opened_session
from tests import onnx_models


def test_the_document_says_what_runs_a_model_and_which_provider_is_missing(tmp_path):
    folder = onnx_models.write_half(tmp_path / "half")
    model = load_model(folder, ExecutionConfig(providers=("tensorrt", "cpu")))
    assert model.document.providers == ["CPUExecutionProvider"]
    assert model.document.provider_problem.startswith("The execution provider 'tensorrt' is not used. onnx")
    assert model.document.provenance.provider == "CPUExecutionProvider"
    assert model.document.provenance.runtime == model.document.runtime
    assert load_model(folder).document.provider_problem == ""


@pytest.mark.filterwarnings("ignore:Specified provider 'CUDAExecutionProvider'")
def test_a_provider_that_onnx_runtime_leaves_out_is_said_not_to_be_initialised(tmp_path, monkeypatch):
    # as where a library of CUDA is missing: ONNX Runtime makes a session without the provider
    monkeypatch.setattr(opened_session, "choose_providers", lambda _config: (["cuda"], {}))
    model = load_model(onnx_models.write_half(tmp_path / "half"), ExecutionConfig(providers=("cuda",)))
    assert model.document.providers == ["CPUExecutionProvider"]
    assert "'cuda' is not used. It could not be initialised" in model.document.provider_problem
