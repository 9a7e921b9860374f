"""Failed jobs, grouped by their error."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from pydantic_core import to_json

from inferq.errors import ErrorKind
from inferq.job_json import format_time
from inferq.jobs import Status
from inferq.proxy.http.job_query import JobQuery
from inferq.proxy.http.openapi import document_answers
from inferq.proxy.http.partial_answer import add_unavailable
from inferq.proxy.http.responses import JsonResponse
from inferq.proxy.http.schemas.queue_schemas import ErrorGroupList
from inferq.proxy.services.dependencies import get_owner, get_services
from inferq.proxy.services.models.listed_models import find_listed_models
from inferq.queue import ErrorGroups, show_id

router = APIRouter(tags=["jobs"])


@router.get(
    "/jobs/errors",
    responses=document_answers(
        "/jobs/errors",
        ErrorGroupList,
        "The groups, that with the most jobs first.",
        ErrorKind.INVALID_INPUT,
        ErrorKind.REDIS_UNAVAILABLE,
    ),
)
async def group_errors(request: Request, query: Annotated[JobQuery, Query()]) -> Response:
    """Groups failed jobs by model, kind of error, and error, in which `…` stands for each id and number.

    Of more than 10,000 failed jobs the latest 10,000 are read.
    """
    groups, producer = ErrorGroups([], is_complete=True), get_services(request).producer
    if query.wanted_status in (None, Status.FAILED):
        groups = await producer.read_error_groups(
            await find_listed_models(request, query), only=query.make_filter(), owner=get_owner(request)
        )
    body: dict[str, object] = {
        "groups": [
            {
                "error_kind": group.error_kind,
                "error": group.error,
                "model": group.model,
                "count": group.count,
                "latest_at": format_time(group.latest_at),
                "example_job_id": show_id(group.example_job_id),
            }
            for group in groups.groups
        ],
        "is_complete": groups.is_complete,
    }
    return JsonResponse(to_json(add_unavailable(body, producer.away_shards)))
