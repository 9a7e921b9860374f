"""What can be run."""

from fastapi import APIRouter, Request, Response
from pydantic_core import to_json

from inferq.errors import ErrorKind, UnknownModelError
from inferq.proxy.http import problems
from inferq.proxy.http.openapi import add_not_found, document_answers, document_model
from inferq.proxy.http.problem_types import TYPES
from inferq.proxy.http.responses import JsonResponse
from inferq.proxy.http.service_schemas import EXAMPLE_MODEL, ModelList
from inferq.proxy.services.dependencies import get_services
from inferq.tensors.signature import ModelDocument

router = APIRouter(tags=["models"])


@router.get(
    "/metadata",
    responses=document_model(
        "/metadata",
        EXAMPLE_MODEL,
        ModelDocument,
        ErrorKind.NO_WORKER,
        ErrorKind.MODEL_UNAVAILABLE,
        ErrorKind.REDIS_UNAVAILABLE,
    ),
)
async def metadata(request: Request) -> Response:
    """Describes the default model: inputs, outputs, classes, features, an example."""
    model = await get_services(request).catalog.find_default()
    return JsonResponse(model.document.to_json())


@router.get(
    "/models",
    responses=document_answers("/models", ModelList, "The models' names.", ErrorKind.REDIS_UNAVAILABLE),
)
async def models(request: Request) -> Response:
    """Lists the models that workers have announced, and those that they cannot serve."""
    known = await get_services(request).catalog.read()
    body = {
        "models": [name for name in known.announced if name not in known.unavailable],
        "default": known.default_name,
        "unavailable": known.unavailable,
    }
    return JsonResponse(to_json(body))


@router.get(
    "/models/{name}",
    responses=add_not_found(
        document_model(
            "/models/iris",
            EXAMPLE_MODEL,
            ModelDocument,
            ErrorKind.NO_WORKER,
            ErrorKind.MODEL_UNAVAILABLE,
            ErrorKind.REDIS_UNAVAILABLE,
        ),
        ErrorKind.UNKNOWN_MODEL,
        "/models/irsi",
    ),
)
async def model_metadata(request: Request, name: str) -> Response:
    """Describes one model."""
    try:
        model = await get_services(request).catalog.find(name)
    except UnknownModelError as error:
        title = TYPES[error.kind].title
        return problems.make_problem(request.scope, 404, error.kind, title, error.message)
    return JsonResponse(model.document.to_json())
