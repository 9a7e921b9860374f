import json
import shlex

from inferq.cli.curl_line import write_curl_line
from inferq.tensors.signature import ModelDocument
from tests.model_documents import write_document

URL = "http://localhost:8000"


def split_line(name="m", **fields):
    tensors = fields.pop("tensors", {"x": ("FP32", [-1, 2])})
    document = ModelDocument.from_json(write_document("m", **tensors)).model_copy(update=fields)
    return shlex.split(write_curl_line(document, name, URL))


def read_body(words):
    return json.loads(words[words.index("-d") + 1])


def test_example_is_submitted_as_it_is_whatever_a_shell_makes_of_quotes():
    words = split_line(example=[["it's", 'a "word"']])
    assert words[:4] == ["curl", "-X", "POST", f"{URL}/predict"]
    assert read_body(words) == {"data": [["it's", 'a "word"']], "model": "m"}


def test_version_is_named():
    assert read_body(split_line("m@2"))["model"] == "m@2"


def test_without_an_example_zeros_are_submitted_by_name_for_several_inputs():
    assert read_body(split_line())["data"] == [[0, 0]]
    tensors = {"x_number": ("INT64", [-1]), "x_text": ("BYTES", [-1, 1])}
    assert read_body(split_line(tensors=tensors))["data"] == {"x_number": [0], "x_text": [[""]]}


def test_long_data_is_left_to_the_service_which_knows_it():
    for words in (split_line(example=[[1.5] * 500]), split_line(sample_shape={"x": [500, 2]})):
        assert f"{URL}/predict/test?model=m" in words
        assert "-d" not in words


def test_long_zeros_that_the_service_does_not_know_are_a_file():
    words = split_line(tensors={"x": ("FP32", [-1, 1000])})
    assert words[-2:] == ["--data-binary", "@data.npy"]


def test_key_is_named_and_not_shown(monkeypatch):
    monkeypatch.setenv("INFERQ_API_KEY", "secret")
    words = split_line()
    assert "Authorization: Bearer $INFERQ_API_KEY" in words
    assert "secret" not in " ".join(words)
