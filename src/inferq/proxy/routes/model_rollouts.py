"""Which versions of a model take which jobs; and the repository, read again."""

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response
from pydantic import BaseModel
from pydantic_core import to_json

from inferq.errors import ErrorKind
from inferq.model_names import get_model_name
from inferq.proxy.http.bodies.body_reader import read_text
from inferq.proxy.http.bodies.strict_body import parse_strictly
from inferq.proxy.http.openapi import (
    BODY_REFUSALS,
    WAIT,
    Answers,
    add_not_found,
    document_answers,
    make_body_schema,
)
from inferq.proxy.http.responses import JSON, JsonResponse
from inferq.proxy.http.schemas.rollout_schemas import (
    PromoteRequest,
    ReloadResult,
    RolloutChange,
    RolloutRequest,
    RolloutView,
)
from inferq.proxy.services.dependencies import get_services
from inferq.proxy.services.models.model_versions import Change, ModelVersions, remove
from inferq.proxy.services.models.rollout_changes import (
    FollowReport,
    change_rollout,
    check_can_change,
    find_model_versions,
    reload_models,
)
from inferq.rollout import Rollout

router = APIRouter(tags=["models"])

ModelName = Annotated[str, Path(description="Name of a model, without a version.")]

_PROMOTE_EXAMPLE = 'An example: {"version": "3"}'
_ROLLOUT_EXAMPLE = 'An example: {"serve": "2", "shares": {"3": 0.05}, "shadow": {"4": 0.2}}'


def _document(path: str, view: type[BaseModel], description: str, *kinds: ErrorKind) -> Answers:
    answers = document_answers(
        path,
        view,
        description,
        *kinds,
        ErrorKind.NO_WORKER,
        ErrorKind.MODEL_UNAVAILABLE,
        ErrorKind.REDIS_UNAVAILABLE,
    )
    return add_not_found(answers, ErrorKind.UNKNOWN_MODEL, path)


def _document_body(schema: type[BaseModel]) -> dict[str, Any]:
    content = {JSON: {"schema": make_body_schema(schema)}}
    return {"requestBody": {"content": content, "required": True}, "parameters": [WAIT]}


_WITH_BODY = (*BODY_REFUSALS, ErrorKind.INVALID_INPUT, ErrorKind.ROLLOUT_STATE)


@router.get(
    "/models/{name}/rollout",
    responses=_document("/models/iris/rollout", RolloutView, "What is said of its versions."),
)
async def read_rollout(request: Request, name: ModelName) -> Response:
    """Tells which version of a model serves, and what was said of the others."""
    model, stored = await find_model_versions(request, name)
    return JsonResponse(to_json(_describe(model, stored)))


@router.put(
    "/models/{name}/rollout",
    responses=_document("/models/iris/rollout", RolloutChange, "It was changed.", *_WITH_BODY),
    openapi_extra=_document_body(RolloutRequest),
)
async def replace_rollout(request: Request, name: ModelName) -> Response:
    """Replaces what is said of the versions of a model, the table `[rollout]` of model.toml included."""
    asked = parse_strictly(await _read_body(request), RolloutRequest, _ROLLOUT_EXAMPLE)
    return await _change(request, name, lambda model: model.replace(asked))


@router.delete(
    "/models/{name}/rollout",
    responses=_document(
        "/models/iris/rollout", RolloutChange, "What model.toml says holds again.", ErrorKind.INVALID_INPUT
    ),
    openapi_extra={"parameters": [WAIT]},
)
async def delete_rollout(request: Request, name: ModelName) -> Response:
    """Removes what was said of the versions of a model by request: what model.toml says holds again."""
    return await _change(request, name, lambda _: remove, is_for_unloaded=True)


@router.post(
    "/models/{name}/promote",
    responses=_document("/models/iris/promote", RolloutChange, "The version serves.", *_WITH_BODY),
    openapi_extra=_document_body(PromoteRequest),
)
async def promote(request: Request, name: ModelName) -> Response:
    """Lets a version serve. It has no share of its own any more; the one before is kept for a rollback."""
    asked = parse_strictly(await _read_body(request), PromoteRequest, _PROMOTE_EXAMPLE)
    return await _change(request, name, lambda model: model.promote(asked.version))


@router.post(
    "/models/{name}/rollback",
    responses=_document(
        "/models/iris/rollback",
        RolloutChange,
        "The version before serves.",
        ErrorKind.INVALID_INPUT,
        ErrorKind.ROLLOUT_STATE,
    ),
    openapi_extra={"parameters": [WAIT]},
)
async def roll_back(request: Request, name: ModelName) -> Response:
    """Lets the version serve that did before the latest promotion. Repeated, it is refused."""
    return await _change(request, name, lambda model: model.roll_back())


@router.post(
    "/models/reload",
    responses=document_answers(
        "/models/reload",
        ReloadResult,
        "The repository was read again.",
        ErrorKind.INVALID_INPUT,
        ErrorKind.NO_WORKER,
        ErrorKind.REDIS_UNAVAILABLE,
    ),
    openapi_extra={"parameters": [WAIT]},
)
async def reload_repository(request: Request) -> Response:
    """Lets all workers read the model repository again: new versions are loaded, removed ones go."""
    return _answer_reload(await reload_models(request))


@router.post(
    "/models/{name}/reload",
    responses=_document(
        "/models/iris/reload", ReloadResult, "The repository was read again.", ErrorKind.INVALID_INPUT
    ),
    openapi_extra={"parameters": [WAIT]},
)
async def reload_model(request: Request, name: ModelName) -> Response:
    """Does the same, and tells of one model, which may be new."""
    catalog = get_services(request).catalog
    ModelVersions.find(await catalog.read(), name)
    report = await reload_models(request)
    if name not in {get_model_name(one) for one in report.known.unavailable}:
        await catalog.locate(name)
    return _answer_reload(report, name)


async def _read_body(request: Request) -> bytes:
    services = get_services(request)
    with services.body_budget.open_share() as share:
        return await read_text(request, share, services.settings)


async def _change(
    request: Request,
    name: str,
    make_change: Callable[[ModelVersions], Change],
    *,
    is_for_unloaded: bool = False,
) -> Response:
    model, stored = await find_model_versions(request, name)
    if not is_for_unloaded:
        await check_can_change(request, model, stored)
    rollout, report = await change_rollout(request, name, make_change(model))
    body = _describe(ModelVersions.find(report.known, name), rollout) | report.describe()
    return JsonResponse(to_json(body))


def _describe(model: ModelVersions, stored: Rollout | None) -> dict[str, Any]:
    return {
        "model": model.name,
        "serving": model.serving_version,
        "versions": model.versions,
        "rollout": stored and stored.model_dump(),
        "applied": model.applied and model.applied.model_dump(),
    }


def _answer_reload(report: FollowReport, only: str | None = None) -> Response:
    known = report.known
    names = [name for name in known.names if only in (None, name)]
    body = {
        "versions": {name: known.list_versions(name) for name in names},
        "unavailable": {
            name: reason for name, reason in known.unavailable.items() if only in (None, get_model_name(name))
        },
        **report.describe(),
    }
    return JsonResponse(to_json(body))
