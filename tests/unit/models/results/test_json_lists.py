"""Where the lists of a result's JSON stand."""

import orjson
import pytest

from inferq.models.results.json_lists import find_lists


def find_insides(value: object, begin: bytes = b"", members: tuple[str, ...] = ()) -> list[bytes] | None:
    text = orjson.dumps(value)
    found = find_lists(text, begin, members)
    if found is None:
        return None
    insides = [text[first:last] for first, last in found.spans]
    joined = found.around[0]
    for inside, around in zip(insides, found.around[1:], strict=True):
        joined += inside + around
    assert joined == text
    return insides


def test_a_list_is_found() -> None:
    assert find_insides([[1, 2], [3]]) == [b"[1,2],[3]"]


def test_the_lists_of_all_members_are_found() -> None:
    value = {"outputs": {"a": [1, 2], "b": None, "c": [[3], [4]]}}

    assert find_insides(value, b'{"outputs":{', ("a", "b", "c")) == [b"1,2", b"[3],[4]"]


def test_texts_that_resemble_the_next_member_do_not_end_a_list() -> None:
    names = ['],"b":[', '\\"],"b":[', "],", "]", '"']

    assert find_insides({"a": names, "b": [1]}, b"{", ("a", "b")) == [orjson.dumps(names)[1:-1], b"1"]


@pytest.mark.parametrize("value", [3, "[]", {"a": {}}, {"b": [1]}, {"a": 3}])
def test_what_is_no_list_is_refused(value: object) -> None:
    assert find_insides(value, b"{" if isinstance(value, dict) else b"", ("a",)) is None


def test_nothing_is_found_where_all_members_are_null() -> None:
    assert find_insides({"a": None}, b"{", ("a",)) is None
