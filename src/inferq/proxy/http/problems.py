"""Errors as `application/problem+json`, as RFC 9457 describes it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic_core import to_json
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.routing import compile_path
from starlette.types import Receive, Scope, Send

from inferq.errors import ErrorKind, InferqError

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_SECONDS = 1.0
"""What a client is told to wait where nothing better is known."""

_HTTP_RESPONSE = "websocket.http.response"
_PATH_CHARACTERS = "/:@!$&'()*+,;="
"""What a path may hold as it is, by RFC 3986, besides letters, digits and `-._~`."""

_UNFORESEEN = (
    "Something went wrong that should not have. It has been logged; try again, or tell the operator."
)

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class ProblemType:
    """What all problems of one kind have in common.

    Attributes:
        status: HTTP status.
        title: The kind in a few words.
        example: A detail, for the documentation.
        headers: What the answer has besides.
    """

    status: int
    title: str
    example: str
    headers: Mapping[str, str] = field(default_factory=dict)


TYPES = {
    ErrorKind.INVALID_JSON: ProblemType(
        400, "The request body is not JSON", "The request body must be a JSON object."
    ),
    ErrorKind.INVALID_INPUT: ProblemType(
        422, "The input does not fit", "data[0] has 3 values, but model 'iris' expects 4."
    ),
    ErrorKind.UNKNOWN_MODEL: ProblemType(
        422, "The model is not known", "There is no model 'irsi'. Known: iris."
    ),
    ErrorKind.MODEL_UNAVAILABLE: ProblemType(
        503,
        "The model cannot be served",
        "The model 'iris' cannot be served: iris/model.onnx cannot be read: Permission denied. Check its "
        "permissions.",
    ),
    ErrorKind.BODY_TOO_LARGE: ProblemType(
        413,
        "The request body is too large",
        "The request body is longer than 16777216 bytes (INFERQ_MAX_BODY_BYTES). Send fewer "
        "rows in each job; if a single input is as long, write its numbers with fewer digits and without "
        "spaces, or ask the operator for more.",
    ),
    ErrorKind.UNSUPPORTED_ENCODING: ProblemType(
        415,
        "The Content-Encoding is not known",
        "Content-Encoding 'br' is not known. Send the body as it is, or compressed with gzip or deflate.",
        {"Accept-Encoding": "gzip, deflate"},
    ),
    ErrorKind.REQUEST_TIMEOUT: ProblemType(
        408,
        "The request body comes too slowly",
        "512 bytes of the request body have come, and the rest did not come in time "
        "(INFERQ_REQUEST_TIMEOUT_SECONDS). Send it again, without pauses.",
    ),
    ErrorKind.OVERLOADED: ProblemType(
        503,
        "Too much is under way",
        "Too many long request bodies are being read at the moment. Try again later, or send them one after "
        "the other.",
    ),
    ErrorKind.JOB_NOT_FOUND: ProblemType(
        404,
        "The job is not known",
        "There is no job 'b44613': it never existed, or it ended and has expired since.",
    ),
    ErrorKind.JOB_STATE: ProblemType(
        409,
        "The job's state does not allow it",
        "Job '3f2a9c0e5b7d4e1f8a6b2c3d4e5f6071' has ended already: it is completed.",
    ),
    ErrorKind.IDEMPOTENCY_CONFLICT: ProblemType(
        422,
        "The Idempotency-Key belongs to another request",
        "This Idempotency-Key was sent before, with another request. Send each request with a key of its "
        "own, and repeat a key only with the same request.",
    ),
    ErrorKind.UNAUTHORIZED: ProblemType(
        401,
        "A key is needed",
        "This needs a key that the service knows. Send it as the header Authorization: Bearer KEY.",
        {"WWW-Authenticate": "Bearer"},
    ),
    ErrorKind.QUEUE_FULL: ProblemType(
        503,
        "The queue is full",
        "100000 jobs wait for model 'iris' and no more are taken (INFERQ_MAX_QUEUED). Try again later, or "
        "add workers.",
    ),
    ErrorKind.REDIS_UNAVAILABLE: ProblemType(
        503, "The queue is out of reach", "Redis did not answer within 1.5 s."
    ),
    ErrorKind.NO_WORKER: ProblemType(
        503,
        "No worker has announced the model yet",
        "No worker has announced the model 'iris' yet. Start one and try again.",
    ),
}


class Refusal:
    """An application that refuses whatever it is asked for; a WebSocket before it opens.

    Args:
        status: HTTP status; plus 4000 it closes a WebSocket whose server cannot answer it in HTTP.
        detail: What is wrong and what to do, in a sentence.
        kind: What is refused, where the status does not say all.
    """

    def __init__(self, status: int, detail: str, kind: ErrorKind | None = None) -> None:
        self._status, self._detail = status, detail
        self._kind = kind or _kind_of(status)
        self._title = TYPES[kind].title if kind else HTTPStatus(status).phrase
        self._headers = dict(TYPES[kind].headers) if kind else {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuses a request."""
        if scope["type"] == "websocket" and _HTTP_RESPONSE not in scope.get("extensions", {}):
            return await send({"type": "websocket.close", "code": 4000 + self._status, "reason": self._title})
        return await self.answer(scope["path"])(scope, receive, send)

    def answer(self, path: str) -> Response:
        """The answer to a request for a path."""
        return problem(path, self._status, self._kind, self._title, self._detail, self._headers)


def _kind_of(status: int) -> str:
    return HTTPStatus(status).phrase.lower().replace(" ", "-")


def problem(
    path: str, status: int, kind: str, title: str, detail: str, headers: dict[str, str] | None = None
) -> Response:
    """Makes the answer for a problem.

    Args:
        path: The path that was asked for, not escaped.
        status: HTTP status.
        kind: Name of the problem type; it becomes a URN.
        title: The type in a few words.
        detail: What is wrong here and what to do, in a sentence.
        headers: Further headers.
    """
    return Response(to_json(_document(path, status, kind, title, detail)), status, headers, MEDIA_TYPE)


def document(path: str, error: InferqError) -> dict[str, str | int]:
    """Returns the problem document of an error where it is not an answer by itself."""
    shape = TYPES.get(error.kind)
    if shape is None:
        return _document(path, 500, "internal", "Internal error", _UNFORESEEN)
    return _document(path, shape.status, error.kind, shape.title, error.message)


def unforeseen(path: str, method: str, error: Exception) -> dict[str, str | int]:
    """Logs an error that should not have been, and returns its problem document."""
    log.error("request_failed", method=method, path=path, exc_info=error)
    return _document(path, 500, "internal", "Internal error", _UNFORESEEN)


def example(kind: ErrorKind, path: str, status: int | None = None) -> dict[str, str | int]:
    """Returns a problem of this kind as the documentation shows it."""
    shape = TYPES[kind]
    return _document(path, status or shape.status, kind, shape.title, shape.example)


def _document(path: str, status: int, kind: str, title: str, detail: str) -> dict[str, str | int]:
    return {
        "type": f"urn:inferq:problem:{kind}",
        "title": title,
        "status": status,
        "detail": detail,
        "instance": quote(path, safe=_PATH_CHARACTERS),
    }


def install(app: FastAPI) -> None:
    """Makes the application answer every error with a problem document."""
    app.add_exception_handler(InferqError, _answer_inferq_error)
    app.add_exception_handler(RequestValidationError, _answer_invalid_parameters)
    app.add_exception_handler(HTTPException, _answer_http_error)
    app.add_exception_handler(ClientDisconnect, _answer_nobody)
    app.add_exception_handler(Exception, answer_unforeseen)


async def answer(request: Request, error: InferqError | ClientDisconnect) -> Response:
    """Makes the answer for an error that an endpoint raised."""
    if isinstance(error, ClientDisconnect):
        return await _answer_nobody(request, error)
    return await _answer_inferq_error(request, error)


async def _answer_inferq_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, InferqError) or error.kind not in TYPES:
        return await answer_unforeseen(request, error)
    shape = TYPES[error.kind]
    headers = dict(shape.headers)
    if shape.status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers["Retry-After"] = str(math.ceil(error.retry_after_seconds or RETRY_AFTER_SECONDS))
    return problem(request.scope["path"], shape.status, error.kind, shape.title, error.message, headers)


async def _answer_invalid_parameters(request: Request, error: Exception) -> Response:
    details: list[Any] = list(error.errors()) if isinstance(error, RequestValidationError) else []
    sentences = [f"{' '.join(map(str, one['loc']))}: {one['msg']} (got {one['input']!r})" for one in details]
    kind = ErrorKind.INVALID_INPUT
    return problem(
        request.scope["path"], TYPES[kind].status, kind, TYPES[kind].title, "; ".join(sentences) + "."
    )


async def _answer_http_error(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    headers = {name.lower(): value for name, value in (getattr(error, "headers", None) or {}).items()}
    title = HTTPStatus(status).phrase
    path = request.scope["path"]
    if status == HTTPStatus.NOT_FOUND:
        detail = f"There is nothing at {path}. GET / lists what there is."
    elif status == HTTPStatus.METHOD_NOT_ALLOWED:
        headers["allow"] = ", ".join(sorted(_methods_of(request))) or headers.get("allow", "others")
        detail = f"{path} does not take {request.method}; it takes {headers['allow']}."
    else:
        detail = str(getattr(error, "detail", title))
    return problem(path, status, _kind_of(status), title, detail, headers)


def _methods_of(request: Request) -> set[str]:
    """The methods that the path takes, of all its routes: the framework names those of the first one only."""
    paths = request.app.openapi()["paths"]
    asked = request.scope["path"].removeprefix(request.scope.get("root_path", ""))
    fitting = [operations for path, operations in paths.items() if compile_path(path)[0].match(asked)]
    methods = {method.upper() for operations in fitting for method in operations}
    return methods | {"HEAD"} if "GET" in methods else methods


async def _answer_nobody(_request: Request, _error: Exception) -> Response:
    return Response(status_code=400)  # the client went away while it sent; nobody reads this


async def answer_unforeseen(request: Request, error: Exception) -> Response:
    """Logs an error that should not have been, and makes the answer for it."""
    described = unforeseen(request.scope["path"], request.method, error)
    return Response(to_json(described), 500, media_type=MEDIA_TYPE)
