"""What this service is, and how it is."""

from contextlib import suppress
from importlib.metadata import version

from fastapi import APIRouter, Request, Response
from pydantic_core import to_json

from inferq.errors import ErrorKind, RedisUnavailableError
from inferq.proxy.http.openapi import JsonResponse, answers
from inferq.proxy.http.schemas import Health, Information, State
from inferq.proxy.services.dependencies import catalog_of, health_of, settings_of

router = APIRouter()

_LINKS = {
    "predict": "/predict",
    "predict_test": "/predict/test",
    "job": "/job/{job_id}",
    "job_events": "/job/{job_id}/events",
    "job_websocket": "/job/{job_id}/ws",
    "websocket": "/ws",
    "predict_batch": "/predict/batch",
    "jobs": "/jobs",
    "jobs_status": "/jobs/status",
    "failed_jobs": "/jobs?status=failed",
    "queue": "/queue",
    "metadata": "/metadata",
    "models": "/models",
    "health": "/health",
    "documentation": "/docs",
    "openapi": "/openapi.json",
}


@router.get("/", tags=["about"], responses=answers("/", Information, "What there is."))
async def information(request: Request) -> Response:
    """Tells what this service is and where to go on."""
    default_model = settings_of(request).default_model
    with suppress(RedisUnavailableError):
        default_model = await catalog_of(request).default_name()
    root: str = request.scope.get("root_path", "")
    body = {
        "name": "inferq",
        "version": version("inferq"),
        "description": "ONNX models as an asynchronous inference service",
        "default_model": default_model,
        "links": {name: f"{root}{path}" for name, path in _LINKS.items()},
    }
    return JsonResponse(to_json(body))


@router.get(
    "/health",
    tags=["health"],
    responses={
        200: {"model": Health, "description": "Healthy, or degraded: requests are taken."},
        503: {"model": Health, "description": "Unhealthy: none are taken."},
    },
)
async def health(request: Request) -> Response:
    """Tells what a job would meet: healthy; degraded, where it may wait; unhealthy, where none is taken."""
    report = await health_of(request).report()
    body = {"status": report.status, "components": report.components}
    return JsonResponse(to_json(body), 503 if report.status == "unhealthy" else 200)


@router.get(
    "/health/live", tags=["health"], responses=answers("/health/live", State, "This process is alive.")
)
async def live() -> Response:
    """Answers as long as this process lives."""
    return JsonResponse(to_json({"status": "alive"}))


@router.get(
    "/health/ready",
    tags=["health"],
    responses=answers("/health/ready", State, "Requests can be taken.", ErrorKind.REDIS_UNAVAILABLE),
)
async def ready(request: Request) -> Response:
    """Answers 200 while requests can be taken, which needs a Redis that takes writes, but no worker."""
    await health_of(request).check_ready()
    return JsonResponse(to_json({"status": "ready"}))
