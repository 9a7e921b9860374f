"""What a producer hands to the queue, and the refusals it may get."""

import hashlib
import json
import os
import secrets
from dataclasses import dataclass, field
from itertools import batched
from typing import Any

from inferq.errors import IdempotencyConflictError, QueueFullError, RedisUnavailableError
from inferq.jobs import Priority
from inferq.queue.schema.times import to_milliseconds

_LONGEST_WAIT_SECONDS = 60.0

_ID_BYTES = 16
_IDS_AT_ONCE = 64
_ids: list[str] = []
os.register_at_fork(after_in_child=_ids.clear)  # no two processes may hand out the same


def new_job_id() -> str:
    """A job id: 128 random bits in hex. The system is asked for many at once."""
    while True:
        try:
            return _ids.pop()
        except IndexError:
            digits = secrets.token_hex(_ID_BYTES * _IDS_AT_ONCE)
            _ids.extend(map("".join, batched(digits, 2 * _ID_BYTES, strict=True)))


@dataclass(slots=True)
class Submission:
    """One job to be stored. Not to be changed: a frozen one would take thrice the time to make.

    Attributes:
        model: Name of the model to run.
        data: JSON of the request's `data`.
        priority: Which list it waits in.
        timeout_seconds: Longest run; None for the model's own.
        owner: Name of the API key that may read it; empty for none.
        webhook: URL to which its end is reported; None for nowhere.
        id: The job's id.
    """

    model: str
    data: bytes
    priority: Priority = Priority.NORMAL
    timeout_seconds: float | None = None
    owner: str = ""
    webhook: str | None = None
    id: str = field(default_factory=new_job_id)

    def options(self, idempotency: "Idempotency | None" = None) -> str:
        """What is not usual about it, as `lua/submit.lua` wants it: JSON, or nothing."""
        options: dict[str, Any] = {}
        if self.timeout_seconds is not None:
            options["timeout_ms"] = to_milliseconds(self.timeout_seconds)
        if self.owner:
            options["owner"] = self.owner
        if self.webhook is not None:
            options["webhook"] = self.webhook
        if idempotency is not None:
            options["idempotency"] = idempotency.as_option(self.owner)
        return json.dumps(options) if options else ""


@dataclass(frozen=True, slots=True)
class Idempotency:
    """A key by which a client repeats a request without submitting twice.

    Attributes:
        key: What the client chose; another owner's key is another key.
        request: What the request asks for, whole: with another one the same key is refused.
        ttl_seconds: How long the key is remembered.
    """

    key: str
    request: bytes
    ttl_seconds: float

    def as_option(self, owner: str) -> dict[str, str | int]:
        """The same for `lua/submit.lua`, in which neither key nor request appears as it was sent."""
        return {
            "key": hashlib.sha256(f"{owner}\0{self.key}".encode()).hexdigest(),
            "fingerprint": hashlib.sha256(self.request).hexdigest(),
            "ttl_ms": to_milliseconds(self.ttl_seconds),
        }

    def as_json(self, owner: str) -> str:
        """The same as JSON, for `lua/batch_commit.lua`."""
        return json.dumps(self.as_option(owner))


def ids_of(answer: list[Any], asked: list[str], where: str) -> list[str]:
    """The ids of the jobs that a submit stored, now or when it was made first.

    Args:
        answer: What `lua/submit.lua` says of the first of them.
        asked: The ids that were to be stored.
        where: Of which queue a refusal speaks: words, and a space after them.

    Raises:
        QueueFullError: Too many wait already.
        IdempotencyConflictError: The key was used for another request.
        RedisUnavailableError: A key of the queue cannot be used.
    """
    match answer[0]:
        case b"spoilt":
            raise queue_spoilt(where, answer[1])
        case b"full":
            raise queue_full(where, *answer[1:])
        case b"heavy":
            raise queue_heavy(*answer[1:])
        case b"conflict":
            raise IdempotencyConflictError(
                "This Idempotency-Key was sent before, with another request. Send each request with a key of "
                "its own, and repeat a key only with the same request."
            )
        case b"same":
            ids: str = answer[1].decode()
            return ids.split(",")
        case _:
            return asked


def queue_full(where: str, depth: int, ended_per_1000_seconds: int) -> QueueFullError:
    """The refusal, with the time in which a place will be free at the present rate."""
    return QueueFullError(
        f"{depth} jobs wait {where}and no more are taken (INFERQ_MAX_QUEUED). "
        "Try again later, or add workers.",
        retry_after_seconds=time_for_a_place(ended_per_1000_seconds),
    )


def queue_heavy(held: int, ended_per_1000_seconds: int) -> QueueFullError:
    """The refusal where the data of jobs takes as many bytes as it may."""
    return QueueFullError(
        f"The data of the jobs that have not ended takes {held} bytes, and with this it would be more than "
        "it may be (INFERQ_MAX_QUEUED_BYTES; GET /queue tells). Try again later, or add workers.",
        retry_after_seconds=time_for_a_place(ended_per_1000_seconds),
    )


def queue_spoilt(where: str, key: bytes) -> RedisUnavailableError:
    """The refusal where another program has made something else of one of the queue's keys."""
    name = key.decode("utf-8", "replace")
    return RedisUnavailableError(
        f"Nothing can be queued {where}while the key {name!r} holds what inferq has not written. "
        "Remove it and try again."
    )


def time_for_a_place(ended_per_1000_seconds: int) -> float:
    """In how many seconds a place will be free at the present rate: 1 to 60."""
    rate = ended_per_1000_seconds / 1000
    wait = min(_LONGEST_WAIT_SECONDS, 1 / rate) if rate else _LONGEST_WAIT_SECONDS
    return max(1.0, wait)
