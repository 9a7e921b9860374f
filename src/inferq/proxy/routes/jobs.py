"""Hand in data, come back for the result, and deal with what failed."""

from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic_core import to_json

from inferq.jobs import ErrorKind, Job, JobNotFoundError, UnknownModelError
from inferq.proxy.answers import JSON, JsonResponse, accepted, answers
from inferq.proxy.body import PredictBody, parse_predict_body, read_body
from inferq.proxy.lean import LeanRoute
from inferq.proxy.schemas import EXAMPLE_JOB_ID, JobView, PredictRequest, Submitted
from inferq.proxy.state import catalog_of, owner_of, producer_of, settings_of, webhook_rules_of
from inferq.proxy.submitting import IDEMPOTENCY_KEY, idempotency_of, new_submission, submission_of
from inferq.queue.submission import Submission
from inferq.views import job_json

LONGEST_JOB_ID = 256

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
        ErrorKind.IDEMPOTENCY_CONFLICT,
        ErrorKind.QUEUE_FULL,
        ErrorKind.REDIS_UNAVAILABLE,
    ),
    openapi_extra={"requestBody": _BODY, "parameters": [IDEMPOTENCY_KEY]},
)
async def predict(request: Request) -> Response:
    """Accepts data for a model and answers at once; a worker runs it in the background."""
    settings = settings_of(request)
    raw = await read_body(request, settings.max_body_bytes)
    body = parse_predict_body(raw, settings.max_timeout_seconds, webhook_rules_of(request))
    return await _submit(request, await submission_of(request, body))


@router.post(
    "/predict/test",
    status_code=202,
    responses=accepted(
        "/predict/test",
        Submitted,
        ErrorKind.INVALID_INPUT,
        ErrorKind.UNKNOWN_MODEL,
        ErrorKind.IDEMPOTENCY_CONFLICT,
        ErrorKind.NO_WORKER,
        ErrorKind.QUEUE_FULL,
        ErrorKind.REDIS_UNAVAILABLE,
    ),
    openapi_extra={"parameters": [IDEMPOTENCY_KEY]},
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
    return await _submit(request, new_submission(request, name, PredictBody(document.example)))


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


async def _submit(request: Request, submission: Submission) -> Response:
    idempotency = idempotency_of(request, (submission,))
    return _accepted(await producer_of(request).submit_one(submission, idempotency))


def _accepted(job_id: str) -> Response:
    return JsonResponse(to_json({"job_id": job_id}), 202, location=f"/job/{quote(job_id)}")


async def _read(request: Request, job_id: str) -> Job:
    if len(job_id) > LONGEST_JOB_ID:
        raise JobNotFoundError(
            f"No job has an id of {len(job_id)} characters; the longest has {LONGEST_JOB_ID}."
        )
    return await producer_of(request).read(job_id, owner_of(request))
