import numpy as np
import orjson
import pytest

from inferq.errors import ModelError
from inferq.models.repository.model_folder import load_model
from inferq.models.results.tensor_result import MOST_SHOWN_BYTES, write_tensors
from inferq.tensors.envelope import read_envelope
from inferq.tensors.signature import Datatype, Tensor
from tests import onnx_models


def make_job(model, data, **options):
    return model.decode(orjson.dumps(data))._replace(is_json=False, **options)


def read_result(result):
    """The head of an envelope, and the bytes of each tensor by name."""
    head, data = read_envelope(result)
    tensors = {}
    for entry in head["outputs"]:
        size = entry.get("parameters", {}).get("binary_data_size")
        if size is not None:
            tensors[entry["name"]], data = bytes(data[:size]), data[size:]
    assert not len(data)
    return head, tensors


def test_outputs_are_written_as_they_are_in_memory(tmp_path):
    model = load_model(onnx_models.write_two_by_two(tmp_path / "prices"))
    job = make_job(model, {"count": [[1, 0, 3], [3, 4, -5]], "price": [[0.1, 2, 1], [1.5, 0, 1e300]]})
    head, tensors = read_result(*model.predict_together([job]))
    assert head == {
        "outputs": [
            {
                "name": "total",
                "datatype": "FP64",
                "shape": [2, 3],
                "parameters": {"binary_data_size": 48},
            },
            {
                "name": "is_free",
                "datatype": "BOOL",
                "shape": [2, 3],
                "parameters": {"binary_data_size": 6},
            },
        ]
    }
    assert tensors == {
        "total": np.array([0.1, 0, 3, 4.5, 0, -5e300]).tobytes(),
        "is_free": bytes([0, 1, 0, 0, 1, 0]),
    }


def test_only_outputs_that_are_asked_for_are_written_in_their_order(tmp_path):
    model = load_model(onnx_models.write_two_by_two(tmp_path / "prices"))
    data = {"count": [[1, 0, 3]], "price": [[1, 2, 1]]}
    for names in (("is_free",), ("is_free", "total")):
        head, tensors = read_result(*model.predict_together([make_job(model, data, outputs=names)]))
        assert [entry["name"] for entry in head["outputs"]] == [*names] == [*tensors]


def test_jobs_of_one_run_get_their_own_rows_each_in_its_form(tmp_path):
    model = load_model(onnx_models.write_widths(tmp_path / "widths"))
    plain, last = model.decode(b"[[1,2]]"), model.decode(b"[[3,4]]")
    jobs = [plain, make_job(model, [[0.1, 5], [6, 7]]), last]
    first, second, third = model.predict_together(jobs)
    assert (first, third) == (b'{"outputs":{"y":[[2.0,4.0]]}}', b'{"outputs":{"y":[[6.0,8.0]]}}')
    head, tensors = read_result(second)
    assert head["outputs"][0]["shape"] == [2, 2]
    assert tensors == {"y": np.array([0.2, 10, 12, 14], dtype=np.float32).tobytes()}


def test_a_classifier_says_beside_its_tensors_what_they_mean(tmp_path):
    folder = onnx_models.write_softmax(tmp_path / "soft")
    (folder / "model.toml").write_text('class_names = ["a", "b", "c"]')
    model = load_model(folder)
    plain, result = model.predict_together([model.decode(b"[[0,5,1]]"), make_job(model, [[0, 5, 1]])])
    head, tensors = read_result(result)
    assert head["result"] == orjson.loads(plain)
    [raw] = tensors.values()
    assert np.frombuffer(raw, np.float32).tolist() == pytest.approx(head["result"]["probabilities"])


def test_what_a_result_says_beside_its_tensors_is_left_out_where_it_is_long():
    tensors = [Tensor(name="y", datatype=Datatype.FP32, shape=[1])]
    for length, is_there in ((MOST_SHOWN_BYTES, True), (MOST_SHOWN_BYTES + 1, False)):
        shown = b'"' + b"x" * (length - 2) + b'"'
        head, _ = read_result(write_tensors({"y": np.zeros(1, np.float32)}, tensors, shown))
        assert ("result" in head) == is_there


def test_text_is_written_behind_its_lengths(tmp_path):
    model = load_model(onnx_models.write_text(tmp_path / "text"))
    _, tensors = read_result(*model.predict_together([make_job(model, ["", "アヤメ"])]))
    assert tensors == {"loud": b"\1\0\0\0!" + b"\x0a\0\0\0" + "アヤメ!".encode()}


@pytest.mark.parametrize(
    ("write", "data", "entries"),
    [
        (
            onnx_models.write_zip_map,
            [[1, None], [0, 1]],
            [{"shape": [2], "data": [{"0": 1, "1": "NaN"}, {"0": 0, "1": 1}]}],
        ),
    ],
)
def test_what_is_no_tensor_stands_in_the_head(tmp_path, write, data, entries):
    model = load_model(write(tmp_path / "m"))
    head, _ = read_result(*model.predict_together([make_job(model, data)]))
    lists = [entry for entry in head["outputs"] if "data" in entry]
    assert [{key: entry[key] for key in ("shape", "data")} for entry in lists] == entries
    assert {entry["datatype"] for entry in lists} == {"FP32"}


def test_sequence_is_a_tensor_for_each_of_its_entries(tmp_path):
    model = load_model(onnx_models.write_outlooks(tmp_path / "m"))
    head, tensors = read_result(*model.predict_together([make_job(model, [["Infinity", 1]])]))
    entries = [entry for entry in head["outputs"] if entry["parameters"].get("sequence") == "both"]
    assert [(entry["name"], entry["shape"]) for entry in entries] == [("both/0", [1, 2]), ("both/1", [1, 2])]
    assert np.frombuffer(tensors["both/1"], np.float32).tolist() == [np.inf, 2]


def test_rows_of_several_jobs_that_cannot_be_told_apart_are_an_error(tmp_path):
    model = load_model(onnx_models.write_mean_of_rows(tmp_path / "mean"))
    with pytest.raises(ModelError, match="one entry for each"):
        model.predict_together([make_job(model, [[1, 2, 3]])] * 2)


def test_an_absent_value_and_a_single_text_can_be_told_apart(tmp_path):
    tensors = [Tensor(name=name, datatype=Datatype.BYTES, shape=[]) for name in ("none", "one")]
    holders = {name: np.array(value, dtype=object) for name, value in (("none", None), ("one", "花"))}
    head, raw = read_result(write_tensors(holders, tensors))
    assert head["outputs"][0] == {"name": "none", "datatype": "BYTES", "shape": [], "data": None}
    assert raw == {"one": b"\3\0\0\0" + "花".encode()}
