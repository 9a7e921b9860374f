"""Submits a job."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from inferq.errors import ErrorKind, UnknownModelError
from inferq.proxy.http.bodies.predict_body import PredictBody
from inferq.proxy.http.content_type import FORM, MEDIA_TYPES
from inferq.proxy.http.openapi import (
    IDEMPOTENCY_KEY,
    PREFER,
    QUERY_OPTIONS,
    REFUSALS,
    X_REQUEST_ID,
    add_wait,
    document_accepted,
)
from inferq.proxy.http.responses import JSON
from inferq.proxy.http.schemas.job_schemas import JobView, PredictRequest, Submitted
from inferq.proxy.services.dependencies import get_owner, get_services
from inferq.proxy.services.jobs.job_waiting import answer_accepted
from inferq.proxy.services.requests.job_submission import submit_job
from inferq.proxy.services.requests.received_prediction import receive_prediction
from inferq.proxy.services.requests.request_checks import make_submission
from inferq.proxy.transport import ProtocolRoute

_BODIES: dict[str, Any] = {
    **{media_type: {"schema": {"type": "string", "format": "binary"}} for media_type in MEDIA_TYPES},
    JSON: {"schema": PredictRequest.model_json_schema()},
    FORM: {
        "schema": {
            "type": "object",
            "description": "A part for each input of the model, of its name: JSON, an array, a picture, "
            "sound, or a raw tensor.",
            "properties": {"options": {"type": "string", "description": "model, priority …, as JSON."}},
            "additionalProperties": {"type": "string", "format": "binary"},
        }
    },
}

fast_router = APIRouter(tags=["jobs"], route_class=ProtocolRoute)
router = APIRouter(tags=["jobs"])


@fast_router.post(
    "/predict",
    status_code=202,
    responses=add_wait(
        document_accepted(
            "/predict",
            Submitted,
            *REFUSALS,
            ErrorKind.STORE_UNAVAILABLE,
            ErrorKind.UNSUPPORTED_MEDIA_TYPE,
            ErrorKind.NO_WORKER,
        ),
        JobView,
    ),
    openapi_extra={
        "requestBody": {"content": _BODIES, "required": True},
        "parameters": [PREFER, IDEMPOTENCY_KEY, X_REQUEST_ID, *QUERY_OPTIONS],
    },
)
async def predict(request: Request) -> Response:
    """Accepts data for a model; a worker runs it in the background. Answers at once, or waits if asked to."""
    services = get_services(request)
    with services.body_budget.open_share() as share:
        job_id = await (await receive_prediction(request, share)).submit(request)
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
    request: Request,
    model: Annotated[str | None, Query(description="Name of a model, or of a version of it")] = None,
) -> Response:
    """Submits the model's own example, or zeros of its sample shape. A request body is not looked at."""
    catalog = get_services(request).catalog
    name = model if model is not None else await catalog.read_default_name()
    queue, announced = await catalog.locate(name)
    data = announced.document.make_data()
    if data is None:
        raise UnknownModelError(
            f"The model {name!r} has no example. Give it one in model.toml, or POST data to /predict."
        )
    submission = make_submission(PredictBody(data), queue, get_owner(request) or "")
    return await answer_accepted(request, await submit_job(request, submission))
