"""What a client sends, checked and made into what the queue takes.

Nothing here waits, so it can run on the event loop or, for what is long, in a process of its own
(`offloading`); hence no import of FastAPI or Redis.
"""

from collections.abc import Iterable, Mapping
from copy import copy
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple, Protocol

from pydantic_core import to_json

from inferq.errors import InferqError, InvalidInputError, ModelUnavailableError, UnknownModelError
from inferq.proxy.http.batch_body import naming, parse_batch
from inferq.proxy.http.predict_body import (
    PredictBody,
    count_strings,
    parse_object,
    parse_predict_body,
    refuse_duplicates,
    take_apart,
)
from inferq.queue.producer.submission import Submission
from inferq.tensors.signature import ModelDocument
from inferq.tensors.validation import DataValidator, check_unknown_model_data
from inferq.webhooks.url_policy import UrlRules

MEND_SECONDS = 60.0
"""When to ask again for a model that cannot be served: somebody has to mend it."""

_LONGEST_REF = 256
_MESSAGE_EXAMPLE = (
    'An example: {"data": [[5.1, 3.5, 1.4, 0.2]], "ref": "a"}, or {"watch": "JOB_ID", "ref": "a"}'
)


@dataclass(frozen=True, slots=True)
class Entry:
    """One announced model.

    Attributes:
        announced: The document as it stands in Redis.
        document: The same, read.
        validator: Checks data against it.
    """

    announced: bytes
    document: ModelDocument
    validator: DataValidator


@dataclass(frozen=True, slots=True)
class Models:
    """What is known of the models at one moment.

    Attributes:
        entries: The announced ones by name.
        unavailable: Name to reason of those that live workers have left out, and none serves.
        default_name: The model of a request that names none.
        default_model: The setting, by which a model is taken before any has been announced.
        error: Why nothing is known; None where it is.
    """

    entries: Mapping[str, Entry]
    unavailable: Mapping[str, str]
    default_name: str
    default_model: str
    error: InferqError | None = None

    def find(self, name: str) -> Entry | None:
        """The model of this name; None for the default model before any worker has announced one.

        Raises:
            UnknownModelError: It is neither.
            ModelUnavailableError: The workers that should serve it cannot.
        """
        if self.error is not None:
            raise copy(self.error)  # with a traceback it would be a cycle that holds the request
        self.check_available(name)
        if name not in self.entries and (self.entries or name != self.default_model):
            raise _unknown(name, self.entries, is_default=name == self.default_model)
        return self.entries.get(name)

    def check_available(self, name: str) -> None:
        """Refuses a model that the workers which should serve it cannot.

        Raises:
            ModelUnavailableError: It is one.
        """
        if name in self.unavailable:
            raise ModelUnavailableError(
                f"The model {name!r} cannot be served: {self.unavailable[name]}",
                retry_after_seconds=MEND_SECONDS,
            )

    def announced(self) -> "Announced":
        """The same, to be sent to another process."""
        announced = {name: entry.announced for name, entry in self.entries.items()}
        return announced, self.unavailable, self.default_name, self.default_model, self.error


type Announced = tuple[dict[str, bytes], Mapping[str, str], str, str, InferqError | None]
"""What `Models` says, with nothing but the document of each model."""


def unread(terms: "Terms", error: InferqError) -> Models:
    """What stands for the models while they cannot be read: a request that is bad anyway is told so."""
    return Models({}, {}, terms.default_model, terms.default_model, copy(error))


@dataclass(frozen=True, slots=True)
class Terms:
    """What a request for predictions is held to, besides the model's signature.

    Attributes:
        default_model: The setting of that name.
        max_rows: Most rows in one job.
        max_timeout_seconds: Largest `timeout` to accept.
        webhook_rules: Which URLs to accept as `webhook`; None: none.
    """

    default_model: str
    max_rows: int
    max_timeout_seconds: float
    webhook_rules: UrlRules | None


class Check[T](Protocol):
    """One of the `check_…` below."""

    def __call__(self, raw: bytes, terms: Terms, models: Models, owner: str) -> T:
        """Checks a body.

        Args:
            raw: The body as it came.
            terms: What it is held to.
            models: What is known of the models.
            owner: Name of the API key that its jobs will belong to; empty for none.

        Raises:
            InferqError: It is refused.
        """


class Message(NamedTuple):
    """What a client wants by a message of its WebSocket.

    Attributes:
        ref: What the client calls it; None if nothing.
        watched: Id of the job to follow; None for a new one.
        submission: The new job.
        error: Why it is refused; None if it is not.
    """

    ref: str | None = None
    watched: str | None = None
    submission: Submission | None = None
    error: InferqError | None = None


def check_predict(raw: bytes, terms: Terms, models: Models, owner: str) -> Submission:
    """Checks a body of `POST /predict`; see `Check`."""
    body = parse_predict_body(raw, terms.max_timeout_seconds, terms.webhook_rules)
    return _submission_of(body, terms, models, owner)


def check_batch(raw: bytes, terms: Terms, models: Models, owner: str) -> list[Submission]:
    """Checks a body of `POST /predict/batch`; see `Check`. An error names the first bad job."""
    submissions = []
    for number, job in enumerate(parse_batch(raw)):
        with naming(number):
            body = take_apart(job, terms.max_timeout_seconds, terms.webhook_rules)
            submissions.append(_submission_of(body, terms, models, owner))
    return submissions


def check_message(raw: bytes, terms: Terms, models: Models, owner: str) -> Message:
    """Checks a message of a WebSocket; see `Check`. Why it is refused is told by what is returned."""
    ref = None
    try:
        message = parse_object(raw, _MESSAGE_EXAMPLE, "message")
        ref = _ref_of(message)
        watched = _watched_by(message)
        if watched is None:
            body = {name: value for name, value in message.items() if name != "ref"}
            taken = take_apart(body, terms.max_timeout_seconds, terms.webhook_rules)
        refuse_duplicates(raw, count_strings(message))
        if watched is not None:
            return Message(ref, watched)
        return Message(ref, submission=_submission_of(taken, terms, models, owner))
    except InferqError as error:
        return Message(ref, error=error)


def check_apart[T](check: Check[T], raw: bytes, terms: Terms, announced: Announced, owner: str) -> T:
    """The same as one of the above, in a process that knows the documents alone."""
    documents, unavailable, default_name, default_model, error = announced
    entries = {name: _entry_of(one, terms.max_rows) for name, one in documents.items()}
    return check(raw, terms, Models(entries, unavailable, default_name, default_model, error), owner)


@lru_cache(maxsize=1000)
def _entry_of(announced: bytes, max_rows: int) -> Entry:
    document = ModelDocument.from_json(announced)
    return Entry(announced, document, DataValidator(document, max_rows))


def new_submission(body: PredictBody, model: str, owner: str) -> Submission:
    """Makes what is to be stored of a request whose data fits."""
    data = to_json(body.data, inf_nan_mode="strings")
    return Submission(model, data, body.priority, body.timeout_seconds, owner, body.webhook)


def _submission_of(body: PredictBody, terms: Terms, models: Models, owner: str) -> Submission:
    name = body.model if body.model is not None else models.default_name
    entry = models.find(name)
    if entry is None:
        check_unknown_model_data(body.data, terms.max_rows)
    else:
        entry.validator.validate(body.data)
    return new_submission(body, name, owner)


def _ref_of(message: dict[str, Any]) -> str | None:
    ref = message.get("ref")
    if ref is not None and (not isinstance(ref, str) or len(ref) > _LONGEST_REF):
        raise InvalidInputError(
            f"ref must be a string of at most {_LONGEST_REF} characters. {_MESSAGE_EXAMPLE}"
        )
    return ref


def _watched_by(message: dict[str, Any]) -> str | None:
    """The id of the job that a message asks to follow; None where it asks to submit one."""
    if "watch" not in message:
        return None
    watch = message["watch"]
    if not isinstance(watch, str) or message.keys() - {"watch", "ref"}:
        raise InvalidInputError(f"watch must be the id of a job, alone or with a ref. {_MESSAGE_EXAMPLE}")
    return watch


def _unknown(name: str, known: Iterable[str], *, is_default: bool) -> UnknownModelError:
    names = ", ".join(known)
    models = f"Known: {names}." if names else "No worker has announced any model yet."
    default = " It is the default (INFERQ_DEFAULT_MODEL): name another." if is_default else ""
    return UnknownModelError(f"There is no model {name[:80]!r}. {models}{default}")
