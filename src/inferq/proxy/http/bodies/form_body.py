"""Bodies of `multipart/form-data` (RFC 7578): their parts, without a copy, and nothing on disk."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from inferq.errors import InvalidInputError

_MOST_PARTS = 1000
_LONGEST_HEAD_BYTES = 8192
_MOST_HEAD_BYTES = 512 * 1024
"""Of all parts together: what escapes stand for in a name is found one by one."""
_PARAMETER = re.compile(r';[ \t]*(name|filename)=(?:"((?:[^"\\]|\\.)*)"|([^\s;"]+))', re.IGNORECASE)
"""A value in quotes, or without them, as .NET writes it."""
_ESCAPED = re.compile(r"\\(.)|%(22|[01][0-9A-F]|7F)")
"""With a backslash, as RFC 9110 has it; or as browsers (HTML, section 4.10.21.8) and httpx write names."""
_REMEDY = "Let the client library write the body, such as with curl -F or files= of httpx."


class FormPart(NamedTuple):
    """One part.

    Attributes:
        name: What the form calls it.
        is_file: Whether it has a file name.
        media_type: Its Content-Type without parameters, in lower case; empty if it has none.
        data: Its content.
    """

    name: str
    is_file: bool
    media_type: str
    data: memoryview

    @property
    def is_json(self) -> bool:
        """Whether its content is JSON: it says so, or is a text that was typed into a form."""
        if not self.media_type:
            return not self.is_file
        return self.media_type in ("application/json", "text/json", "text/plain")


def split_form(body: bytes, boundary: bytes) -> list[FormPart]:
    """Splits a body into its parts.

    Args:
        body: The whole body.
        boundary: What separates its parts, as Content-Type says.

    Raises:
        InvalidInputError: It is not as RFC 7578 has it, ends too early, or has two parts of one name.
    """
    parts: dict[str, FormPart] = {}
    for part in _yield_parts(body, b"--" + boundary):
        if part.name in parts:
            raise InvalidInputError(f"The form has the part {part.name[:80]!r} twice. Send it once.")
        parts[part.name] = part
        if len(parts) > _MOST_PARTS:
            raise InvalidInputError(f"The form has more than {_MOST_PARTS} parts.")
    return list(parts.values())


def _yield_parts(body: bytes, delimiter: bytes) -> Iterator[FormPart]:
    view = memoryview(body)
    line = b"\r\n" + delimiter
    start = 0 if body.startswith(delimiter) else body.find(line)
    if start < 0:
        raise _make_error("its boundary is not in it")
    start += len(delimiter) if start == 0 else len(line)
    left = _MOST_HEAD_BYTES
    while body[start : start + 2] != b"--":
        head_at = body.find(b"\r\n", start)
        head_end = body.find(b"\r\n\r\n", head_at, head_at + _LONGEST_HEAD_BYTES) if head_at >= 0 else -1
        if head_end < 0 or body[start:head_at].strip(b" \t"):
            raise _make_error("a part begins without headers")
        end = body.find(line, head_end + 2)
        if end < 0:
            raise _make_error("it ends before its last boundary")
        left -= head_end - head_at
        if left < 0:
            raise _make_error(f"the headers of its parts are longer than {_MOST_HEAD_BYTES:,} bytes together")
        yield _read_part(body[head_at:head_end], view[head_end + 4 : max(end, head_end + 4)])
        start = end + len(line)


def _read_part(head: bytes, data: memoryview) -> FormPart:
    try:
        lines = head.decode().strip().split("\r\n")
    except UnicodeDecodeError as error:
        raise _make_error("the headers of a part are not UTF-8") from error
    headers = {
        name.strip().lower(): value.strip() for name, _, value in (one.partition(":") for one in lines)
    }
    disposition = headers.get("content-disposition", "")
    parameters = {
        name.lower(): _ESCAPED.sub(_unescape, quoted) or bare
        for name, quoted, bare in _PARAMETER.findall(disposition)
    }
    if not disposition.lower().startswith("form-data") or "name" not in parameters:
        raise _make_error("a part has no name")
    media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
    return FormPart(parameters["name"], "filename" in parameters, media_type, data)


def _unescape(found: re.Match[str]) -> str:
    return found[1] or chr(int(found[2], 16))


def _make_error(reason: str) -> InvalidInputError:
    return InvalidInputError(f"The body is no multipart/form-data that can be read: {reason}. {_REMEDY}")
