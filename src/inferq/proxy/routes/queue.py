"""The state of the queues."""

from fastapi import APIRouter, Request, Response

from inferq.errors import ErrorKind
from inferq.job_json import write_stats_json
from inferq.proxy.http.openapi import document_answers
from inferq.proxy.http.queue_schemas import QueueView
from inferq.proxy.http.responses import JsonResponse
from inferq.proxy.services.dependencies import get_services

router = APIRouter(tags=["jobs"])


@router.get(
    "/queue",
    responses=document_answers("/queue", QueueView, "The numbers of now.", ErrorKind.REDIS_UNAVAILABLE),
)
async def queue(request: Request) -> Response:
    """Tells how many jobs of each model wait and run, how long and how fast, and who serves."""
    producer = get_services(request).producer
    return JsonResponse(write_stats_json(await producer.read_stats(), await producer.read_max_queued_bytes()))
