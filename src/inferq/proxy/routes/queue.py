"""What jobs there are, and how the queues are."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response
from pydantic_core import to_json

from inferq.errors import ErrorKind
from inferq.job_json import overview_json
from inferq.jobs import Status
from inferq.proxy.http.cursor import Cursors
from inferq.proxy.http.openapi import JsonResponse, answers
from inferq.proxy.http.queue_schemas import CancelledJobs, JobList, QueueView
from inferq.proxy.services.dependencies import catalog_of, listing_of, owner_of, producer_of, settings_of
from inferq.proxy.services.job_responses import list_response
from inferq.queue.inspection.stats import read_stats

LARGEST_PAGE = 500

router = APIRouter(tags=["jobs"])


@router.get(
    "/jobs",
    responses=answers(
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
    owner = owner_of(request)
    cursors = Cursors(settings_of(request), owner, status, model)
    after = None if cursor is None else cursors.open(cursor)
    models = {model} if model is not None else await _models(request)
    page = await listing_of(request).page(
        models, status=None if status is None else Status(status), owner=owner, after=after, limit=limit
    )
    following = None if page.last is None else cursors.seal(page.last)
    return list_response(producer_of(request), page.jobs, b'{"jobs":[', b'],"next":%b}' % to_json(following))


async def _models(request: Request) -> set[str]:
    """Those that are announced, and those whose jobs wait for a worker that serves them."""
    return {*await catalog_of(request).entries(), *await producer_of(request).models_with_jobs()}


@router.delete(
    "/jobs",
    responses=answers(
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
    count = await producer_of(request).cancel_waiting(model, owner_of(request))
    return JsonResponse(to_json({"cancelled": count}))


@router.get(
    "/queue",
    responses=answers("/queue", QueueView, "The numbers of now.", ErrorKind.REDIS_UNAVAILABLE),
)
async def queue(request: Request) -> Response:
    """Tells how many jobs of each model wait and run, how long and how fast, and who serves."""
    producer = producer_of(request)
    return JsonResponse(overview_json(await read_stats(producer.link), await producer.max_queued_bytes()))
