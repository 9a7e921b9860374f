"""The list of all jobs, page by page."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response
from pydantic_core import to_json

from inferq.errors import ErrorKind
from inferq.jobs import Status
from inferq.proxy.http.cursor import Cursors
from inferq.proxy.http.openapi import document_answers
from inferq.proxy.http.queue_schemas import CancelledJobs, JobList
from inferq.proxy.http.responses import JsonResponse
from inferq.proxy.services.dependencies import get_owner, get_services
from inferq.proxy.services.job_responses import make_list_response

LARGEST_PAGE = 500

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
    status: Annotated[
        Literal["pending", "processing", "completed", "failed"] | None,
        Query(description="State of the jobs wanted; all if left out."),
    ] = None,
    model: Annotated[str | None, Query(description="Name of their model; all if left out.")] = None,
    limit: Annotated[int, Query(ge=1, le=LARGEST_PAGE, description="Most jobs on a page.")] = 50,
    cursor: Annotated[str | None, Query(description="`next` of the page before.")] = None,
) -> Response:
    """Lists jobs: those that have not ended, model by model, then the ended, the latest first."""
    services = get_services(request)
    owner = get_owner(request)
    cursors = Cursors(services.settings, owner, status, model)
    after = None if cursor is None else cursors.open(cursor)
    models = {model} if model is not None else await _find_models(request)
    page = await services.producer.listing.read_page(
        models, status=None if status is None else Status(status), owner=owner, after=after, limit=limit
    )
    next_cursor = None if page.last is None else cursors.seal(page.last)
    return make_list_response(
        services.producer, page.jobs, b'{"jobs":[', b'],"next":%b}' % to_json(next_cursor)
    )


async def _find_models(request: Request) -> set[str]:
    """Returns the announced models, and those whose jobs wait for a worker that serves them."""
    services = get_services(request)
    return {
        *await services.catalog.read_announced(),
        *await services.producer.read_models_with_jobs(),
    }


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
    count = await get_services(request).producer.cancel_waiting(model, get_owner(request))
    return JsonResponse(to_json({"cancelled": count}))
