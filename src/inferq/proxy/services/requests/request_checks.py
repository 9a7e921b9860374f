"""Checks what a client sends and makes submissions for the queue from it.

Nothing here waits, so it can run on the event loop or, for a long body, in a process of the pool
(`process_pool`). So it imports neither FastAPI nor Redis.
"""

from typing import Any, NamedTuple, Protocol

from inferq.errors import InferqError, InvalidInputError
from inferq.proxy.http.bodies.batch_body import name_job, parse_batch
from inferq.proxy.http.bodies.data_slice import slice_body
from inferq.proxy.http.bodies.predict_body import (
    PredictBody,
    count_strings,
    parse_object,
    parse_predict_body,
    refuse_duplicates,
)
from inferq.proxy.http.predict_query import find_misplaced_member
from inferq.proxy.services.models.known_models import KnownModels, KnownModelsMessage
from inferq.proxy.services.process_pool import LONGEST_ON_LOOP_BYTES
from inferq.proxy.services.requests.reference_checks import check_output, check_remote_files
from inferq.proxy.services.requests.request_rules import RequestRules
from inferq.queue import Submission
from inferq.tensors import json_codec
from inferq.tensors.file_types import ENVELOPE
from inferq.tensors.unknown_model import check_unknown_model_data
from inferq.tensors.values import MediaFile, RawTensor

_LONGEST_REF = 256
_MESSAGE_EXAMPLE = (
    'An example: {"data": [[5.1, 3.5, 1.4, 0.2]], "ref": "a"}, or {"watch": "JOB_ID", "ref": "a"}'
)


class RequestCheck[T](Protocol):
    """One of the functions `check_…` below."""

    def __call__(self, raw: bytes, rules: RequestRules, models: KnownModels, owner: str) -> T:
        """Checks a body.

        Args:
            raw: The body as it was received.
            rules: What it must keep to.
            models: What is known of the models.
            owner: Name of the API key that its jobs will belong to; empty for none.

        Raises:
            InferqError: It is refused.
        """


class SocketMessage(NamedTuple):
    """What a client asks for in a message on its WebSocket.

    Attributes:
        ref: The client's own name for it; None if it gave none.
        watched: Id of the job to follow; None for a new one.
        submission: The new job.
        error: Why it is refused; None if it is not.
    """

    ref: str | None = None
    watched: str | None = None
    submission: Submission | None = None
    error: InferqError | None = None


def check_predict(
    raw: bytes, rules: RequestRules, models: KnownModels, owner: str, query: dict[str, Any] | None = None
) -> Submission:
    """Checks a body of `POST /predict` that is JSON; see `RequestCheck`.

    Args:
        raw: See there.
        rules: See there.
        models: See there.
        owner: See there.
        query: What `read_query` returned: it may name the model where the body does not.
    """
    if len(raw) > LONGEST_ON_LOOP_BYTES:
        submission = _check_numbers(raw, rules, models, owner, query)
        if submission is not None:
            return submission
    body = parse_predict_body(raw, *rules.limits)
    if query:
        _add_query(body, query)
    return _check_data(body, rules, models, owner)


def _check_numbers(
    raw: bytes, rules: RequestRules, models: KnownModels, owner: str, query: dict[str, Any] | None
) -> Submission | None:
    """Checks a long body whose data is an array of numbers, without parsing that into objects.

    Returns:
        The submission, whose data is a view of the body; None where the body is unusual, or wrong in
        whatever way: then it has to be parsed.
    """
    sliced = slice_body(raw)
    if sliced is None:
        return None
    try:
        body = parse_predict_body(sliced.rest, *rules.limits)
        if query:
            _add_query(body, query)
        queue, model = models.locate(body.model if body.model is not None else models.default_name)
    except InferqError:
        return None
    if model is None or model.validator.read_numbers(raw[sliced.data]) is None:
        return None
    check_output(body, queue, models)
    return make_submission(body, queue, owner, memoryview(raw)[sliced.data])


def check_batch(raw: bytes, rules: RequestRules, models: KnownModels, owner: str) -> list[Submission]:
    """Checks a body of `POST /predict/batch`; see `RequestCheck`. An error names the first bad job."""
    submissions = []
    for number, job in enumerate(parse_batch(raw)):
        with name_job(number):
            body = rules.read_members(job)
            submissions.append(_check_data(body, rules, models, owner))
    return submissions


def check_message(raw: bytes, rules: RequestRules, models: KnownModels, owner: str) -> SocketMessage:
    """Checks a message of a WebSocket; see `RequestCheck`. A refusal is returned, not raised."""
    ref = None
    try:
        message = parse_object(raw, _MESSAGE_EXAMPLE, "message")
        ref = _read_ref(message)
        watched = _read_watched(message)
        if watched is None:
            members = {name: value for name, value in message.items() if name != "ref"}
            body = rules.read_members(members)
        refuse_duplicates(raw, count_strings(message))
        if watched is not None:
            return SocketMessage(ref, watched)
        return SocketMessage(ref, submission=_check_data(body, rules, models, owner))
    except InferqError as error:
        return SocketMessage(ref, error=error)


def check_in_process[T](
    check: RequestCheck[T], raw: bytes, rules: RequestRules, models: KnownModelsMessage, owner: str
) -> T:
    """Calls one of the checks in a process of the pool, which is sent the models as a message.

    Data that is a view of the body is not sent back: `restore_data` takes it out again.
    """
    outcome = check(raw, rules, KnownModels.from_message(models, rules.max_rows), owner)
    if isinstance(outcome, Submission) and isinstance(outcome.data, memoryview):
        outcome.data = b""
    return outcome


def restore_data(outcome: object, raw: bytes) -> None:
    """Gives what `check_in_process` returned the data that it did not send.

    Args:
        outcome: What it returned.
        raw: The body that it was sent.
    """
    if isinstance(outcome, Submission) and not outcome.data:
        sliced = slice_body(raw)
        assert sliced is not None  # noqa: S101 - only such a body is checked without its data
        outcome.data = memoryview(raw)[sliced.data]


def make_submission(
    body: PredictBody, queue: str, owner: str, payload: bytes | memoryview | None = None
) -> Submission:
    """Makes what the queue stores of a request whose data fits.

    Args:
        body: What it asks for.
        queue: Name of the queue that its job goes to.
        owner: Name of the API key that its job will belong to; empty for none.
        payload: The data as it is stored; None to write that of the body as JSON.
    """
    data = json_codec.write(body.data, non_finite="string") if payload is None else payload
    submission = Submission(
        queue, data, body.priority, body.timeout_seconds, owner, body.webhook, body.expires_in_seconds
    )
    if body.output is not None:
        submission.output = body.output
    return submission


def _check_data(body: PredictBody, rules: RequestRules, models: KnownModels, owner: str) -> Submission:
    queue, model = models.locate(body.model if body.model is not None else models.default_name)
    if model is None:
        rules.source_rules.check(check_unknown_model_data(body.data, rules.max_rows), owner)
    else:
        inputs = model.validator.validate_inputs(body.data)
        if any(isinstance(value, RawTensor | MediaFile) for value in inputs.values()):
            models.check_reads(queue, ENVELOPE.media_type)  # as older workers do not know
        check_remote_files(model.validator.list_remote_files(inputs), queue, rules, models, owner)
        check_output(body, queue, models)
    return make_submission(body, queue, owner)


def _add_query(body: PredictBody, query: dict[str, Any]) -> None:
    """Adds to a JSON body the model that the query names."""
    misplaced = find_misplaced_member(query)
    if misplaced is not None:
        raise InvalidInputError(
            f"The query has {misplaced}, which belongs into a JSON body, beside data; it may only name the "
            "model."
        )
    if "model" not in query:
        return
    if body.model is not None and body.model != query["model"]:
        raise InvalidInputError(
            f"The body names the model {body.model[:80]!r}, and the query {query['model'][:80]!r}. Name it "
            "once."
        )
    body.model = query["model"]


def _read_ref(message: dict[str, Any]) -> str | None:
    ref = message.get("ref")
    if ref is not None and (not isinstance(ref, str) or len(ref) > _LONGEST_REF):
        raise InvalidInputError(
            f"ref must be a string of at most {_LONGEST_REF} characters. {_MESSAGE_EXAMPLE}"
        )
    return ref


def _read_watched(message: dict[str, Any]) -> str | None:
    """The id of the job that a message asks to follow; None where it asks to submit one."""
    if "watch" not in message:
        return None
    watch = message["watch"]
    if not isinstance(watch, str) or message.keys() - {"watch", "ref"}:
        raise InvalidInputError(f"watch must be the id of a job, alone or with a ref. {_MESSAGE_EXAMPLE}")
    return watch
