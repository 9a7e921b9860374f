import pytest

from inferq.errors import InvalidInputError
from inferq.proxy.http.predict_query import read_query, refuse_unknown_members


def test_query_is_read():
    query = b"model=a%20b&priority=high&timeout=2.5&expires_in=60&webhook=https%3A%2F%2Fx%2F&shape=1,3"
    assert read_query(query) == {
        "model": "a b",
        "priority": "high",
        "timeout": 2.5,
        "expires_in": 60.0,
        "webhook": "https://x/",
        "shape": (1, 3),
    }
    assert read_query(b"") == {}


@pytest.mark.parametrize(
    ("query", "message"),
    [
        (b"model=iris&model=iris", "model twice"),
        (b"timeout=soon", "must be seconds"),
        (b"timeout=", "must be seconds"),
        (b"shape=1,-3", "whole numbers"),
        (b"shape=1x3", "whole numbers"),
        (b"shape=" + b",".join([b"1"] * 33), "whole numbers"),
        (b"model=%ff", "UTF-8"),
        (b"model=\xff", "UTF-8"),
    ],
)
def test_query_that_cannot_be_understood_is_refused(query, message):
    with pytest.raises(InvalidInputError, match=message):
        read_query(query)


def test_unknown_members_are_refused_by_name():
    refuse_unknown_members(read_query(b"model=iris"))
    with pytest.raises(InvalidInputError, match='"modle"; it may have model, '):
        refuse_unknown_members(read_query(b"modle=iris"))
