"""What arrays, files and frames become on their way: the bytes of the request, or base64 in JSON."""

import base64
import io
import json
from urllib.parse import parse_qs, urlsplit

import httpx
import numpy as np
import pandas
import pytest
from PIL import Image

from inferq.client.job_body import JobOptions, ServiceCache, write_job_body
from inferq.client.media import ContentInPieces, FileOnDisk
from inferq.client.payloads import read_lists
from inferq.client.requests import submit
from inferq.errors import InvalidInputError
from inferq.tensors.envelope_codec import read_data
from inferq.tensors.forms import MEDIA_TYPES
from tests.pictures import encode, make_gradient
from tests.unit.client.drive import drive, problem

PNG = encode(make_gradient(5, 3))
ACCEPTED = httpx.Response(202, json={"job_id": "j"})


def document(datatype="FP32", shape=(-1, 2), **members):
    tensor = {"name": "x", "datatype": datatype, "shape": list(shape)}
    return {"name": "m", "inputs": [tensor], "forms": list(MEDIA_TYPES)} | members


def send(data, *answers, options=None):
    """The request for a job."""
    _, asked = drive(submit(data, options or JobOptions("m"), "k", ServiceCache(), 0), *answers, ACCEPTED)
    return asked[-1]


def load(call):
    assert call.headers["Content-Type"] == "application/x-npy"
    return np.load(io.BytesIO(call.body))


def test_array_travels_as_npy_with_its_options_in_the_query():
    options = JobOptions("m", 1.5, "high", "https://x/?a=b", 2.5, "id")
    call = send(np.ones((3, 2), "f4"), httpx.Response(200, json=document()), options=options)
    assert np.array_equal(load(call), np.ones((3, 2), "f4"))
    assert urlsplit(call.path).path == "/predict"
    assert parse_qs(urlsplit(call.path).query) == {
        "model": ["m"],
        "timeout": ["1.5"],
        "priority": ["high"],
        "webhook": ["https://x/?a=b"],
        "expires_in": ["2.5"],
    }
    assert (call.headers["Idempotency-Key"], call.headers["X-Request-ID"]) == ("k", "id")


@pytest.mark.parametrize(
    ("array", "datatype", "dtype"),
    [
        (np.array([[0.1, 5.1]]), "FP32", "f4"),
        (np.array([[1, 2]]), "FP32", "f4"),
        (np.array([[0.1, np.inf]], ">f4"), "FP32", "f4"),
        (np.array([[3, 4]]), "INT32", "i4"),
        (np.array([[3, 4]], "i1"), "UINT64", "u8"),
        (np.array([[True, False]]), "BOOL", "?"),
        (np.arange(8, dtype="f4").reshape(4, 2)[::-2].T, "FP32", "f4"),
        (np.empty((0, 2), "f4"), "FP32", "f4"),
    ],
    ids=str,
)
def test_array_takes_the_datatype_of_the_input(array, datatype, dtype):
    loaded = load(send(array, httpx.Response(200, json=document(datatype))))
    assert loaded.dtype == np.dtype(dtype)
    assert np.array_equal(loaded, array.astype(dtype))


def test_lists_of_numbers_become_arrays_where_the_result_is_wanted_so():
    assert load(send(read_lists([[1, 2.5]]), httpx.Response(200, json=document()))).tolist() == [[1, 2.5]]
    named = read_lists({"x": [[1, 2.5]], "y": "text"})
    assert (type(named["x"]), named["y"]) == (np.ndarray, "text")
    records, texts, ragged = [{"a": 1, "b": 2}], [["a"]], [[1], [1, 2]]
    for data in (records, {"a": [1], "b": [2]}, texts, ragged, PNG, "text", 1.5):
        assert read_lists(data) is data


@pytest.mark.parametrize(
    ("data", "shape", "expected"),
    [
        ([], [-1, 2], (0, 2)),
        ([], [-1], (0,)),
        ([[], []], [-1, -1, 3], (2, 0, 3)),
        ([], [-1, -1], (0, 0)),
        ([[]], [-1, 2], (1, 0)),  # which the service refuses
    ],
)
def test_empty_lists_have_the_axes_that_they_have_in_json(data, shape, expected):
    said = httpx.Response(200, json=document(shape=shape))
    assert load(send(read_lists(data), said)).shape == expected


def test_short_floats_are_widened_as_in_json():
    loaded = load(send(np.array([[5.1, 0.1]], "f4"), httpx.Response(200, json=document("FP64"))))
    assert loaded.tolist() == [[5.1, 0.1]]


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (np.array([[0.5, 1.5]]), document("INT64")),
        (np.array([[1e300, 1.0]]), document("FP32")),
        (np.array([[300, 1]]), document("UINT8")),
        (np.array([["a", "b"]]), document("BYTES")),
        (np.ma.array([[1.5, 2.5]], mask=[[False, True]]), document()),
        (np.ones((1, 2), "f4"), document(forms=[])),
        (np.ones((1, 2), "f4"), document(inputs=[*document()["inputs"]] * 2)),
    ],
)
def test_array_that_cannot_travel_so_is_json_as_ever(array, said):
    call = send(
        array,
        *([httpx.Response(200, json=said)] if type(array) is np.ndarray and array.dtype.kind != "U" else []),
    )
    assert call.path == "/predict"
    assert json.loads(call.body) == {"data": array.tolist(), "model": "m"}


def test_array_is_json_before_any_worker_has_announced_the_model():
    call = send(np.ones((1, 2), "f4"), problem(503, "no-worker"))
    assert json.loads(call.body)["data"] == [[1, 1]]


class Tensor:
    """A tensor of another library, which gives its values to NumPy in one of the usual ways."""

    def __init__(self, array, way):
        self._array, self._way = array, way

    def tolist(self):
        return self._array.tolist()


class ByInterface(Tensor):
    @property
    def __array_interface__(self):
        return self._array.__array_interface__


class ByDlpack(Tensor):
    def __dlpack__(self, **_options):
        if self._way == "refuses":
            raise BufferError("part of a gradient")
        return self._array.__dlpack__()

    def __dlpack_device__(self):
        return self._array.__dlpack_device__()


class ByMethod(Tensor):
    def numpy(self):
        return self._array


@pytest.mark.parametrize("kind", [ByInterface, ByDlpack, ByMethod])
def test_tensors_of_other_libraries_travel_as_npy(kind):
    array = np.array([[1.5, 2.5]], "f4")
    assert np.array_equal(load(send(kind(array, ""), httpx.Response(200, json=document()))), array)


def test_tensor_that_cannot_be_exported_is_json_as_ever():
    assert json.loads(send(ByDlpack(np.ones((1, 2)), "refuses")).body)["data"] == [[1, 1]]


def test_frame_of_numbers_travels_as_npy_in_the_order_of_the_features():
    frame = pandas.DataFrame({"b": [2.0, 4.0], "a": [1, 3]})
    features = document(feature_names=["a", "b"])
    assert load(send(frame, httpx.Response(200, json=features))).tolist() == [[1, 2], [3, 4]]
    columns = {"b": np.array([2.0, 4.0]), "a": np.array([1.0, 3.0])}
    assert load(send(columns, httpx.Response(200, json=features))).tolist() == [[1, 2], [3, 4]]
    answers = [httpx.Response(200, json=features)] * 2
    with pytest.raises(InvalidInputError, match="unknown: 'c'"):
        send(frame.rename(columns={"b": "c"}), *answers)


def test_frame_with_what_is_no_number_is_json_as_ever():
    frame = pandas.DataFrame({"a": [1.0, None], "b": ["2", "4"]})
    call = send(frame, httpx.Response(200, json=document(feature_names=["a", "b"])))
    assert json.loads(call.body)["data"] == [[1.0, "2"], [None, "4"]]


TWO = document(
    inputs=[
        {"name": "x", "datatype": "FP32", "shape": [-1, 2]},
        {"name": "n", "datatype": "INT32", "shape": [-1, 1]},
    ]
)


def test_named_arrays_travel_as_npz():
    call = send({"x": np.ones((2, 2)), "n": np.array([7, 8])}, httpx.Response(200, json=TWO))
    assert call.headers["Content-Type"] == "application/x-npz"
    with np.load(io.BytesIO(call.body)) as archive:
        assert {name: archive[name].dtype.name for name in archive} == {"x": "float32", "n": "int32"}
        assert archive["n"].tolist() == [[7], [8]]
    call = send({"x": np.ones((2, 2)), "n": [[7], [8]]}, httpx.Response(200, json=TWO))
    with np.load(io.BytesIO(call.body)) as archive:
        assert archive["n"].tolist() == [[7], [8]]


def test_array_for_an_input_that_can_be_left_out_travels_as_bytes_too():
    [x, n] = TWO["inputs"]
    said = httpx.Response(200, json=TWO | {"inputs": [x], "optional_inputs": [n]})
    call = send({"x": np.ones((2, 2)), "n": np.array([7, 8])}, said)
    with np.load(io.BytesIO(call.body)) as archive:
        assert archive["n"].tolist() == [[7], [8]]


def test_file_and_array_travel_as_one_envelope():
    call = send({"x": PNG, "n": np.array([7])}, httpx.Response(200, json=TWO))
    assert call.headers["Content-Type"] == "application/x-inferq"
    values = read_data(call.body)
    assert (values["x"].media_type, bytes(values["x"].data)) == ("image/png", PNG)
    assert (values["n"].shape, bytes(values["n"].data)) == ((1, 1), b"\7\0\0\0")


def test_named_values_that_are_no_arrays_have_files_in_base64_beside_them():
    call = send({"x": PNG, "n": ["seven"]}, httpx.Response(200, json=TWO))
    assert json.loads(call.body)["data"] == {"x": {"b64": base64.b64encode(PNG).decode()}, "n": ["seven"]}


def test_file_is_sent_as_it_is_and_read_only_while_it_is_sent(tmp_path):
    path = tmp_path / "cat.png"
    path.write_bytes(PNG)
    call = send(path)
    assert call.headers["Content-Type"] == "image/png"
    assert isinstance(call.body, FileOnDisk)
    assert call.body.size == len(PNG)
    assert b"".join(call.body.read_parts()) == PNG
    assert send(bytearray(PNG)).body == PNG


def test_file_beside_an_array_is_read_only_while_it_is_sent_and_comes_first(tmp_path):
    path = tmp_path / "cat.png"
    path.write_bytes(PNG)
    call = send({"n": np.array([7]), "x": path}, httpx.Response(200, json=TWO))
    assert isinstance(call.body, ContentInPieces)
    sent = b"".join(call.body.read_parts())
    assert call.body.size == len(sent)
    values = read_data(sent)
    assert list(values) == ["x", "n"]
    assert (bytes(values["x"].data), bytes(values["n"].data)) == (PNG, b"\7\0\0\0")


def test_path_of_json_is_what_stands_there(tmp_path):
    path = tmp_path / "rows.json"
    path.write_text("[[1, 2]]")
    assert json.loads(send(path).body) == {"data": [[1, 2]], "model": "m"}


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "CMYK"])
def test_image_of_pillow_is_sent_as_png(mode):
    image = Image.fromarray(make_gradient(5, 3)).convert(mode)
    call = send(image)
    assert call.headers["Content-Type"] == "image/png"
    sent = Image.open(io.BytesIO(call.body))
    assert sent.tobytes() == (image.convert("RGB") if mode == "CMYK" else image).tobytes()


def test_image_of_whole_numbers_is_sent_as_png_of_16_bits():
    values = np.array([[0, 255, 256], [40_000, 65_535, 7]], "i4")
    sent = Image.open(io.BytesIO(send(Image.fromarray(values)).body))
    assert np.array_equal(np.array(sent), values)


@pytest.mark.parametrize("content", [b"a,b\n1,2\n", b"[1, 2", b""])
def test_file_that_is_nothing_known_is_refused(tmp_path, content):
    path = tmp_path / "rows.csv"
    path.write_bytes(content)
    with pytest.raises(InvalidInputError, match=r"rows\.csv"):
        send(path)
    with pytest.raises(InvalidInputError, match="expected a picture"):
        send(content)
    with pytest.raises(InvalidInputError, match="cannot be read: No such file"):
        send(tmp_path / "missing.png")


def test_among_many_jobs_arrays_and_files_are_base64_in_json():
    def write(data, *answers):
        body, _ = drive(write_job_body(data, JobOptions("m"), ServiceCache(), 0), *answers)
        return json.loads(body)["data"]

    said = httpx.Response(200, json=document())
    written = write(np.array([[1.5, 2.5]]), said)
    assert (written["datatype"], written["shape"]) == ("FP32", [1, 2])
    assert np.frombuffer(base64.b64decode(written["b64"]), "<f4").tolist() == [1.5, 2.5]
    assert write(PNG, said) == {"b64": base64.b64encode(PNG).decode()}
    assert write(np.array([[1.5, 2.5]]), httpx.Response(200, json=document(forms=[]))) == [[1.5, 2.5]]
