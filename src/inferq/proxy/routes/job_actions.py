"""Retries, cancels or deletes all jobs that a filter finds."""

from fastapi import APIRouter, Request, Response
from pydantic_core import to_json

from inferq.errors import ErrorKind
from inferq.proxy.http.bodies.action_body import ActionRequest, parse_action
from inferq.proxy.http.bodies.body_reader import read_text
from inferq.proxy.http.cursor import Cursors
from inferq.proxy.http.openapi import BODY_REFUSALS, document_answers, make_body_schema
from inferq.proxy.http.partial_answer import add_unavailable
from inferq.proxy.http.responses import JSON, JsonResponse
from inferq.proxy.http.schemas.queue_schemas import ActionResult
from inferq.proxy.services.dependencies import get_owner, get_services
from inferq.proxy.services.models.listed_models import find_listed_models

router = APIRouter(tags=["jobs"])


@router.post(
    "/jobs/actions",
    responses=document_answers(
        "/jobs/actions",
        ActionResult,
        "The jobs were counted, or changed.",
        *BODY_REFUSALS,
        ErrorKind.INVALID_INPUT,
        ErrorKind.REDIS_UNAVAILABLE,
    ),
    openapi_extra={
        "requestBody": {"content": {JSON: {"schema": make_body_schema(ActionRequest)}}, "required": True}
    },
)
async def act_on_jobs(request: Request) -> Response:
    """Retries, cancels or deletes the jobs that a filter finds, or counts them, some thousand in a call."""
    services = get_services(request)
    with services.body_budget.open_share() as share:
        asked = parse_action(await read_text(request, share, services.settings))
    owner, query = get_owner(request), asked.filter
    cursors = Cursors(services.settings, owner, asked.action, query.model_dump_json(exclude_defaults=True))
    report = await services.producer.act_on_jobs(
        asked.action,
        await find_listed_models(request, query),
        status=query.wanted_status,
        only=query.make_filter(),
        owner=owner,
        after=None if asked.cursor is None else cursors.open(asked.cursor),
        is_dry_run=asked.dry_run,
    )
    body: dict[str, object] = {
        "matched": report.matched,
        "changed": report.changed,
        "skipped": report.skipped.total(),
        "skipped_by_kind": report.skipped,
        "cursor": None if report.last is None else cursors.seal(report.last),
    }
    return JsonResponse(to_json(add_unavailable(body, services.producer.away_shards)))
