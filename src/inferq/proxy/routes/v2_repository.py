"""The Open Inference Protocol: the model repository, as far as workers tell of it."""

from typing import Annotated

from fastapi import APIRouter, Path, Request, Response
from pydantic_core import to_json

from inferq.errors import ErrorKind, InvalidInputError
from inferq.proxy.http.body_reader import read_body
from inferq.proxy.http.inference_schemas import RepositoryIndex, RepositoryQuery
from inferq.proxy.http.openapi import BODY_REFUSALS, document_answers
from inferq.proxy.http.predict_body import parse_object
from inferq.proxy.http.problems import Refusal
from inferq.proxy.http.responses import JSON, JsonResponse
from inferq.proxy.services.dependencies import get_services
from inferq.proxy.services.known_models import KnownModels

router = APIRouter(tags=["inference protocol"])

_REFUSAL = Refusal(
    501,
    "Models are not loaded and unloaded by a request: workers read the model repository when they start. Put "
    "the model's folder into the repository of the workers (INFERQ_MODELS_DIR), or take it out, and restart "
    "them.",
)


@router.post(
    "/v2/repository/index",
    responses=document_answers(
        "/v2/repository/index",
        RepositoryIndex,
        "The models.",
        *BODY_REFUSALS,
        ErrorKind.INVALID_INPUT,
        ErrorKind.REDIS_UNAVAILABLE,
    ),
    openapi_extra={"requestBody": {"content": {JSON: {"schema": RepositoryQuery.model_json_schema()}}}},
)
async def repository_index(request: Request) -> Response:
    """Lists the models that workers have announced, or cannot serve. The body may be empty."""
    services = get_services(request)
    with services.body_budget.open_share() as share:
        raw = await read_body(request, share, services.settings)
    ready = parse_object(raw, 'An example: {"ready": true}').get("ready", False) if raw else False
    if not isinstance(ready, bool):
        raise InvalidInputError(f"ready must be true or false, got {repr(ready)[:80]}.")
    known = await services.catalog.read()
    entries = [_describe_entry(known, name) for name in sorted({*known.announced, *known.unavailable})]
    return JsonResponse(to_json([one for one in entries if one["state"] == "READY" or not ready]))


@router.post("/v2/repository/models/{model}/load", include_in_schema=False)
@router.post("/v2/repository/models/{model}/unload", include_in_schema=False)
async def load_model(request: Request, model: Annotated[str, Path()]) -> Response:  # noqa: ARG001 - of the path
    """Tells how models are loaded."""
    return _REFUSAL.answer(request.scope)


def _describe_entry(known: KnownModels, name: str) -> dict[str, str]:
    model, reason = known.announced.get(name), known.unavailable.get(name, "")
    if known.served is not None and name not in known.served:
        reason = reason or "No live worker serves it."
    return {
        "name": name,
        "version": model.document.version if model else "",
        "state": "UNAVAILABLE" if reason else "READY",
        "reason": reason,
    }
