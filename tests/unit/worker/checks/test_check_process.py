import pytest
from onnx import helper

from inferq.settings import Settings
from inferq.worker.checks.check_process import check_repository
from tests import onnx_models
from tests.custom_ops import build_library, write_twice


def check(folder, **settings):
    [report] = check_repository(folder.parent, Settings(**settings))
    return report


def add_example(folder, example):
    (folder / "model.toml").write_text(f"example = {example}\n")
    return folder


def test_model_that_can_be_served_is_described_with_its_cost(tmp_path):
    report = check(onnx_models.write_fixed_batch(tmp_path / "fixed"))
    assert report.problem is None
    assert report.document.name == "fixed"
    assert report.load_seconds > 0
    assert report.peak_bytes > 10e6
    assert not report.shares_runs
    assert "the first axis of 'x' (FP32, shape [2, 3]) is not dynamic" in report.reason
    [(rows, seconds)] = report.runs
    assert (rows, seconds > 0) == (1, True)


def test_rows_of_a_batch_are_measured_one_and_some(tmp_path):
    report = check(onnx_models.write_softmax(tmp_path / "scores"))
    assert (report.shares_runs, report.reason) == (True, None)
    assert [rows for rows, _ in report.runs] == [1, 32]


def test_why_jobs_run_one_by_one_is_what_a_worker_finds(tmp_path):
    report = check(onnx_models.write_softmax_over_rows(tmp_path / "over_rows"))
    assert not report.shares_runs
    assert "batch = true in model.toml" in report.reason


def test_sequence_has_no_rows(tmp_path):
    kind = helper.make_sequence_type_proto(helper.make_tensor_type_proto(onnx_models.FP32, [None]))
    report = check(onnx_models.write_container(tmp_path / "several", kind))
    assert report.reason == "'x' (seq(tensor(float)), shape [-1]) has no rows"
    assert len(report.runs) == 1


def test_model_that_takes_no_zeros_can_be_served_and_says_what_it_needs(tmp_path):
    report = check(onnx_models.write_narrow(tmp_path / "narrow"))
    assert report.problem is None
    assert report.runs == []
    [note] = report.notes
    assert note["event"] == "model_not_warmed_up"
    assert "example" in note["mend"]


def test_model_that_hangs_is_ended_at_the_limit(tmp_path, monkeypatch):
    monkeypatch.setenv("INFERQ_MODEL_LOAD_TIMEOUT_SECONDS", "0.5")
    folder = add_example(onnx_models.write_slow_loop(tmp_path / "slow"), [2**50])
    report = check(folder)
    assert "It was not ready within 0.5 s (INFERQ_MODEL_LOAD_TIMEOUT_SECONDS)" in report.problem


def test_model_that_kills_its_process_does_not_hide_the_others(tmp_path):
    onnx_models.write_deep_tree(tmp_path / "deep")
    onnx_models.write_text(tmp_path / "text")
    (tmp_path / "stray.onnx").touch()
    stray, deep, text = check_repository(tmp_path, Settings())
    assert "Move it to stray/model.onnx" in stray.problem
    assert "The process that loads it dies (SIGSEGV)" in deep.problem
    assert (text.name, text.problem) == ("text", None)


def test_library_that_kills_the_process_is_named_as_a_cause(tmp_path):
    folder = write_twice(tmp_path / "twice", config='[custom_ops]\nlibraries = ["libx.so"]')
    build_library(folder / "libx.so", "-DDOMAIN=((char*)1)")
    problem = check(folder).problem
    assert "dies (SIGSEGV)" in problem
    assert "build libraries of custom operators for the ONNX Runtime that is installed" in problem


def test_example_that_the_model_does_not_take_is_a_problem(tmp_path):
    folder = add_example(onnx_models.write_failing_model(tmp_path / "lookup"), [9])
    assert "fails on its own example" in check(folder).problem


def test_bad_name_is_a_problem_of_that_model(tmp_path):
    assert "is no name for a model" in check(onnx_models.write_text(tmp_path / "no name")).problem


def test_package_that_is_missing_is_named_before_anything_is_loaded(tmp_path, monkeypatch):
    monkeypatch.setattr("inferq.worker.checks.check_process.find_spec", lambda _name: None)
    with pytest.raises(ModuleNotFoundError) as caught:
        check(onnx_models.write_text(tmp_path / "text"))
    assert caught.value.name == "onnxruntime"
