"""The trial that tells models whose jobs may share a run from those whose rows depend on each other."""

import numpy as np
import pytest

from inferq.models.repository import load_model
from inferq.worker.batch_probe import try_together
from tests import onnx_models

VALUES = "example = [[3.0, 1.0, 2.0], [2.0, 5.0, 4.0]]"
SAME = "example = [[1.0, 1.0, 1.0], [1.0, 1.0, 1.0]]"
NONE = ""


def reason(folder, card, *, is_large=True):
    (folder / "model.toml").write_text(card)
    model = load_model(folder)
    verdict = try_together(model.run, model.sample(), is_large=is_large)
    assert (verdict.rows > 2 and verdict.seconds > 0) or verdict.reason
    return verdict.reason


def test_an_example_without_rows_proves_nothing(tmp_path):
    assert "no values but one row's" in (
        reason(onnx_models.write_softmax(tmp_path / "m"), "example = []") or ""
    )


@pytest.mark.parametrize("is_large", [True, False])
@pytest.mark.parametrize(
    ("write", "card"),
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
def test_models_whose_rows_stand_alone_pass(tmp_path, write, card, is_large):
    assert reason(write(tmp_path / "m"), card, is_large=is_large) is None


@pytest.mark.parametrize("is_large", [True, False])
@pytest.mark.parametrize(
    ("write", "card"),
    [
        *(
            (write, card)
            for write in (
                onnx_models.write_softmax_over_rows,
                onnx_models.write_mean_of_rows,
                onnx_models.write_centred,
                onnx_models.write_shares_of_largest,
                onnx_models.write_products,
                onnx_models.write_quantized,
            )
            for card in (NONE, VALUES, SAME)
        ),
        (onnx_models.write_running_sum, NONE),
        (onnx_models.write_running_sum, "example = [1, 1]"),
        (onnx_models.write_recurrent, NONE),
        (onnx_models.write_recurrent, "example = [[[3.0, 1.0]], [[2.0, 5.0]]]"),
        (onnx_models.write_ranks, NONE),
        (onnx_models.write_ranks, "example = [5, 9, 2, 7]"),
    ],
)
def test_models_whose_rows_depend_on_each_other_do_not(tmp_path, write, card, is_large):
    assert "'y'" in reason(write(tmp_path / "m"), card, is_large=is_large)


def test_model_that_takes_few_values_needs_an_example_of_rows_that_differ(tmp_path):
    folder = onnx_models.write_narrow(tmp_path / "m")
    assert "rows that differ" in reason(folder, NONE)
    assert "rows that differ" in reason(folder, "example = [3]", is_large=False)
    assert "rows that differ" in reason(folder, "example = [3, 3]", is_large=False)
    assert reason(folder, "example = [3, 2]") is None


def test_large_trial_finds_small_whole_numbers_that_a_model_takes(tmp_path):
    assert reason(onnx_models.write_narrow(tmp_path / "m"), "example = [3]") is None


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
    """The jobs that a large trial tries after the first five, of a model whose outputs are whole numbers."""
    tried = []

    def run(job):
        tried.append(job["x"])
        return {"label": job["x"][:, 0]}

    assert try_together(run, {"x": array}, is_large=True).reason is None
    return tried[5:-2]


def test_model_that_takes_its_rows_in_pairs_does_not(tmp_path):
    folder = onnx_models.write_pairs(tmp_path / "m")
    assert "single row" in reason(folder, "example = [[1.0], [2.0]]")
