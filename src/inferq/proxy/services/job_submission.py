"""What a client asks for, made into what the queue takes."""

import re
from collections.abc import Sequence

from fastapi import Request
from fastapi.requests import HTTPConnection
from pydantic_core import to_json

from inferq.errors import ErrorKind, InvalidInputError, RedisUnavailableError
from inferq.proxy.services.dependencies import catalog_of, offload_pool_of, owner_of, settings_of, terms_of
from inferq.proxy.services.process_pool import LONGEST_ON_LOOP_BYTES
from inferq.proxy.services.request_checks import Check, check_apart, unread
from inferq.queue.producer.submission import Idempotency, Submission

IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "By which a repeated request is known: it gets the ids that it got first. Any text of the "
    "client's own, such as a UUID, new for each request. It is remembered for INFERQ_IDEMPOTENCY_TTL.",
    "schema": {"type": "string", "pattern": "^[!-~]{1,255}$"},
    "example": "8e03978e-40d5-43dd-bc93-6894a57f9324",
}
"""The header, as OpenAPI describes it."""

BODY_REFUSALS = (
    ErrorKind.INVALID_JSON,
    ErrorKind.REQUEST_TIMEOUT,
    ErrorKind.BODY_TOO_LARGE,
    ErrorKind.UNSUPPORTED_ENCODING,
    ErrorKind.OVERLOADED,
)
"""Why a request body may be refused unread."""

REFUSALS = (
    *BODY_REFUSALS,
    ErrorKind.INVALID_INPUT,
    ErrorKind.UNKNOWN_MODEL,
    ErrorKind.MODEL_UNAVAILABLE,
    ErrorKind.IDEMPOTENCY_CONFLICT,
    ErrorKind.QUEUE_FULL,
    ErrorKind.REDIS_UNAVAILABLE,
)
"""Why a request for predictions may be refused."""

_KEY = re.compile(rb"[!-~]{1,255}")


async def checked[T](connection: HTTPConnection, check: Check[T], raw: bytes) -> T:
    """Checks what a client sent; what is long, in a process of its own.

    Args:
        connection: The client's request or WebSocket, whose key the jobs will belong to.
        check: One of the checks of `checking`.
        raw: The body as it came.

    Raises:
        InferqError: It is refused, or cannot be checked now.
    """
    try:
        models = await catalog_of(connection).models()
    except RedisUnavailableError as error:
        models = unread(terms_of(connection), error)
    terms, owner = terms_of(connection), owner_of(connection) or ""
    if len(raw) <= LONGEST_ON_LOOP_BYTES:
        return check(raw, terms, models, owner)
    return await offload_pool_of(connection).call(check_apart, check, raw, terms, models.announced(), owner)


def idempotency_of(
    request: Request, submissions: Sequence[Submission], *, is_batch: bool = False
) -> Idempotency | None:
    """By what a repeated request is known; None if it is not to be.

    Two requests are the same if they ask for the same, however they are written.

    Args:
        request: The request.
        submissions: All that it asks for.
        is_batch: Whether it is one for many jobs, though there may be just one.

    Raises:
        InvalidInputError: It has no good Idempotency-Key, or several.
    """
    keys = [value for name, value in request.scope["headers"] if name == b"idempotency-key"]
    if not keys:
        return None
    if len(keys) > 1 or not _KEY.fullmatch(keys[0]):
        raise InvalidInputError(
            "Idempotency-Key must be one header of 1 to 255 visible ASCII characters, such as a UUID."
        )
    parts = [b"batch"] if is_batch else []
    for one in submissions:
        timeout = None if one.timeout_seconds is None else float(one.timeout_seconds)
        parts += (to_json([one.model, one.priority, timeout, one.webhook]), one.data)
    return Idempotency(keys[0].decode("ascii"), b"".join(parts), settings_of(request).idempotency_ttl)
