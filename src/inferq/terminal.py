"""What reaches a terminal: no control characters of foreign text, and no letter that it lacks."""

import io
import json
import re
import sys
import unicodedata
from typing import Any

_NOT_ASCII = re.compile(r"[^\n -~]")
_HIDDEN = ("C", "Zl", "Zp")
"""Unicode categories that move a cursor, turn the writing's direction or show nothing: controls, formats,
surrogates, what is unassigned; and separators of lines."""


def use_terminal() -> None:
    """Lets both outputs replace what their encoding lacks, where Python would raise an error."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def make_printable(text: str) -> str:
    """Returns a text from outside in one line, without what would move a terminal's cursor, or worse."""
    return "".join("\N{REPLACEMENT CHARACTER}" if _is_hidden(letter) else letter for letter in text)


def format_json(value: Any, indent: int | None = None) -> str:  # noqa: ANN401 - JSON
    """Returns JSON that escapes what `make_printable` replaces, and all that standard output lacks.

    Args:
        value: What can be written as JSON.
        indent: Spaces for each level; None for one line.
    """
    separators = (",", ":") if indent is None else None
    text = json.dumps(value, ensure_ascii=False, indent=indent, separators=separators)
    text = _NOT_ASCII.sub(lambda found: _escape(found[0]) if _is_hidden(found[0]) else found[0], text)
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        return _NOT_ASCII.sub(lambda found: _escape(found[0]), text)
    return text


def _is_hidden(letter: str) -> bool:
    return not letter.isprintable() and unicodedata.category(letter).startswith(_HIDDEN)


def _escape(letter: str) -> str:
    return json.dumps(letter)[1:-1] if letter != "\x7f" else "\\u007f"
