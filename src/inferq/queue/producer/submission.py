"""What a producer hands to the queue."""

import hashlib
import json
import os
import secrets
from dataclasses import dataclass, field
from itertools import batched
from typing import Any

from inferq.jobs import Priority
from inferq.queue.schema.times import to_milliseconds

_ID_BYTES = 16
_IDS_AT_ONCE = 64
_ids: list[str] = []
os.register_at_fork(after_in_child=_ids.clear)  # no two processes may hand out the same


def new_job_id() -> str:
    """Makes a job id: 128 random bits in hex. The random bits of many ids are read at once."""
    while True:
        try:
            return _ids.pop()
        except IndexError:
            digits = secrets.token_hex(_ID_BYTES * _IDS_AT_ONCE)
            _ids.extend(map("".join, batched(digits, 2 * _ID_BYTES, strict=True)))


@dataclass(slots=True)
class Submission:
    """One job to be stored. It must not be changed, but is not frozen: that would make it three times slower.

    Only where there are several shards its id gets the number of the one that takes it.

    Attributes:
        model: Name of the model to run.
        data: What the job is to be run on: JSON, or another form of `tensors.forms`.
        priority: Which list it waits in.
        timeout_seconds: Longest run; None for the model's own.
        owner: Name of the API key that may read it; empty for none.
        webhook: URL to which its end is reported; None for nowhere.
        expires_in_seconds: How long it may wait to be started; None for as long as any job.
        request_id: Of the request that submits it, without `|` and `,`; empty for none.
        traceparent: Its trace context, as W3C Trace Context writes it; empty for none.
        blob_bytes: How long its data is in the blob store, where `data` is the reference to it; else 0.
        output: Folder in a bucket to which its result is written; None for nowhere.
        id: The job's id.
    """

    model: str
    data: bytes | memoryview
    priority: Priority = Priority.NORMAL
    timeout_seconds: float | None = None
    owner: str = ""
    webhook: str | None = None
    expires_in_seconds: float | None = None
    request_id: str = ""
    traceparent: str = ""
    blob_bytes: int = 0
    output: str | None = None
    id: str = field(default_factory=new_job_id)

    def encode_options(self, idempotency: "Idempotency | None" = None) -> str:
        """Returns what few jobs have, as `lua/submit.lua` reads it: JSON, or an empty text."""
        options: dict[str, Any] = {}
        if self.timeout_seconds is not None:
            options["timeout_ms"] = to_milliseconds(self.timeout_seconds)
        if self.owner:
            options["owner"] = self.owner
        if self.webhook is not None:
            options["webhook"] = self.webhook
        if self.output is not None:
            options["output"] = self.output
        if self.expires_in_seconds is not None:
            options["expires_in_ms"] = to_milliseconds(self.expires_in_seconds)
        if self.blob_bytes:
            options["blob_bytes"] = self.blob_bytes
        if idempotency is not None:
            options["idempotency"] = idempotency.to_option(self.owner)
        return json.dumps(options) if options else ""


@dataclass(frozen=True, slots=True)
class Idempotency:
    """A key by which a client repeats a request without submitting twice.

    Attributes:
        key: What the client chose; another owner's key is another key.
        fingerprint: SHA-256 of all that the request asks for, in hex: with another one the same key is
            refused.
        ttl_seconds: How long the key is remembered.
    """

    key: str
    fingerprint: str
    ttl_seconds: float

    def to_option(self, owner: str) -> dict[str, str | int]:
        """Returns what `lua/submit.lua` reads of it: the key does not appear as it was sent."""
        return {
            "key": hashlib.sha256(f"{owner}\0{self.key}".encode()).hexdigest(),
            "fingerprint": self.fingerprint,
            "ttl_ms": to_milliseconds(self.ttl_seconds),
        }

    def encode_option(self, owner: str) -> str:
        """Returns the same as JSON, for `lua/batch_commit.lua`."""
        return json.dumps(self.to_option(owner))
