"""Errors as `application/problem+json`, as RFC 9457 describes it."""

import math
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic_core import to_json
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from inferq.jobs import ErrorKind, InferqError

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_SECONDS = 1.0
"""What a client is told to wait where nothing better is known."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class ProblemType:
    """What all problems of one kind have in common.

    Attributes:
        status: HTTP status.
        title: The kind in a few words.
    """

    status: int
    title: str


TYPES = {
    ErrorKind.INVALID_JSON: ProblemType(400, "The request body is not JSON"),
    ErrorKind.INVALID_INPUT: ProblemType(422, "The input does not fit"),
    ErrorKind.UNKNOWN_MODEL: ProblemType(422, "The model is not known"),
    ErrorKind.BODY_TOO_LARGE: ProblemType(413, "The request body is too large"),
    ErrorKind.JOB_NOT_FOUND: ProblemType(404, "The job is not known"),
    ErrorKind.QUEUE_FULL: ProblemType(503, "The queue is full"),
    ErrorKind.REDIS_UNAVAILABLE: ProblemType(503, "The queue is out of reach"),
    ErrorKind.NO_WORKER: ProblemType(503, "No worker has announced the model yet"),
}


def problem(
    request: Request, status: int, kind: str, title: str, detail: str, headers: dict[str, str] | None = None
) -> Response:
    """Makes the answer for a problem.

    Args:
        request: What was asked; its path is the instance.
        status: HTTP status.
        kind: Name of the problem type; it becomes a URN.
        title: The type in a few words.
        detail: What is wrong here and what to do, in a sentence.
        headers: Further headers.
    """
    body = {
        "type": f"urn:inferq:problem:{kind}",
        "title": title,
        "status": status,
        "detail": detail,
        "instance": request.url.path,
    }
    return Response(to_json(body), status, headers, MEDIA_TYPE)


def install(app: FastAPI) -> None:
    """Makes the application answer every error with a problem document."""
    app.add_exception_handler(InferqError, _answer_inferq_error)
    app.add_exception_handler(RequestValidationError, _answer_invalid_parameters)
    app.add_exception_handler(HTTPException, _answer_http_error)
    app.add_exception_handler(ClientDisconnect, _answer_nobody)
    app.add_exception_handler(Exception, _answer_unforeseen)


async def _answer_inferq_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, InferqError) or error.kind not in TYPES:
        return await _answer_unforeseen(request, error)
    shape = TYPES[error.kind]
    headers = {}
    if shape.status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers["Retry-After"] = str(math.ceil(error.retry_after_seconds or RETRY_AFTER_SECONDS))
    return problem(request, shape.status, error.kind, shape.title, error.message, headers)


async def _answer_invalid_parameters(request: Request, error: Exception) -> Response:
    details: list[Any] = list(error.errors()) if isinstance(error, RequestValidationError) else []
    sentences = [f"{' '.join(map(str, one['loc']))}: {one['msg']} (got {one['input']!r})" for one in details]
    kind = ErrorKind.INVALID_INPUT
    return problem(request, TYPES[kind].status, kind, TYPES[kind].title, "; ".join(sentences) + ".")


async def _answer_http_error(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    headers = dict(error.headers or {}) if isinstance(error, HTTPException) else {}
    title = HTTPStatus(status).phrase
    if status == HTTPStatus.NOT_FOUND:
        detail = f"There is nothing at {request.url.path}. GET / lists what there is."
    elif status == HTTPStatus.METHOD_NOT_ALLOWED:
        detail = (
            f"{request.url.path} does not take {request.method}; it takes {headers.get('allow', 'others')}."
        )
    else:
        detail = str(getattr(error, "detail", title))
    return problem(request, status, title.lower().replace(" ", "-"), title, detail, headers)


async def _answer_nobody(_request: Request, _error: Exception) -> Response:
    return Response(status_code=400)  # the client went away while it sent; nobody reads this


async def _answer_unforeseen(request: Request, error: Exception) -> Response:
    log.error("request_failed", method=request.method, path=request.url.path, exc_info=error)
    detail = "Something went wrong that should not have. It has been logged; try again, or tell the operator."
    return problem(request, 500, "internal", "Internal error", detail)
