"""Documents requests and answers for OpenAPI: good answers, and every kind of problem."""

from http import HTTPStatus
from typing import Any

from pydantic import BaseModel

from inferq import jobs
from inferq.errors import ErrorKind
from inferq.proxy.http import problems
from inferq.proxy.http.problem_types import JOB_FAILURES, TYPES
from inferq.proxy.http.responses import JSON
from inferq.proxy.http.schemas.job_schemas import EXAMPLE_JOB_ID

Answers = dict[int | str, dict[str, Any]]

IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "By which a repeated request is known: it gets the ids that it got first. Any text of the "
    "client's own, such as a UUID, new for each request. It is remembered for "
    "INFERQ_IDEMPOTENCY_TTL_SECONDS.",
    "schema": {"type": "string", "pattern": f"^{jobs.IDEMPOTENCY_KEY}$"},
    "example": "8e03978e-40d5-43dd-bc93-6894a57f9324",
}
"""The header, as OpenAPI describes it."""

PREFER = {
    "name": "Prefer",
    "in": "header",
    "description": "`wait=5` (RFC 7240): answer 200 with the job if it ends within 5 s, and 202 as usual if "
    "it does not. More than INFERQ_MAX_WAIT_SECONDS is reduced to that.",
    "schema": {"type": "string"},
    "example": "wait=5",
}
"""The header, as OpenAPI describes it."""

X_REQUEST_ID = {
    "name": "X-Request-ID",
    "in": "header",
    "description": "A name for the request: its answer, its jobs, their webhooks and all lines of the logs "
    "about them carry it. One is made where this is left out or malformed.",
    "schema": {"type": "string", "pattern": f"^{jobs.REQUEST_ID}$"},
    "example": "8e03978e-40d5-43dd-bc93-6894a57f9324",
}
"""The header, as OpenAPI describes it."""

WAIT: dict[str, Any] = {
    "name": "wait",
    "in": "query",
    "description": "How long to wait until all live workers follow, s, at most INFERQ_MAX_WAIT_SECONDS; that "
    "if left out.",
    "schema": {"type": "number", "minimum": 0},
}
"""The query parameter of what workers have to follow, as OpenAPI describes it."""

BODY_REFUSALS = (
    ErrorKind.INVALID_JSON,
    ErrorKind.REQUEST_TIMEOUT,
    ErrorKind.BODY_TOO_LARGE,
    ErrorKind.UNSUPPORTED_ENCODING,
    ErrorKind.OVERLOADED,
)
"""Kinds of problems for which a request body may be refused unread."""

QUERY_OPTIONS = [
    {"name": name, "in": "query", "description": description, "schema": schema}
    for name, description, schema in (
        ("model", "Name of the model, of a JSON body only where that names none.", {"type": "string"}),
        ("priority", "Not with a JSON body, as all that follow.", {"enum": [*jobs.Priority]}),
        ("timeout", "Longest run, s.", {"type": "number", "exclusiveMinimum": 0}),
        (
            "expires_in",
            "How long the job may wait for its turn, s.",
            {"type": "number", "exclusiveMinimum": 0},
        ),
        ("webhook", "Where the job's end is reported.", {"type": "string", "pattern": "^https?://"}),
        (
            "output",
            "Folder in a bucket to which the result is written.",
            {"type": "string", "pattern": "^s3://.+/$"},
        ),
        (
            "shape",
            "Of a raw tensor, where the signature has more than one dynamic axis.",
            {"type": "string", "pattern": "^[0-9]+(,[0-9]+)*$"},
        ),
    )
]
"""The options of a job whose body is not JSON, as OpenAPI describes them."""

REFUSALS = (
    *BODY_REFUSALS,
    ErrorKind.INVALID_INPUT,
    ErrorKind.UNKNOWN_MODEL,
    ErrorKind.MODEL_UNAVAILABLE,
    ErrorKind.IDEMPOTENCY_CONFLICT,
    ErrorKind.QUEUE_FULL,
    ErrorKind.EXPIRES_TOO_SOON,
    ErrorKind.REDIS_UNAVAILABLE,
)
"""Kinds of problems for which a request for predictions may be refused."""


def document_answers(
    path: str, model: type[BaseModel], description: str, *kinds: ErrorKind, status: int = 200
) -> Answers:
    """Documents an endpoint's answers, each with an example.

    Args:
        path: The endpoint's path with an example in place of each parameter.
        model: Shape of the good answer; its schema holds the examples.
        description: What the good answer means.
        *kinds: The problems that there may be instead.
        status: HTTP status of the good answer.
    """
    documented: Answers = {status: {"model": model, "description": description}}
    for kind in kinds:
        add_problem(documented, kind, path)
    return documented


def make_body_schema(model: type[BaseModel]) -> Any:  # noqa: ANN401 - of any JSON
    """Returns the schema of a body without references: it stands outside of the document's components."""
    schema = model.model_json_schema()
    definitions = schema.pop("$defs", {})

    def resolve(part: Any) -> Any:  # noqa: ANN401 - of any JSON
        if isinstance(part, list):
            return [resolve(one) for one in part]
        if not isinstance(part, dict):
            return part
        referred = definitions.get(part.get("$ref", "").rpartition("/")[2], {})
        return {
            name: resolve(value) for name, value in (referred | part).items() if name not in ("$ref", "title")
        }

    return resolve(schema)


def document_accepted(path: str, model: type[BaseModel], *kinds: ErrorKind) -> Answers:
    """Documents the answers of an endpoint that stores a job."""
    stored = "The job is stored and will end as completed or failed."
    documented = document_answers(path, model, stored, *kinds, status=202)
    documented[202]["headers"] = {
        "Location": {"schema": {"type": "string"}, "description": "Where to ask for the result."}
    }
    return documented


def add_wait(documented: Answers, ended: type[BaseModel]) -> Answers:
    """Documents that an endpoint which stores a job answers with the ended job if it is asked to wait.

    Args:
        documented: What `document_accepted` made.
        ended: Shape of the job.
    """
    applied = {
        "schema": {"type": "string"},
        "description": "`wait=5`: how long the answer was held back at most, if that was asked for.",
    }
    documented[200] = {
        "model": ended,
        "description": "The job has ended within the time that the request preferred to wait.",
        "headers": {"Preference-Applied": applied},
    }
    documented[202]["headers"]["Preference-Applied"] = applied
    return documented


def document_model(path: str, example: dict[str, Any], model: type[BaseModel], *kinds: ErrorKind) -> Answers:
    """Documents the answers of an endpoint that describes a model, whose schema holds no example."""
    documented = document_answers(path, model, "The model's description.", *kinds)
    documented[200]["content"] = {JSON: {"example": example}}
    return documented


def add_not_found(documented: Answers, kind: ErrorKind, path: str) -> Answers:
    """Adds a problem that is a 404 here, since the path names what is not known, and not the body."""
    add_problem(documented, kind, path, 404)
    return documented


def add_job_failures(documented: Answers, path: str) -> Answers:
    """Adds why a request that waits for the outputs of its job may get none."""
    for kind, failure in JOB_FAILURES.items():
        example = {**problems.describe_example(kind, failure, path), "job_id": EXAMPLE_JOB_ID}
        _add_example(documented, kind, failure.title, example)
    return documented


def add_problem(documented: Answers, kind: ErrorKind, path: str, status: int | None = None) -> None:
    """Adds a problem; under another status than usual if one is given."""
    example = problems.make_example(kind, path, status)
    _add_example(documented, kind, TYPES[kind].title, example)
    if example["status"] == HTTPStatus.SERVICE_UNAVAILABLE:
        documented[example["status"]]["headers"] = {
            "Retry-After": {
                "schema": {"type": "integer"},
                "description": "Seconds to wait before trying again.",
            }
        }


def _add_example(documented: Answers, kind: str, title: str, example: dict[str, Any]) -> None:
    is_of_protocol = "error" in example
    media_type = JSON if is_of_protocol else problems.MEDIA_TYPE
    schema = "ProtocolProblem" if is_of_protocol else "Problem"
    content = {media_type: {"schema": {"$ref": f"#/components/schemas/{schema}"}, "examples": {}}}
    answer = documented.setdefault(example["status"], {"description": "", "content": content})
    answer["description"] = f"{answer['description']} {title}.".lstrip()
    examples = answer["content"][media_type]["examples"]
    name = kind if kind not in examples else f"{kind}-of-job"
    examples[name] = {"summary": title, "value": example}
