"""Errors as `application/problem+json`, as RFC 9457 describes it.

Below `/v2` the same document is `application/json` and has the member `error` besides, by which clients of
the Open Inference Protocol know it.
"""

import math
from collections.abc import Mapping
from http import HTTPStatus
from types import MappingProxyType
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

from inferq.errors import ErrorKind, InferqError, InvalidInputError
from inferq.proxy.http.problem_types import PROTOCOL_STATUSES, TYPES, ProblemType
from inferq.proxy.http.request_ids import read_id_headers
from inferq.proxy.http.responses import JSON

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_SECONDS = 1.0
"""Sent as Retry-After where nothing better is known."""

_HTTP_RESPONSE = "websocket.http.response"
_PATH_CHARACTERS = "/:@!$&'()*+,;="
"""What a path may hold as it is, by RFC 3986, besides letters, digits and `-._~`."""

_MODELS = "/models/"
"""A path that begins so names the model."""

_UNEXPECTED = (
    "Something went wrong that should not have. It has been logged; try again, or tell the operator."
)

log = structlog.get_logger()


class Refusal:
    """An ASGI application that refuses every request, and a WebSocket before it opens.

    Args:
        status: HTTP status. A WebSocket whose server cannot answer in HTTP is closed with 4000 + status.
        detail: What is wrong and what to do, in a sentence.
        kind: Of the problem, where the status alone does not tell it.
    """

    def __init__(self, status: int, detail: str, kind: ErrorKind | None = None) -> None:
        self._status, self._detail = status, detail
        self._kind = kind or _name_kind(status)
        self._title = TYPES[kind].title if kind else HTTPStatus(status).phrase
        self._headers = dict(TYPES[kind].headers) if kind else {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuses a request."""
        if scope["type"] == "websocket" and _HTTP_RESPONSE not in scope.get("extensions", {}):
            return await send({"type": "websocket.close", "code": 4000 + self._status, "reason": self._title})
        return await self.answer(scope)(scope, receive, send)

    def answer(self, scope: Scope) -> Response:
        """Makes the answer to a request, of which the path is enough."""
        return make_problem(scope, self._status, self._kind, self._title, self._detail, self._headers)


def _name_kind(status: int) -> str:
    return HTTPStatus(status).phrase.lower().replace(" ", "-")


def make_problem(
    scope: Scope,
    status: int,
    kind: str,
    title: str,
    detail: str,
    headers: dict[str, str] | None = None,
    members: Mapping[str, str] = MappingProxyType({}),
) -> Response:
    """Makes the answer for a problem.

    Args:
        scope: Of the request, with its path.
        status: HTTP status.
        kind: Name of the problem type; it becomes a URN.
        title: The type in a few words.
        detail: What is wrong and what to do, in a sentence.
        headers: Further headers.
        members: Further members.
    """
    return _respond(scope, {**_document(scope["path"], status, kind, title, detail), **members}, headers)


def _respond(scope: Scope, document: dict[str, Any], headers: dict[str, str] | None = None) -> Response:
    # exactly this type below `/v2`: the client of KServe shows the error of no other
    media_type = JSON if is_of_inference_protocol(scope) else MEDIA_TYPE
    return Response(to_json(_add_error(scope, document)), document["status"], headers, media_type)


def _add_error(scope: Scope, document: dict[str, Any]) -> dict[str, Any]:
    return {"error": document["detail"], **document} if is_of_inference_protocol(scope) else document


def _find_status(scope: Scope, kind: str, shape: ProblemType) -> int:
    if kind == ErrorKind.UNKNOWN_MODEL and _get_path(scope).startswith(_MODELS):
        return HTTPStatus.NOT_FOUND
    return PROTOCOL_STATUSES.get(kind, shape.status) if is_of_inference_protocol(scope) else shape.status


def is_of_inference_protocol(scope: Scope) -> bool:
    """Whether a request is one of the Open Inference Protocol."""
    path = _get_path(scope)
    return path == "/v2" or path.startswith("/v2/")


def _get_path(scope: Scope) -> str:
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", ""))


def make_document(path: str, error: InferqError) -> dict[str, str | int]:
    """Returns the problem document of an error, for a message that is not an HTTP answer."""
    shape = TYPES.get(error.kind)
    if shape is None:
        return _document(path, 500, "internal", "Internal error", _UNEXPECTED)
    return _document(path, shape.status, error.kind, shape.title, error.message) | (error.problem or {})


def log_unexpected(path: str, method: str, error: Exception) -> dict[str, str | int]:
    """Logs an unexpected error and returns its problem document."""
    log.error("request_failed", method=method, path=path, exc_info=error)
    return _document(path, 500, "internal", "Internal error", _UNEXPECTED)


def make_example(kind: ErrorKind, path: str, status: int | None = None) -> dict[str, Any]:
    """Returns a problem of this kind as the documentation shows it."""
    return describe_example(kind, TYPES[kind], path, status)


def describe_example(kind: str, shape: ProblemType, path: str, status: int | None = None) -> dict[str, Any]:
    """Returns a problem of any type as the documentation shows it."""
    scope = {"path": path}
    document = _document(path, status or _find_status(scope, kind, shape), kind, shape.title, shape.example)
    return _add_error(scope, document)


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
    app.add_exception_handler(ClientDisconnect, _answer_disconnected)
    app.add_exception_handler(Exception, _answer_outermost)


async def answer(request: Request, error: InferqError | ClientDisconnect) -> Response:
    """Makes the answer for an error that an endpoint raised."""
    if isinstance(error, ClientDisconnect):
        return await _answer_disconnected(request, error)
    return await _answer_inferq_error(request, error)


async def _answer_inferq_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, InferqError) or error.kind not in TYPES:
        return await answer_unexpected(request, error)
    shape = TYPES[error.kind]
    headers = dict(shape.headers)
    if shape.status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers["Retry-After"] = str(math.ceil(error.retry_after_seconds or RETRY_AFTER_SECONDS))
    document = make_document(request.scope["path"], error)
    document["status"] = _find_status(request.scope, error.kind, shape)
    return _respond(request.scope, document, headers)


async def _answer_invalid_parameters(request: Request, error: Exception) -> Response:
    details: list[Any] = list(error.errors()) if isinstance(error, RequestValidationError) else []
    sentences = [f"{' '.join(map(str, one['loc']))}: {one['msg']} (got {one['input']!r})" for one in details]
    return await _answer_inferq_error(request, InvalidInputError("; ".join(sentences) + "."))


async def _answer_http_error(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    headers = {name.lower(): value for name, value in (getattr(error, "headers", None) or {}).items()}
    title = HTTPStatus(status).phrase
    path = request.scope["path"]
    if status == HTTPStatus.NOT_FOUND:
        detail = f"There is nothing at {path}. GET / lists what there is."
    elif status == HTTPStatus.METHOD_NOT_ALLOWED:
        headers["allow"] = ", ".join(sorted(_find_methods(request))) or headers.get("allow", "others")
        detail = f"{path} does not take {request.method}; it takes {headers['allow']}."
    else:
        detail = str(getattr(error, "detail", title))
    return make_problem(request.scope, status, _name_kind(status), title, detail, headers)


def _find_methods(request: Request) -> set[str]:
    """Returns the methods of all routes of the path: the framework names those of the first one only."""
    paths = request.app.openapi()["paths"]
    asked = request.scope["path"].removeprefix(request.scope.get("root_path", ""))
    fitting = [operations for path, operations in paths.items() if compile_path(path)[0].match(asked)]
    methods = {method.upper() for operations in fitting for method in operations}
    return methods | {"HEAD"} if "GET" in methods else methods


async def _answer_disconnected(_request: Request, _error: Exception) -> Response:
    return Response(status_code=400)  # the client disconnected while it sent: this is read by nobody


async def _answer_outermost(request: Request, error: Exception) -> Response:
    """Makes the answer of the framework's outermost middleware, which is around the one that adds the ids."""
    response = await answer_unexpected(request, error)
    response.raw_headers += read_id_headers(request.scope)
    return response


async def answer_unexpected(request: Request, error: Exception) -> Response:
    """Logs an unexpected error and makes the answer for it."""
    described = log_unexpected(request.scope["path"], request.method, error)
    return _respond(request.scope, described)
