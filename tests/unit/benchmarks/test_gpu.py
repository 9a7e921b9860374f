import sys

import numpy as np
import pytest
from benchmarks import gpu
from benchmarks.gpu_models import write_models

from inferq.models.providers.execution_providers import ExecutionConfig


def test_machine_without_a_gpu_is_told_what_cannot_be_checked(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["gpu"])
    with pytest.raises(SystemExit) as ended:
        gpu.main()
    assert ended.value.code == 2
    said = capsys.readouterr().out
    assert "Not checked: values, speed and memory on cuda. onnxruntime" in said
    assert "Install inferq[gpu] instead of inferq[worker]." in said


def test_every_model_runs_on_the_cpu_and_equals_itself(tmp_path):
    for name, make in write_models(tmp_path, hidden=8).items():
        check = gpu.check_values(tmp_path / name, ExecutionConfig(), make)
        assert (check.what, check.found, check.met) == (f"values: {name}", "0.0e+00 on CPU", True)


def test_difference_is_a_share_of_the_largest_value():
    expected = np.array([100.0, 1.0], "f4")
    assert gpu.measure_difference(expected + 1, expected) == pytest.approx(0.01)
    assert gpu.measure_difference(expected[:1], expected) == float("inf")
    assert gpu.measure_difference(expected.astype("f8"), expected) == float("inf")
    assert gpu.measure_difference(expected[:0], expected[:0]) == 0
