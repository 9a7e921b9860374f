import contextlib
import json
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferq.egress.url_policy import UrlPolicy
from inferq.errors import InvalidInputError, InvalidJsonError
from inferq.jobs import Priority
from inferq.proxy.http.bodies.predict_body import parse_predict_body

parse = partial(parse_predict_body, longest_timeout=60.0)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


def test_body_is_taken_apart():
    body = parse(b'{"data": [[1, 2.5]], "model": "m"}')
    assert (body.data, body.model) == ([[1, 2.5]], "m")


@pytest.mark.parametrize("data", [["a", 'b"', ""], {"x": ["y"]}, {'"': [1]}, [{"x": 1}, {"x": 1}]])
def test_strings_and_quotes_in_data_are_no_duplicates(data):
    assert parse(json.dumps({"data": data, "model": 'm"'}).encode()).data == data


def test_integers_keep_every_digit():
    assert parse(b'{"data": [9223372036854775807, %s]}' % (b"9" * 4000)).data[1] == 10**4000 - 1
    with pytest.raises(InvalidJsonError, match="number out of range"):
        parse(b'{"data": [%s]}' % (b"9" * 5000))


@pytest.mark.parametrize(
    "raw",
    [b"", b"{", b"data", b"[1]", b"3", b'"x"', b"null", b"\xff\xfe", b'{"data": "\\ud800"}', b"[" * 100_000],
)
def test_what_is_no_json_object_is_refused(raw):
    with pytest.raises(InvalidJsonError, match="An example"):
        parse(raw)


def test_body_of_another_known_form_is_called_by_its_name():
    with pytest.raises(InvalidJsonError, match="The request body is a PNG image"):
        parse(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR")


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"{}", "lacks the member 'data'"),
        (b'{"data": [1], "modle": "x"}', "unknown member 'modle'"),
        (b'{"data": [1], "model": 3}', "model must be the name"),
        (b'{"data": [1], "data": [2]}', "'data' twice"),
        (b'{"data": [1], "d\\u0061ta": [2]}', "'data' twice"),
        (b'{"data": {"x": [1], "x": [2]}}', "'x' twice"),
        (b'{"data": ["a"], "model": "m", "model": "n"}', "'model' twice"),
    ],
)
def test_wrong_members_are_named(raw, words):
    with pytest.raises(InvalidInputError, match=words):
        parse(raw)


@given(st.binary())
def test_no_bytes_make_another_error(raw):
    with contextlib.suppress(InvalidJsonError, InvalidInputError):
        parse(raw)


@pytest.mark.parametrize("timeout", [60, 0.001, 1.5])
def test_timeout_within_bounds_is_taken(timeout):
    assert parse(json.dumps({"data": [1], "timeout": timeout}).encode()).timeout_seconds == timeout


@pytest.mark.parametrize("timeout", ["0", "-1", "60.001", "NaN", "Infinity", "true", '"1"', "[1]", "1e400"])
def test_timeout_out_of_bounds_is_refused(timeout):
    with pytest.raises(InvalidInputError, match="timeout must be seconds, more than 0 and at most 60"):
        parse(b'{"data": [1], "timeout": %b}' % timeout.encode())


def test_priority_and_webhook_are_taken():
    body = parse(
        b'{"data": ["a"], "priority": "low", "webhook": "https://example.com/x"}', webhook_rules=UrlPolicy()
    )
    assert (body.priority, body.webhook) == (Priority.LOW, "https://example.com/x")


@pytest.mark.parametrize("members", ["", ', "priority": null, "webhook": null'])
def test_priority_is_normal_and_there_is_no_webhook_where_nothing_is_said(members):
    body = parse(b'{"data": [1]%b}' % members.encode())
    assert (body.priority, body.webhook) == (Priority.NORMAL, None)


@pytest.mark.parametrize("priority", ['"urgent"', '"HIGH"', '""', "1", "true", "[]", '{"high": 1}'])
def test_other_priorities_are_refused(priority):
    with pytest.raises(InvalidInputError, match="priority must be one of high, normal, low, got"):
        parse(b'{"data": [1], "priority": %b}' % priority.encode())


@pytest.mark.parametrize(
    ("webhook", "words"),
    [
        ("3", "webhook must be a URL, got the number 3"),
        ('"ftp://x/"', "begins with"),
        ('"http://10.0.0.1/"', "public"),
    ],
)
def test_webhook_that_may_not_be_called_is_refused(webhook, words):
    with pytest.raises(InvalidInputError, match=words):
        parse(b'{"data": [1], "webhook": %b}' % webhook.encode(), webhook_rules=UrlPolicy())


def test_any_webhook_is_refused_where_there_are_none():
    with pytest.raises(InvalidInputError, match="INFERQ_WEBHOOK_SECRET is not set"):
        parse(b'{"data": [1], "webhook": "https://example.com/"}')


@pytest.mark.parametrize("member", [b'"priority": "low"', b'"webhook": "https://example.com/"'])
def test_new_members_are_taken_once(member):
    with pytest.raises(InvalidInputError, match="twice"):
        parse(b'{"data": [1], %b, %b}' % (member, member), webhook_rules=UrlPolicy())
