"""The data of one job, as it was posted."""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Path, Request, Response

from inferq.errors import ErrorKind
from inferq.proxy.http.openapi import Answers, add_not_found, add_problem
from inferq.proxy.http.responses import JSON, StreamedResponse, write_download_headers
from inferq.proxy.http.schemas.job_schemas import EXAMPLE_JOB_ID
from inferq.proxy.services.dependencies import get_owner, get_services
from inferq.proxy.services.jobs.job_subscription import read_job
from inferq.proxy.transport import FastRoute
from inferq.tensors.forms import detect_form

_EXAMPLE_PATH = f"/job/{EXAMPLE_JOB_ID}/data"

fast_router = APIRouter(tags=["jobs"], route_class=FastRoute)


def _make_answers() -> Answers:
    answers: Answers = {
        200: {
            "description": "The data; of a job from outside in whatever form that is.",
            "content": {JSON: {"example": [[5.1, 3.5, 1.4, 0.2]]}},
        }
    }
    add_not_found(answers, ErrorKind.JOB_NOT_FOUND, _EXAMPLE_PATH)
    add_problem(answers, ErrorKind.REDIS_UNAVAILABLE, _EXAMPLE_PATH)
    add_problem(answers, ErrorKind.STORE_UNAVAILABLE, _EXAMPLE_PATH)
    return answers


@fast_router.get(
    "/job/{job_id:path}/data",
    status_code=200,
    response_class=StreamedResponse,
    responses=_make_answers(),
)
async def job_data(
    request: Request, job_id: Annotated[str, Path(description="What POST /predict answered.")]
) -> Response:
    """Returns the data of a job as it was posted, while it is kept: until it completes, or has expired."""
    producer = get_services(request).producer
    await read_job(producer, job_id, get_owner(request))
    length, parts = await producer.job_data.open(job_id)
    first = await anext(parts)
    form = detect_form(first)

    async def read_all() -> AsyncIterator[bytes]:
        yield first
        async for part in parts:
            yield part

    headers = write_download_headers(form.media_type, job_id, form.suffix)
    return StreamedResponse(read_all(), length, [*headers, (b"cache-control", b"no-store")])
