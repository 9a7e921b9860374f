"""The endpoints."""

from importlib.metadata import version
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic_core import to_json

from inferq.jobs import (
    ErrorKind,
    JobNotFoundError,
    NoWorkerError,
    RedisUnavailableError,
    UnknownModelError,
)
from inferq.models.signature import ModelDocument
from inferq.models.validation import check_unknown_model_data
from inferq.proxy import problems
from inferq.proxy.answers import JSON, accepted, answers, described, not_found
from inferq.proxy.body import parse_predict_body, read_body
from inferq.proxy.catalog import Catalog, Entry
from inferq.proxy.schemas import (
    EXAMPLE_JOB_ID,
    EXAMPLE_MODEL,
    Health,
    Information,
    JobView,
    ModelList,
    PredictRequest,
    State,
    Submitted,
)
from inferq.proxy.views import job_json, rfc3339
from inferq.queue.producer import Producer
from inferq.settings import Settings

LONGEST_JOB_ID = 256

router = APIRouter()


BODY = {"content": {JSON: {"schema": PredictRequest.model_json_schema()}}, "required": True}


@router.post(
    "/predict",
    tags=["jobs"],
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
    openapi_extra={"requestBody": BODY},
)
async def predict(request: Request) -> Response:
    """Accepts data for a model and answers at once; a worker runs it in the background."""
    settings = _settings(request)
    body = parse_predict_body(await read_body(request, settings.max_body_bytes))
    name = body.model if body.model is not None else settings.default_model
    entry = await _find(request, name)
    if entry is None:
        check_unknown_model_data(body.data, settings.max_rows)
    else:
        entry.validator.validate(body.data)
    return await _submit(request, name, body.data)


@router.post(
    "/predict/test",
    tags=["jobs"],
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
    name = model if model is not None else _settings(request).default_model
    document = (await _announced(request, name)).document
    if document.example is None:
        raise UnknownModelError(
            f"The model {name!r} has no example. Give it one in model.toml, or POST data to /predict."
        )
    return await _submit(request, name, document.example)


@router.get(
    "/job/{job_id:path}",
    tags=["jobs"],
    responses=answers(
        f"/job/{EXAMPLE_JOB_ID}",
        JobView,
        "The job as it is now.",
        ErrorKind.JOB_NOT_FOUND,
        ErrorKind.REDIS_UNAVAILABLE,
    ),
)
async def read_job(
    request: Request, job_id: Annotated[str, Path(description="What POST /predict answered.")]
) -> Response:
    """Tells how a job is, and its result once it has completed."""
    if len(job_id) > LONGEST_JOB_ID:
        raise JobNotFoundError(
            f"No job has an id of {len(job_id)} characters; the longest has {LONGEST_JOB_ID}."
        )
    return Response(job_json(await _producer(request).read(job_id)), media_type=JSON)


@router.get(
    "/health",
    tags=["health"],
    responses={
        200: {"model": Health, "description": "Healthy, or degraded: requests are taken."},
        503: {"model": Health, "description": "Unhealthy: Redis is out of reach."},
    },
)
async def health(request: Request) -> Response:
    """Tells how the service is: healthy, degraded without a live worker, unhealthy without Redis."""
    producer = _producer(request)
    try:
        workers = await producer.live_workers()
        seen = None if workers else await producer.last_heartbeat()
    except RedisUnavailableError as error:
        return _health(503, "unhealthy", error.message, "unknown, since Redis is out of reach")
    if workers:
        return _health(200, "healthy", "ok", "ok")
    since = f"no live worker since {rfc3339(seen)}" if seen else "no worker has ever reported"
    return _health(200, "degraded", "ok", since)


@router.get(
    "/health/live", tags=["health"], responses=answers("/health/live", State, "This process is alive.")
)
async def live() -> Response:
    """Answers as long as this process lives."""
    return Response(to_json({"status": "alive"}), media_type=JSON)


@router.get(
    "/health/ready",
    tags=["health"],
    responses=answers("/health/ready", State, "Requests can be taken.", ErrorKind.REDIS_UNAVAILABLE),
)
async def ready(request: Request) -> Response:
    """Answers 200 while requests can be taken, which needs Redis but no worker."""
    await _producer(request).ping()
    return Response(to_json({"status": "ready"}), media_type=JSON)


@router.get(
    "/metadata",
    tags=["models"],
    responses=described(
        "/metadata", EXAMPLE_MODEL, ModelDocument, ErrorKind.NO_WORKER, ErrorKind.REDIS_UNAVAILABLE
    ),
)
async def metadata(request: Request) -> Response:
    """Describes the default model: inputs, outputs, classes, features, an example."""
    name = _settings(request).default_model
    entry = (await _catalog(request).entries()).get(name)
    if entry is None:
        raise _not_announced(name)
    return Response(entry.document.to_json(), media_type=JSON)


@router.get(
    "/models",
    tags=["models"],
    responses=answers("/models", ModelList, "The models' names.", ErrorKind.REDIS_UNAVAILABLE),
)
async def models(request: Request) -> Response:
    """Lists the models that workers have announced."""
    names = list(await _catalog(request).entries())
    return Response(to_json({"models": names, "default": _settings(request).default_model}), media_type=JSON)


@router.get(
    "/models/{name}",
    tags=["models"],
    responses=not_found(
        described("/models/iris", EXAMPLE_MODEL, ModelDocument, ErrorKind.REDIS_UNAVAILABLE),
        ErrorKind.UNKNOWN_MODEL,
        "/models/irsi",
    ),
)
async def model_metadata(request: Request, name: str) -> Response:
    """Describes one model."""
    entries = await _catalog(request).entries()
    entry = entries.get(name)
    if entry is None:
        kind = ErrorKind.UNKNOWN_MODEL
        detail = _unknown(name, list(entries)).message
        return problems.problem(request.scope["path"], 404, kind, problems.TYPES[kind].title, detail)
    return Response(entry.document.to_json(), media_type=JSON)


@router.get("/", tags=["about"], responses=answers("/", Information, "What there is."))
async def information(request: Request) -> Response:
    """Tells what this service is and where to go on."""
    paths = {
        "predict": "/predict",
        "predict_test": "/predict/test",
        "job": "/job/{job_id}",
        "metadata": "/metadata",
        "models": "/models",
        "health": "/health",
        "documentation": "/docs",
        "openapi": "/openapi.json",
    }
    body = {
        "name": "inferq",
        "version": version("inferq"),
        "description": "ONNX models as an asynchronous inference service",
        "default_model": _settings(request).default_model,
        "links": paths,
    }
    return Response(to_json(body), media_type=JSON)


async def _submit(request: Request, name: str, data: object) -> Response:
    job_id = await _producer(request).submit(name, to_json(data))
    return Response(to_json({"job_id": job_id}), 202, {"Location": f"/job/{quote(job_id)}"}, media_type=JSON)


async def _find(request: Request, name: str) -> Entry | None:
    """The announced model; None for the default model before any worker has announced it.

    Raises:
        UnknownModelError: It is neither.
    """
    entries = await _catalog(request).entries()
    if name not in entries and (entries or name != _settings(request).default_model):
        raise _unknown(name, list(entries))
    return entries.get(name)


async def _announced(request: Request, name: str) -> Entry:
    entry = await _find(request, name)
    if entry is None:
        raise _not_announced(name)
    return entry


def _not_announced(name: str) -> NoWorkerError:
    return NoWorkerError(f"No worker has announced the model {name!r} yet. Start one and try again.")


def _unknown(name: str, known: list[str]) -> UnknownModelError:
    models = f"Known: {', '.join(known)}." if known else "No worker has announced any model yet."
    return UnknownModelError(f"There is no model {name[:80]!r}. {models}")


def _health(status_code: int, status: str, redis: str, worker: str) -> Response:
    body = {"status": status, "components": {"redis": redis, "worker": worker}}
    return Response(to_json(body), status_code, media_type=JSON)


def _settings(request: Request) -> Settings:
    settings: Settings = request.app.state.settings
    return settings


def _producer(request: Request) -> Producer:
    producer: Producer = request.app.state.producer
    return producer


def _catalog(request: Request) -> Catalog:
    catalog: Catalog = request.app.state.catalog
    return catalog
