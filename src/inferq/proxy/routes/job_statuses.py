"""Many jobs by their ids."""

from collections.abc import Sequence

from fastapi import APIRouter, Request, Response
from pydantic_core import to_json

from inferq.errors import ErrorKind
from inferq.jobs import Job
from inferq.proxy.http.bodies.batch_body import parse_ids
from inferq.proxy.http.bodies.body_reader import read_text
from inferq.proxy.http.openapi import BODY_REFUSALS, document_answers
from inferq.proxy.http.responses import JSON
from inferq.proxy.http.schemas.queue_schemas import JobStatuses, StatusRequest
from inferq.proxy.services.dependencies import get_owner, get_services
from inferq.proxy.services.jobs.job_responses import make_list_response
from inferq.proxy.services.jobs.job_subscription import LONGEST_JOB_ID
from inferq.proxy.services.process_pool import LONGEST_ON_LOOP_BYTES
from inferq.queue import LARGEST_PAGE_BYTES

router = APIRouter(tags=["jobs"])


@router.post(
    "/jobs/status",
    responses=document_answers(
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
    services = get_services(request)
    job_ids = await _read_ids(request)
    owner = get_owner(request)
    jobs: list[Job | None] = []
    bytes_left = LARGEST_PAGE_BYTES
    async for part in services.producer.read_in_parts(_replace_long(job_ids)):
        for job in part:
            if bytes_left <= 0:
                break
            is_shown = job is not None and job.is_readable_by(owner)
            jobs.append(job if is_shown else None)
            bytes_left -= job.result_bytes if job is not None and is_shown else 0
        if bytes_left <= 0:
            break
    left_out = job_ids[len(jobs) :]
    tail = b"]}" if not left_out else b'],"left_out":%b}' % to_json(left_out)
    jobs += [None] * len(left_out)
    return make_list_response(services.producer, jobs, b'{"jobs":[', tail)


async def _read_ids(request: Request) -> list[str]:
    services = get_services(request)
    with services.body_budget.open_share() as share:
        raw = await read_text(request, share, services.settings)
        if len(raw) <= LONGEST_ON_LOOP_BYTES:
            return parse_ids(raw)
        return await services.process_pool.call(parse_ids, raw)


def _replace_long(job_ids: Sequence[str]) -> list[str]:
    """Replaces ids that are longer than any job's by the empty one, which no job has."""
    return [job_id if len(job_id) <= LONGEST_JOB_ID else "" for job_id in job_ids]
