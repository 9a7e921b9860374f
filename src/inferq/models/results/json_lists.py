"""JSON of results by rows: where its lists stand, so that those of several parts become one."""

from collections.abc import Sequence
from typing import NamedTuple

from pydantic_core import to_json


class JsonLists(NamedTuple):
    """A text of JSON, divided into lists and what is around them.

    Attributes:
        around: What is before, between and behind the lists, brackets included: one text more than lists.
        spans: Where each list's inside begins and ends in the text.
    """

    around: list[bytes]
    spans: list[tuple[int, int]]


def find_lists(text: bytes, begin: bytes = b"", members: Sequence[str] = ()) -> JsonLists | None:
    """Finds the lists that have an entry for each row, without reading what is in them.

    Args:
        text: The JSON, without spaces: one list, or an object.
        begin: How it begins before the first member's name; empty for one list.
        members: Names of all members that follow, in order. Each is a list, or null.

    Returns:
        The lists; None where a member is anything else, or there is none.
    """
    if not begin:
        is_list = text[:1] == b"[" and text[-1:] == b"]"
        return JsonLists([b"[", b"]"], [(1, len(text) - 1)]) if is_list else None
    end = len(text) - begin.count(b"{")
    names = [to_json(name) + b":" for name in members]
    position, behind, around, spans = len(begin), 0, list[bytes](), list[tuple[int, int]]()
    for name, following in zip(names, [*names[1:], b""], strict=True):
        if not text.startswith(name, position):
            return None
        first = position + len(name)
        last = _find_end(text, first, end, following)
        if last is None:
            return None
        if text[first] == _OPENING:
            around.append(text[behind : first + 1])
            spans.append((first + 1, last - 1))
            behind = last - 1
        position = last + 1
    return JsonLists([*around, text[behind:]], spans) if spans else None


_OPENING = ord("[")


def _find_end(text: bytes, first: int, end: int, following: bytes) -> int | None:
    """Returns where the value ends that begins there: a list, or null; None where it is neither.

    Within a list no text `],"name":` can stand: a quote in a string has a backslash before it, and behind the
    one that ends a string comes no letter.
    """
    if text.startswith(b"null", first):
        return first + 4
    if text[first : first + 1] != b"[":
        return None
    if not following:
        return end
    found = text.find(b"]," + following, first)
    return None if found < 0 else found + 1
