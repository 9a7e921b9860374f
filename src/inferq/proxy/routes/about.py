"""What this service is."""

from contextlib import suppress
from importlib.metadata import version

from fastapi import APIRouter, Request, Response
from pydantic_core import to_json

from inferq.errors import RedisUnavailableError
from inferq.proxy.http.openapi import document_answers
from inferq.proxy.http.responses import JsonResponse
from inferq.proxy.http.schemas.service_schemas import Information
from inferq.proxy.services.dependencies import get_services

router = APIRouter(tags=["about"])

_LINKS = {
    "predict": "/predict",
    "predict_test": "/predict/test",
    "job": "/job/{job_id}",
    "job_data": "/job/{job_id}/data",
    "job_events": "/job/{job_id}/events",
    "job_websocket": "/job/{job_id}/ws",
    "websocket": "/ws",
    "predict_batch": "/predict/batch",
    "jobs": "/jobs",
    "jobs_status": "/jobs/status",
    "failed_jobs": "/jobs?status=failed",
    "errors": "/jobs/errors",
    "jobs_actions": "/jobs/actions",
    "queue": "/queue",
    "queue_history": "/queue/{model}/history",
    "activity": "/activity",
    "stream_tickets": "/stream-tickets",
    "metadata": "/metadata",
    "models": "/models",
    "model_shadow": "/models/{name}/shadow",
    "inference_protocol": "/v2",
    "health": "/health",
    "metrics": "/metrics",
    "documentation": "/docs",
    "openapi": "/openapi.json",
}


@router.get("/", responses=document_answers("/", Information, "What there is."))
async def information(request: Request) -> Response:
    """Tells what this service is and where to go on."""
    services = get_services(request)
    default_model = services.settings.default_model
    with suppress(RedisUnavailableError):
        default_model = await services.catalog.read_default_name()
    root: str = request.scope.get("root_path", "")
    links = _LINKS if services.settings.ui == "off" else {**_LINKS, "ui": "/ui"}
    body = {
        "name": "inferq",
        "version": version("inferq"),
        "description": "ONNX models as an asynchronous inference service",
        "default_model": default_model,
        "links": {name: f"{root}{path}" for name, path in links.items()},
    }
    return JsonResponse(to_json(body))
