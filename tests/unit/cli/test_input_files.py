import io
from pathlib import Path

import numpy as np
import pytest

from inferq.cli import input_files
from inferq.cli.input_files import find_source, read_data
from inferq.errors import InvalidInputError
from tests.pictures import encode, make_gradient

PNG = encode(make_gradient(5, 3))


@pytest.fixture
def standard_input(monkeypatch):
    def set_to(content):
        # as where the locale is not UTF-8
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content), encoding="cp1252"))

    return set_to


def test_json_is_utf_8_whatever_the_locale(standard_input, tmp_path):
    for content in ('["ü"]'.encode(), '["ü"]'.encode("utf-8-sig")):
        standard_input(content)
        (tmp_path / "x.json").write_bytes(content)
        assert read_data(tmp_path / "x.json") == ["ü"]
        assert read_data(Path("-")) == ["ü"]


def test_input_in_another_encoding_is_refused(standard_input, tmp_path):
    standard_input('["ü"]'.encode("latin-1"))
    with pytest.raises(InvalidInputError, match="Standard input is not UTF-8"):
        read_data(Path("-"))


def test_closed_input_is_a_clear_word(monkeypatch, tmp_path):
    monkeypatch.setattr("sys.stdin", None)
    with pytest.raises(InvalidInputError, match="closed"):
        read_data(Path("-"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"a": [1], "a": [2]}', "the name 'a' is there twice"),
        ("[1e999]", "too large"),
        ("[1", "not JSON"),
        ("[" * 100_000, "not JSON"),
    ],
    ids=["twice", "too large", "cut", "deep"],
)
def test_json_that_would_be_taken_for_something_else_is_refused(text, words):
    with pytest.raises(InvalidInputError, match=words):
        read_data(text)


def test_whole_request_body_may_be_given_too():
    assert read_data('{"data": [[1, NaN]]}')[0][0] == 1


def test_argument_is_json_or_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("7").write_text("[]")
    for json_text in ("[[1", " {}", '"text"', "1.5"):
        assert find_source(json_text) == json_text
    for name in ("cat.jpg", "-", "7"):
        assert find_source(name) == Path(name)


def test_file_of_a_known_type_is_for_the_client_whatever_its_name(standard_input, tmp_path):
    path = tmp_path / "cat.json"
    path.write_bytes(PNG)
    assert read_data(path) == path
    standard_input(PNG)
    assert read_data(Path("-")) == PNG


def test_files_of_numpy_are_read_so_that_they_can_take_the_datatype_of_the_input(tmp_path):
    np.save(tmp_path / "a.npy", np.ones((1, 2)))
    np.savez(tmp_path / "a.npz", x=np.ones((1, 2)))
    assert read_data(tmp_path / "a.npy").tolist() == read_data(tmp_path / "a.npz")["x"].tolist() == [[1, 1]]
    (tmp_path / "b.npy").write_bytes(b"no array")
    with pytest.raises(InvalidInputError, match="is no NumPy array"):
        read_data(tmp_path / "b.npy")


def test_arrays_of_standard_input_are_read_as_those_of_files_are(standard_input):
    one, several = io.BytesIO(), io.BytesIO()
    np.save(one, np.ones((1, 2)))
    np.savez(several, x=np.ones((1, 2)))
    standard_input(one.getvalue())
    assert read_data(Path("-")).tolist() == [[1, 1]]
    standard_input(several.getvalue())
    assert read_data(Path("-"))["x"].tolist() == [[1, 1]]
    standard_input(one.getvalue()[:-1])
    with pytest.raises(InvalidInputError, match="Standard input is no NumPy array"):
        read_data(Path("-"))


def test_long_array_is_left_for_the_client_to_send(tmp_path, monkeypatch, standard_input):
    monkeypatch.setattr(input_files, "_LONG_BYTES", 100)
    np.save(tmp_path / "a.npy", np.ones((10, 2)))
    assert read_data(tmp_path / "a.npy") == tmp_path / "a.npy"
    standard_input((tmp_path / "a.npy").read_bytes())
    assert read_data(Path("-")) == (tmp_path / "a.npy").read_bytes()


def test_file_that_is_nothing_known_is_refused(tmp_path):
    path = tmp_path / "cat.raw"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InvalidInputError, match="is not UTF-8, and no picture"):
        read_data(path)
