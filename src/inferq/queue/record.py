"""How a job's record, a field of the hash `jobs`, is read: `save` in `lua/common.lua` writes it."""

import json
from typing import Any

POSITIONAL = (
    "state", "ended_ms", "attempts", "started_ms", "token", "worker",
    "sequence", "model", "priority", "submitted_ms", "timeout_ms", "owner",
)  # fmt: skip


def fields_of(record: bytes | None) -> dict[str, Any]:
    """The fields that have a value; none where there is no record, or another program wrote it."""
    *values, rest = (record or b"").decode("utf-8", "replace").split("|", len(POSITIONAL))
    if len(values) < len(POSITIONAL):
        return {}
    fields: dict[str, Any] = {name: value for name, value in zip(POSITIONAL, values, strict=True) if value}
    if rest:
        try:
            fields |= json.loads(rest)
        except (ValueError, TypeError):
            return {}
    return fields
