"""Many jobs in one request."""

from collections.abc import Sequence

from fastapi import APIRouter, Request, Response
from pydantic_core import to_json

from inferq.errors import ErrorKind
from inferq.jobs import Job
from inferq.proxy.http.batch_body import parse_ids
from inferq.proxy.http.body_reader import read_body
from inferq.proxy.http.openapi import JSON, JsonResponse, answers
from inferq.proxy.http.queue_schemas import BatchRequest, JobStatuses, StatusRequest, SubmittedBatch
from inferq.proxy.services.dependencies import body_budget_of, offload_pool_of, owner_of, producer_of
from inferq.proxy.services.job_responses import list_response
from inferq.proxy.services.job_submission import (
    BODY_REFUSALS,
    IDEMPOTENCY_KEY,
    REFUSALS,
    checked,
    idempotency_of,
)
from inferq.proxy.services.job_subscription import LONGEST_JOB_ID
from inferq.proxy.services.process_pool import LONGEST_ON_LOOP_BYTES
from inferq.proxy.services.request_checks import check_batch
from inferq.queue.inspection.listing import LARGEST_PAGE_BYTES

_BYTES_OF_A_JOB = 300
"""What the queue sends to Redis for a job besides its data."""

router = APIRouter(tags=["jobs"])


@router.post(
    "/predict/batch",
    status_code=202,
    responses=answers(
        "/predict/batch",
        SubmittedBatch,
        "All jobs are stored and each will end as completed or failed.",
        *REFUSALS,
        status=202,
    ),
    openapi_extra={
        "requestBody": {"content": {JSON: {"schema": BatchRequest.model_json_schema()}}, "required": True},
        "parameters": [IDEMPOTENCY_KEY],
    },
)
async def predict_batch(request: Request) -> Response:
    """Accepts many jobs, or none: where one is refused, or has no place in the queue, nothing is stored."""
    producer = producer_of(request)
    with body_budget_of(request).holding() as held:
        raw = await read_body(request, held)
        size = len(raw) + _BYTES_OF_A_JOB * raw.count(b'"data"')
        with producer.link.one_time_limit(size):
            submissions = await checked(request, check_batch, raw)
            idempotency = idempotency_of(request, submissions, is_batch=True)
            ids = await producer.submit_all(submissions, idempotency)
    return JsonResponse(to_json({"job_ids": ids}), 202)


@router.post(
    "/jobs/status",
    responses=answers(
        "/jobs/status",
        JobStatuses,
        "The jobs as they are now, in the order asked for.",
        *BODY_REFUSALS,
        ErrorKind.INVALID_INPUT,
        ErrorKind.REDIS_UNAVAILABLE,
    ),
    openapi_extra={
        "requestBody": {"content": {JSON: {"schema": StatusRequest.model_json_schema()}}, "required": True}
    },
)
async def read_jobs(request: Request) -> Response:
    """Tells how many jobs are; null stands for those that are not known, or left out."""
    job_ids = await _ids_in(request)
    owner = owner_of(request)
    jobs: list[Job | None] = []
    room = LARGEST_PAGE_BYTES
    async for part in producer_of(request).read_in_parts(_askable(job_ids)):
        for job in part:
            if room <= 0:
                break
            is_shown = job is not None and job.is_readable_by(owner)
            jobs.append(job if is_shown else None)
            room -= job.result_bytes if job is not None and is_shown else 0
        if room <= 0:
            break
    left_out = job_ids[len(jobs) :]
    tail = b"]}" if not left_out else b'],"left_out":%b}' % to_json(left_out)
    jobs += [None] * len(left_out)
    return list_response(producer_of(request), jobs, b'{"jobs":[', tail)


async def _ids_in(request: Request) -> list[str]:
    with body_budget_of(request).holding() as held:
        raw = await read_body(request, held)
        if len(raw) <= LONGEST_ON_LOOP_BYTES:
            return parse_ids(raw)
        return await offload_pool_of(request).call(parse_ids, raw)


def _askable(job_ids: Sequence[str]) -> list[str]:
    """The ids, with one that is nobody's in place of those that are too long to be any."""
    return [job_id if len(job_id) <= LONGEST_JOB_ID else "" for job_id in job_ids]
