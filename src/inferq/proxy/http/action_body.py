"""Parses the body of `POST /jobs/actions`."""

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import to_json

from inferq.errors import BodyTooLargeError, InvalidInputError
from inferq.proxy.http.job_query import JobQuery
from inferq.proxy.http.predict_body import parse_object, refuse_duplicates
from inferq.queue import JobAction

_LONGEST_BYTES = 65536
_EXAMPLE = (
    'An example: {"action": "retry", "filter": {"model": "iris", "error_kind": "crashed"}, "dry_run": true}'
)


class ActionFilter(JobQuery):
    """Which jobs an action is for: at least one member."""

    model_config = ConfigDict(extra="forbid")


class ActionRequest(BaseModel):
    """What is to be done with all jobs that a filter finds."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "action": "retry",
                    "filter": {"model": "iris", "error_kind": "crashed"},
                    "dry_run": True,
                }
            ]
        },
    )

    action: JobAction = Field(
        description="`retry`: failed jobs are queued again. `cancel`: jobs that have not ended fail. "
        "`delete`: ended jobs are removed, with all they hold."
    )
    filter: ActionFilter
    dry_run: bool = Field(False, description="Whether jobs are only counted.")
    cursor: str | None = Field(None, description="`cursor` of the answer before, to go on.")


def parse_action(raw: bytes) -> ActionRequest:
    """Parses the body.

    Args:
        raw: The body as it was received.

    Raises:
        InvalidJsonError: It is no JSON object.
        InvalidInputError: A member is missing, unknown, sent twice, or of the wrong type; or all jobs fit.
        BodyTooLargeError: It is longer than any such request.
    """
    if len(raw) > _LONGEST_BYTES:
        raise BodyTooLargeError(
            f"The body of this request has at most {_LONGEST_BYTES} bytes, got {len(raw)}."
        )
    body = parse_object(raw, _EXAMPLE)
    try:
        action = ActionRequest.model_validate_json(to_json(body), strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = ".".join(map(str, first["loc"]))
        raise InvalidInputError(
            f"{name}: {first['msg']} (got {first['input']!r:.200}). {_EXAMPLE}"
        ) from error
    refuse_duplicates(raw, 0)
    if action.filter.is_empty:
        raise InvalidInputError(
            f"filter must have at least one member, so that all jobs are never meant by mistake. {_EXAMPLE}"
        )
    return action
