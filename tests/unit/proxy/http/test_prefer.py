import pytest

from inferq.errors import InvalidInputError
from inferq.proxy.http.prefer import parse_preferred_wait, parse_query_wait


@pytest.mark.parametrize(
    ("query", "seconds"),
    [
        (b"", 0), (b"wait=20", 20), (b"wait=0", 0), (b"wait=0.5", 0.5), (b"wait=60", 60), (b"wait=1e1", 10),
        (b"a=b&wait=3", 3), (b"wait=99&wait=3", 3), (b"waiting=x", 0),
    ],
)  # fmt: skip
def test_wait_is_read_from_the_query(query, seconds):
    assert parse_query_wait(query, 60) == seconds


@pytest.mark.parametrize("value", ["", "-1", "60.1", "nan", "inf", "1_0", "abc", "1,5", "%00", "%FF"])
def test_wait_that_is_no_number_of_seconds_within_bounds_is_refused_by_name(value):
    with pytest.raises(
        InvalidInputError, match=r"wait must be seconds from 0 to 60 \(INFERQ_MAX_WAIT_SECONDS\)"
    ):
        parse_query_wait(f"wait={value}".encode(), 60)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("wait=5", 5), ("Wait=5", 5), ("respond-async, wait=5", 5), ("wait=5,respond-async", 5),
        ("wait = 5 ; x=y", 5), ('lenient; a="b, wait=7", wait=5', 5), ("wait=0", 0), ("wait=99", 60),
        ("wait=0.5", 0.5), ("wait=5, wait=6", 5), ('wait="5"', 5), ("wait=x, wait=5", None),
        ("", None), ("wait", None), ("wait=", None), ("wait=x", None), ("wait=-1", None), ("wait=nan", None),
        ('wait="5', None), ("await=5", None), ("wait-not=5", None), ("wait=5 6", None),
        (f"wait=5,{' ' * 1000}", None),
        ('a="wait=5"', None), ("wait=\u0665", None), (f"wait={'9' * 20}", None),
    ],
)  # fmt: skip
def test_preference_is_read_whatever_stands_beside_it_and_ignored_if_malformed(value, seconds):
    headers = [(b"host", b"x"), (b"prefer", value.encode())]
    assert parse_preferred_wait(headers, 60) == seconds


def test_preferences_may_come_in_several_headers():
    assert parse_preferred_wait([(b"prefer", b"respond-async"), (b"prefer", b"wait=2")], 60) == 2


def test_header_that_is_built_to_be_slow_is_ignored():
    assert parse_preferred_wait([(b"prefer", b'"\\' * 40_000)], 60) is None
