"""The state of the queues."""

import asyncio
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic_core import to_json

from inferq.errors import ErrorKind
from inferq.job_json import describe_queue, write_stats_json
from inferq.proxy.http import problems
from inferq.proxy.http.openapi import add_not_found, document_answers
from inferq.proxy.http.problem_types import TYPES
from inferq.proxy.http.queue_schemas import QueueNumbersView, QueueView
from inferq.proxy.http.responses import JsonResponse
from inferq.proxy.services.dependencies import get_services
from inferq.queue import Backlog, QueueNumbers

router = APIRouter(tags=["jobs"])

TargetWait = Annotated[
    float | None,
    Query(
        gt=0,
        allow_inf_nan=False,
        description="How long jobs may wait, s: `needed_workers` says how many workers that takes.",
    ),
]


@router.get(
    "/queue",
    responses=document_answers(
        "/queue", QueueView, "The numbers of now.", ErrorKind.INVALID_INPUT, ErrorKind.REDIS_UNAVAILABLE
    ),
)
async def queue(request: Request, target_wait_seconds: TargetWait = None) -> Response:
    """Tells how many jobs of each model wait and run, how long and how fast, and who serves."""
    producer = get_services(request).producer
    stats = await producer.read_stats()
    backlogs = await _measure_backlogs(request, stats.models, target_wait_seconds)
    return JsonResponse(write_stats_json(stats, await producer.read_max_queued_bytes(), backlogs))


@router.get(
    "/queue/{model}",
    responses=add_not_found(
        document_answers(
            "/queue/iris",
            QueueNumbersView,
            "The model's numbers of now.",
            ErrorKind.INVALID_INPUT,
            ErrorKind.REDIS_UNAVAILABLE,
        ),
        ErrorKind.UNKNOWN_MODEL,
        "/queue/irsi",
    ),
)
async def model_queue(
    request: Request,
    model: Annotated[str, Path(description="Model name.")],
    target_wait_seconds: TargetWait = None,
) -> Response:
    """Tells the same of one model: what an autoscaler reads."""
    numbers = (await get_services(request).producer.read_stats()).models.get(model)
    if numbers is None:
        kind = ErrorKind.UNKNOWN_MODEL
        detail = f"No worker has announced a model {model[:80]!r}, and none of its jobs is kept."
        return problems.make_problem(request.scope, 404, kind, TYPES[kind].title, detail)
    backlogs = await _measure_backlogs(request, {model: numbers}, target_wait_seconds)
    return JsonResponse(to_json(describe_queue(numbers, backlogs[model])))


async def _measure_backlogs(
    request: Request, models: dict[str, QueueNumbers], wait_seconds: float | None
) -> dict[str, Backlog]:
    forecast = await get_services(request).producer.read_forecast()
    backlogs = {}
    for name, numbers in models.items():
        backlogs[name] = forecast.measure_backlog(name, numbers.jobs_per_second, wait_seconds)
        await asyncio.sleep(0)  # of many models, each on workers of its own, this takes seconds
    return backlogs
