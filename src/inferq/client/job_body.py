"""The body of a request for a job: its data in the form that the model takes, and its options."""

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

from inferq.client.answers import View
from inferq.client.data_frames import fit, fit_array, has_names
from inferq.client.encoding import write_json
from inferq.client.media import read_json_file
from inferq.client.paths import make_model_path
from inferq.client.payloads import (
    Body,
    Parts,
    find_parts,
    fit_parts,
    list_fitted_parts,
    list_parts,
    needs_document,
    write_parts,
)
from inferq.client.steps import Call, Steps, ask
from inferq.errors import InvalidInputError, NoWorkerError
from inferq.jobs import REQUEST_ID
from inferq.tensors.file_types import ENVELOPE

DOCUMENT_SECONDS = 5.0
"""How long a model's document is kept: another model may have its name by then."""


@dataclass(frozen=True, slots=True)
class JobOptions:
    """What is said of a job besides its data; see `Client.submit`."""

    model: str | None = None
    timeout: float | None = None
    priority: str | None = None
    webhook: str | None = None
    expires_in: float | None = None
    request_id: str | None = None
    output: str | None = None

    def make_headers(self) -> dict[str, str]:
        """Returns the headers of the request that asks for the job, besides its Idempotency-Key.

        Raises:
            InvalidInputError: The request id is malformed.
        """
        if self.request_id is None:
            return {}
        if not re.fullmatch(REQUEST_ID, self.request_id):
            raise InvalidInputError(
                "A request id must be 1 to 128 letters, digits or ._:/+=@- of ASCII, such as a UUID, got "
                f"{self.request_id[:200]!r}."
            )
        return {"X-Request-ID": self.request_id}

    def list_members(self) -> dict[str, Any]:
        """Returns what is given, by the names that the service has for it."""
        members = {
            "model": self.model,
            "timeout": self.timeout,
            "priority": self.priority,
            "webhook": self.webhook,
            "expires_in": self.expires_in,
            "output": self.output,
        }
        return {name: value for name, value in members.items() if value is not None}

    def write_body(self, data: bytes) -> bytes:
        """Writes the body of a request for a job, with this JSON as its data."""
        rest = write_json(self.list_members())
        return b'{"data":' + data + (b"," + rest[1:] if len(rest) > 2 else rest[1:])


@dataclass(slots=True)
class ServiceCache:
    """What a client remembers of its service.

    Attributes:
        documents: When a model's document was read (by the monotonic clock), and the document; by the model's
            name, None for the default model.
        largest_body_bytes: The longest request body that the service is thought to take; the default of its
            setting to begin with.
    """

    documents: dict[str | None, tuple[float, View]] = field(default_factory=dict)
    largest_body_bytes: int = 16 * 1024 * 1024


def make_job_call(
    data: Any,  # noqa: ANN401 - whatever users hold
    options: JobOptions,
    key: str,
    cache: ServiceCache,
    retries: int,
) -> Steps[Call]:
    """Makes the request for a job: files, arrays and frames of numbers go as bytes, all else as JSON.

    Args:
        data: The data.
        options: What is said of the job.
        key: Idempotency key.
        cache: What is known of the service.
        retries: How often a request is repeated.

    Raises:
        InvalidInputError: Something in the data cannot be sent.
    """
    headers = {"Idempotency-Key": key, **options.make_headers()}
    data = read_json_file(data)
    parts = find_parts(data)
    body = None if parts is None else (yield from _write_bytes(parts, options.model, cache, retries))
    if body is None and has_names(data):
        fitted = yield from _fit_names(data, _fit_frame, options.model, cache, retries)
        if isinstance(fitted, Body):
            body = fitted
        else:
            return Call("POST", "/predict", options.write_body(write_json(fitted)), headers)
    if body is None:
        content = options.write_body(write_json(data if parts is None else list_parts(parts)))
        return Call("POST", "/predict", content, headers)
    query = httpx.QueryParams(options.list_members())
    path = f"/predict?{query}" if query else "/predict"
    return Call("POST", path, body.content, {**headers, "Content-Type": body.media_type})


def write_job_body(
    data: Any,  # noqa: ANN401 - whatever users hold
    options: JobOptions,
    cache: ServiceCache,
    retries: int,
) -> Steps[bytes]:
    """Writes the JSON of a request for a job; in it, files and arrays are in base64 where workers read that.

    The model's document is read where data has arrays, or names of columns.

    Raises:
        InvalidInputError: Something in the data cannot be sent.
    """
    data = read_json_file(data)
    parts = find_parts(data)
    if parts is not None:
        document = yield from _find_document(options.model, cache, retries)
        does_read = document is not None and ENVELOPE.media_type in document.get("forms", ())
        fitted = fit_parts(parts, document) if document is not None and does_read else None
        if fitted is not None:
            return options.write_body(write_json(list_fitted_parts(fitted)))
        data = list_parts(parts)
    if has_names(data):
        data = yield from _fit_names(data, fit, options.model, cache, retries)
    return options.write_body(write_json(data))


def _write_bytes(parts: Parts, model: str | None, cache: ServiceCache, retries: int) -> Steps[Body | None]:
    """Writes data as bytes; None where it cannot be, or the workers of the model do not read such."""
    if not needs_document(parts):
        return write_parts(parts)
    document = yield from _find_document(model, cache, retries)
    return None if document is None else _write_fitted(parts, document)


def _write_fitted(parts: Parts, document: View) -> Body | None:
    fitted = fit_parts(parts, document)
    body = None if fitted is None else write_parts(fitted)
    return body if body and body.media_type in document.get("forms", ()) else None


def _fit_frame(data: Any, document: View) -> Any:  # noqa: ANN401 - whatever users hold
    """Returns the body for a frame of numbers, and for all other data with names what `fit` makes of it."""
    array = fit_array(data, document)
    body = None if array is None else _write_fitted({None: array}, document)
    return fit(data, document) if body is None else body


def _fit_names(
    data: Any,  # noqa: ANN401 - whatever users hold
    fit_to: Callable[[Any, View], Any],
    model: str | None,
    cache: ServiceCache,
    retries: int,
) -> Steps[Any]:
    """Brings data with names into the form of a model, whose document is read again if they contradict it."""
    known = cache.documents.get(model)
    try:
        return fit_to(data, (yield from _read_document(model, cache, retries)))
    except NoWorkerError:
        if not isinstance(data, Mapping):
            raise
        return data  # names are taken for those of inputs where no worker has announced the model yet
    except InvalidInputError:
        if cache.documents.pop(model, None) is not known:
            raise
        return fit_to(data, (yield from _read_document(model, cache, retries)))  # that was an old one


def _find_document(model: str | None, cache: ServiceCache, retries: int) -> Steps[View | None]:
    """Reads a model's document; None where no worker has announced it yet."""
    try:
        return (yield from _read_document(model, cache, retries))
    except NoWorkerError:
        return None


def _read_document(model: str | None, cache: ServiceCache, retries: int) -> Steps[View]:
    """Reads a model's document, unless it was read not long ago."""
    known = cache.documents.get(model)
    if known is None or time.monotonic() - known[0] > DOCUMENT_SECONDS:
        path = "/metadata" if model is None else make_model_path(model)
        known = cache.documents[model] = (time.monotonic(), (yield from ask(Call("GET", path), retries)))
    return known[1]
