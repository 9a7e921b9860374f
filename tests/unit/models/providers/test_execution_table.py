import pytest

from inferq.errors import InvalidModelError
from inferq.models.providers.execution_table import split_names
from inferq.models.repository.model_folder import load_model
from tests import onnx_models


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("threads = -1", "'execution.threads' is not valid: Input should be greater than or equal to 0"),
        (
            "thread = 1",
            "'execution.thread' is no key of [execution] in a model.toml. Known keys: providers, strict",
        ),
        ("graph_optimization = 'fast'", "Input should be 'off', 'basic', 'extended' or 'all'"),
        ("gpu_mem_limit_bytes = '4 GB'", "'execution.gpu_mem_limit_bytes' is not valid"),
        ("options.rocm.device_id = 1", "'rocm' is no provider with options, expected one of cuda, tensorrt"),
        ("options.cuda.use_tf23 = 0", "'use_tf23' is no option of cuda, expected one of device_id"),
        ("options.cuda.user_compute_stream = 140", "'user_compute_stream' is no option of cuda"),
        ("options.cuda.device_id = [1]", "'execution.options.cuda.device_id' is not valid"),
    ],
)
def test_a_table_that_is_wrong_says_what_is_expected(tmp_path, text, reason):
    folder = onnx_models.write_half(tmp_path / "half")
    (folder / "model.toml").write_text(f"[execution]\n{text}")
    with pytest.raises(InvalidModelError) as caught:
        load_model(folder)
    assert reason in caught.value.message


def test_names_are_split_at_commas_whatever_their_case():
    assert split_names(" CUDA, cpu ,") == ("cuda", "cpu")
