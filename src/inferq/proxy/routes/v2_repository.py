"""The Open Inference Protocol: the model repository, as far as workers tell of it."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response
from pydantic_core import to_json

from inferq.errors import ErrorKind, InvalidInputError
from inferq.model_names import VERSION_MARK, get_model_name, order_version
from inferq.proxy.http import problems
from inferq.proxy.http.bodies.body_reader import read_body
from inferq.proxy.http.bodies.predict_body import parse_object
from inferq.proxy.http.openapi import (
    BODY_REFUSALS,
    WAIT,
    Answers,
    add_not_found,
    add_problem,
    document_answers,
)
from inferq.proxy.http.problem_types import TYPES
from inferq.proxy.http.responses import JSON, JsonResponse
from inferq.proxy.http.schemas.inference_schemas import RepositoryIndex, RepositoryLoading, RepositoryQuery
from inferq.proxy.services.dependencies import get_services
from inferq.proxy.services.models.known_models import KnownModels
from inferq.proxy.services.models.model_loading import load_model, unload_model

router = APIRouter(tags=["inference protocol"])

_LOADING: dict[str, Any] = {
    "requestBody": {"content": {JSON: {"schema": {"type": "object", "example": {}}}}},
    "parameters": [WAIT],
}


def _document_loading(path: str, description: str) -> Answers:
    answers = document_answers(
        path,
        RepositoryLoading,
        description,
        *BODY_REFUSALS,
        ErrorKind.INVALID_INPUT,
        ErrorKind.NO_WORKER,
        ErrorKind.REDIS_UNAVAILABLE,
    )
    add_problem(answers, ErrorKind.MODEL_UNAVAILABLE, path, 400)
    return add_not_found(answers, ErrorKind.UNKNOWN_MODEL, path)


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
    """Lists the models that workers have announced, or cannot serve, version by version."""
    ready = (await _read_object(request)).get("ready", False)
    if not isinstance(ready, bool):
        raise InvalidInputError(f"ready must be true or false, got {repr(ready)[:80]}.")
    known = await get_services(request).catalog.read()
    entries = [_describe_entry(known, name) for name in _list_versions(known)]
    return JsonResponse(to_json([one for one in entries if one["state"] == "READY" or not ready]))


@router.post(
    "/v2/repository/models/{model}/load",
    responses=_document_loading("/v2/repository/models/iris/load", "All live workers have loaded it."),
    openapi_extra=_LOADING,
)
async def load(request: Request, model: Annotated[str, Path()]) -> Response:
    """Lets workers load a model that was unloaded, or what is new of it in their repository."""
    parameters = (await _read_object(request)).get("parameters") or {}
    if not isinstance(parameters, dict):
        raise InvalidInputError(f"parameters must be an object, got {repr(parameters)[:80]}.")
    for name in parameters:
        raise InvalidInputError(
            f"The parameter {str(name)[:80]!r} is not taken: a model is loaded as it is in the repository of "
            "the workers. Put its files, and its model.toml, there."
        )
    return _answer_loading(request, model, "load", await load_model(request, model))


@router.post(
    "/v2/repository/models/{model}/unload",
    responses=_document_loading("/v2/repository/models/iris/unload", "No live worker serves it any more."),
    openapi_extra=_LOADING,
)
async def unload(request: Request, model: Annotated[str, Path()]) -> Response:
    """Lets workers serve a model no more, until it is loaded: jobs that wait run first."""
    await _read_object(request)
    return _answer_loading(request, model, "unload", await unload_model(request, model))


async def _read_object(request: Request) -> dict[str, Any]:
    services = get_services(request)
    with services.body_budget.open_share() as share:
        raw = await read_body(request, share, services.settings)
    return parse_object(raw, 'An example: {"parameters": {}}') if raw else {}


def _answer_loading(request: Request, model: str, order: str, failure: str | None) -> Response:
    if failure is None:
        return JsonResponse(to_json({"name": model, order: True}))
    kind = ErrorKind.MODEL_UNAVAILABLE
    detail = f"Failed to {order} {model[:80]!r}: {failure}"
    return problems.make_problem(request.scope, 400, kind, TYPES[kind].title, detail)


def _list_versions(known: KnownModels) -> list[str]:
    """Returns the names of all versions; of a model that has none, or none that is known, its own."""
    names = {*known.announced, *known.unavailable}
    names -= {get_model_name(name) for name in names if VERSION_MARK in name}

    def order(name: str) -> tuple[object, ...]:
        model, _, version = name.partition(VERSION_MARK)
        return model, order_version(version)

    return sorted(names, key=order)


def _describe_entry(known: KnownModels, name: str) -> dict[str, str]:
    model, reason = known.announced.get(name), known.unavailable.get(name, "")
    if known.served is not None and name not in known.served:
        reason = reason or "No live worker serves it."
    model_name, _, version = name.partition(VERSION_MARK)
    return {
        "name": model_name,
        "version": model.document.version if model else version,
        "state": "UNAVAILABLE" if reason else "READY",
        "reason": reason,
    }
