"""The body of a request for a job: its data in the form that the model takes, and its options."""

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from inferq.client.answers import View
from inferq.client.data_frames import fit, has_names
from inferq.client.encoding import write_json
from inferq.client.paths import make_model_path
from inferq.client.steps import Call, Steps, ask
from inferq.errors import InvalidInputError, NoWorkerError
from inferq.jobs import REQUEST_ID

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

    def write_body(self, data: bytes) -> bytes:
        """Writes the body of a request for a job, with this JSON as its data."""
        members = {
            "model": self.model,
            "timeout": self.timeout,
            "priority": self.priority,
            "webhook": self.webhook,
            "expires_in": self.expires_in,
        }
        rest = write_json({name: value for name, value in members.items() if value is not None})
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


def write_job_body(
    data: Any,  # noqa: ANN401 - whatever users hold
    options: JobOptions,
    cache: ServiceCache,
    retries: int,
) -> Steps[bytes]:
    """Writes the body of a request for a job. The model's document is read where data has names of columns.

    Raises:
        InvalidInputError: Something in the data cannot be sent.
    """
    if has_names(data):
        known = cache.documents.get(options.model)
        try:
            data = fit(data, (yield from _read_document(options.model, cache, retries)))
        except NoWorkerError:
            if not isinstance(data, Mapping):
                raise
            # names are taken for those of inputs where no worker has announced the model yet
        except InvalidInputError:
            if cache.documents.pop(options.model, None) is not known:
                raise
            data = fit(
                data, (yield from _read_document(options.model, cache, retries))
            )  # that was an old one
    return options.write_body(write_json(data))


def _read_document(model: str | None, cache: ServiceCache, retries: int) -> Steps[View]:
    """Reads a model's document, unless it was read not long ago."""
    known = cache.documents.get(model)
    if known is None or time.monotonic() - known[0] > DOCUMENT_SECONDS:
        path = "/metadata" if model is None else make_model_path(model)
        known = cache.documents[model] = (time.monotonic(), (yield from ask(Call("GET", path), retries)))
    return known[1]
