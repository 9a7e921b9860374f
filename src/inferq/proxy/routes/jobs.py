"""Hand in data, come back for the result, and deal with what failed."""

from typing import Annotated, Literal
from urllib.parse import quote

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.requests import HTTPConnection
from pydantic_core import to_json
from starlette.requests import ClientDisconnect

from inferq.jobs import ErrorKind, Job, JobNotFoundError, RedisUnavailableError, UnknownModelError
from inferq.models.validation import check_unknown_model_data
from inferq.proxy.answers import JSON, JsonResponse, accepted, answers, may_wait
from inferq.proxy.body import PredictBody, parse_predict_body, read_body
from inferq.proxy.cursor import decode_cursor, encode_cursor
from inferq.proxy.following import Following, read_job
from inferq.proxy.lean import LeanRoute
from inferq.proxy.schemas import EXAMPLE_JOB_ID, JobList, JobView, PredictRequest, Submitted
from inferq.proxy.state import catalog_of, owner_of, producer_of, settings_of, webhook_rules_of
from inferq.proxy.waiting import wait_asked_for, wait_preferred
from inferq.views import job_json

LARGEST_PAGE = 500

router = APIRouter(tags=["jobs"])
lean = APIRouter(tags=["jobs"], route_class=LeanRoute)
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
            ErrorKind.INVALID_JSON,
            ErrorKind.BODY_TOO_LARGE,
            ErrorKind.INVALID_INPUT,
            ErrorKind.UNKNOWN_MODEL,
            ErrorKind.QUEUE_FULL,
            ErrorKind.REDIS_UNAVAILABLE,
        ),
        JobView,
    ),
    openapi_extra={"requestBody": _BODY, "parameters": [_PREFER]},
)
async def predict(request: Request) -> Response:
    """Accepts data for a model; a worker runs it in the background. Answers at once, or waits if asked to."""
    settings = settings_of(request)
    raw = await read_body(request, settings.max_body_bytes)
    seconds = wait_preferred(request.scope["headers"], settings.max_wait_seconds)
    job_id = await submit(request, raw)
    return _accepted(job_id) if seconds is None else await _await_accepted(request, job_id, seconds)


async def submit(connection: HTTPConnection, raw: bytes) -> str:
    """Checks what a client wants predicted, and stores it as a job of that client.

    Args:
        connection: The client's request or WebSocket.
        raw: The body of `POST /predict`.

    Returns:
        The job's id.

    Raises:
        InferqError: It is refused, or cannot be stored.
    """
    settings = settings_of(connection)
    body = parse_predict_body(raw, settings.max_timeout_seconds, webhook_rules_of(connection))
    name = body.model if body.model is not None else settings.default_model
    entry = await catalog_of(connection).find(name)
    if entry is None:
        check_unknown_model_data(body.data, settings.max_rows)
    else:
        entry.validator.validate(body.data)
    return await _store(connection, name, body)


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
    return _accepted(await _store(request, name, PredictBody(document.example)))


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
    return JsonResponse(job_json(job))


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


async def _store(connection: HTTPConnection, name: str, body: PredictBody) -> str:
    return await producer_of(connection).submit(
        name,
        to_json(body.data),
        body.priority,
        timeout_seconds=body.timeout_seconds,
        owner=owner_of(connection) or "",
        webhook=body.webhook,
    )


def _accepted(job_id: str) -> JsonResponse:
    return JsonResponse(to_json({"job_id": job_id}), 202, location=f"/job/{quote(job_id)}")


async def _await_accepted(request: Request, job_id: str, seconds: float) -> Response:
    """The finished job; or, if that is all there is in time, that it was accepted."""
    try:
        job = await _await_end(request, job_id, seconds) if seconds else None
    except (RedisUnavailableError, JobNotFoundError):  # the job was accepted all the same
        job = None
    is_final = job is not None and job.status.is_final
    response = JsonResponse(job_json(job)) if job is not None and is_final else _accepted(job_id)
    response.raw_headers.append((b"preference-applied", b"wait=%b" % f"{seconds:.9g}".encode()))
    return response


async def _await_end(request: Request, job_id: str, seconds: float) -> Job:
    """The job when it has ended, or as it is when the time is up or this process is about to stop."""
    with Following.of(request, job_id) as following:
        job = await following.state()
        if job.status.is_final:
            return job
        with following.heeding(request.receive):
            ended = await following.end(seconds)
        if following.has_left:
            raise ClientDisconnect
        return ended or await following.state()


async def _read(request: Request, job_id: str) -> Job:
    return await read_job(producer_of(request), job_id, owner_of(request))
