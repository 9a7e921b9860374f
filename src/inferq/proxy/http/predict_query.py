"""The query of `POST /predict`: the options of a job whose body has no room for them."""

from typing import Any
from urllib.parse import parse_qsl

from inferq.errors import InvalidInputError
from inferq.tensors.nested_arrays import quote
from inferq.tensors.raw_tensors import MOST_AXES

_NUMBERS = ("timeout", "expires_in")
_MEMBERS = ("model", "timeout", "priority", "webhook", "expires_in", "output", "shape")


def read_query(query: bytes) -> dict[str, Any]:
    """Reads a query.

    Args:
        query: As it was sent, without the question mark.

    Returns:
        Its members: `shape` as a tuple, times as numbers, all others as texts; values are not yet checked,
        and there may be unknown members.

    Raises:
        InvalidInputError: A member that is known is there twice, or cannot be read.
    """
    if not query:
        return {}
    try:
        pairs = parse_qsl(query.decode("ascii"), keep_blank_values=True, errors="strict")
    except ValueError as error:
        raise InvalidInputError("The query is not UTF-8, escaped as URLs have it.") from error
    members: dict[str, Any] = {}
    for name, text in pairs:
        if name in members and name in _MEMBERS:
            raise InvalidInputError(f"The query has {name} twice. Send it once.")
        members[name] = _read_value(name, text)
    return members


def refuse_unknown_members(query: dict[str, Any]) -> None:
    """Refuses a query with members that are not known.

    Raises:
        InvalidInputError: It has one.
    """
    unknown = [name for name in query if name not in _MEMBERS]
    if unknown:
        raise InvalidInputError(
            f"The query has the unknown member {quote(min(unknown))}; it may have {', '.join(_MEMBERS)}."
        )


def find_misplaced_member(query: dict[str, Any]) -> str | None:
    """Returns a member that belongs into a JSON body, if the query has one."""
    return next((name for name in _MEMBERS[1:] if name in query), None)


def _read_value(name: str, text: str) -> Any:  # noqa: ANN401 - see `read_query`
    if name == "shape":
        return _read_shape(text)
    if name not in _NUMBERS:
        return text
    try:
        return float(text)
    except ValueError as error:
        raise InvalidInputError(f"{name} must be seconds, got {quote(text)}.") from error


def _read_shape(text: str) -> tuple[int, ...]:
    sizes = text.split(",") if text else []
    if len(sizes) > MOST_AXES or not all(size.isdecimal() and len(size) < 16 for size in sizes):
        raise InvalidInputError(
            f"shape must be whole numbers with commas between, such as 1,3,224,224, got {quote(text)}."
        )
    return tuple(map(int, sizes))
