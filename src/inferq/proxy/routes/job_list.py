"""The list of all jobs, page by page."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response
from pydantic_core import to_json

from inferq.errors import ErrorKind
from inferq.proxy.http.cursor import Cursors
from inferq.proxy.http.job_query import JobListQuery
from inferq.proxy.http.openapi import document_answers
from inferq.proxy.http.partial_answer import add_unavailable
from inferq.proxy.http.responses import JsonResponse
from inferq.proxy.http.schemas.queue_schemas import CancelledJobs, JobList
from inferq.proxy.services.dependencies import get_owner, get_services
from inferq.proxy.services.jobs.job_responses import make_list_response
from inferq.proxy.services.models.listed_models import find_listed_models

router = APIRouter(tags=["jobs"])


@router.get(
    "/jobs",
    responses=document_answers(
        "/jobs",
        JobList,
        "A page of jobs, the latest first.",
        ErrorKind.INVALID_INPUT,
        ErrorKind.REDIS_UNAVAILABLE,
    ),
)
async def list_jobs(
    request: Request,
    query: Annotated[JobListQuery, Query()],
) -> Response:
    """Lists jobs: those that have not ended, model by model, then the ended, the latest first."""
    services = get_services(request)
    owner = get_owner(request)
    cursors = Cursors(
        services.settings, owner, query.model_dump_json(exclude={"limit", "cursor"}, exclude_defaults=True)
    )
    page = await services.producer.listing.read_page(
        await find_listed_models(request, query),
        status=query.wanted_status,
        only=query.make_filter(),
        owner=owner,
        after=None if query.cursor is None else cursors.open(query.cursor),
        limit=query.limit,
    )
    next_cursor = None if page.last is None else cursors.seal(page.last)
    tail = to_json(add_unavailable({"next": next_cursor}, services.producer.away_shards))
    return make_list_response(services.producer, page.jobs, b'{"jobs":[', b"]," + tail[1:])


@router.delete(
    "/jobs",
    responses=document_answers(
        "/jobs",
        CancelledJobs,
        "The jobs that waited have failed as cancelled.",
        ErrorKind.INVALID_INPUT,
        ErrorKind.REDIS_UNAVAILABLE,
    ),
)
async def cancel_jobs(
    request: Request,
    model: Annotated[str, Query(description="Name of their model, which need not be served any more.")],
    status: Annotated[Literal["pending"], Query(description="`pending`: those that wait.")],  # noqa: ARG001 - said for clearness
) -> Response:
    """Ends all jobs of a model that wait, for their turn or for another try; those that run go on."""
    producer = get_services(request).producer
    count = await producer.cancel_waiting(model, get_owner(request))
    return JsonResponse(to_json(add_unavailable({"cancelled": count}, producer.away_shards)))
