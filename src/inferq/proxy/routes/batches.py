"""Submits many jobs in one request."""

from fastapi import APIRouter, Request, Response
from pydantic_core import to_json

from inferq.proxy.http.bodies.body_reader import read_text
from inferq.proxy.http.openapi import IDEMPOTENCY_KEY, REFUSALS, X_REQUEST_ID, document_answers
from inferq.proxy.http.responses import JSON, JsonResponse
from inferq.proxy.http.schemas.queue_schemas import BatchRequest, SubmittedBatch
from inferq.proxy.services.dependencies import get_services
from inferq.proxy.services.requests.job_submission import read_idempotency, run_check, trace_submission
from inferq.proxy.services.requests.request_checks import check_batch

_BYTES_PER_JOB = 300
"""What the queue sends to Redis for a job besides its data."""

router = APIRouter(tags=["jobs"])


@router.post(
    "/predict/batch",
    status_code=202,
    responses=document_answers(
        "/predict/batch",
        SubmittedBatch,
        "All jobs are stored and each will end as completed or failed.",
        *REFUSALS,
        status=202,
    ),
    openapi_extra={
        "requestBody": {"content": {JSON: {"schema": BatchRequest.model_json_schema()}}, "required": True},
        "parameters": [IDEMPOTENCY_KEY, X_REQUEST_ID],
    },
)
async def predict_batch(request: Request) -> Response:
    """Accepts many jobs, or none: where one is refused, or has no place in the queue, nothing is stored."""
    services = get_services(request)
    producer = services.producer
    with services.body_budget.open_share() as share:
        raw = await read_text(request, share, services.settings)
        size = len(raw) + _BYTES_PER_JOB * raw.count(b'"data"')
        with producer.share_time_limit(size):
            submissions = await run_check(request, check_batch, raw)
            idempotency = await read_idempotency(request, submissions, is_batch=True)
            with trace_submission(request, submissions):
                ids = await producer.submit_batch(submissions, idempotency)
    return JsonResponse(to_json({"job_ids": ids}), 202)
