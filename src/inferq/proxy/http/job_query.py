"""Which jobs a request is about: the same members in the query of a list and in the body of an action."""

import re
from datetime import datetime
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, BeforeValidator, Field

from inferq.errors import ErrorKind, FailureKind
from inferq.jobs import Status
from inferq.queue import JobFilter

LARGEST_PAGE = 500
_LONGEST_TEXT = 256

_DATE_AND_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt _]\d\d:\d\d")


def _parse_moment(moment: object) -> object:
    """Reads a date with a time, and nothing else: `20261128` would be taken for seconds since 1970."""
    if not isinstance(moment, str):
        return moment
    if not _DATE_AND_TIME.match(moment):
        raise ValueError("a time must be RFC 3339, such as 2026-11-28T15:30:00Z")
    return datetime.fromisoformat(moment)


Text = Annotated[str, Field(max_length=_LONGEST_TEXT)]

Moment = Annotated[AwareDatetime, BeforeValidator(_parse_moment)]


class JobQuery(BaseModel):
    """What jobs must have to be meant. What is left out, any job has."""

    status: Literal["pending", "processing", "completed", "failed"] | None = Field(
        None, description="State of the jobs wanted; all if left out."
    )
    model: str | None = Field(None, description="Name of their model; all if left out.")
    owner: Text | None = Field(
        None, description="Name of the API key they were submitted with; empty: none was needed."
    )
    error_kind: FailureKind | None = Field(None, description="Why they failed.")
    id_prefix: Text | None = Field(
        None, description="How their ids begin; a whole id finds that job at once."
    )
    error: Text | None = Field(
        None,
        description="Text that their error contains; capitals and small letters from a to z are the same.",
    )
    since: Moment | None = Field(
        None,
        description="Earliest time (RFC 3339): of the end of those that have ended, else of the submission.",
    )
    until: Moment | None = Field(None, description="Latest such time.")

    @property
    def wanted_status(self) -> Status | None:
        """The status that jobs must have; None for any."""
        return None if self.status is None else Status(self.status)

    def make_filter(self) -> JobFilter:
        """Returns what jobs must have besides model and status."""
        kind = ErrorKind(self.error_kind) if self.error_kind else None
        return JobFilter(self.owner, kind, self.id_prefix or "", self.error or "", self.since, self.until)

    @property
    def is_empty(self) -> bool:
        """Whether all jobs are meant."""
        return self.status is None and self.model is None and self.make_filter() == JobFilter()


class JobListQuery(JobQuery):
    """Which jobs, and which page of them."""

    limit: int = Field(50, ge=1, le=LARGEST_PAGE, description="Most jobs on a page.")
    cursor: str | None = Field(None, description="`next` of the page before.")
