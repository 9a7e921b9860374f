"""How the service is."""

from fastapi import APIRouter, Request, Response
from pydantic_core import to_json

from inferq.errors import ErrorKind
from inferq.proxy.http.openapi import document_answers
from inferq.proxy.http.responses import JsonResponse
from inferq.proxy.http.schemas.service_schemas import Health, State
from inferq.proxy.services.dependencies import get_services

router = APIRouter(tags=["health"])


@router.get(
    "/health",
    responses={
        200: {"model": Health, "description": "Healthy, or degraded: requests are taken."},
        503: {"model": Health, "description": "Unhealthy: none are taken."},
    },
)
async def health(request: Request) -> Response:
    """Tells what a job would meet: healthy; degraded, where it may wait; unhealthy, where none is taken."""
    report = await get_services(request).health_checker.check()
    body = {"status": report.status, "components": report.components}
    return JsonResponse(to_json(body), 503 if report.status == "unhealthy" else 200)


@router.get("/health/live", responses=document_answers("/health/live", State, "This process is alive."))
async def live() -> Response:
    """Answers as long as this process lives."""
    return JsonResponse(to_json({"status": "alive"}))


@router.get(
    "/health/ready",
    responses=document_answers("/health/ready", State, "Requests can be taken.", ErrorKind.REDIS_UNAVAILABLE),
)
async def ready(request: Request) -> Response:
    """Answers 200 while requests can be taken, which needs a Redis that takes writes, but no worker."""
    await get_services(request).health_checker.check_ready()
    return JsonResponse(to_json({"status": "ready"}))
