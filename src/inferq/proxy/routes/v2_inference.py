"""The Open Inference Protocol: inference."""

from contextlib import ExitStack

from fastapi import APIRouter, Request, Response

from inferq.errors import ErrorKind, NotEndedError, RedisUnavailableError
from inferq.proxy.http.inference_protocol import BINARY
from inferq.proxy.http.openapi import (
    BODY_REFUSALS,
    IDEMPOTENCY_KEY,
    X_REQUEST_ID,
    Answers,
    add_job_failures,
    add_not_found,
    document_accepted,
    make_body_schema,
)
from inferq.proxy.http.prefer import parse_preferred_wait, prefers_async
from inferq.proxy.http.responses import JSON
from inferq.proxy.http.schemas.inference_schemas import InferenceRequest, InferenceResponse
from inferq.proxy.http.schemas.job_schemas import Submitted
from inferq.proxy.routes.v2_models import ModelPath
from inferq.proxy.services.dependencies import get_services
from inferq.proxy.services.inference.inference import receive_inference, wait_for_outputs
from inferq.proxy.services.inference.inference_outputs import make_failure_response, make_outputs_response
from inferq.proxy.services.jobs.job_subscription import JobSubscription
from inferq.proxy.services.jobs.job_waiting import make_accepted
from inferq.proxy.services.requests.job_submission import submit_job
from inferq.proxy.transport import WaitingRoute

fast_router = APIRouter(tags=["inference protocol"], route_class=WaitingRoute)

_PATH = "/v2/models/iris/infer"
_PREFER = {
    "name": "Prefer",
    "in": "header",
    "description": "`respond-async` (RFC 7240): answer 202 with the job's id at once; with `wait=5` besides, "
    "only if the job has not ended within 5 s. `wait=5` alone: wait no longer than that.",
    "schema": {"type": "string"},
    "example": "respond-async",
}


def _document() -> Answers:
    answers = document_accepted(
        _PATH,
        Submitted,
        *BODY_REFUSALS,
        ErrorKind.INVALID_INPUT,
        ErrorKind.IDEMPOTENCY_CONFLICT,
        ErrorKind.MODEL_UNAVAILABLE,
        ErrorKind.QUEUE_FULL,
        ErrorKind.EXPIRES_TOO_SOON,
        ErrorKind.REDIS_UNAVAILABLE,
        ErrorKind.STORE_UNAVAILABLE,
        ErrorKind.NO_WORKER,
    )
    answers[200] = {
        "model": InferenceResponse,
        "description": "The outputs; as bytes behind the JSON where the request asks for that.",
        "content": {BINARY: {"schema": {"type": "string", "format": "binary"}, "example": "{...}"}},
        "headers": {"Inferq-Job-Id": {"schema": {"type": "string"}, "description": "Id of the job."}},
    }
    return add_job_failures(add_not_found(answers, ErrorKind.UNKNOWN_MODEL, _PATH), _PATH)


@fast_router.post(
    "/v2/models/{model:path}/infer",
    responses=_document(),
    openapi_extra={
        "requestBody": {
            "content": {
                JSON: {"schema": make_body_schema(InferenceRequest)},
                BINARY: {"schema": {"type": "string", "format": "binary"}},
            },
            "required": True,
        },
        "parameters": [_PREFER, IDEMPOTENCY_KEY, X_REQUEST_ID],
    },
)
async def infer(request: Request, model: ModelPath) -> Response:
    """Runs a model on tensors and answers with its outputs: a job like any other, for which it waits."""
    services, headers = get_services(request), request.scope["headers"]
    is_async = prefers_async(headers)
    seconds = parse_preferred_wait(headers, services.settings.max_wait_seconds)
    if seconds is None:
        seconds = 0.0 if is_async else services.settings.max_wait_seconds
    with ExitStack() as stack:
        with services.body_budget.open_share() as share:
            asked = await receive_inference(request, share, model, is_async=is_async)
            submission = asked.submission
            expected_id = submission.id
            # opened before it is submitted, the job need not be read to see whether it has ended
            subscription = stack.enter_context(JobSubscription.open(request, expected_id))
            with services.producer.share_time_limit(len(submission.data)):
                job_id = await submit_job(request, submission, asked.idempotency)
            submission.data = b""
        # a repeated request gets the job that it got first, and a shard adds its number
        if job_id != expected_id:
            subscription = stack.enter_context(JobSubscription.open(request, job_id))
        try:
            job = await wait_for_outputs(request, subscription, job_id, seconds, is_async=is_async)
        except (NotEndedError, RedisUnavailableError) as error:
            if not is_async:
                return make_failure_response(request, job_id, ErrorKind.NOT_ENDED, error.message)
            response: Response = make_accepted(request, job_id)
            response.raw_headers.append((b"preference-applied", b"respond-async"))
            return response
    return await make_outputs_response(request, job, asked.options, asked.class_names)
