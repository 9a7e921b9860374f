import pytest

from inferq.proxy.http.conditional_requests import is_not_modified, is_range_valid, parse_range


@pytest.mark.parametrize(
    ("header", "part"),
    [
        ("", None),
        ("bytes=0-0", (0, 1)),
        ("bytes=2-4", (2, 5)),
        ("Bytes = 2 - 4 ", (2, 5)),
        ("bytes=2-", (2, 10)),
        ("bytes=2-99", (2, 10)),
        ("bytes=-3", (7, 10)),
        ("bytes=-99", (0, 10)),
        ("bytes=10-", (0, 0)),
        ("bytes=99-100", (0, 0)),
        ("bytes=-0", (10, 10)),
        ("bytes=4-2", None),
        ("bytes=-", None),
        ("bytes=0-1,3-4", None),
        ("rows=0-1", None),
        ("bytes=٣-", None),
    ],
)
def test_range_is_where_it_begins_and_ends(header, part):
    assert parse_range(header, 10) == part


def test_nothing_is_in_the_range_of_what_is_empty():
    assert parse_range("bytes=0-", 0) == (0, 0)


@pytest.mark.parametrize(
    ("header", "is_same"),
    [("", False), ('"a"', True), ('"b", W/"a"', True), ("*", True), ('"b"', False), ("a", False)],
)
def test_client_has_a_representation_whose_tag_it_names(header, is_same):
    assert is_not_modified(header, '"a"') is is_same
    assert is_not_modified(header, 'W/"a"') is is_same


@pytest.mark.parametrize(
    ("header", "etag", "is_valid"),
    [
        ("", '"a"', True),
        ('"a"', '"a"', True),
        ('"b"', '"a"', False),
        ('W/"a"', 'W/"a"', False),
        ("", 'W/"a"', True),
    ],
)
def test_part_is_sent_only_of_what_the_client_has_parts_of(header, etag, is_valid):
    assert is_range_valid(header, etag) is is_valid
