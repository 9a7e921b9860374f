import io

import pytest

from inferq.cli.input_files import read_data
from inferq.errors import InvalidInputError


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
        assert read_data(None, tmp_path / "x.json") == ["ü"]
        assert read_data(None, type(tmp_path)("-")) == ["ü"]


def test_input_in_another_encoding_is_refused(standard_input, tmp_path):
    standard_input('["ü"]'.encode("latin-1"))
    with pytest.raises(InvalidInputError, match="Standard input is not UTF-8"):
        read_data(None, type(tmp_path)("-"))


def test_closed_input_is_a_clear_word(monkeypatch, tmp_path):
    monkeypatch.setattr("sys.stdin", None)
    with pytest.raises(InvalidInputError, match="closed"):
        read_data(None, type(tmp_path)("-"))


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
        read_data(text, None)


def test_whole_request_body_may_be_given_too():
    assert read_data('{"data": [[1, NaN]]}', None)[0][0] == 1
