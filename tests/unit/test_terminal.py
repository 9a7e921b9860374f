import io
import json

import pytest

from inferq.terminal import format_json, make_printable

HOSTILE = "a\x1b[31m\x07\r\n\x7f\x9b31m\u202e\u2066\u200b\ufeff\u2028\U000e0041z"


def test_nothing_that_moves_a_cursor_or_hides_is_printed():
    shown = make_printable(HOSTILE)
    assert shown.startswith("a\ufffd[31m")
    assert not any(
        letter in shown for letter in "\x1b\x07\r\n\x7f\x9b\u202e\u2066\u200b\ufeff\u2028\U000e0041"
    )


def test_ordinary_text_of_any_writing_stays_as_it_is():
    assert make_printable("花 Größe\u3000a\xa0b 🙂") == "花 Größe\u3000a\xa0b 🙂"


@pytest.mark.parametrize("indent", [None, 2])
def test_json_escapes_what_is_not_printed_and_says_the_same(indent):
    value = {HOSTILE: [HOSTILE, "花", 1.5, None]}
    text = format_json(value, indent)
    assert json.loads(text) == value
    assert text.replace("\n", "").replace("花", "").isascii()
    assert text.replace("\n", "").isprintable()
    assert "花" in text


def test_json_is_whole_where_the_output_lacks_a_letter(monkeypatch):
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(io.BytesIO(), encoding="cp1252"))
    assert format_json(["花", "ü"]) == '["\\u82b1","\\u00fc"]'
    assert format_json(["ü"]) == '["ü"]'
