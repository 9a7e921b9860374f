import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferq.jobs import InvalidInputError, InvalidJsonError
from inferq.proxy.body import parse_predict_body

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


def test_body_is_taken_apart():
    body = parse_predict_body(b'{"data": [[1, 2.5]], "model": "m"}')
    assert (body.data, body.model) == ([[1, 2.5]], "m")


@pytest.mark.parametrize(
    "raw",
    [b"", b"{", b"data", b"[1]", b"3", b'"x"', b"null", b"\xff\xfe", b'{"data": "\\ud800"}', b"[" * 100_000],
)
def test_what_is_no_json_object_is_refused(raw):
    with pytest.raises(InvalidJsonError, match="An example"):
        parse_predict_body(raw)


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"{}", "lacks the member 'data'"),
        (b'{"data": [1], "modle": "x"}', "unknown member 'modle'"),
        (b'{"data": [1], "model": 3}', "model must be the name"),
    ],
)
def test_wrong_members_are_named(raw, words):
    with pytest.raises(InvalidInputError, match=words):
        parse_predict_body(raw)


@given(st.binary())
def test_no_bytes_make_another_error(raw):
    with contextlib.suppress(InvalidJsonError, InvalidInputError):
        parse_predict_body(raw)
