"""One job: its state and result, its cancellation, and another try."""

from typing import Annotated

from fastapi import APIRouter, Path, Request, Response

from inferq.errors import ErrorKind
from inferq.jobs import Job
from inferq.proxy.http.openapi import PREFER, add_wait, document_accepted, document_answers
from inferq.proxy.http.prefer import parse_query_wait
from inferq.proxy.http.schemas.job_schemas import EXAMPLE_JOB_ID, JobView, Submitted
from inferq.proxy.services.dependencies import get_owner, get_services
from inferq.proxy.services.jobs.job_responses import make_job_response
from inferq.proxy.services.jobs.job_subscription import read_job
from inferq.proxy.services.jobs.job_waiting import answer_accepted, wait_for_end
from inferq.proxy.transport import ProtocolRoute

fast_router = APIRouter(tags=["jobs"], route_class=ProtocolRoute)
router = APIRouter(tags=["jobs"])

_EXAMPLE_PATH = f"/job/{EXAMPLE_JOB_ID}"
_WAIT = {
    "name": "wait",
    "in": "query",
    "description": "Answer when the job has ended, or with its state after so many seconds; at most "
    "INFERQ_MAX_WAIT_SECONDS. At once if left out.",
    "schema": {"type": "number", "minimum": 0, "default": 0},
}

JobId = Annotated[str, Path(description="What POST /predict answered.")]


@fast_router.get(
    "/job/{job_id:path}",
    responses=document_answers(
        _EXAMPLE_PATH,
        JobView,
        "The job as it is now, or after the wait.",
        ErrorKind.JOB_NOT_FOUND,
        ErrorKind.INVALID_INPUT,
        ErrorKind.REDIS_UNAVAILABLE,
        ErrorKind.STORE_UNAVAILABLE,
    ),
    openapi_extra={"parameters": [_WAIT]},
)
async def read(request: Request, job_id: JobId) -> Response:
    """Tells how a job is, and its result once it has completed; at once, or when it is asked to."""
    services = get_services(request)
    query = request.scope["query_string"]
    seconds = parse_query_wait(query, services.settings.max_wait_seconds) if query else 0.0
    job = await (wait_for_end(request, job_id, seconds) if seconds else _read(request, job_id))
    return await make_job_response(services.producer, job)


@router.delete(
    "/job/{job_id:path}",
    responses=document_answers(
        _EXAMPLE_PATH,
        JobView,
        "The job has failed as cancelled.",
        ErrorKind.JOB_NOT_FOUND,
        ErrorKind.JOB_STATE,
        ErrorKind.REDIS_UNAVAILABLE,
    ),
)
async def cancel_job(request: Request, job_id: JobId) -> Response:
    """Ends a job that has not ended: one that waits never runs, one that runs is stopped."""
    services = get_services(request)
    with services.producer.share_time_limit():
        await _read(request, job_id)
        await services.producer.cancel(job_id)
        return await make_job_response(services.producer, await _read(request, job_id))


@router.post(
    "/job/{job_id:path}/retry",
    status_code=202,
    responses=add_wait(
        document_accepted(
            f"{_EXAMPLE_PATH}/retry",
            Submitted,
            ErrorKind.JOB_NOT_FOUND,
            ErrorKind.JOB_STATE,
            ErrorKind.QUEUE_FULL,
            ErrorKind.REDIS_UNAVAILABLE,
        ),
        JobView,
    ),
    openapi_extra={"parameters": [PREFER]},
)
async def retry_job(request: Request, job_id: JobId) -> Response:
    """Queues a failed job again, under the same id, as if it had just been submitted."""
    services = get_services(request)
    with services.producer.share_time_limit():
        await _read(request, job_id)
        await services.producer.retry(job_id)
    return await answer_accepted(request, job_id)


async def _read(request: Request, job_id: str) -> Job:
    job = await read_job(get_services(request).producer, job_id, get_owner(request))
    request.scope["state"]["job_id"] = job.id  # for the log
    return job
