"""How the record of a job is read: a field of the hash `jobs:records`, written by `save_job` in Lua."""

import json
from typing import Any

POSITIONAL = (
    "state", "ended_ms", "attempts", "started_ms", "token", "worker", "version",
    "sequence", "model", "priority", "submitted_ms", "timeout_ms", "owner", "bytes",
)  # fmt: skip


def fields_of(record: bytes | None) -> dict[str, Any]:
    """The fields that have a value, as text, but for attempts that failed, which are dictionaries.

    There are none where there is no record, or another program wrote it.
    """
    text = (record or b"").decode("utf-8", "replace")
    *values, rest = text.split("|", len(POSITIONAL))
    if len(values) < len(POSITIONAL) or rest[:1] not in ("", "{"):  # an earlier version's, without these two
        *values, rest = text.split("|", len(POSITIONAL) - 2)
        values.insert(POSITIONAL.index("version"), "")
        values.append("")
    if len(values) < len(POSITIONAL):
        return {}
    fields: dict[str, Any] = {}
    if rest:
        try:
            more = json.loads(rest).items()
        except (ValueError, AttributeError, RecursionError):
            return {}
        fields = {
            name: value if name.startswith("attempt:") else str(value)
            for name, value in more
            if value is not None
        }
    for name, value in zip(POSITIONAL, values, strict=True):
        fields.pop(name, None)
        if value:
            fields[name] = value
    return fields
