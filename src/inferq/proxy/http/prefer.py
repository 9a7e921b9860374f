"""How long a request asks to wait: `?wait=`, and the preferences `wait` and `respond-async` (RFC 7240)."""

import math
import re
from collections.abc import Iterable, Iterator
from urllib.parse import parse_qs

from inferq.errors import InvalidInputError
from inferq.number_format import format_number

_LONGEST_HEADER = 1000
_BETWEEN_COMMAS = re.compile(r'(?:[^,"]|"(?:\\.|[^"\\])*")+')
_WAIT = re.compile(r'\s*wait\s*=\s*("?)(\d{1,9}(?:\.\d{1,9})?)\1\s*(?:;.*)?', re.IGNORECASE | re.ASCII)
_ASYNC = re.compile(r"\s*respond-async\s*(?:;.*)?", re.IGNORECASE)
_ANY_WAIT = re.compile(r"\s*wait\s*(?:[=;]|$)", re.IGNORECASE)


def parse_query_wait(query: bytes, longest: float, default: float = 0.0) -> float:
    """Reads the query parameter `wait`.

    Args:
        query: The query as it was received.
        longest: Largest value to accept, seconds.
        default: What holds where there is no such parameter, seconds.

    Returns:
        Seconds.

    Raises:
        InvalidInputError: It is no number, or one below 0 or above the longest.
    """
    given = parse_qs(query.decode("latin-1"), keep_blank_values=True).get("wait")
    if given is None:
        return default
    try:
        seconds = math.nan if "_" in given[-1] else float(given[-1])
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds <= longest:
        raise InvalidInputError(
            f"wait must be seconds from 0 to {format_number(longest)} (INFERQ_MAX_WAIT_SECONDS), "
            f"got {given[-1][:80]!r}."
        )
    return seconds


def prefers_async(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Whether a request's `Prefer` headers have the preference `respond-async`.

    Args:
        headers: Names in lower case, and values.
    """
    return any(_ASYNC.fullmatch(preference) for preference in _find_preferences(headers))


def parse_preferred_wait(headers: Iterable[tuple[bytes, bytes]], longest: float) -> float | None:
    """Reads the preference `wait` of a request's `Prefer` headers.

    Args:
        headers: Names in lower case, and values.
        longest: What a larger value is reduced to, seconds.

    Returns:
        Seconds, of the first such preference; None where there is none, or it cannot be read.
    """
    for preference in _find_preferences(headers):
        if _ANY_WAIT.match(preference):
            found = _WAIT.fullmatch(preference)
            return min(float(found[2]), longest) if found else None
    return None


def _find_preferences(headers: Iterable[tuple[bytes, bytes]]) -> Iterator[str]:
    for name, value in headers:
        if name == b"prefer" and len(value) <= _LONGEST_HEADER:
            yield from _BETWEEN_COMMAS.findall(value.decode("latin-1"))
