"""What happened to the jobs of a model, minute by minute."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from pydantic_core import to_json

from inferq.errors import ErrorKind
from inferq.job_json import format_time
from inferq.proxy.http import problems
from inferq.proxy.http.job_query import JobQuery
from inferq.proxy.http.openapi import add_not_found, document_answers
from inferq.proxy.http.partial_answer import add_unavailable
from inferq.proxy.http.problem_types import TYPES
from inferq.proxy.http.responses import JsonResponse
from inferq.proxy.http.schemas.queue_schemas import QueueHistory
from inferq.proxy.services.dependencies import get_services
from inferq.proxy.services.models.listed_models import find_listed_models
from inferq.queue import MOST_MINUTES

router = APIRouter(tags=["jobs"])


@router.get(
    "/queue/{model}/history",
    responses=add_not_found(
        document_answers(
            "/queue/iris/history",
            QueueHistory,
            "The minutes, the oldest first.",
            ErrorKind.INVALID_INPUT,
            ErrorKind.REDIS_UNAVAILABLE,
        ),
        ErrorKind.UNKNOWN_MODEL,
        "/queue/irsi/history",
    ),
)
async def queue_history(
    request: Request,
    model: str,
    minutes: Annotated[int, Query(ge=1, le=MOST_MINUTES, description="How many.")] = 60,
) -> Response:
    """Tells what happened to the jobs of a model in the last minutes, of all keys; restarts lose nothing."""
    if model not in await find_listed_models(request, JobQuery()):
        title = TYPES[ErrorKind.UNKNOWN_MODEL].title
        detail = (
            f"There is no model {model[:80]!r}, nor are there jobs of it. GET /queue lists those that are."
        )
        return problems.make_problem(request.scope, 404, ErrorKind.UNKNOWN_MODEL, title, detail)
    producer = get_services(request).producer
    history = await producer.read_history([model], minutes)
    body: dict[str, object] = {
        "minutes": [
            {
                "at": format_time(minute.at),
                "submitted": minute.submitted,
                "completed": minute.completed,
                "failed": minute.failed,
                "run_seconds": minute.run_seconds,
                "waiting": minute.waiting,
            }
            for minute in history[model]
        ]
    }
    return JsonResponse(to_json(add_unavailable(body, producer.away_shards)))
