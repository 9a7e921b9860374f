"""Parses the body of `POST /jobs/actions`."""

from pydantic import BaseModel, ConfigDict, Field

from inferq.errors import InvalidInputError
from inferq.proxy.http.bodies.strict_body import parse_strictly
from inferq.proxy.http.job_query import JobQuery
from inferq.queue import JobAction

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
    action = parse_strictly(raw, ActionRequest, _EXAMPLE)
    if action.filter.is_empty:
        raise InvalidInputError(
            f"filter must have at least one member, so that all jobs are never meant by mistake. {_EXAMPLE}"
        )
    return action
