"""What a client asks for, made into what the queue takes."""

import re
from collections.abc import Sequence

from fastapi import Request
from fastapi.requests import HTTPConnection
from pydantic_core import to_json

from inferq.jobs import ErrorKind, InvalidInputError
from inferq.models.validation import check_unknown_model_data
from inferq.proxy.body import PredictBody
from inferq.proxy.state import catalog_of, owner_of, settings_of
from inferq.queue.submission import Idempotency, Submission

IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "By which a repeated request is known: it gets the ids that it got first. Any text of the "
    "client's own, such as a UUID, new for each request. It is remembered for INFERQ_IDEMPOTENCY_TTL.",
    "schema": {"type": "string", "pattern": "^[!-~]{1,255}$"},
    "example": "8e03978e-40d5-43dd-bc93-6894a57f9324",
}
"""The header, as OpenAPI describes it."""

REFUSALS = (
    ErrorKind.INVALID_JSON,
    ErrorKind.BODY_TOO_LARGE,
    ErrorKind.INVALID_INPUT,
    ErrorKind.UNKNOWN_MODEL,
    ErrorKind.MODEL_UNAVAILABLE,
    ErrorKind.IDEMPOTENCY_CONFLICT,
    ErrorKind.QUEUE_FULL,
    ErrorKind.REDIS_UNAVAILABLE,
)
"""Why a request for predictions may be refused."""

_KEY = re.compile(rb"[!-~]{1,255}")


async def submission_of(connection: HTTPConnection, body: PredictBody) -> Submission:
    """Checks a request's data, and makes of it what is to be stored.

    Args:
        connection: The client's request or WebSocket, whose key the job will belong to.
        body: What it asks for.

    Raises:
        UnknownModelError: There is no such model.
        ModelUnavailableError: The workers that should serve it cannot.
        InvalidInputError: The data does not fit it.
        RedisUnavailableError: Redis does not answer in time.
    """
    settings = settings_of(connection)
    catalog = catalog_of(connection)
    name = body.model if body.model is not None else await catalog.default_name()
    entry = await catalog.find(name)
    if entry is None:
        check_unknown_model_data(body.data, settings.max_rows)
    else:
        entry.validator.validate(body.data)
    return new_submission(connection, name, body)


def new_submission(connection: HTTPConnection, model: str, body: PredictBody) -> Submission:
    """Makes what is to be stored of a request whose data fits.

    Args:
        connection: The client's request or WebSocket, whose key the job will belong to.
        model: Name of the model.
        body: What it asks for besides.
    """
    owner = owner_of(connection) or ""
    data = to_json(body.data, inf_nan_mode="strings")
    return Submission(model, data, body.priority, body.timeout_seconds, owner, body.webhook)


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
