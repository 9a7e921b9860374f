from pathlib import Path

import onnxruntime as ort

from inferq.models.providers.execution_providers import (
    ExecutionConfig,
    make_session_options,
    read_execution_config,
)
from inferq.models.providers.execution_table import ExecutionTable
from inferq.models.sessions.onnx_runtime import open_session
from inferq.settings import load_settings
from tests import onnx_models
from tests.models import run_job


def test_settings_say_how_many_threads_a_run_has():
    config = read_execution_config(load_settings(model_threads=3))
    assert make_session_options(config).intra_op_num_threads == 3


def test_sessions_run_on_the_processor_one_node_at_a_time_without_spinning(tmp_path: Path):
    config = read_execution_config(load_settings())
    session = open_session(onnx_models.write_half(tmp_path / "half") / "model.onnx", config).session
    assert session.get_providers() == ["CPUExecutionProvider"]
    options = make_session_options(config)
    assert options.inter_op_num_threads == 1
    for kind in ("intra_op", "inter_op"):
        assert options.get_session_config_entry(f"session.{kind}.allow_spinning") == "0"


def test_settings_are_passed_on_to_sessions():
    config = read_execution_config(load_settings(memory_arena=False, graph_optimization="basic"))
    options = make_session_options(config)
    assert options.enable_cpu_mem_arena is False
    assert options.graph_optimization_level == ort.GraphOptimizationLevel.ORT_ENABLE_BASIC


def test_model_toml_overrides_single_settings():
    settings = load_settings(providers="CUDA, cpu", strict_providers=True, model_threads=3)
    config = read_execution_config(settings)
    assert config.override(None) == config
    table = ExecutionTable(strict=False, threads=1, options={"cuda": {"device_id": 1}})
    own = config.override(table)
    assert (own.providers, own.is_strict, own.threads) == (("cuda", "cpu"), False, 1)
    assert config.override(ExecutionTable(providers=["openvino"])).providers == ("openvino",)


def test_options_of_providers_are_written_as_onnx_runtime_reads_them():
    config = ExecutionConfig(
        threads=2,
        gpu_mem_limit_bytes=4096,
        options={"cuda": {"use_tf32": False, "sdpa_kernel": 1}, "openvino": {"num_of_threads": 5}},
    )
    assert config.make_options("cuda") == {"gpu_mem_limit": "4096", "use_tf32": "0", "sdpa_kernel": "1"}
    assert config.make_options("openvino") == {"num_of_threads": "5"}
    assert ExecutionConfig(threads=2).make_options("openvino") == {"num_of_threads": "2"}
    assert ExecutionConfig(threads=2).make_options("cuda") == {}


def test_a_model_runs_alike_without_arena_and_optimization(tmp_path: Path):
    folder = onnx_models.write_softmax(tmp_path / "soft")
    (folder / "model.toml").write_text("[execution]\narena = false\ngraph_optimization = 'off'\nthreads = 1")
    assert run_job(folder, [[1, 2, 3]]) == run_job(onnx_models.write_softmax(tmp_path / "same"), [[1, 2, 3]])
