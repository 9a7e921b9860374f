"""The Open Inference Protocol: the server itself, and what of Triton's extensions it does not have."""

from importlib.metadata import version

from fastapi import APIRouter, Request, Response
from pydantic_core import to_json

from inferq.errors import ErrorKind
from inferq.proxy.http.openapi import document_answers
from inferq.proxy.http.problems import Refusal
from inferq.proxy.http.responses import JsonResponse
from inferq.proxy.http.schemas.inference_schemas import InferenceLive, InferenceReady, InferenceServer
from inferq.proxy.services.dependencies import get_services

router = APIRouter(tags=["inference protocol"])

EXTENSIONS = (
    *("binary_tensor_data", "classification", "model_configuration", "parameters", "schedule_policy"),
    *("model_repository", "statistics"),
)
"""The extensions that there are whole."""

_SERVER = to_json({"name": "inferq", "version": version("inferq"), "extensions": EXTENSIONS})
_LEFT_OUT = {
    "/v2/systemsharedmemory": "no shared memory: send tensors in the body, also as raw bytes",
    "/v2/cudasharedmemory": "no shared memory: send tensors in the body, also as raw bytes",
    "/v2/trace": "no trace extension: traces are exported by OTLP, see the guide to traces",
    "/v2/logging": "no logging extension: INFERQ_LOG_LEVEL says what is logged",
}
"""Path to what is said of it and all below it."""


@router.get("/v2/", include_in_schema=False)
@router.get("/v2", responses=document_answers("/v2", InferenceServer, "What this server is."))
async def server_metadata() -> Response:
    """Tells what this server is, and which extensions of the protocol it has."""
    return JsonResponse(_SERVER)


@router.get(
    "/v2/health/live",
    responses=document_answers("/v2/health/live", InferenceLive, "This process is alive."),
)
async def server_live() -> Response:
    """Answers as long as this process lives."""
    return JsonResponse(to_json({"live": True}))


@router.get(
    "/v2/health/ready",
    responses=document_answers(
        "/v2/health/ready", InferenceReady, "Requests can be taken.", ErrorKind.REDIS_UNAVAILABLE
    ),
)
async def server_ready(request: Request) -> Response:
    """Answers 200 while requests can be taken, which needs a Redis that takes writes, but no worker."""
    await get_services(request).health_checker.check_ready()
    return JsonResponse(to_json({"ready": True, "live": True}))


def _add_left_out(path: str, said: str) -> None:
    refusal = Refusal(501, f"There is {said}.")

    async def answer(request: Request) -> Response:
        return refusal.answer(request.scope)

    for one in (path, f"{path}/{{rest:path}}"):
        router.add_api_route(one, answer, methods=["GET", "POST"], include_in_schema=False)


for _path, _said in (*_LEFT_OUT.items(), ("/v2/models/{model}/trace", _LEFT_OUT["/v2/trace"])):
    _add_left_out(_path, _said)
