"""Parses the body of a prediction request."""

import json
from dataclasses import dataclass
from math import inf
from typing import Any

from pydantic_core import from_json

from inferq.egress.bucket_policy import BucketPolicy
from inferq.egress.url_policy import UrlPolicy
from inferq.errors import InvalidInputError, InvalidJsonError
from inferq.jobs import Priority
from inferq.number_format import format_number
from inferq.tensors.forms import JSON, detect_form
from inferq.tensors.nested_arrays import describe

_EXAMPLE = 'An example: {"data": [[5.1, 3.5, 1.4, 0.2]]}'
_WEBHOOKS_OFF = (
    "This service does not call webhooks: INFERQ_WEBHOOK_SECRET is not set. Leave webhook out, or ask the "
    "operator."
)
_UTF_16_MARKS = (b"\xff\xfe", b"\xfe\xff")
_MEMBERS = ("data", "model", "timeout", "priority", "webhook", "expires_in", "output")


@dataclass(slots=True)
class PredictBody:
    """What a prediction request asks for. It is not frozen, since it would take three times as long to make.

    Attributes:
        data: Parsed JSON, not yet checked against any signature; None where the data is no JSON.
        model: Model name, or None for the default model.
        timeout_seconds: Longest run, or None for the model's own.
        priority: Jobs of a higher one are taken first.
        webhook: URL to which the job's end is reported, or None for nowhere.
        expires_in_seconds: How long it may wait to be started, or None for as long as any job.
        output: Folder in a bucket to which its result is written, or None for nowhere.
    """

    data: Any
    model: str | None = None
    timeout_seconds: float | None = None
    priority: Priority = Priority.NORMAL
    webhook: str | None = None
    expires_in_seconds: float | None = None
    output: str | None = None


def parse_predict_body(
    raw: bytes,
    longest_timeout: float,
    webhook_rules: UrlPolicy | None = None,
    longest_wait: float = inf,
    output_rules: BucketPolicy | None = None,
) -> PredictBody:
    """Parses the body of `POST /predict`.

    Args:
        raw: The body as it was received.
        longest_timeout: Largest `timeout` to accept, seconds.
        webhook_rules: Which URLs to accept as `webhook`; None: none.
        longest_wait: Largest `expires_in` to accept, seconds.
        output_rules: Which folders to accept as `output`; None: none.

    Raises:
        InvalidJsonError: It is no JSON object.
        InvalidInputError: A member is missing, unknown, sent twice, or of the wrong type.
    """
    body = parse_object(raw, _EXAMPLE)
    taken = read_members(body, longest_timeout, webhook_rules, longest_wait, output_rules)
    refuse_duplicates(raw, count_strings(body))
    return taken


def parse_object(raw: bytes, example: str, noun: str = "request body") -> dict[str, Any]:
    """Parses a body.

    Args:
        raw: The body as it was received.
        example: A correct body, for the error message.
        noun: What the message calls the body.

    Raises:
        InvalidJsonError: It is no JSON object.
    """
    try:
        # NaN and Infinity are accepted here, so that validation can say where they are
        body = from_json(raw, allow_inf_nan=True)
    except ValueError as error:
        if raw.startswith(_UTF_16_MARKS) or b"\0" in raw[:2]:
            raise InvalidJsonError(
                f"The {noun} is in UTF-16 or UTF-32. Send it in UTF-8. {example}"
            ) from error
        form = detect_form(raw)
        if form is not JSON:
            raise InvalidJsonError(
                f"The {noun} is {form.file_type.name}. Send a JSON object. {example}"
            ) from error
        raise InvalidJsonError(f"The {noun} is not valid JSON: {error}. {example}") from error
    if not isinstance(body, dict):
        raise InvalidJsonError(f"The {noun} must be a JSON object. {example}")
    return body


def read_members(
    body: dict[str, Any],
    longest_timeout: float,
    webhook_rules: UrlPolicy | None = None,
    longest_wait: float = inf,
    output_rules: BucketPolicy | None = None,
) -> PredictBody:
    """Reads the members of one prediction request; `parse_predict_body` also refuses duplicates.

    Raises:
        InvalidInputError: A member is missing, unknown, or of the wrong type.
    """
    refuse_unknown(body, _MEMBERS, _EXAMPLE)
    if "data" not in body:
        raise InvalidInputError(f"The request lacks the member 'data'. {_EXAMPLE}")
    return _read_members(body, longest_timeout, webhook_rules, longest_wait, output_rules)


def read_options(
    options: dict[str, Any],
    longest_timeout: float,
    webhook_rules: UrlPolicy | None = None,
    longest_wait: float = inf,
    output_rules: BucketPolicy | None = None,
) -> PredictBody:
    """Reads the members of a prediction request whose data stands elsewhere.

    Raises:
        InvalidInputError: A member is unknown, or of the wrong type.
    """
    refuse_unknown(options, _MEMBERS[1:], 'An example: {"model": "iris", "priority": "high"}')
    return _read_members(options, longest_timeout, webhook_rules, longest_wait, output_rules)


def _read_members(
    body: dict[str, Any],
    longest_timeout: float,
    webhook_rules: UrlPolicy | None,
    longest_wait: float,
    output_rules: BucketPolicy | None,
) -> PredictBody:
    model = body.get("model")
    if model is not None and not isinstance(model, str):
        raise InvalidInputError(f"model must be the name of a model, got {describe(model)}. {_EXAMPLE}")
    return PredictBody(
        body.get("data"),
        model,
        _read_seconds(body.get("timeout"), "timeout", longest_timeout, "INFERQ_MAX_RUN_TIMEOUT_SECONDS"),
        _read_priority(body.get("priority")),
        _read_webhook(body.get("webhook"), webhook_rules),
        _read_seconds(body.get("expires_in"), "expires_in", longest_wait, "INFERQ_JOB_TTL_SECONDS"),
        _read_output(body.get("output"), output_rules),
    )


def refuse_unknown(body: dict[str, Any], members: tuple[str, ...], example: str) -> None:
    """Refuses an object with other members than these.

    Raises:
        InvalidInputError: It has one.
    """
    unknown = [name for name in body if name not in members]
    if unknown:
        raise InvalidInputError(
            f"The request has the unknown member {min(unknown)[:80]!r}; it may have {', '.join(members)}. "
            f"{example}"
        )


def _read_seconds(seconds: object, name: str, longest: float, setting: str) -> float | None:
    """Reads a member that is a time, which a setting limits."""
    if seconds is None:
        return None
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds <= longest:
        raise InvalidInputError(
            f"{name} must be seconds, more than 0 and at most {format_number(longest)} ({setting}), "
            f"got {repr(seconds)[:80]}."
        )
    return seconds


def _read_priority(priority: object) -> Priority:
    if priority is None:
        return Priority.NORMAL
    if not isinstance(priority, str) or priority not in Priority:
        raise InvalidInputError(f"priority must be one of {', '.join(Priority)}, got {repr(priority)[:80]}.")
    return Priority(priority)


def _read_webhook(webhook: object, rules: UrlPolicy | None) -> str | None:
    if webhook is None:
        return None
    if rules is None:
        raise InvalidInputError(_WEBHOOKS_OFF)
    if not isinstance(webhook, str):
        raise InvalidInputError(f"webhook must be a URL, got {describe(webhook)}.")
    rules.check(webhook)
    return webhook


def _read_output(output: object, rules: BucketPolicy | None) -> str | None:
    if output is None:
        return None
    if rules is None or not rules.allowed:
        raise InvalidInputError(
            "This service writes no results to buckets: INFERQ_OUTPUT_ALLOWED_BUCKETS names none. Leave "
            "output out, or ask the operator."
        )
    if not isinstance(output, str) or not output.endswith("/"):
        raise InvalidInputError(
            f"output must be a folder in a bucket, as s3://bucket/results/, got {describe(output)}."
        )
    rules.check(output)
    return output


def count_strings(body: dict[str, Any]) -> int:
    """Counts the strings that a prediction request has at least: names of members, and strings in them."""
    data = body.get("data")
    count = len(body) + (len(data) if isinstance(data, dict) else 0)
    return count + sum(isinstance(value, str) for name, value in body.items() if name != "data")


def refuse_duplicates(raw: bytes, kept: int) -> None:
    """Refuses a body in which an object names a member twice, of which the parser has kept only the last.

    Each string has two quotes. Where the body has no more quotes than the strings that were kept, as with
    data of numbers only, nothing was lost. Only other bodies are parsed a second time, which is four times
    slower.

    Args:
        raw: The body as it was received.
        kept: How many of its strings the parser has kept at least.

    Raises:
        InvalidInputError: A member was sent twice.
    """
    if may_have_duplicates(raw, kept):
        json.loads(raw, object_pairs_hook=_check_members)


def may_have_duplicates(raw: bytes, kept: int) -> bool:
    """Whether a body has more strings than were kept, or quotes within strings."""
    return raw.count(b'"') > 2 * kept


def make_duplicate_error(name: str) -> InvalidInputError:
    """Makes the error for a body in which a member was sent twice."""
    return InvalidInputError(f"The request has the member {name[:80]!r} twice. Send it once.")


def _check_members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members: dict[str, Any] = {}
    for name, value in pairs:
        if name in members:
            raise make_duplicate_error(name)
        members[name] = value
    return members
