"""Submits a job."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from inferq.errors import ErrorKind, UnknownModelError
from inferq.proxy.http.body_reader import drop_byte_order_mark, read_body
from inferq.proxy.http.job_schemas import JobView, PredictRequest, Submitted
from inferq.proxy.http.openapi import (
    IDEMPOTENCY_KEY,
    PREFER,
    REFUSALS,
    X_REQUEST_ID,
    add_wait,
    document_accepted,
)
from inferq.proxy.http.predict_body import PredictBody
from inferq.proxy.http.responses import JSON
from inferq.proxy.services.dependencies import get_owner, get_services
from inferq.proxy.services.job_submission import run_check, submit_job
from inferq.proxy.services.job_waiting import answer_accepted
from inferq.proxy.services.request_checks import check_predict, make_submission
from inferq.proxy.transport import ProtocolRoute

fast_router = APIRouter(tags=["jobs"], route_class=ProtocolRoute)
router = APIRouter(tags=["jobs"])


@fast_router.post(
    "/predict",
    status_code=202,
    responses=add_wait(document_accepted("/predict", Submitted, *REFUSALS), JobView),
    openapi_extra={
        "requestBody": {"content": {JSON: {"schema": PredictRequest.model_json_schema()}}, "required": True},
        "parameters": [PREFER, IDEMPOTENCY_KEY, X_REQUEST_ID],
    },
)
async def predict(request: Request) -> Response:
    """Accepts data for a model; a worker runs it in the background. Answers at once, or waits if asked to."""
    services = get_services(request)
    with services.body_budget.open_share() as share:
        raw = drop_byte_order_mark(await read_body(request, share, services.settings))
        with services.producer.share_time_limit(len(raw)):
            job_id = await submit_job(request, await run_check(request, check_predict, raw))
    return await answer_accepted(request, job_id)


@router.post(
    "/predict/test",
    status_code=202,
    responses=add_wait(
        document_accepted(
            "/predict/test",
            Submitted,
            ErrorKind.INVALID_INPUT,
            ErrorKind.UNKNOWN_MODEL,
            ErrorKind.MODEL_UNAVAILABLE,
            ErrorKind.IDEMPOTENCY_CONFLICT,
            ErrorKind.NO_WORKER,
            ErrorKind.QUEUE_FULL,
            ErrorKind.REDIS_UNAVAILABLE,
        ),
        JobView,
    ),
    openapi_extra={"parameters": [PREFER, IDEMPOTENCY_KEY, X_REQUEST_ID]},
)
async def predict_test(
    request: Request, model: Annotated[str | None, Query(description="Model name")] = None
) -> Response:
    """Submits the model's own example, or zeros of its sample shape. A request body is not looked at."""
    catalog = get_services(request).catalog
    name = model if model is not None else await catalog.read_default_name()
    data = (await catalog.find(name)).document.make_data()
    if data is None:
        raise UnknownModelError(
            f"The model {name!r} has no example. Give it one in model.toml, or POST data to /predict."
        )
    submission = make_submission(PredictBody(data), name, get_owner(request) or "")
    return await answer_accepted(request, await submit_job(request, submission))
