"""Requests that submit jobs: checking them, and recognising repeated ones."""

import asyncio
import hashlib
import re
from collections.abc import Sequence
from contextlib import AbstractContextManager

from fastapi import Request
from fastapi.requests import HTTPConnection
from pydantic_core import to_json

from inferq.errors import InvalidInputError, RedisUnavailableError
from inferq.jobs import IDEMPOTENCY_KEY
from inferq.proxy.services.dependencies import get_owner, get_services
from inferq.proxy.services.models.known_models import KnownModels
from inferq.proxy.services.process_pool import LONGEST_ON_LOOP_BYTES
from inferq.proxy.services.requests.request_checks import RequestCheck, check_in_process, restore_data
from inferq.queue import Idempotency, Submission
from inferq.tensors.values import Buffer

_KEY = re.compile(IDEMPOTENCY_KEY.encode())


async def run_check[T](
    connection: HTTPConnection, check: RequestCheck[T], raw: bytes, *, parsed_bytes: int | None = None
) -> T:
    """Checks what a client sent; where much is to be parsed, in another process.

    Args:
        connection: The client's request or WebSocket. The jobs will belong to its API key.
        check: One of the functions of `request_checks`.
        raw: The body as it was received.
        parsed_bytes: How much the check looks at value by value, or unpacks; None: all of the body.

    Raises:
        InferqError: It is refused, or cannot be checked now.
    """
    services, models = get_services(connection), await read_models(connection)
    rules, owner = services.request_rules, get_owner(connection) or ""
    if (len(raw) if parsed_bytes is None else parsed_bytes) <= LONGEST_ON_LOOP_BYTES:
        return check(raw, rules, models, owner)
    outcome: T = await services.process_pool.call(
        check_in_process, check, raw, rules, models.to_message(), owner
    )
    restore_data(outcome, raw)
    return outcome


async def read_models(connection: HTTPConnection) -> KnownModels:
    """Returns what is known of the models; while they cannot be read, what stands for them."""
    services = get_services(connection)
    try:
        return await services.catalog.read()
    except RedisUnavailableError as error:
        return KnownModels.make_unreadable(services.request_rules.default_model, error)


async def submit_job(request: Request, submission: Submission, idempotency: Idempotency | None = None) -> str:
    """Puts the job that a request asks for into the queue.

    Args:
        request: The request.
        submission: The job.
        idempotency: By what a repeated request is recognised, where that is known already.

    Returns:
        The job's id; of a repeated request the id that it got first.

    Raises:
        InferqError: It is refused; see `Producer.submit` and `read_idempotency`.
    """
    if idempotency is None:
        idempotency = await read_idempotency(request, (submission,))
    with trace_submission(request, (submission,)):
        job_id = await get_services(request).producer.submit(submission, idempotency)
    request.scope["state"]["job_id"] = job_id  # for the log
    return job_id


def trace_submission(
    connection: HTTPConnection, submissions: Sequence[Submission]
) -> AbstractContextManager[None]:
    """Notes in submissions which request they come from.

    Args:
        connection: The client's request or WebSocket.
        submissions: The jobs that it asks for.

    Returns:
        The context to hand them in, a span where requests are traced.
    """
    state = connection.scope["state"]
    request_id, traceparent = state["request_id"], state.get("traceparent", "")
    for one in submissions:
        one.request_id, one.traceparent = request_id, traceparent
    return get_services(connection).traces.send(submissions)


async def read_idempotency(
    request: Request, submissions: Sequence[Submission], *, is_batch: bool = False
) -> Idempotency | None:
    """Reads by what a repeated request is recognised; None if the request has no Idempotency-Key.

    Two requests are the same if their submissions are, however their bodies are written.

    Args:
        request: The request.
        submissions: The jobs that it asks for.
        is_batch: Whether it is a request for many jobs, though it may hold only one.

    Raises:
        InvalidInputError: It has no good Idempotency-Key, or several.
    """
    key = read_idempotency_key(request)
    if key is None:
        return None
    parts: list[Buffer] = [b"batch"] if is_batch else []
    for one in submissions:
        before, after = _write_options(one)
        parts += (before, one.data, after)
    if sum(map(len, parts)) <= LONGEST_ON_LOOP_BYTES:
        fingerprint = _hash(parts)
    else:  # hashlib releases the interpreter's lock
        fingerprint = await asyncio.to_thread(_hash, parts)
    return make_idempotency(request, key, fingerprint)


def read_idempotency_key(request: Request) -> str | None:
    """Returns what a request has as its Idempotency-Key; None where it has none.

    Raises:
        InvalidInputError: It is none, or there are several.
    """
    keys: list[bytes] = [value for name, value in request.scope["headers"] if name == b"idempotency-key"]
    if not keys:
        return None
    if len(keys) > 1 or not _KEY.fullmatch(keys[0]):
        raise InvalidInputError(
            "Idempotency-Key must be one header of 1 to 255 visible ASCII characters, such as a UUID."
        )
    return keys[0].decode("ascii")


def make_idempotency(request: Request, key: str, fingerprint: str) -> Idempotency:
    """Returns by what a request is recognised, from its key and its fingerprint."""
    return Idempotency(key, fingerprint, get_services(request).settings.idempotency_ttl_seconds)


class Fingerprint:
    """The fingerprint of a request for one job, computed while its data comes; as `read_idempotency` has it.

    Args:
        submission: The job. Its data is not looked at.
    """

    def __init__(self, submission: Submission) -> None:
        before, self._after = _write_options(submission)
        self._digest = hashlib.sha256(before)

    def add(self, piece: Buffer) -> None:
        """Adds the next bytes of its data."""
        self._digest.update(piece)

    def compute(self) -> str:
        """Returns it, once all is added."""
        self._digest.update(self._after)
        return self._digest.hexdigest()


def _write_options(one: Submission) -> tuple[bytes, bytes]:
    """Returns what of a job is hashed before and behind its data."""
    timeout = None if one.timeout_seconds is None else float(one.timeout_seconds)
    asked = [one.model, one.priority, timeout, one.webhook]
    before = to_json(asked if one.output is None else [*asked, one.output])
    return before, b"" if one.expires_in_seconds is None else to_json(float(one.expires_in_seconds))


def _hash(parts: Sequence[Buffer]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()
