"""Hand in data, come back for the result, and deal with what failed."""

from typing import Annotated, Literal
from urllib.parse import quote

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic_core import to_json

from inferq.jobs import ErrorKind, Job, JobNotFoundError, UnknownModelError
from inferq.models.validation import check_unknown_model_data
from inferq.proxy.answers import JSON, JsonResponse, accepted, answers
from inferq.proxy.body import PredictBody, parse_predict_body, read_body
from inferq.proxy.cursor import decode_cursor, encode_cursor
from inferq.proxy.lean import LeanRoute
from inferq.proxy.schemas import EXAMPLE_JOB_ID, JobList, JobView, PredictRequest, Submitted
from inferq.proxy.state import catalog_of, owner_of, producer_of, settings_of, webhook_rules_of
from inferq.views import job_json

LONGEST_JOB_ID = 256
LARGEST_PAGE = 500

router = APIRouter(tags=["jobs"])
lean = APIRouter(tags=["jobs"], route_class=LeanRoute)
"""What nearly every request asks for."""

_BODY = {"content": {JSON: {"schema": PredictRequest.model_json_schema()}}, "required": True}
_EXAMPLE_PATH = f"/job/{EXAMPLE_JOB_ID}"

JobId = Annotated[str, Path(description="What POST /predict answered.")]


@lean.post(
    "/predict",
    status_code=202,
    responses=accepted(
        "/predict",
        Submitted,
        ErrorKind.INVALID_JSON,
        ErrorKind.BODY_TOO_LARGE,
        ErrorKind.INVALID_INPUT,
        ErrorKind.UNKNOWN_MODEL,
        ErrorKind.QUEUE_FULL,
        ErrorKind.REDIS_UNAVAILABLE,
    ),
    openapi_extra={"requestBody": _BODY},
)
async def predict(request: Request) -> Response:
    """Accepts data for a model and answers at once; a worker runs it in the background."""
    settings = settings_of(request)
    raw = await read_body(request, settings.max_body_bytes)
    body = parse_predict_body(raw, settings.max_timeout_seconds, webhook_rules_of(request))
    name = body.model if body.model is not None else settings.default_model
    entry = await catalog_of(request).find(name)
    if entry is None:
        check_unknown_model_data(body.data, settings.max_rows)
    else:
        entry.validator.validate(body.data)
    return await _submit(request, name, body)


@router.post(
    "/predict/test",
    status_code=202,
    responses=accepted(
        "/predict/test",
        Submitted,
        ErrorKind.UNKNOWN_MODEL,
        ErrorKind.NO_WORKER,
        ErrorKind.QUEUE_FULL,
        ErrorKind.REDIS_UNAVAILABLE,
    ),
)
async def predict_test(
    request: Request, model: Annotated[str | None, Query(description="Model name")] = None
) -> Response:
    """Submits the model's own example. A request body is not needed and not looked at."""
    name = model if model is not None else settings_of(request).default_model
    document = (await catalog_of(request).known(name)).document
    if document.example is None:
        raise UnknownModelError(
            f"The model {name!r} has no example. Give it one in model.toml, or POST data to /predict."
        )
    return await _submit(request, name, PredictBody(document.example))


@lean.get(
    "/job/{job_id:path}",
    responses=answers(
        _EXAMPLE_PATH,
        JobView,
        "The job as it is now.",
        ErrorKind.JOB_NOT_FOUND,
        ErrorKind.REDIS_UNAVAILABLE,
    ),
)
async def read_job(request: Request, job_id: JobId) -> Response:
    """Tells how a job is, and its result once it has completed."""
    return JsonResponse(job_json(await _read(request, job_id)))


@router.delete(
    "/job/{job_id:path}",
    responses=answers(
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
    await _read(request, job_id)
    await producer_of(request).cancel(job_id)
    return JsonResponse(job_json(await _read(request, job_id)))


@router.post(
    "/job/{job_id:path}/retry",
    status_code=202,
    responses=accepted(
        f"{_EXAMPLE_PATH}/retry",
        Submitted,
        ErrorKind.JOB_NOT_FOUND,
        ErrorKind.JOB_STATE,
        ErrorKind.QUEUE_FULL,
        ErrorKind.REDIS_UNAVAILABLE,
    ),
)
async def retry_job(request: Request, job_id: JobId) -> Response:
    """Puts a failed job in line again, under the same id, as if it had just been submitted."""
    await _read(request, job_id)
    await producer_of(request).revive(job_id)
    return _accepted(job_id)


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
    status: Annotated[Literal["failed"], Query(description="State of the jobs wanted.")],  # noqa: ARG001 - there is one so far
    model: Annotated[str | None, Query(description="Name of their model; all if left out.")] = None,
    limit: Annotated[int, Query(ge=1, le=LARGEST_PAGE, description="Most jobs on a page.")] = 50,
    cursor: Annotated[str | None, Query(description="`next` of the page before.")] = None,
) -> Response:
    """Lists failed jobs, the latest first: the dead letters."""
    producer, owner = producer_of(request), owner_of(request)
    before = None if cursor is None else decode_cursor(cursor)
    models = await catalog_of(request).entries() if model is None else [model]
    entries = await producer.failed_jobs(models, before=before, limit=limit)
    jobs = await producer.read_many([job_id for _, job_id in entries])
    views = b",".join(job_json(job) for job in jobs if job is not None and job.is_readable_by(owner))
    following = encode_cursor(*entries[-1]) if len(entries) == limit else None
    return JsonResponse(b'{"jobs":[%b],"next":%b}' % (views, to_json(following)))


async def _submit(request: Request, name: str, body: PredictBody) -> Response:
    job_id = await producer_of(request).submit(
        name,
        to_json(body.data),
        body.priority,
        timeout_seconds=body.timeout_seconds,
        owner=owner_of(request) or "",
        webhook=body.webhook,
    )
    return _accepted(job_id)


def _accepted(job_id: str) -> Response:
    return JsonResponse(to_json({"job_id": job_id}), 202, location=f"/job/{quote(job_id)}")


async def _read(request: Request, job_id: str) -> Job:
    if len(job_id) > LONGEST_JOB_ID:
        raise JobNotFoundError(
            f"No job has an id of {len(job_id)} characters; the longest has {LONGEST_JOB_ID}."
        )
    return await producer_of(request).read(job_id, owner_of(request))
