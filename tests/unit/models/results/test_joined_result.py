"""Results of chunks, put together: the same bytes as of one run."""

from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path

import numpy as np
import orjson
import pytest

from inferq.models.arrays import Array
from inferq.models.model import Model
from inferq.models.repository.model_folder import load_model
from inferq.models.results.chunk_result import read_chunk_head
from inferq.models.results.joined_result import ChunkPiece, measure_pieces, plan_result
from tests import onnx_models
from tests.tensors import make_envelope

ROWS, CHUNKS = 23, 4


def join(model: Model, data: bytes) -> bytes | str:
    """Runs a job as chunks, and puts the result together."""
    job = model.decode(data)
    bounds = [index * job.rows // CHUNKS for index in range(CHUNKS + 1)]
    results = [
        model.predict_chunk(model.decode_chunk(model.write_chunk(job, first, last)))
        for first, last in pairwise(bounds)
    ]
    pieces = plan_result(list(map(read_chunk_head, results)), is_json=job.is_json)
    if isinstance(pieces, str):
        return pieces
    joined = b"".join(
        results[piece.chunk][piece.first : piece.first + piece.length]
        if isinstance(piece, ChunkPiece)
        else piece
        for piece in pieces
    )
    assert measure_pieces(pieces) == len(joined)
    return joined


def make_floats(*shape: int) -> Array:
    values = np.random.default_rng(7).normal(size=shape).astype(np.float32)
    values.reshape(-1)[[3, -1]] = np.nan, np.inf
    return values


def make_texts(count: int) -> Array:
    return np.array([f'{number}],"y":[é"\\' for number in range(count)], dtype=object)


def make_every_type() -> dict[str, Array]:
    numbers = np.arange(2 * ROWS).reshape(ROWS, 2) % 5
    types = ["uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64"]
    floats = {"FP16": "float16", "FP32": "float32", "FP64": "float64"}
    return {
        "x_BOOL": numbers > 2,
        **{f"x_{name.upper()}": numbers.astype(name) for name in types},
        **{f"x_{name}": numbers.astype(dtype) / 3 for name, dtype in floats.items()},
        "x_BYTES": make_texts(2 * ROWS).reshape(ROWS, 2),
    }


CASES: dict[str, tuple[Callable[[Path], Path], dict[str, Array]]] = {
    "one output": (onnx_models.write_large_copy, {"x": make_floats(ROWS, 3)}),
    "rows without values": (onnx_models.write_large_copy, {"x": np.zeros((ROWS, 0), np.float32)}),
    "several outputs": (
        onnx_models.write_two_by_two,
        {"count": np.arange(3 * ROWS).reshape(ROWS, 3), "price": np.ones((ROWS, 3))},
    ),
    "every datatype": (onnx_models.write_every_type, make_every_type()),
    "texts": (onnx_models.write_text, {"text": make_texts(ROWS)}),
    "maps": (onnx_models.write_zip_map, {"x": make_floats(ROWS, 2)}),
}


@pytest.mark.parametrize("name", CASES)
def test_tensors_are_those_of_one_run(tmp_path: Path, name: str) -> None:
    write, arrays = CASES[name]
    model = load_model(write(tmp_path / "model"))
    data = make_envelope(arrays)

    assert join(model, data) == model.predict_together([model.decode(data)])[0]


@pytest.mark.parametrize("name", CASES)
def test_json_is_that_of_one_run(tmp_path: Path, name: str) -> None:
    write, arrays = CASES[name]
    model = load_model(write(tmp_path / "model"))
    data = to_json(arrays)

    assert join(model, data) == model.predict_together([model.decode(data)])[0]


def test_only_the_outputs_that_are_asked_for_are_in_the_result(tmp_path: Path) -> None:
    _, arrays = CASES["several outputs"]
    model = load_model(onnx_models.write_two_by_two(tmp_path / "model"))
    data = make_envelope(arrays, ["is_free"])

    assert join(model, data) == model.predict_together([model.decode(data)])[0]


def write_classifier(folder: Path, lines: str = "") -> Path:
    onnx_models.write_text_labels(folder)
    (folder / "model.toml").write_text(f'class_names = ["cat", "dog"]\n{lines}')
    return folder


@pytest.mark.parametrize("rows", [ROWS, 4000], ids=["short", "of more JSON than stands beside tensors"])
@pytest.mark.parametrize("is_json", [True, False], ids=["json", "tensors"])
def test_results_of_a_classifier_are_those_of_one_run(tmp_path: Path, rows: int, is_json: bool) -> None:
    model = load_model(write_classifier(tmp_path / "model"))
    arrays = {"scores": np.random.default_rng(3).normal(size=(rows, 2)).astype(np.float32)}
    data = to_json(arrays) if is_json else make_envelope(arrays)

    assert join(model, data) == model.predict_together([model.decode(data)])[0]


def test_a_classifier_without_probabilities_has_the_results_of_one_run(tmp_path: Path) -> None:
    folder = onnx_models.write_labels(tmp_path / "model")
    (folder / "model.toml").write_text('class_names = ["a", "b", "c"]')
    model = load_model(folder)
    data = orjson.dumps([number % 3 for number in range(ROWS)])

    assert join(model, data) == model.predict_together([model.decode(data)])[0]


def test_outputs_that_have_no_entry_for_each_row_are_named(tmp_path: Path) -> None:
    model = load_model(onnx_models.write_split_rows(tmp_path / "model"))
    arrays = {"x": np.ones((ROWS, 2), np.float32)}

    assert join(model, make_envelope(arrays)) == "output 'rows' has not one entry for each row"
    assert join(model, to_json(arrays)) == "its JSON has not one entry for each row"


def to_json(arrays: Mapping[str, Array]) -> bytes:
    """Returns data as JSON; NaN and infinities as strings."""
    return orjson.dumps({name: name_non_finite(array.tolist()) for name, array in arrays.items()})


def name_non_finite(value: object) -> object:
    if isinstance(value, list):
        return [name_non_finite(one) for one in value]
    if isinstance(value, float) and not np.isfinite(value):
        return "NaN" if np.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value
