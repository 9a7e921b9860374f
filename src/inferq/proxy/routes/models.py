"""What can be run."""

from fastapi import APIRouter, Request, Response
from pydantic_core import to_json

from inferq.errors import ErrorKind
from inferq.proxy.http.openapi import add_not_found, document_answers, document_model
from inferq.proxy.http.responses import JsonResponse
from inferq.proxy.http.schemas.rollout_schemas import VersionList
from inferq.proxy.http.schemas.service_schemas import EXAMPLE_MODEL, ModelList
from inferq.proxy.services.dependencies import get_services
from inferq.proxy.services.models.model_versions import describe_versions
from inferq.proxy.services.models.rollout_changes import find_model_versions
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
        "models": [name for name in known.names if name not in known.unavailable],
        "versions": {name: known.list_versions(name) for name in known.names},
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
    """Describes a model, or a version of it."""
    model = await get_services(request).catalog.find(name)
    return JsonResponse(model.document.to_json())


@router.get(
    "/models/{name}/versions",
    responses=add_not_found(
        document_answers(
            "/models/iris/versions",
            VersionList,
            "The versions, in their order.",
            ErrorKind.NO_WORKER,
            ErrorKind.MODEL_UNAVAILABLE,
            ErrorKind.REDIS_UNAVAILABLE,
        ),
        ErrorKind.UNKNOWN_MODEL,
        "/models/irsi/versions",
    ),
)
async def model_versions(request: Request, name: str) -> Response:
    """Lists the versions of a model: which one serves, and which shares of its jobs the others have."""
    services = get_services(request)
    model, _ = await find_model_versions(request, name)
    known, workers = await services.catalog.read(), await services.producer.read_workers()
    body = {
        "model": name,
        "serving": model.serving_version,
        "versions": describe_versions(model, known, workers),
    }
    return JsonResponse(to_json(body))
