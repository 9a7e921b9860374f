"""Checks bodies of `POST /predict` that are not JSON, and makes submissions from them.

The heads of arrays and files are read here, and the sizes compared with the signature; what is in them the
worker reads. It imports neither FastAPI nor Redis, so that it can run in a process of the pool.
"""

from typing import Any

from inferq.errors import InvalidInputError, NoWorkerError
from inferq.proxy.http.bodies.form_body import FormPart, split_form
from inferq.proxy.http.bodies.predict_body import PredictBody, parse_object, refuse_duplicates
from inferq.proxy.http.content_type import FORM, RAW_TENSOR, ContentType, check_file_type
from inferq.proxy.http.predict_query import refuse_unknown_members
from inferq.proxy.services.models.known_models import AnnouncedModel, KnownModels
from inferq.proxy.services.requests.payloads import make_raw_prefix, wrap_parts
from inferq.proxy.services.requests.reference_checks import check_output, check_remote_files
from inferq.proxy.services.requests.request_checks import make_submission
from inferq.proxy.services.requests.request_rules import RequestRules
from inferq.queue import Submission
from inferq.tensors.forms import detect_form, read_inputs

OPTIONS_PART = "options"
_OPTIONS_EXAMPLE = 'An example: {"model": "resnet", "priority": "high"}'


def check_payload(
    raw: bytes | memoryview,
    rules: RequestRules,
    models: KnownModels,
    owner: str,
    *,
    content_type: ContentType,
    query: dict[str, Any],
    is_wrapped: bool = False,
) -> Submission:
    """Checks a body that is not JSON.

    Args:
        raw: The body as it was received.
        rules: What it must keep to.
        models: What is known of the models.
        owner: Name of the API key that its job will belong to; empty for none.
        content_type: What it is said to be.
        query: What `read_query` returned.
        is_wrapped: Whether it is already behind what `make_prefix` returned.

    Raises:
        InferqError: It is refused.
    """
    parts: list[FormPart] = []
    options = query
    if content_type.media_type == FORM:
        parts = split_form(bytes(raw), content_type.boundary)
        options = _read_options(parts, query)
    if "shape" in query and content_type.media_type != RAW_TENSOR:
        raise InvalidInputError(f"shape is for bodies of {RAW_TENSOR} alone: all others tell their own.")
    body, queue, model = find_model(options, query, rules, models)
    payload: bytes | memoryview
    if content_type.media_type == FORM:
        payload = wrap_parts(model.document, [part for part in parts if part.name != OPTIONS_PART])
    elif content_type.media_type == RAW_TENSOR:
        payload = raw if is_wrapped else make_raw_prefix(model.document, len(raw), query.get("shape")) + raw
    else:
        payload = raw
        if content_type.file_type is not None:
            check_file_type(raw, content_type.file_type, "The body", content_type.media_type)
    models.check_reads(queue, detect_form(payload).media_type)
    inputs = read_inputs(payload, model.validator)
    check_remote_files(model.validator.list_remote_files(inputs), queue, rules, models, owner)
    check_output(body, queue, models)
    return make_submission(body, queue, owner, payload)


def find_model(
    options: dict[str, Any], query: dict[str, Any], rules: RequestRules, models: KnownModels
) -> tuple[PredictBody, str, AnnouncedModel]:
    """Reads the options of a body that is not JSON, and finds its model.

    Args:
        options: From the query, and from a form.
        query: What `read_query` returned.
        rules: What they must keep to.
        models: What is known of the models.

    Returns:
        The options; the name of the queue for the job; the model.

    Raises:
        InvalidInputError: An option is of the wrong type.
        UnknownModelError: There is no such model.
        NoWorkerError: Nothing is known of it yet, and so not what it takes.
    """
    refuse_unknown_members(query)
    # in the options of a form it is one member too many
    known = {key: value for key, value in options.items() if key != "shape" or key not in query}
    body = rules.read_options(known)
    name = body.model if body.model is not None else models.default_name
    queue, model = models.locate(name)
    if model is None:
        raise NoWorkerError(
            f"No worker has announced the model {name!r} yet, so that only JSON can be taken for it. Start a "
            "worker and try again."
        )
    return body, queue, model


def _read_options(parts: list[FormPart], query: dict[str, Any]) -> dict[str, Any]:
    """Returns the options of a form, from its part for them and from the query."""
    text = next((bytes(part.data) for part in parts if part.name == OPTIONS_PART), None)
    if text is None:
        return query
    options = parse_object(text, _OPTIONS_EXAMPLE, f"part {OPTIONS_PART!r}")
    refuse_duplicates(text, len(options) + sum(isinstance(value, str) for value in options.values()))
    both = sorted(options.keys() & query.keys())
    if both:
        raise InvalidInputError(
            f"{both[0]} is both in the query and in the part {OPTIONS_PART!r}. Send it once."
        )
    return {**query, **options}
