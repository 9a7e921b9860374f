"""The Lua scripts, put together from `lua/*.lua` and known by their digest."""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from inferq.queue.schema.times import to_milliseconds

INLINE_BYTES = 16 * 1024
"""Larger values do not pass through Lua, which copies them: a 600 KB SET takes 15 µs, in Lua 1,286 µs."""

milliseconds = to_milliseconds  # the consumer's name for it
_FOLDER = Path(__file__).parents[1] / "lua"
_SHEBANG = "#!lua"
_WORD = re.compile(r"\w+")
_DEFINITION = re.compile(r"^local (?:function )?(\w+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Script:
    """A script as the server gets it.

    Attributes:
        name: File name without `.lua`.
        source: Its text, with the shared part put in after the shebang.
        digest: SHA-1 of the text in hex, as EVALSHA wants it.
    """

    name: str
    source: str
    digest: str


def _read(name: str) -> str:
    return (_FOLDER / f"{name}.lua").read_text(encoding="utf-8")


def _load(name: str) -> Script:
    shebang, text = "", _read(name)
    if text.startswith(_SHEBANG):
        shebang, text = text.split("\n", 1)
        shebang += "\n"
    source = shebang + _with_what_it_uses(text)
    return Script(name, source, hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest())


def _with_what_it_uses(text: str) -> str:
    """Puts those parts of `common.lua` before a script that it names, or that these name.

    Every call makes all functions anew, and all of `common.lua` would take 3 µs of it. Its parts are set
    apart by empty lines, and use only what stands above them.
    """
    used = set(_WORD.findall(text))
    for part, defined in reversed(_COMMON):
        if not used.isdisjoint(defined):
            text = f"{part}\n\n{text}"
            used.update(_WORD.findall(part))
    return text


_COMMON = [(part, _DEFINITION.findall(part)) for part in _read("common").split("\n\n")]
SUBMIT = _load("submit")
PROBE = _load("probe")
STAGE = _load("stage")
COMMIT = _load("commit")
CLAIM = _load("claim")
FINISH = _load("finish")
RENEW = _load("renew")
RECOVER = _load("recover")
FORGET = _load("forget")
HEARTBEAT = _load("heartbeat")
READ = _load("read")
CANCEL = _load("cancel")
CANCEL_OPEN = _load("cancel_open")
CANCEL_OUTSIDE = _load("cancel_outside")
REVIVE = _load("revive")
DROP = _load("drop")
PAGE = _load("page")
OVERVIEW = _load("overview")
RESCUE = _load("rescue")
SUSPECTS = _load("suspects")
FORCE = _load("force")
REPORT = _load("report")
REPORTED = _load("reported")
