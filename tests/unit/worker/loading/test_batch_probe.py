"""The probe that tells models whose jobs may share a run from those whose rows depend on each other."""

import numpy as np
import pytest

from inferq.models.repository.model_folder import load_model
from inferq.worker.loading import batch_probe
from inferq.worker.loading.batch_probe import compare_runs, probe_model
from tests import onnx_models

VALUES = "example = [[3.0, 1.0, 2.0], [2.0, 5.0, 4.0]]"
SAME = "example = [[1.0, 1.0, 1.0], [1.0, 1.0, 1.0]]"
NONE = ""


def find_reason(folder, config, *, is_large=True):
    (folder / "model.toml").write_text(config)
    model = load_model(folder)
    found = compare_runs(model.run, model.make_sample().inputs, is_large=is_large)
    assert (found.rows > 2 and found.seconds > 0) or found.reason
    return found.reason


def test_an_example_without_rows_proves_nothing(tmp_path):
    assert "no values but one row's" in (
        find_reason(onnx_models.write_softmax(tmp_path / "m"), "example = []") or ""
    )


@pytest.mark.parametrize("is_large", [True, False])
@pytest.mark.parametrize(
    ("write", "config"),
    [
        (onnx_models.write_zip_map, NONE),
        (onnx_models.write_decoder, NONE),
        (onnx_models.write_scaled, NONE),
        (onnx_models.write_imputer, "example = [[nan, 1.0], [inf, 2.0]]"),
        (onnx_models.write_widths, NONE),
        (onnx_models.write_widths, VALUES),
        (onnx_models.write_softmax, NONE),
        (onnx_models.write_text, NONE),
        (onnx_models.write_text, 'example = ["a", ""]'),
        (onnx_models.write_half, NONE),
        (onnx_models.write_half, "example = [[60000.0, 1.0]]"),
        (onnx_models.write_two_by_two, NONE),
        (onnx_models.write_failing_model, NONE),
        (onnx_models.write_failing_model, "example = [3]"),
        (onnx_models.write_labels, NONE),
        (onnx_models.write_image, NONE),
    ],
)
def test_jobs_may_share_runs_of_models_whose_rows_are_independent(tmp_path, write, config, is_large):
    assert find_reason(write(tmp_path / "m"), config, is_large=is_large) is None


@pytest.mark.parametrize("is_large", [True, False])
@pytest.mark.parametrize(
    ("write", "config"),
    [
        *(
            (write, config)
            for write in (
                onnx_models.write_softmax_over_rows,
                onnx_models.write_mean_of_rows,
                onnx_models.write_centred,
                onnx_models.write_shares_of_largest,
                onnx_models.write_products,
                onnx_models.write_quantized,
            )
            for config in (NONE, VALUES, SAME)
        ),
        (onnx_models.write_running_sum, NONE),
        (onnx_models.write_running_sum, "example = [1, 1]"),
        (onnx_models.write_recurrent, NONE),
        (onnx_models.write_recurrent, "example = [[[3.0, 1.0]], [[2.0, 5.0]]]"),
        (onnx_models.write_ranks, NONE),
        (onnx_models.write_ranks, "example = [5, 9, 2, 7]"),
    ],
)
def test_jobs_must_not_share_runs_of_models_whose_rows_depend_on_each_other(
    tmp_path, write, config, is_large
):
    assert "'y'" in find_reason(write(tmp_path / "m"), config, is_large=is_large)


def test_model_that_takes_few_values_needs_an_example_of_rows_that_differ(tmp_path):
    folder = onnx_models.write_narrow(tmp_path / "m")
    assert "rows that differ" in find_reason(folder, NONE)
    assert "rows that differ" in find_reason(folder, "example = [3]", is_large=False)
    assert "rows that differ" in find_reason(folder, "example = [3, 3]", is_large=False)
    assert find_reason(folder, "example = [3, 2]") is None


def test_large_probe_finds_small_whole_numbers_that_a_model_takes(tmp_path):
    assert find_reason(onnx_models.write_narrow(tmp_path / "m"), "example = [3]") is None


@pytest.mark.parametrize("dtype", [np.int8, np.int64, np.uint8, np.uint64])
def test_whole_numbers_of_made_up_jobs_stay_within_those_of_the_example(dtype):
    limits = np.iinfo(dtype)
    whole = np.array([[limits.min, 0, limits.max]], dtype=dtype)
    ids = np.array([[101, 7, 25, 102]], dtype=dtype)
    made_up = [row for array in (whole, ids) for row in made_up_from(array)]
    assert {row.dtype for row in made_up} == {np.dtype(dtype)}
    assert all(row.min() >= 7 and row.max() <= 102 for row in made_up_from(ids))
    assert len({row.tobytes() for row in made_up_from(ids)}) > 30


def made_up_from(array):
    """The jobs that a large probe runs after the first five, of a model whose outputs are whole numbers."""
    tried = []

    def run(job):
        tried.append(job["x"])
        return {"label": job["x"][:, 0]}

    assert compare_runs(run, {"x": array}, is_large=True).reason is None
    return tried[5:-2]


@pytest.mark.parametrize("dtype", [np.float32, np.uint8])
@pytest.mark.parametrize("example", [1, 2, 9])
@pytest.mark.parametrize("most_rows", [3, 4, 8])
def test_probe_has_no_more_rows_together_than_memory_allows(dtype, example, most_rows):
    shapes = []

    def run(job):
        shapes.append(len(job["x"]))
        return {"y": job["x"] - shift * job["x"].mean(axis=0, dtype=dtype)}

    array = np.arange(1, example * 4 + 1, dtype=dtype).reshape(example, 4)
    for shift in (0, 1):
        found = compare_runs(run, {"x": array}, is_large=True, most_rows=most_rows)
        assert bool(found.reason) == bool(shift)
        assert 2 < found.rows <= most_rows
        assert max(shapes) == found.rows


def test_jobs_are_not_tried_together_whose_outputs_fill_the_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(batch_probe, "_LONG_RUN_SECONDS", 60.0)
    folder = onnx_models.write_widths(tmp_path / "wide")
    (folder / "model.toml").write_text("sample_shape = [1, 1_500_000]")
    model, rows = load_model(folder), []
    run = model.run
    model.run = lambda inputs, handle=None: rows.append(len(inputs["x"])) or run(inputs, handle)
    found = probe_model(model)
    assert "more than 11 MB" in found.reason
    assert found.output_bytes == 6_000_000
    assert rows == [1]


def test_jobs_must_not_share_runs_of_a_model_that_takes_its_rows_in_pairs(tmp_path):
    folder = onnx_models.write_pairs(tmp_path / "m")
    assert "single row" in find_reason(folder, "example = [[1.0], [2.0]]")
