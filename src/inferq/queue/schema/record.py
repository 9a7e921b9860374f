"""The record of a job, a field of the hash `jobs:records`: its layout, and how it is read.

A record is the values of `FIELDS`, each followed by `|`, then JSON of what few jobs have, or nothing. No
value holds a `|`. What a claim and a finish change stands first, so that they copy the rest as it is. The
scripts write records and decide on them alone; what they know of the layout is in three includes that this
module writes:

    uv run python -m inferq.queue.schema.record
"""

import json
from itertools import takewhile
from pathlib import Path
from textwrap import fill
from typing import Any

_TEXT, _ID, _NUMBER, _OPTIONAL_NUMBER, _WORD = "[^|]*", "[^|,]*", "%d+", "%d*", "%a+"

FIELDS = {
    "state": _WORD,  # queued, leased, retrying or ended
    "ended_ms": _NUMBER,  # when it ended, ms since 1970 by the server's clock, as all times
    "attempts": _NUMBER,  # how often it was handed out, if ever
    "started_ms": _NUMBER,  # when it was handed out last
    "token": _TEXT,  # fencing token of the claim that has it, or had it last
    "worker": _TEXT,  # id of the worker that has it, or had it last
    "version": _TEXT,  # what runs it, or ran it last, as the text of a `Provenance`
    "sequence": _NUMBER,  # its number among the model's jobs; 0 where an outside program pushed it
    "model": _TEXT,
    "priority": _WORD,  # high, normal or low
    "submitted_ms": _NUMBER,  # when it was accepted; of an outside program's, when it was first seen
    "timeout_ms": _OPTIONAL_NUMBER,  # longest run that its request asked for
    "owner": _TEXT,  # name of the key that may read it; empty: any
    "bytes": _OPTIONAL_NUMBER,  # of its data, as counted in `|bytes` until it ends
    "blob_bytes": _OPTIONAL_NUMBER,  # of its data in a blob store, where `bytes` is that of the reference
    "start_by_ms": _OPTIONAL_NUMBER,  # until when it must have started, if its request says so
    "request_id": _ID,  # of the request that submitted it
    "traceparent": _ID,  # its trace context, as W3C Trace Context writes it
}
"""The positional fields in their order, each with the Lua pattern of its values; any may be empty.

What few jobs have, in the JSON: `failures` (charged attempts), `attempt:{n}` (how the nth failed:
`started_ms`, `ended_ms`, `worker`, `token`, `version`, `kind`, `reason`; `is_reported`, 1: its worker
ended it late),
`alone` (1: runs with no other job, after a crash), `awaits_files` (1: when its lease was renewed last, it
only waited for the files that it names), `lost_waits` (in how many workers that died it did that, and was
not blamed),
`is_large` (1: its data may be more than a script should pass on), `error_kind`, `missing_ms` (when recovery
first found it in no list), `outside` (1: a worker from outside ended it), `cancel_token` and `retry_token`
(by which a call that the client library repeats is known), `webhook` (URL to which the end is reported),
`webhook_status` (`delivered` or `given-up`, in the end), `webhook_attempts`, `webhook_ms` (the last try),
`webhook_error`, `output` (URL of the folder to which the result is written), `first_submitted_ms` (when it
was accepted, if it was retried by order since).
"""

LUA_INCLUDES = Path(__file__).parents[1] / "lua" / "includes"
_NEWEST = {"start_by_ms", "request_id", "traceparent"}
_EARLIER = (_NEWEST, _NEWEST | {"blob_bytes"}, _NEWEST | {"blob_bytes", "bytes", "version"})
"""What the records of earlier versions lack."""


def parse_record(record: bytes | None) -> dict[str, Any]:
    """The fields that have a value, as text, but for attempts that failed, which are dictionaries.

    There are none where there is no record, or another program wrote it.
    """
    text = (record or b"").decode("utf-8", "replace")
    for missing in (set[str](), *_EARLIER):
        names = [name for name in FIELDS if name not in missing]
        *values, rest = text.split("|", len(names))
        if len(values) == len(names) and rest[:1] in ("", "{") and not any(map(_is_json, values)):
            return _with_rest(dict(zip(names, values, strict=True)), rest)
    return {}


def _is_json(value: str) -> bool:
    return value[:1] == "{"


def _with_rest(positional: dict[str, str], rest: str) -> dict[str, Any]:
    """These fields, and those of the JSON behind them; none where that is not ours."""
    try:
        more = json.loads(rest).items() if rest else ()
    except (ValueError, AttributeError, RecursionError):
        return {}
    fields = {
        name: value if name.startswith("attempt:") else str(value)
        for name, value in more
        if value is not None and name not in FIELDS
    }
    return fields | {name: value for name, value in positional.items() if value}


def lua_includes() -> dict[str, str]:
    """What the scripts know of the layout: the texts of includes by their names."""
    source = "-- Written by `schema/record.py`, which says what each field is.\n"
    names = fill(", ".join(f"'{name}'" for name in FIELDS), 110, subsequent_indent="  ")
    queued, leased = _join("state", "sequence", state="queued"), _join("state", "attempts", state="leased")
    claim = dict.fromkeys(("started_ms", "token", "worker", "version"), "%s")
    new = (
        *("model", "priority", "submitted_ms", "timeout_ms", "owner", "bytes", "blob_bytes"),
        *("start_by_ms", "request_id", "traceparent"),
    )
    claimed = ("model", "submitted_ms", "timeout_ms", "blob_bytes", "request_id", "traceparent")
    running = ("started_ms", "token", "model", "priority", "submitted_ms", "owner", "bytes")
    plain = {"start_by_ms": ""}
    rest = _join("model", **{name: f"' .. {name} .. '" for name in new}).removeprefix("' .. ")
    return {
        "record_fields": f"""\
{source}
-- The fields of a record in their order.
local FIELDS = {{{names}}}
""",
        "record_layout": f"""\
{source}
-- How a record begins: up to the sequence number, of a job that waits, and of one that is claimed for the
-- first time ({", ".join(claim)}); up to the number of attempts, of one that has ended (ended_ms).
-- What follows is copied where a job changes its state.
local QUEUED_HEAD = '{queued}'
local LEASED_HEAD = '{_join("state", "sequence", state="leased", attempts="1", **claim)}'
local ENDED_HEAD = '{_join("state", "attempts", state="ended", ended_ms="%s")}'

-- Plain records: no JSON behind the fields, and no time by which they must have started. Of a job that waits
-- and was never claimed; captured are the sequence number and the rest, {", ".join(claimed)}.
-- And of a job that runs; captured are attempts and the rest, {", ".join(running)}.
local PLAIN_QUEUED = '^{queued}({_join("sequence", **_capture(*claimed) | plain)})$'
local PLAIN_LEASED = '^{leased}({_join("attempts", **_capture(*running) | plain)})$'

-- Of the rest behind ENDED_HEAD: what stands before the version, and after it.
local AROUND_VERSION = '^({_join("attempts", "version", **FIELDS)})[^|]*(|.*)$'

local IS_QUEUED, IS_ENDED = '^queued|', '^ended|'
""",
        "new_record": f"""\
{source}
-- What follows the sequence number in the record of a new job.
local function format_rest({", ".join(new)})
  return {rest}'
end
""",
    }


def _join(first: str, end: str | None = None, **values: str) -> str:
    """The values of the fields from the first on, each followed by `|`; none where none is given."""
    names = list(FIELDS)[list(FIELDS).index(first) :]
    return "".join(f"{values.get(name, '')}|" for name in takewhile(lambda name: name != end, names))


def _capture(*names: str) -> dict[str, str]:
    """The patterns of all fields, with captures of these."""
    return {name: f"({pattern})" if name in names else pattern for name, pattern in FIELDS.items()}


if __name__ == "__main__":
    for name, text in lua_includes().items():
        (LUA_INCLUDES / f"{name}.lua").write_text(text, encoding="utf-8")
