import pytest

from inferq.errors import InvalidModelError
from inferq.models.providers.execution_providers import ExecutionConfig
from inferq.models.providers.provider_choice import load_on_providers
from inferq.models.repository.model_folder import load_model
from tests import onnx_models

CUDA_OR_CPU = ExecutionConfig(providers=("cuda", "cpu"))


def make_loader(on_cuda, on_cpu):
    """Loads one folder's model as if it were on CUDA, and another's once CUDA is given up."""

    def load(execution):
        if "cuda" in execution.given_up:
            [reason] = execution.given_up.values()
            model = load_model(on_cpu)
            update = {"provider_problem": reason}
        else:
            model = load_model(on_cuda)
            update = {"providers": ["CUDAExecutionProvider"]}
        model.document = model.document.model_copy(update=update)
        return model

    return load


@pytest.fixture
def good(tmp_path):
    return onnx_models.write_half(tmp_path / "good")


@pytest.fixture
def failing(tmp_path):
    """A model that does not run on zeros."""
    folder = onnx_models.write_reshape(tmp_path / "failing")
    assert load_model(folder).find_failure()
    return folder


def test_a_provider_that_runs_the_sample_is_kept(good, failing):
    model = load_on_providers(make_loader(good, failing), CUDA_OR_CPU)
    assert model.document.providers == ["CUDAExecutionProvider"]


def test_a_provider_that_fails_on_the_sample_is_given_up(good, failing):
    model = load_on_providers(make_loader(failing, good), CUDA_OR_CPU)
    assert model.name == "good"
    assert model.document.provider_problem.startswith("It fails on the model's sample. The model 'failing'")


def test_a_sample_that_fails_everywhere_says_nothing_against_a_provider(failing):
    model = load_on_providers(make_loader(failing, failing), CUDA_OR_CPU)
    assert model.document.providers == ["CUDAExecutionProvider"]


def test_a_strict_configuration_refuses_the_model_instead(tmp_path, good):
    (good / "model.toml").write_text("[execution]\nproviders = 'cuda, cpu'\nstrict = true")
    with pytest.raises(InvalidModelError, match=r"'cuda' is not used.*It is refused, since INFERQ_STRICT_"):
        load_model(good)
    (good / "model.toml").write_text("[execution]\nproviders = ['cpu']")
    assert load_model(good, ExecutionConfig(providers=("cuda",), is_strict=True)).find_failure() is None
