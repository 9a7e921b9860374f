"""What an answer of the service means: its JSON, or the error that it stands for."""

import warnings
from collections.abc import Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx

from inferq import errors
from inferq.client.service_url import make_unexpected_error, make_unreachable_error
from inferq.errors import ErrorKind, InferqError, UnexpectedAnswerError

type View = dict[str, Any]
"""A job as `GET /job/{id}` shows it."""

_FOLDER = str(Path(__file__).parent)
"""The client's files: a warning is about the caller's line."""
_PROBLEM = "urn:inferq:problem:"
_TRANSIENT_STATUSES = (502, 503, 504)
_ERRORS: dict[str, type[InferqError]] = {
    one.kind: one
    for one in (
        errors.InvalidJsonError,
        errors.InvalidInputError,
        errors.UnknownModelError,
        errors.BodyTooLargeError,
        errors.UnsupportedEncodingError,
        errors.UnsupportedMediaTypeError,
        errors.RequestTimeoutError,
        errors.OverloadedError,
        errors.JobNotFoundError,
        errors.UnauthorizedError,
        errors.JobStateError,
        errors.ResultDeletedError,
        errors.NotAcceptableError,
        errors.IdempotencyConflictError,
        errors.QueueFullError,
        errors.ExpiresTooSoonError,
        errors.NoBlobStoreError,
        errors.UploadNotFoundError,
        errors.RedisUnavailableError,
        errors.StoreUnavailableError,
        errors.NoWorkerError,
        errors.ModelUnavailableError,
        errors.RolloutStateError,
    )
}


class PartialAnswerWarning(UserWarning):
    """Shards of the queue do not answer: what is in them is missing in what a method returns."""


class JobFailedError(InferqError):
    """The job has failed.

    Attributes:
        job: The job as the service shows it; `kind` and `message` are its error's.
    """

    def __init__(self, view: View) -> None:
        super().__init__(view["error"] or "The job has failed.", request_id=view.get("request_id"))
        self.job = view
        known = view["error_kind"]
        self.kind = ErrorKind(known) if known in ErrorKind else ErrorKind.MODEL_ERROR


def warn_if_partial(answer: View) -> None:
    """Warns where an answer names shards that do not answer, and the caller will not see it."""
    if shards := answer.get("unavailable_shards"):
        warnings.warn(describe_missing(shards), PartialAnswerWarning, skip_file_prefixes=(_FOLDER,))


def describe_missing(shards: Sequence[int]) -> str:
    """Returns a sentence that says what is missing."""
    if len(shards) == 1:
        return f"Shard {shards[0]} does not answer: what is in it is missing here."
    return f"Shards {', '.join(map(str, shards))} do not answer: what is in them is missing here."


def has_ended(view: View) -> bool:
    """Whether a job will never change again."""
    return view["status"] in ("completed", "failed")


def check_completed(view: View) -> View:
    """Returns an ended job that has completed.

    Raises:
        JobFailedError: It has failed.
    """
    if view["status"] == "failed":
        raise JobFailedError(view)
    return view


def is_transient(answer: httpx.Response | httpx.TransportError | None) -> bool:
    """Whether the same request may soon be answered with success."""
    return not isinstance(answer, httpx.Response) or answer.status_code in _TRANSIENT_STATUSES


def read_json(request: str, answer: httpx.Response) -> Any:  # noqa: ANN401 - JSON
    """Returns the JSON of an answer.

    Args:
        request: Method and path, for the error's message.
        answer: The answer.

    Raises:
        UnexpectedAnswerError: It is not JSON.
    """
    try:
        return answer.json()
    except ValueError as error:
        raise make_unexpected_error(request, answer) from error


def make_error(request: str, answer: httpx.Response | httpx.TransportError | None) -> InferqError:
    """Makes the error that an answer without success, or no answer, stands for.

    Args:
        request: Method and path, for the error's message.
        answer: The answer; why there is none; or None.
    """
    if answer is None or isinstance(answer, httpx.TransportError):
        return make_unreachable_error(request, answer or httpx.TransportError("no answer"))
    try:
        problem = answer.json()
        kind, detail = problem["type"].removeprefix(_PROBLEM), problem["detail"]
    except (ValueError, KeyError, TypeError, AttributeError):
        return make_unexpected_error(request, answer)
    request_id = answer.headers.get("x-request-id")
    if kind == ErrorKind.UNAUTHORIZED:
        detail = f"{detail} The client sends the key that INFERQ_API_KEY or api_key holds."
    if answer.status_code == HTTPStatus.INTERNAL_SERVER_ERROR and request_id:
        detail = f"{detail} The id of the request is {request_id}."
    after = answer.headers.get("retry-after", "")
    seconds = float(after) if after.isdigit() else None
    make = _ERRORS.get(kind, UnexpectedAnswerError)
    return make(detail, retry_after_seconds=seconds, problem=problem, request_id=request_id)
