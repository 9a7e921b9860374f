"""The trial that tells models whose jobs may share a run from those whose rows depend on each other."""

import pytest

from inferq.models.repository import load_model
from inferq.models.session import stack
from inferq.worker.trial import find_difference, variations
from tests import onnx_models

VALUES = "example = [[3.0, 1.0, 2.0], [2.0, 5.0, 4.0]]"
SAME = "example = [[1.0, 1.0, 1.0], [1.0, 1.0, 1.0]]"
NONE = ""


def difference(folder, card):
    (folder / "model.toml").write_text(card)
    model = load_model(folder)
    jobs = variations(model.sample())
    return find_difference(
        model.run(stack(jobs)), [model.run(job) for job in jobs], model.count_rows(jobs[0])
    )


@pytest.mark.parametrize(
    ("write", "card"),
    [
        (onnx_models.write_widths, NONE),
        (onnx_models.write_widths, VALUES),
        (onnx_models.write_softmax, NONE),
        (onnx_models.write_text, NONE),
        (onnx_models.write_text, 'example = ["a", ""]'),
        (onnx_models.write_half, NONE),
        (onnx_models.write_two_by_two, NONE),
        (onnx_models.write_failing_model, NONE),
        (onnx_models.write_labels, NONE),
        (onnx_models.write_image, NONE),
    ],
)
def test_models_whose_rows_stand_alone_pass(tmp_path, write, card):
    assert difference(write(tmp_path / "m"), card) is None


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
            )
            for card in (NONE, VALUES, SAME)
        ),
        (onnx_models.write_running_sum, NONE),
        (onnx_models.write_running_sum, "example = [1, 1]"),
        (onnx_models.write_recurrent, NONE),
        (onnx_models.write_recurrent, "example = [[[3.0, 1.0]], [[2.0, 5.0]]]"),
    ],
)
def test_models_whose_rows_depend_on_each_other_do_not(tmp_path, write, card):
    assert difference(write(tmp_path / "m"), card) == "y"
