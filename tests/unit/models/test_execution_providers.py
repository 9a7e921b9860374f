from pathlib import Path

import onnxruntime as ort

from inferq.models.execution_providers import ExecutionConfig, make_session_options, read_execution_config
from inferq.models.onnx_runtime import open_session
from inferq.settings import load_settings
from tests import onnx_models


def test_settings_say_how_many_threads_a_run_has():
    config = read_execution_config(load_settings(model_threads=3))
    assert make_session_options(config).intra_op_num_threads == 3


def test_sessions_run_on_the_processor_one_node_at_a_time_without_spinning(tmp_path: Path):
    config = read_execution_config(load_settings())
    session = open_session(onnx_models.write_half(tmp_path / "half") / "model.onnx", config)
    assert session.get_providers() == ["CPUExecutionProvider"]
    options = make_session_options(config)
    assert options.inter_op_num_threads == 1
    for kind in ("intra_op", "inter_op"):
        assert options.get_session_config_entry(f"session.{kind}.allow_spinning") == "0"


def test_the_providers_of_a_session_are_those_of_its_configuration(tmp_path: Path):
    config = ExecutionConfig(threads=1, providers=ort.get_available_providers())
    session = open_session(onnx_models.write_half(tmp_path / "half") / "model.onnx", config)
    assert session.get_providers() == [*config.providers]
