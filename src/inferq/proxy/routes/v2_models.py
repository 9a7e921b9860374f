"""The Open Inference Protocol: what can be run, how it is configured, and what was counted of it.

Behind a model's name `/versions/` and a version of it may stand, or `@` and the version.
"""

from typing import Annotated

from fastapi import APIRouter, Path, Request, Response
from pydantic import BaseModel
from pydantic_core import to_json

from inferq.errors import ErrorKind
from inferq.proxy.http.openapi import Answers, add_not_found, document_answers
from inferq.proxy.http.responses import JsonResponse
from inferq.proxy.http.schemas.inference_schemas import (
    InferenceModel,
    InferenceModelConfig,
    InferenceModelReady,
    InferenceModels,
    InferenceStatistics,
)
from inferq.proxy.services.dependencies import get_services
from inferq.proxy.services.inference.inference_models import (
    check_served,
    describe_config,
    describe_model,
    find_inference_model,
)
from inferq.proxy.services.models.model_statistics import describe_statistics

router = APIRouter(tags=["inference protocol"])

ModelPath = Annotated[
    str, Path(description="Name of a model; `/versions/` and a version of it may stand behind it.")
]


def _document(path: str, model: type[BaseModel], description: str) -> Answers:
    answers = document_answers(
        path,
        model,
        description,
        ErrorKind.NO_WORKER,
        ErrorKind.MODEL_UNAVAILABLE,
        ErrorKind.REDIS_UNAVAILABLE,
    )
    return add_not_found(answers, ErrorKind.UNKNOWN_MODEL, path)


@router.get(
    "/v2/models",
    responses=document_answers(
        "/v2/models", InferenceModels, "The models' names.", ErrorKind.REDIS_UNAVAILABLE
    ),
)
async def inference_models(request: Request) -> Response:
    """Lists the models that workers have announced and can serve."""
    known = await get_services(request).catalog.read()
    return JsonResponse(to_json({"models": [name for name in known.names if name not in known.unavailable]}))


@router.get(
    "/v2/models/stats",
    responses=document_answers(
        "/v2/models/stats", InferenceStatistics, "What was counted.", ErrorKind.REDIS_UNAVAILABLE
    ),
)
async def all_statistics(request: Request) -> Response:
    """Tells what was counted of each model that is announced, cluster-wide; durations are in ns."""
    services = get_services(request)
    known = await services.catalog.read()
    counted = (await services.producer.read_metrics()).models
    return JsonResponse(
        to_json(
            {
                "model_stats": [
                    describe_statistics(name, counted[name]) for name in known.announced if name in counted
                ]
            }
        )
    )


@router.get(
    "/v2/models/{model:path}/stats",
    responses=_document("/v2/models/iris/stats", InferenceStatistics, "What was counted."),
)
async def model_statistics(request: Request, model: ModelPath) -> Response:
    """Tells what was counted of one model."""
    name, _ = await find_inference_model(request, model)
    counted = (await get_services(request).producer.read_metrics()).models
    stats = [describe_statistics(name, counted[name])] if name in counted else []
    return JsonResponse(to_json({"model_stats": stats}))


@router.get(
    "/v2/models/{model:path}/ready",
    responses=_document("/v2/models/iris/ready", InferenceModelReady, "A live worker serves it."),
)
async def model_ready(request: Request, model: ModelPath) -> Response:
    """Answers 200 while a live worker serves the model."""
    queue, found = await find_inference_model(request, model)
    check_served(await get_services(request).catalog.read(), queue)
    return JsonResponse(to_json({"name": found.document.name, "ready": True}))


@router.get(
    "/v2/models/{model:path}/config",
    responses=_document("/v2/models/iris/config", InferenceModelConfig, "The model's configuration."),
)
async def model_config(request: Request, model: ModelPath) -> Response:
    """Describes a model as Triton's model configuration does, as far as that applies."""
    _, found = await find_inference_model(request, model)
    return JsonResponse(to_json(describe_config(found.document, get_services(request).settings.max_rows)))


@router.get(
    "/v2/models/{model:path}",
    responses=_document("/v2/models/iris", InferenceModel, "What the model takes and gives."),
)
async def inference_model(request: Request, model: ModelPath) -> Response:
    """Describes a model: its versions, inputs and outputs."""
    _, found = await find_inference_model(request, model)
    return JsonResponse(to_json(describe_model(found.document)))
