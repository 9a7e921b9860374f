"""Options by which commands are told which jobs they are for."""

from typing import Annotated

import typer

from inferq.errors import FailureKind
from inferq.jobs import Status

WithStatus = Annotated[Status | None, typer.Option(help="Only jobs with this status.")]
OfModel = Annotated[str | None, typer.Option(help="Only jobs of this model.")]
OfOwner = Annotated[str | None, typer.Option(help="Only jobs of this name of an API key.")]
WithKind = Annotated[FailureKind | None, typer.Option(help="Only jobs that failed for this reason.")]
WithError = Annotated[str | None, typer.Option(help="Only jobs whose error contains this text.")]
WithId = Annotated[str | None, typer.Option(help="Only jobs whose id begins so.")]
Since = Annotated[
    str | None, typer.Option(help="Only jobs that ended, or if they have not, were submitted, from then on.")
]
Until = Annotated[str | None, typer.Option(help="Only those up to then, as 2026-01-31T12:00:00Z.")]
