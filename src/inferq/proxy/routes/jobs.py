"""Hand in data, come back for the result, and deal with what failed."""

from contextlib import suppress
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic_core import to_json

from inferq.errors import ErrorKind, JobNotFoundError, RedisUnavailableError, UnknownModelError
from inferq.jobs import Job
from inferq.proxy.http.body_reader import read_body
from inferq.proxy.http.openapi import JSON, JsonResponse, accepted, answers, may_wait
from inferq.proxy.http.predict_body import PredictBody
from inferq.proxy.http.prefer import wait_asked_for, wait_preferred
from inferq.proxy.http.schemas import EXAMPLE_JOB_ID, JobView, PredictRequest, Submitted
from inferq.proxy.services.dependencies import body_budget_of, catalog_of, owner_of, producer_of, settings_of
from inferq.proxy.services.job_responses import job_response
from inferq.proxy.services.job_submission import IDEMPOTENCY_KEY, REFUSALS, checked, idempotency_of
from inferq.proxy.services.job_subscription import JobSubscription, read_job
from inferq.proxy.services.request_checks import check_predict, new_submission
from inferq.proxy.transport.fast_protocol import PromptRoute
from inferq.queue.producer.submission import Submission

router = APIRouter(tags=["jobs"])
lean = APIRouter(tags=["jobs"], route_class=PromptRoute)
"""What nearly every request asks for."""

_BODY = {"content": {JSON: {"schema": PredictRequest.model_json_schema()}}, "required": True}
_EXAMPLE_PATH = f"/job/{EXAMPLE_JOB_ID}"
_PREFER = {
    "name": "Prefer",
    "in": "header",
    "description": "`wait=5` (RFC 7240): answer 200 with the job if it ends within 5 s, and 202 as usual if "
    "it does not. More than INFERQ_MAX_WAIT_SECONDS is reduced to that.",
    "schema": {"type": "string"},
    "example": "wait=5",
}
_WAIT = {
    "name": "wait",
    "in": "query",
    "description": "Answer when the job has ended, or with its state after so many seconds; at most "
    "INFERQ_MAX_WAIT_SECONDS. At once if left out.",
    "schema": {"type": "number", "minimum": 0, "default": 0},
}

JobId = Annotated[str, Path(description="What POST /predict answered.")]


@lean.post(
    "/predict",
    status_code=202,
    responses=may_wait(
        accepted(
            "/predict",
            Submitted,
            *REFUSALS,
        ),
        JobView,
    ),
    openapi_extra={"requestBody": _BODY, "parameters": [_PREFER, IDEMPOTENCY_KEY]},
)
async def predict(request: Request) -> Response:
    """Accepts data for a model; a worker runs it in the background. Answers at once, or waits if asked to."""
    with body_budget_of(request).holding() as held:
        raw = await read_body(request, held)
        with producer_of(request).link.one_time_limit(len(raw)):
            job_id = await _store(request, await checked(request, check_predict, raw))
    return await _answer_accepted(request, job_id)


@router.post(
    "/predict/test",
    status_code=202,
    responses=may_wait(
        accepted(
            "/predict/test",
            Submitted,
            ErrorKind.INVALID_INPUT,
            ErrorKind.UNKNOWN_MODEL,
            ErrorKind.MODEL_UNAVAILABLE,
            ErrorKind.IDEMPOTENCY_CONFLICT,
            ErrorKind.NO_WORKER,
            ErrorKind.QUEUE_FULL,
            ErrorKind.REDIS_UNAVAILABLE,
        ),
        JobView,
    ),
    openapi_extra={"parameters": [_PREFER, IDEMPOTENCY_KEY]},
)
async def predict_test(
    request: Request, model: Annotated[str | None, Query(description="Model name")] = None
) -> Response:
    """Submits the model's own example, or zeros of its sample shape. A request body is not looked at."""
    catalog = catalog_of(request)
    name = model if model is not None else await catalog.default_name()
    data = (await catalog.known(name)).document.make_data()
    if data is None:
        raise UnknownModelError(
            f"The model {name!r} has no example. Give it one in model.toml, or POST data to /predict."
        )
    submission = new_submission(PredictBody(data), name, owner_of(request) or "")
    return await _answer_accepted(request, await _store(request, submission))


@lean.get(
    "/job/{job_id:path}",
    responses=answers(
        _EXAMPLE_PATH,
        JobView,
        "The job as it is now, or after the wait.",
        ErrorKind.JOB_NOT_FOUND,
        ErrorKind.INVALID_INPUT,
        ErrorKind.REDIS_UNAVAILABLE,
    ),
    openapi_extra={"parameters": [_WAIT]},
)
async def read(request: Request, job_id: JobId) -> Response:
    """Tells how a job is, and its result once it has completed; at once, or when it is asked to."""
    query = request.scope["query_string"]
    seconds = wait_asked_for(query, settings_of(request).max_wait_seconds) if query else 0.0
    job = await (_await_end(request, job_id, seconds) if seconds else _read(request, job_id))
    return await job_response(producer_of(request), job)


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
    with producer_of(request).link.one_time_limit():
        await _read(request, job_id)
        await producer_of(request).cancel(job_id)
        return await job_response(producer_of(request), await _read(request, job_id))


@router.post(
    "/job/{job_id:path}/retry",
    status_code=202,
    responses=may_wait(
        accepted(
            f"{_EXAMPLE_PATH}/retry",
            Submitted,
            ErrorKind.JOB_NOT_FOUND,
            ErrorKind.JOB_STATE,
            ErrorKind.QUEUE_FULL,
            ErrorKind.REDIS_UNAVAILABLE,
        ),
        JobView,
    ),
    openapi_extra={"parameters": [_PREFER]},
)
async def retry_job(request: Request, job_id: JobId) -> Response:
    """Puts a failed job in line again, under the same id, as if it had just been submitted."""
    with producer_of(request).link.one_time_limit():
        await _read(request, job_id)
        await producer_of(request).revive(job_id)
    return await _answer_accepted(request, job_id)


async def _store(request: Request, submission: Submission) -> str:
    idempotency = idempotency_of(request, (submission,))
    return await producer_of(request).submit_one(submission, idempotency)


async def _answer_accepted(request: Request, job_id: str) -> Response:
    """That a job is in line; or the job, if the request prefers to wait and it ends in time."""
    seconds = wait_preferred(request.scope["headers"], settings_of(request).max_wait_seconds)
    if seconds is None:
        return _accepted(request, job_id)
    response: Response | None = None
    with suppress(RedisUnavailableError, JobNotFoundError):  # the job was accepted all the same
        job = await _await_end(request, job_id, seconds) if seconds else None
        if job is not None and job.status.is_final:
            response = await job_response(producer_of(request), job)
    response = response or _accepted(request, job_id)
    response.raw_headers.append((b"preference-applied", b"wait=%b" % f"{seconds:.9g}".encode()))
    return response


def _accepted(request: Request, job_id: str) -> JsonResponse:
    root = request.scope.get("root_path", "")
    if root:
        root = quote(root)
    if job_id.isalnum() and job_id.isascii():  # as all are that this service gives
        return JsonResponse(b'{"job_id":"%b"}' % job_id.encode(), 202, location=f"{root}/job/{job_id}")
    return JsonResponse(to_json({"job_id": job_id}), 202, location=f"{root}/job/{quote(job_id)}")


async def _await_end(request: Request, job_id: str, seconds: float) -> Job:
    """The job when it has ended, or as it is when the time is up or this process is about to stop."""
    with JobSubscription.of(request, job_id) as following:
        job = await following.state()
        if job.status.is_final:
            return job
        with following.heeding(request.receive):
            ended = await following.end(seconds)
        if following.has_left:  # or has only said that it sends no more: then this is its answer
            return job
        return ended or await following.state()


async def _read(request: Request, job_id: str) -> Job:
    return await read_job(producer_of(request), job_id, owner_of(request))
