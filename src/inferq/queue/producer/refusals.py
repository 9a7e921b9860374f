"""Why the queue takes no more jobs: what the scripts answer, as errors."""

from typing import Any

from inferq.errors import IdempotencyConflictError, InferqError, QueueFullError, RedisUnavailableError
from inferq.queue.schema.decoding import decode_text

_LONGEST_WAIT_SECONDS = 60.0


def raise_if_refused(answer: list[Any], where: str = "") -> None:
    """Raises what an answer of the scripts that accept jobs refuses; returns if it is no refusal.

    Args:
        answer: A word, and what belongs to it.
        where: Which queue an error names: words, and a space after them.

    Raises:
        QueueFullError: Too many jobs wait already, or their data takes too many bytes.
        IdempotencyConflictError: The key was used for another request.
        RedisUnavailableError: A key of the queue cannot be used, or Redis has lost the jobs.
    """
    refusal = _make_refusal(answer, where)
    if refusal is not None:
        raise refusal


def get_accepted_ids(answer: list[Any], asked: list[str]) -> list[str]:
    """The ids of the jobs of a request: those that it asked for, or got when it was made first."""
    if answer[0] != b"same":
        return asked
    ids: str = answer[1].decode()
    return ids.split(",")


def _make_refusal(answer: list[Any], where: str) -> InferqError | None:
    match answer:
        case [b"full", depth, rate]:
            return QueueFullError(
                f"{depth} jobs wait {where}and no more are taken (INFERQ_MAX_QUEUED). "
                "Try again later, or add workers.",
                retry_after_seconds=_seconds_until_room(rate),
            )
        case [b"full", depth, rate, model, count]:
            return QueueFullError(
                f"{depth} jobs wait for model {decode_text(model)!r}, and {count} more are too many "
                "(INFERQ_MAX_QUEUED). Try again later or with fewer at once, or add workers.",
                retry_after_seconds=_seconds_until_room(rate),
            )
        case [b"heavy", held, rate]:
            return QueueFullError(
                f"The data of the jobs that have not ended takes {held} bytes, and with this it would be "
                "more than it may be (INFERQ_MAX_QUEUED_BYTES; GET /queue tells). Try again later, or add "
                "workers.",
                retry_after_seconds=_seconds_until_room(rate),
            )
        case [b"conflict"]:
            return IdempotencyConflictError(
                "This Idempotency-Key was sent before, with another request. Send each request with a key of "
                "its own, and repeat a key only with the same request."
            )
        case [b"corrupt", key]:
            return RedisUnavailableError(
                f"Nothing can be queued {where}while the key {decode_text(key)!r} holds what inferq has not "
                "written. Remove it and try again."
            )
        case [b"lost"]:
            return RedisUnavailableError("Redis has lost the jobs while they were stored. Submit them again.")
    return None


def _seconds_until_room(ended_per_1000_seconds: int) -> float:
    """In how many seconds another job ends, at the present rate: 1 to 60."""
    rate = ended_per_1000_seconds / 1000
    wait = min(_LONGEST_WAIT_SECONDS, 1 / rate) if rate else _LONGEST_WAIT_SECONDS
    return max(1.0, wait)
