"""The state of the queues."""

import asyncio
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic_core import to_json

from inferq.errors import ErrorKind
from inferq.job_json import describe_queue, describe_stats
from inferq.model_names import QueueName
from inferq.proxy.http import problems
from inferq.proxy.http.openapi import add_not_found, document_answers
from inferq.proxy.http.partial_answer import add_unavailable
from inferq.proxy.http.problem_types import TYPES
from inferq.proxy.http.responses import JsonResponse
from inferq.proxy.http.schemas.queue_schemas import QueueNumbersView, QueueView
from inferq.proxy.services.dependencies import get_services
from inferq.proxy.services.models.known_models import KnownModels
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
    body = describe_stats(stats, await producer.read_max_queued_bytes(), backlogs)
    return JsonResponse(to_json(add_unavailable(body, producer.away_shards)))


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
    services = get_services(request)
    producer = services.producer
    models = (await producer.read_stats()).models
    if (numbers := models.get(model)) is None:
        kind = ErrorKind.UNKNOWN_MODEL
        detail = f"No worker has announced a model {model[:80]!r}, and none of its jobs is kept."
        return problems.make_problem(request.scope, 404, kind, TYPES[kind].title, detail)
    known = await services.catalog.read()
    shared = {name: one for name, one in models.items() if _has_the_same_workers(model, name, known)}
    backlogs = await _measure_backlogs(request, {model: numbers, **shared}, target_wait_seconds)
    needed = [backlog.needed_workers or 0 for backlog in backlogs.values()]
    backlog = backlogs[model]._replace(needed_workers=None if target_wait_seconds is None else sum(needed))
    body = describe_queue(numbers, backlog)
    return JsonResponse(to_json(add_unavailable(body, producer.away_shards)))


def _has_the_same_workers(model: str, name: str, known: KnownModels) -> bool:
    """Whether the workers that a model is asked for have to do the jobs of another queue too.

    Those of a model do its versions; those of the version that serves do jobs that name none.
    """
    asked, queue = QueueName.parse(model), QueueName.parse(name)
    if asked is None or queue is None or asked.model != queue.model or asked.purpose or queue.purpose:
        return False
    if not asked.version:
        return queue.version != ""
    serving = known.announced.get(name)
    return not queue.version and serving is not None and serving.document.version == asked.version


async def _measure_backlogs(
    request: Request, models: dict[str, QueueNumbers], wait_seconds: float | None
) -> dict[str, Backlog]:
    forecast = await get_services(request).producer.read_forecast()
    backlogs = {}
    for name, numbers in models.items():
        backlogs[name] = forecast.measure_backlog(name, numbers.jobs_per_second, wait_seconds)
        await asyncio.sleep(0)  # of many models, each on workers of its own, this takes seconds
    return backlogs
